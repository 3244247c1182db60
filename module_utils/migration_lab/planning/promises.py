# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads and validates what libvirt promises of migrations that meet a fault, on the controller."""

from __future__ import annotations

import fnmatch
import json
from pathlib import Path
from typing import Any, Mapping

from ..judging.condition import CONDITIONS
from ..model.case import Method
from ..model.errors import LabError
from ..suites.recovery.fault import DELIVERIES
from ..suites.recovery.injection import VERBS
from ..suites.recovery.outcome import Outcome
from ..suites.recovery.point import points
from ..suites.recovery.promise import Promise
from .schema import read_yaml, validate

PROMISES_FILE = "promises.yml"

# What a promise may ask for beside the conditions of the ledger; of those it has neither guest nor suite.
_PATTERNS = {"type": "array", "minItems": 1, "uniqueItems": True, "items": {"type": "string", "minLength": 1}}
_OWN = {
    "stage": {"type": "array", "minItems": 1, "uniqueItems": True, "items": {"enum": [1, 2, 3, 4, 5]}},
    "group": _PATTERNS,
    "does": _PATTERNS,
    "also": _PATTERNS,
}


def promises_schema(scenarios: Path) -> dict[str, Any]:
    """The schema of the promises, with the conditions and the outcomes that there are."""
    schema: dict[str, Any] = json.loads((scenarios / "schema" / "promises.json").read_text())
    fields = schema["items"]["properties"]
    shared = {name: condition.schema for name, condition in CONDITIONS.items() if name not in ("guest", "suite")}
    fields["when"]["properties"] = {**shared, **_OWN}
    fields["outcomes"]["items"] = {"enum": [outcome.value for outcome in Outcome if outcome is not Outcome.NOT_OBTAINED]}
    return schema


def load_promises(scenarios: Path) -> list[dict[str, Any]]:
    """Read and validate the promises.

    :param scenarios: the folder with ``promises.yml``, ``faults/`` (validated by ``faults.load_faults``) and ``schema/``.
    :returns: the rows as ``Promise.from_data`` takes them, in the order in which they count.
    :raises LabError: naming file, entry and field.
    """
    path = scenarios / PROMISES_FILE
    rows: list[dict[str, Any]] = read_yaml(path)
    validate(rows, promises_schema(scenarios), str(path))
    ids = [row["id"] for row in rows]
    twice = sorted({name for name in ids if ids.count(name) > 1})
    if twice:
        raise LabError(f"{path}: the id '{twice[0]}' is there twice; ids must be unique")
    known = _known(scenarios)
    for row in rows:
        where = f"{path}: promise '{row['id']}', when"
        for field, words in known.items():
            for pattern in row["when"].get(field, ()):
                if not any(fnmatch.fnmatchcase(word, pattern) for word in words):
                    raise LabError(f"{where}, {field}: nothing is like '{pattern}'; there are {', '.join(words)}")
        try:
            Promise.from_data(row)
        except LabError as error:
            raise LabError(f"{path}: promise '{row['id']}', {error}") from error
    return rows


def point_names() -> list[str]:
    """The names of all points, in the order in which they come."""
    every = [point.name for method in Method for protocol in ("v3", "v2") for point in points(method, protocol)]
    return list(dict.fromkeys(every))


def _known(scenarios: Path) -> Mapping[str, list[str]]:
    """By condition the words that its patterns may match."""
    deeds = [f"{name} {role}" for name, verb in VERBS.items() for role in verb.on]
    deeds += [f"delivery {delivery}" for delivery in DELIVERIES if delivery != "delivered"]
    faults = {path.stem: read_yaml(path) for path in sorted((scenarios / "faults").glob("*.yml"))}
    return {
        "group": list(faults),
        "fault": [entry["name"] for entries in faults.values() for entry in entries],
        "point": point_names(),
        "does": deeds,
        "also": deeds,
    }
