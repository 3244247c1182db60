# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads and validates the ledger of deviations on the controller. Uses jsonschema and PyYAML, as ``catalogue`` does."""

from __future__ import annotations

import copy
import fnmatch
import hashlib
import json
from itertools import combinations, product
from pathlib import Path
from typing import Any, Callable, Mapping, Sequence

from ..judging.condition import CONDITIONS, RECOVERY, STRUCK, Conditions
from ..judging.deviation import Alternative, Deviation, alternatives
from ..model.case import Case, Method, with_guests
from ..model.combination import COMBINATIONS
from ..model.errors import LabError
from ..suites.recovery.suite import RecoverySuite
from ..suites.registry import SUITES, suite_of
from .faults import every_case, load_faults
from .profiles import load_profile
from .promises import point_names
from .schema import read_yaml, validate

LEDGER_FILE = "deviations.yml"


def ledger_schema(scenarios: Path) -> dict[str, Any]:
    """The schema of the ledger, with the conditions that there are."""
    schema: dict[str, Any] = json.loads((scenarios / "schema" / "deviations.json").read_text())
    schema["$defs"]["when"]["properties"] = {name: condition.schema for name, condition in CONDITIONS.items()}
    return schema


def load_ledger(scenarios: Path) -> list[dict[str, Any]]:
    """Read and validate the ledger.

    :param scenarios: the folder with ``deviations.yml``, ``profiles/`` and ``schema/``.
    :returns: the entries as ``Deviation.from_data`` takes them.
    :raises LabError: naming file, entry and field, when an entry is wrong, applies to nothing that exists, or applies to
        a case that another one applies to as well.
    """
    return copy.deepcopy(_once(("ledger", _content(scenarios)), lambda: _checked(scenarios)))


# What was made of files, by what was made and their content; the last few.
_made: dict[tuple[Any, ...], Any] = {}
_KEPT = 8


def _once(key: tuple[Any, ...], make: Callable[[], Any]) -> Any:
    """What ``make`` returns, made only once for a key: to compare all entries with all cases takes a second."""
    if key not in _made:
        made = make()
        while len(_made) >= _KEPT:
            del _made[next(iter(_made))]
        _made[key] = made
    return _made[key]


def _content(folder: Path) -> str:
    """A digest of all files below a folder and their paths in it."""
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest.update(repr((str(path.relative_to(folder)), path.read_bytes())).encode())
    return digest.hexdigest()


def _checked(scenarios: Path) -> list[dict[str, Any]]:
    path = scenarios / LEDGER_FILE
    entries: list[dict[str, Any]] = read_yaml(path)
    validate(entries, ledger_schema(scenarios), str(path))
    ids = [entry["id"] for entry in entries]
    twice = sorted({name for name in ids if ids.count(name) > 1})
    if twice:
        raise LabError(f"{path}: the id '{twice[0]}' is there twice; ids must be unique")
    for entry in entries:
        _check_fields(entry, f"{path}: deviation '{entry['id']}'")
    ledger = [Deviation.from_data(entry) for entry in entries]
    struck = any(way.when.values["suite"] == RECOVERY for deviation in ledger for way in deviation.alternatives)
    if struck:
        _check_patterns(entries, scenarios, str(path))
    guests = _guests(entries, scenarios, str(path))
    made_of = tuple(_content(scenarios / folder) for folder in ("profiles", "faults", "schema"))
    cases = _once(("cases", made_of, tuple(guests), struck), lambda: _all_cases(scenarios, guests, struck))
    reached = {deviation.id: [_reached(way, cases) for way in deviation.alternatives] for deviation in ledger}
    for entry in entries:
        for number, found in enumerate(reached[entry["id"]], start=1):
            if not found:
                field = f"any_of, entry {number}, field 'when'" if "any_of" in entry else "field 'when'"
                raise LabError(
                    f"{path}: deviation '{entry['id']}': {field} matches nothing that exists: no case of any profile, at any "
                    "version; correct or remove the entry"
                )
    _refuse_contradictions(ledger, reached, str(path))
    return entries


def _check_fields(entry: dict[str, Any], where: str) -> None:
    """What the schema does not know: alternatives, checks and ranges of versions."""
    if ("effects" in entry) == ("any_of" in entry):
        raise LabError(f"{where}: it needs either 'effects' or 'any_of'")
    for number, way in enumerate(entry.get("any_of", ()), start=1):
        twice = [name for name in way.get("when", ()) if name in entry["when"]]
        if twice:
            raise LabError(f"{where}, any_of, entry {number}, when: '{twice[0]}' is in the entry's own 'when' as well; keep one")
    checks = [check for suite in SUITES.values() for check in (*suite.checks, *suite.further_checks)]
    for place, way in _places(entry, where):
        for number, effect in enumerate(way["effects"], start=1):
            if effect["check"] not in checks:
                raise LabError(
                    f"{place}, effects, entry {number}, check: there is no check '{effect['check']}'; the checks are "
                    f"{', '.join(checks)}"
                )
        try:
            Conditions.from_data(way["when"])
        except LabError as error:
            raise LabError(f"{place}, {error}") from error


