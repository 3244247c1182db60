# SPDX-License-Identifier: GPL-3.0-or-later
"""A case of the suite ``recovery``, and the choice of cases. Pure."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any, Iterator, Mapping, Sequence

from ...model.case import Case, FlagSet, Method, Scenario
from ...model.profile import Profile
from .fault import Fault
from .point import Point, points

SELECTIONS = ("smoke", "pairwise", "full")


@dataclass(frozen=True)
class RecoveryCase(Case):
    """A migration, the point at which a fault strikes, and the fault. ``repetition`` counts from 1 where a run repeats cases."""

    point: Point = field(kw_only=True)
    fault: Fault = field(kw_only=True)
    repetition: int = field(default=0, kw_only=True)

    @property
    def own_axes(self) -> dict[str, str]:
        axes = {**super().own_axes, "point": self.point.name, "fault": self.fault.name}
        return {**axes, "repetition": str(self.repetition)} if self.repetition else axes


# A method with a point and a fault that can strike there.
Triple = tuple[Method, Point, Fault]


def triples(methods: Sequence[Method], protocols: Mapping[str, str], faults: Sequence[Fault]) -> list[Triple]:
    """Every method with every point and every fault that fits, in the protocol's order.

    :param protocols: by method the protocol, ``v2`` or ``v3``.
    """
    return [
        (method, point, fault)
        for method in methods
        for point in points(method, protocols[method.value])
        for fault in faults
        if fault.fits(point, method.value)
    ]


def choose(data: Mapping[str, Any], protocols: Mapping[str, str]) -> list[RecoveryCase]:
    """The cases of a profile whose data ``planning.faults.complete`` has completed.

    ``full``: every triple with every scenario, the flag sets in turn.  ``pairwise``: every triple, and every pair of a scenario
    or a flag set with any other value.  ``smoke``: every fault once, spread over methods, points and scenarios.

    :param protocols: by method the protocol of the combination.
    """
    profile = Profile.from_data(data)
    faults = [Fault.from_data(entry) for entry in data["faults"]]
    every = triples(profile.methods, protocols, faults)
    chosen = {"full": _full, "pairwise": _pairwise, "smoke": _smoke}[data["selection"]](every, profile)
    cases = [
        RecoveryCase(number, method, scenario, flags, point=point, fault=fault)
        for number, ((method, point, fault), scenario, flags) in enumerate(chosen, start=1)
    ]
    repeat = data.get("repeat", 1)
    if repeat == 1:
        return cases
    repeated = ((case, repetition) for case in cases for repetition in range(1, repeat + 1))
    return [replace(case, number=number, repetition=again) for number, (case, again) in enumerate(repeated, start=1)]


_Chosen = Iterator[tuple[Triple, Scenario, FlagSet]]


def _full(every: Sequence[Triple], profile: Profile) -> _Chosen:
    turns: Counter[str] = Counter()
    for triple in every:
        # Each point and each fault continues with the flag set after its last one, so that each meets all of them.
        start = turns[triple[1].name] + turns[triple[2].name]
        for number, scenario in enumerate(profile.scenarios):
            yield triple, scenario, profile.flags[(start + number) % len(profile.flags)]
        turns.update((triple[1].name, triple[2].name))


def _pairwise(every: Sequence[Triple], profile: Profile) -> _Chosen:
    options = list(itertools.product(profile.scenarios, profile.flags))
    choices = [(triple, [(option, _pairs(triple, *option)) for option in options]) for triple in every]
    # A pair that no triple can have does not exist, so each triple's own options are all that is to be covered.
    missing = {pair for _, offered in choices for _, pairs in offered for pair in pairs}
    used: Counter[str] = Counter()
    # What the first round leaves is covered by triples that come again.
    for round_ in itertools.count():
        for triple, offered in choices:
            (scenario, flags), pairs = max(
                offered, key=lambda one: (len(missing & one[1]), -used[one[0][0].name] - used[one[0][1].name])
            )
            new = missing & pairs
            if new or not round_:
                missing -= new
                used.update((scenario.name, flags.name))
                yield triple, scenario, flags
        if not missing:
            return


def _pairs(triple: Triple, scenario: Scenario, flags: FlagSet) -> set[tuple[str, str]]:
    method, point, fault = triple
    values = (f"method {method.value}", f"point {point.name}", f"fault {fault.name}")
    pairs = {(value, f"{kind} {name}") for value in values for kind, name in (("s", scenario.name), ("f", flags.name))}
    return pairs | {(scenario.name, flags.name)}


def _smoke(every: Sequence[Triple], profile: Profile) -> _Chosen:
    fitting: dict[Fault, list[Triple]] = {}
    for triple in every:
        fitting.setdefault(triple[2], []).append(triple)
    used: Counter[str] = Counter()
    chosen: dict[Fault, Triple] = {}
    # Faults that have little choice come first, so that the others fill what those leave.
    for fault in sorted(fitting, key=lambda fault: len(fitting[fault])):
        method, point, _ = chosen[fault] = min(
            fitting[fault], key=lambda triple: (used[triple[1].name], used[triple[0].value], used[f"stage {triple[1].stage}"])
        )
        used.update((method.value, point.name, f"stage {point.stage}"))
    scenarios, flags = profile.scenarios, profile.flags
    for number, fault in enumerate(fitting):
        # Each round of the scenarios continues with the flag set after the last round's.
        yield chosen[fault], scenarios[number % len(scenarios)], flags[(number + number // len(scenarios)) % len(flags)]


# Seconds that a case takes where nothing waits, and those that a machine is away. Cases that need not be alone share the time: so
# many at once of those that work, and of those that wait.
_CASE, _BOOT, _WORKING, _WAITING = 2.5, 8.0, 2, 4


def waiting(fault: Fault, keepalive: Mapping[str, int]) -> float:
    """About how many seconds nothing happens because something is silent or stands still.

    :param keepalive: ``interval`` in seconds, and ``count``.
    """
    endless = keepalive["interval"] * (keepalive["count"] + 1)
    lasting = [fault.seconds] if fault.delivery == "silent" else []
    lasting += [strike.seconds for strike in fault.strikes if strike.do.startswith("freeze-")]
    return sum(endless if seconds is None else seconds for seconds in lasting)


def effort(case: RecoveryCase, keepalive: Mapping[str, int]) -> float:
    """About how many seconds of a cell's time a case takes: waiting and machines that boot cost the most.

    :param keepalive: ``interval`` in seconds, and ``count``.
    """
    fault, waits = case.fault, waiting(case.fault, keepalive)
    if not fault.alone:
        return _CASE / _WORKING + waits / _WAITING
    return _CASE + waits + sum(_BOOT for strike in fault.strikes if strike.do == "power-cut")
