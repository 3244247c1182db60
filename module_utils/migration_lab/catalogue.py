# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's data, read and validated on the controller: releases, pairs, guests and profiles.

Uses jsonschema and PyYAML, which requirements.txt installs there.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, Mapping

import yaml
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError, best_match

from .model import LabError, parse_version


def load_profile(name: str, scenarios: Path) -> dict[str, Any]:
    """Read and validate a profile.

    :param scenarios: the folder with ``profiles/`` and ``schema/``.
    :returns: the profile's data, as ``Profile.from_data`` takes it.
    :raises LabError: naming file, entry and field.
    """
    path = scenarios / "profiles" / f"{name}.yml"
    if not path.is_file():
        known = sorted(entry.stem for entry in (scenarios / "profiles").glob("*.yml"))
        raise LabError(f"there is no profile '{name}'; {path.parent} has {', '.join(known) or 'none'}")
    try:
        data: dict[str, Any] = yaml.safe_load(path.read_bytes())
    except yaml.YAMLError as error:
        raise LabError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    validate(data, scenarios / "schema" / "profile.json", str(path))
    if data["name"] != name:
        raise LabError(f"{path}: field 'name' is '{data['name']}'; it must be '{name}', as the file is called")
    for field in ("scenarios", "flags"):
        names = [entry["name"] for entry in data[field]]
        twice = sorted({entry for entry in names if names.count(entry) > 1})
        if twice:
            raise LabError(f"{path}: {field}: the name '{twice[0]}' is there twice; names must be unique")
    return data


def validate(data: Any, schema: Path, where: str) -> None:
    """Validate data against a JSON schema file.

    :param where: what to call the data in the error: a file's path, or where variables are from.
    :raises LabError: naming the entry and field that is wrong.
    """
    error = best_match(Draft202012Validator(json.loads(schema.read_text())).iter_errors(data))
    if error is not None:
        raise LabError(f"{where}: {_place(error, data)}{error.message}")


def _place(error: ValidationError, data: Any) -> str:
    """Where in the data an error is, entries called by their names rather than their positions."""
    parts, here = [], data
    for key in error.absolute_path:
        here = here[key]
        named = isinstance(key, int) and isinstance(here, Mapping) and here.get("name")
        parts.append(f"'{here['name']}'" if named else f"entry {key + 1}" if isinstance(key, int) else str(key))
    return f"{', '.join(parts)}: " if parts else ""


def choose_pair(name: str, pairs: Mapping[str, Any], releases: Mapping[str, Any]) -> dict[str, str]:
    """The named pair with its name in it, its releases known and its boundary between them.

    :raises LabError: when there is no such pair or release, or the boundary is not between the two versions.
    """
    if name not in pairs:
        raise LabError(f"there is no pair '{name}'; migration_pairs has {', '.join(sorted(pairs)) or 'none'}")
    pair = {"name": name, **pairs[name]}
    for side in ("old", "new"):
        if pair[side] not in releases:
            raise LabError(
                f"pair '{name}': there is no release '{pair[side]}' ({side}); "
                f"migration_releases has {', '.join(sorted(releases)) or 'none'}"
            )
    old, new = (releases[pair[side]]["libvirt"] for side in ("old", "new"))
    if not parse_version(old) < parse_version(pair["boundary"]) <= parse_version(new):
        raise LabError(f"pair '{name}': boundary {pair['boundary']} is not above old ({old}) and at most new ({new})")
    return pair


def choose_guest(
    name: str, guests: Mapping[str, Any], pair: Mapping[str, str], releases: Mapping[str, Any], machine: str
) -> dict[str, Any]:
    """The named guest with its name in it and the QEMU machine type filled in.

    :param machine: machine type to use; empty for the guest's pattern with the older QEMU version of the pair.
    :raises LabError: when there is no such guest, or a release of the pair cannot run it.
    """
    if name not in guests:
        raise LabError(f"there is no guest '{name}'; migration_guests has {', '.join(sorted(guests)) or 'none'}")
    guest = {"name": name, **guests[name]}
    sides = [releases[pair[side]] for side in ("old", "new")]
    for side, release in zip(("old", "new"), sides):
        if guest["arch"] not in release["emulators"]:
            raise LabError(f"release '{pair[side]}' has no emulator for {guest['arch']} guests; give one in its 'emulators'")
    older = min((release["qemu"] for release in sides), key=parse_version)
    guest["machine"] = machine or guest["machine"].replace("{qemu}", older)
    return guest


def release_id(name: str, release: Mapping[str, Any]) -> str:
    """Name of a release's image: the release and a digest of everything that goes into building it."""
    recipe = {key: release[key] for key in ("kind", "suite", "mirror", "keyring", "packages")}
    return f"{name}-{data_id(recipe)}"


def files_id(paths: list[Path]) -> str:
    """A digest of files, by name and content."""
    return _digest(b"".join(path.name.encode() + b"\0" + path.read_bytes() + b"\0" for path in sorted(paths)))


def data_id(data: Any) -> str:
    """A digest of data that came from YAML or JSON."""
    return _digest(json.dumps(data, sort_keys=True).encode())


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:12]