def _places(entry: dict[str, Any], where: str) -> list[tuple[str, dict[str, Any]]]:
    """The alternatives of an entry as data, each with where it is."""
    ways = alternatives(entry)
    return [(f"{where}, any_of, entry {number}" if "any_of" in entry else where, way) for number, way in enumerate(ways, start=1)]


def _check_patterns(entries: Sequence[dict[str, Any]], scenarios: Path, where: str) -> None:
    """Patterns of points and faults: each must match one that there is."""
    known = {"point": point_names(), "fault": [fault["name"] for fault in load_faults(scenarios)]}
    for entry in entries:
        for place, way in _places(entry, f"{where}: deviation '{entry['id']}'"):
            for field in sorted(STRUCK & set(way["when"])):
                for pattern in way["when"][field]:
                    if not fnmatch.filter(known[field], pattern):
                        raise LabError(
                            f"{place}, when, {field}: no {field} is like '{pattern}'; the {field}s are {', '.join(known[field])}"
                        )


def _guests(entries: Sequence[dict[str, Any]], scenarios: Path, where: str) -> list[str]:
    """The guests that entries ask for, and one that none of them does."""
    shipped = {path.stem for path in (scenarios / "guests").glob("*.yml")}
    wanted = set()
    for entry in entries:
        for place, way in _places(entry, f"{where}: deviation '{entry['id']}'"):
            names = way["when"].get("guest", [])
            unknown = [name for name in names if name not in shipped]
            if unknown:
                raise LabError(
                    f"{place}, when, guest: there is no guest '{unknown[0]}'; the guests are {', '.join(sorted(shipped))}"
                )
            wanted.update(names)
    return ["", *sorted(wanted)]


# Cases by point and fault, which are empty where none strikes, and by the hops of a chain.
_Groups = Mapping[tuple[str, str, str], Sequence[Case]]


def _all_cases(scenarios: Path, guests: Sequence[str], struck: bool) -> _Groups:
    """The cases of all profiles, each once for each guest, whatever combinations it has.

    :param struck: whether those with a fault are wanted: there are thousands, and entries of suite migration never apply to
        them.
    """
    cases: dict[Case, None] = {}
    for path in sorted((scenarios / "profiles").glob("*.yml")):
        data = load_profile(path.stem, scenarios)
        suite = suite_of(data)
        if suite.name != RecoverySuite.name:
            cases.update(dict.fromkeys(case for name in COMBINATIONS for case in suite.cases(data, name)))
        elif struck:
            cases.update(dict.fromkeys(every_case(data, scenarios)))
    groups: dict[tuple[str, str, str], list[Case]] = {}
    for case in with_guests(list(cases), guests):
        axes = case.own_axes
        groups.setdefault((axes.get("point", ""), axes.get("fault", ""), axes.get("hops", "")), []).append(case)
    return groups


def _reached(way: Alternative, groups: _Groups) -> dict[int, Case]:
    """The cases, by number, that an alternative applies to at some version."""
    methods = [method for method in Method if way.when.possible(method)]
    # What follows from point and fault is asked once for all cases that have them: there are thousands of cases.
    values = way.when.values
    of_groups = Conditions({name: value for name, value in values.items() if name in {"suite", *STRUCK}})
    of_cases = Conditions({name: value for name, value in values.items() if name not in of_groups.values})
    return {
        case.number: case
        for group in groups.values() if of_groups.fits(group[0])
        for case in group if case.method in methods and of_cases.fits(case)
    }


def _refuse_contradictions(ledger: Sequence[Deviation], reached: Mapping[str, Sequence[Mapping[int, Case]]], where: str) -> None:
    """Two entries must never apply to one case in one situation: then neither could be exactly what was seen."""
    for one, other in combinations(ledger, 2):
        for (mine, here), (theirs, there) in product(
            zip(one.alternatives, reached[one.id]), zip(other.alternatives, reached[other.id])
        ):
            if here.keys().isdisjoint(there):
                continue
            # Whether versions exclude each other depends on a case's method alone.
            methods = [method for method in Method if mine.when.possible(method, theirs.when)]
            case = next((case for number, case in here.items() if number in there and case.method in methods), None)
            if case:
                raise LabError(
                    f"{where}: deviations '{one.id}' and '{other.id}' contradict each other: both apply to {case.id} at the same "
                    "versions; narrow the field 'when' of one of them"
                )
