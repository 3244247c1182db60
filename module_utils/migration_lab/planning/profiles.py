# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads and validates profiles on the controller."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..model.errors import LabError
from .schema import read_yaml, validate


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
    data: dict[str, Any] = read_yaml(path)
    validate(data, scenarios / "schema" / "profile.json", str(path))
    if data["name"] != name:
        raise LabError(f"{path}: field 'name' is '{data['name']}'; it must be '{name}', as the file is called")
    for field in ("scenarios", "flags"):
        names = [entry["name"] for entry in data[field]]
        twice = sorted({entry for entry in names if names.count(entry) > 1})
        if twice:
            raise LabError(f"{path}: {field}: the name '{twice[0]}' is there twice; names must be unique")
    return data
