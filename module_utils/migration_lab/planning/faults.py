# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads and validates the faults, and completes a profile of the suite ``recovery`` with all that its cases depend on."""

from __future__ import annotations

import fnmatch
import json
from pathlib import Path
from typing import Any, Iterable, Mapping, Sequence

from ..model.case import Case, Method
from ..model.errors import LabError
from ..model.profile import Profile
from ..model.protocol import PROTOCOL_V3, expect_protocol
from ..suites.recovery.case import SELECTIONS
from ..suites.recovery.fault import Fault
from ..suites.recovery.injection import VERBS
from ..suites.recovery.point import Point, points
from ..suites.recovery.reaction import REACTIONS
from ..suites.recovery.suite import RecoverySuite
from .promises import load_promises
from .schema import read_yaml, validate

# The settings of a run of suite recovery; empty ones leave what the profile has.
OPTIONS = ("selection", "repeat", "aftermath", "faults", "keepalive_interval", "keepalive_count", "call_limit")

Versions = Mapping[str, int]


def load_faults(scenarios: Path) -> list[dict[str, Any]]:
    """Read and validate all faults, in the order of their files' names.

    :param scenarios: the folder with ``faults/`` and ``schema/``.
    :returns: the entries as ``Fault.from_data`` takes them, each with its ``group``.
    :raises LabError: naming file, entry and field.
    """
    paths = sorted((scenarios / "faults").glob("*.yml"))
    if not paths:
        raise LabError(f"{scenarios / 'faults'} has no file of faults; restore it")
    found: dict[str, dict[str, Any]] = {}
    for path in paths:
        entries = read_yaml(path)
        validate(entries, scenarios / "schema" / "faults.json", str(path))
        for entry in entries:
            where = f"{path}: '{entry['name']}'"
            if entry["name"] in found:
                other = found[entry["name"]]["group"]
                raise LabError(f"{where}: name: {other}.yml has a fault of this name; names must be unique")
            found[entry["name"]] = {**entry, "group": path.stem}
            _check(found[entry["name"]], where)
    return list(found.values())


def complete(
    profile: Mapping[str, Any], scenarios: Path, options: Mapping[str, Any], shown: Mapping[str, Versions]
) -> dict[str, Any]:
    """A profile of the suite ``recovery`` with all that its cases depend on.

    :param profile: as ``profiles.load_profile`` returns it.
    :param options: the settings ``OPTIONS``, as texts; empty for what the profile has.
    :param shown: by combination and role libvirt's version as a number, as the other machines are shown it.
    :returns: the profile with ``faults``, ``fault_patterns``, ``promises``, ``protocols`` by combination and method,
        ``selection``, ``repeat``, ``aftermath``, ``keepalive`` (seconds ``interval`` and ``count``) and ``call_limit`` (seconds).
    :raises LabError: on the first option that is wrong.
    """
    given = {name: str(options.get(name) or "") for name in OPTIONS}
    selection = _one_of("selection", given["selection"] or profile["selection"], SELECTIONS)
    keepalive = {
        field: _number(f"keepalive_{field}", given[f"keepalive_{field}"] or shipped, 1)
        for field, shipped in profile["keepalive"][selection].items()
    }
    limit = _number("call_limit", given["call_limit"] or profile["call_limit"][selection], 1)
    silence = keepalive["interval"] * (keepalive["count"] + 1)
    if limit <= silence:
        raise LabError(
            f"call_limit is {limit} seconds, and keepalive (interval {keepalive['interval']}, count {keepalive['count']}) takes "
            f"{silence} to notice a silent peer; give a higher call_limit, or shorter keepalive"
        )
    patterns = [pattern.strip() for pattern in given["faults"].split(",") if pattern.strip()] or ["*"]
    return {
        **profile,
        "selection": selection,
        "repeat": _number("repeat", given["repeat"] or profile["repeat"], 1),
        "aftermath": _one_of("aftermath", given["aftermath"] or profile["aftermath"], REACTIONS),
        "keepalive": keepalive,
        "call_limit": limit,
        "protocols": {combination: _protocols(profile, versions) for combination, versions in shown.items()},
        "fault_patterns": patterns,
        "faults": _chosen(load_faults(scenarios), patterns),
        "promises": load_promises(scenarios),
    }


