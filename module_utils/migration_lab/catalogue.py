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
from .tap.ceiling import CEILINGS

# The fields of a recipe that an image is built from. A tree is told by its checksum, wherever it is.
RECIPE = (
    "kind", "suite", "mirror", "keyring", "packages", "architecture", "release_sha256", "sha256", "prefix", "binding",
    "adapt_emulators",
)

# QEMU called its board pc-0.14 up to 1.3, and pc-i440fx-1.4 from 1.4 on.
I440FX_NAMED = parse_version("1.4")

# libvirt asks QEMU by QMP what it can do since 1.0; before, it read what -help and -cpu '?' print.
COMMAND_LINE_PROBED = parse_version("1.0.0")
# Since about 1.2 QEMU describes each model that -cpu '?' lists, which libvirt then took for its name; 9.0 has dropped -no-acpi
# and -no-hpet, and with them the word x86 before the models.
OUTPUT_CHANGED = parse_version("1.2")


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


def choose_pair(name: str, pairs: Mapping[str, Any], releases: Mapping[str, Any]) -> dict[str, Any]:
    """The named pair with its name in it, its releases obtainable and its boundary between them.

    With a ceiling the old machines are presented as that version, so the boundary has to be between the ceiling and the new
    release, and the old release must not be below it anyway.

    :raises LabError: when there is no such pair, release or ceiling, when a release's recipe is not complete, or when the
        boundary is not between the two versions.
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
    lower, what = old, "old"
    if "ceiling" in pair:
        if pair["ceiling"] not in CEILINGS:
            raise LabError(f"pair '{name}': the tap knows no ceiling {pair['ceiling']}; it has {', '.join(CEILINGS)}")
        if parse_version(old) < parse_version(pair["boundary"]):
            raise LabError(
                f"pair '{name}': a ceiling on a machine that is old anyway: release '{pair['old']}' has libvirt {old}, below "
                f"the boundary {pair['boundary']}; leave the ceiling out"
            )
        lower, what = pair["ceiling"], "the ceiling"
    if not parse_version(lower) < parse_version(pair["boundary"]) <= parse_version(new):
        raise LabError(f"pair '{name}': boundary {pair['boundary']} is not above {what} ({lower}) and at most new ({new})")
    for side in ("old", "new"):
        check_obtainable(pair[side], resolve_release(pair[side], releases))
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
    sides = [resolve_release(pair[side], releases) for side in ("old", "new")]
    for side, release in zip(("old", "new"), sides):
        if guest["arch"] not in release["emulators"]:
            raise LabError(f"release '{pair[side]}' has no emulator for {guest['arch']} guests; give one in its 'emulators'")
    older = min((release["qemu"] for release in sides), key=parse_version)
    pattern = guest["machine"]
    if parse_version(older) < I440FX_NAMED:
        pattern = pattern.replace("pc-i440fx-", "pc-")
    guest["machine"] = machine or pattern.replace("{qemu}", older)
    return guest


def resolve_release(name: str, releases: Mapping[str, Any]) -> dict[str, Any]:
    """The recipe of a release, whole: that of a tree is its base's, with the tree's own fields over it.

    A tree's ``packages`` are those of the base and its own. Its ``python`` is the wrapper that the lab puts into the machine,
    which runs ``interpreter`` with the tree's libraries and binding. ``adapt_emulators`` tells whether its libvirt needs the
    lab's script before an emulator that has become too new for it.

    :raises LabError: when a tree's base is not there or is a tree itself.
    """
    release = releases[name]
    if release["kind"] != "tree":
        return dict(release)
    base = releases.get(release["base"])
    if base is None or base["kind"] == "tree":
        known = ", ".join(sorted(entry for entry, data in releases.items() if data["kind"] != "tree"))
        said = "there is no such release" if base is None else "that is a tree itself"
        raise LabError(f"release '{name}': base is '{release['base']}', {said}; lay the tree over one of {known or 'none'}")
    recipe = {**base, **release, "python": "/lab/python", "interpreter": release.get("python", base["python"])}
    recipe["packages"] = [*base["packages"], *(package for package in release["packages"] if package not in base["packages"])]
    recipe["adapt_emulators"] = (
        parse_version(recipe["libvirt"]) < COMMAND_LINE_PROBED and parse_version(recipe["qemu"]) >= OUTPUT_CHANGED
    )
    return recipe


def check_obtainable(name: str, release: Mapping[str, Any]) -> None:
    """Refuse a release of an archive that nobody has said where to get, or what to trust.

    :param release: the recipe, as ``resolve_release`` returns it.
    :raises LabError: with what is missing and the two ways out.
    """
    if "release_sha256" not in release:
        return
    missing = [] if release["mirror"] else ["its archive mirror is not set"]
    if not release["release_sha256"]:
        missing.append("the checksum of the suite's file Release is not pinned (release_sha256)")
    if missing:
        raise LabError(
            f"release '{name}' cannot be built from suite {release['suite']}: {' and '.join(missing)}; set a mirror that has the "
            "suite, with the checksum, or use a release of kind tree in its place"
        )


def release_id(name: str, release: Mapping[str, Any]) -> str:
    """Name of a release's image: the release and a digest of everything that goes into building it.

    :param release: the recipe, as ``resolve_release`` returns it.
    """
    recipe = {key: release[key] for key in RECIPE if key in release}
    return f"{name}-{data_id(recipe)}"


def files_id(paths: list[Path]) -> str:
    """A digest of files, by name and content."""
    return _digest(b"".join(path.name.encode() + b"\0" + path.read_bytes() + b"\0" for path in sorted(paths)))


def data_id(data: Any) -> str:
    """A digest of data that came from YAML or JSON."""
    return _digest(json.dumps(data, sort_keys=True).encode())


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:12]