def every_case(profile: Mapping[str, Any], scenarios: Path) -> list[Case]:
    """All cases that a profile of the suite can have, in protocol v3 and v2, once each."""
    old = dict.fromkeys(("client", "source", "target"), PROTOCOL_V3 - 1)
    new = dict.fromkeys(old, PROTOCOL_V3)
    data = complete(profile, scenarios, {"selection": "full"}, {"ooo": old, "nnn": new})
    cases = (case for combination in ("nnn", "ooo") for case in RecoverySuite().cases(data, combination))
    return list({case.id: case for case in cases}.values())


def _check(entry: Mapping[str, Any], where: str) -> None:
    """What the schema does not know: verbs, points, and whether the fault can strike anywhere."""
    for number, strike in enumerate(entry.get("strikes", ()), start=1):
        _check_strike(strike, f"{where}: strikes, entry {number}")
    every = _all_points()
    for pattern in entry.get("points", ()):
        if not any(fnmatch.fnmatchcase(point.name, pattern) for _, point in every):
            raise LabError(
                f"{where}: points: no point is like '{pattern}'; the points are "
                f"{', '.join(dict.fromkeys(point.name for _, point in every))}"
            )
    fault = Fault.from_data(entry)
    if not any(fault.fits(point, method.value) for method, point in every):
        raise LabError(f"{where}: it can strike nowhere: no point meets its points, copies, methods and delivery; correct them")


def _check_strike(strike: Mapping[str, Any], where: str) -> None:
    name = strike["do"]
    if name not in VERBS:
        raise LabError(f"{where}, do: there is no verb '{name}'; the verbs are {', '.join(VERBS)}")
    verb = VERBS[name]
    if strike["on"] not in verb.on:
        raise LabError(f"{where}, on: '{name}' cannot be done on the {strike['on']}; it can on {', '.join(verb.on)}")
    if "seconds" in strike and not verb.lasts:
        raise LabError(f"{where}, seconds: '{name}' does not last; leave it out")
    for field in strike:
        if field not in ("do", "on", "seconds", *verb.options):
            raise LabError(f"{where}, {field}: '{name}' takes none; leave it out")
    for field, values in verb.options.items():
        if field not in strike:
            raise LabError(f"{where}, {field}: it is missing; '{name}' takes {_listed(values)}")
        if strike[field] not in values:
            raise LabError(f"{where}, {field}: it is {_listed([strike[field]])}; '{name}' takes {_listed(values)}")


def _listed(values: Iterable[Any]) -> str:
    """Values as YAML has them."""
    return ", ".join(json.dumps(value) if isinstance(value, bool) else str(value) for value in values)


def _all_points() -> list[tuple[Method, Point]]:
    return [(method, point) for method in Method for protocol in ("v3", "v2") for point in points(method, protocol)]


def _protocols(profile: Mapping[str, Any], versions: Versions) -> dict[str, str]:
    """By method the protocol that the versions use."""
    cases = {case.method: case for case in Profile.from_data(profile).cases()}
    return {method.value: expect_protocol(case, versions) for method, case in cases.items()}


def _chosen(faults: list[dict[str, Any]], patterns: Sequence[str]) -> list[dict[str, Any]]:
    """The faults whose name or group is like one of the patterns."""
    for pattern in patterns:
        if not any(_is_like(fault, pattern) for fault in faults):
            raise LabError(f"there is no fault '{pattern}'; the faults are {', '.join(fault['name'] for fault in faults)}")
    return [fault for fault in faults if any(_is_like(fault, pattern) for pattern in patterns)]


def _is_like(fault: Mapping[str, Any], pattern: str) -> bool:
    return any(fnmatch.fnmatchcase(fault[field], pattern) for field in ("name", "group"))


def _one_of(name: str, value: str, known: Sequence[str] | Mapping[str, str]) -> str:
    if value not in known:
        raise LabError(f"there is no {name} '{value}'; there are {', '.join(known)}")
    return value


def _number(name: str, value: Any, least: int) -> int:
    text = str(value)
    if not text.isdecimal() or int(text) < least:
        raise LabError(f"{name} is '{text}'; it must be a whole number, at least {least}")
    return int(text)
