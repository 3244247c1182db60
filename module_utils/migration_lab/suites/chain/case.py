# SPDX-License-Identifier: GPL-3.0-or-later
"""A case of the suite ``chain``: a guest that is migrated on and on, and the machines that it goes over. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Sequence

from ...model.case import Case, Scenario
from ...model.errors import LabError
from ..migration.expectation import expect

OTHER = {"old": "new", "new": "old"}
# Before a class: the guest stays where it is, and the libvirt there is replaced by that of the class.
IN_PLACE = "in-place:"
# Machines that a guest may be on in one chain, and replacements, at most.
MOST = 16


@dataclass(frozen=True)
class Step:
    """A hop from one machine to another, by their roles, or without a ``target`` the replacement of the libvirt of ``source``.

    ``name`` is ``hop-1``, ``hop-2``, ... or ``in-place``.
    """

    name: str
    source: str
    target: str = ""


@dataclass(frozen=True)
class Walk:
    """The steps of a chain, and by role the class of each machine that it needs."""

    steps: tuple[Step, ...]
    machines: dict[str, str]


def check(hops: Sequence[str]) -> None:
    """Refuse hops that no guest can take.

    :raises LabError: naming the hop.
    """
    text = ",".join(hops)
    for number, hop in enumerate(hops):
        kind = hop.removeprefix(IN_PLACE) if number else hop
        if kind not in OTHER:
            raise LabError(
                f"hops is '{text}': '{hop}' is not a class of machines; write old or new, and from the second on also "
                f"{IN_PLACE}old or {IN_PLACE}new"
            )
    if len(hops) > MOST:
        raise LabError(f"hops is '{text}': it has {len(hops)} entries; at most {MOST} are possible")
    replaced = [number for number, hop in enumerate(hops) if hop.startswith(IN_PLACE)]
    if len(hops) - len(replaced) < 2:
        raise LabError(f"hops is '{text}': nothing migrates; name the classes of at least two machines, such as old,new")
    if len(replaced) > 1:
        raise LabError(f"hops is '{text}': libvirt is replaced {len(replaced)} times; once is possible")
    if replaced and hops[replaced[0] - 1] == hops[replaced[0]].removeprefix(IN_PLACE):
        raise LabError(f"hops is '{text}': the machine before {hops[replaced[0]]} has that libvirt already; name the other class")
    walk(hops)


def walk(hops: Sequence[str]) -> Walk:
    """The way of a guest over the machines of a cell: source and target, and third and fourth of the other classes.

    A hop goes to a machine of the class that is asked for, never to where the guest is nor to one whose libvirt was replaced. It
    takes a way that it has not taken yet before one that it has, and goes back before it goes on.

    :param hops: classes, each from the second on with ``IN_PLACE`` before it or not.
    :raises LabError: when there is no machine left to go to.
    """
    classes = {"source": hops[0], "target": next(hop for hop in hops[1:] if not hop.startswith(IN_PLACE))}
    classes |= {"third": OTHER[classes["source"]], "fourth": OTHER[classes["target"]]}
    where, before, replaced = "source", "", ""
    steps: list[Step] = []
    taken: Counter[tuple[str, str]] = Counter()
    for hop in hops[1:]:
        if hop.startswith(IN_PLACE):
            replaced = where
            steps.append(Step("in-place", where))
            continue
        options = [role for role, kind in classes.items() if kind == hop and role not in (where, replaced)]
        if not options:
            raise LabError(f"hops is '{','.join(hops)}': there is no {hop} machine left to go to after {IN_PLACE}{OTHER[hop]}")
        target = min(options, key=lambda role: (taken[where, role], role != before))
        taken[where, target] += 1
        steps.append(Step(f"hop-{sum(taken.values())}", where, target))
        where, before = target, where
    visited = {role for step in steps for role in (step.source, step.target)}
    return Walk(tuple(steps), {role: kind for role, kind in classes.items() if role in visited})


@dataclass(frozen=True)
class ChainCase(Case):
    """A guest and its way. The scenario is that before the first step, the flags are those of each hop."""

    hops: tuple[str, ...] = field(kw_only=True)

    @property
    def own_axes(self) -> dict[str, str]:
        return {**super().own_axes, "hops": "-".join(self.hops)}

    @cached_property
    def walk(self) -> Walk:
        return walk(self.hops)

    @cached_property
    def parts(self) -> tuple[Case, ...]:
        """What each step has to do, as a case of suite migration: the guest is as the step before is to leave it.

        A target has a config of the guest when one was defined there before the first step, or a hop from there or to there has
        left it one. A replacement is a case of the suite itself, so that the ledger can tell it from a migration.
        """
        scenario = self.scenario
        parts: list[Case] = []
        persistent, state = scenario.persistent, scenario.state
        configs = {"source": persistent, "target": scenario.target_config}
        for step in self.walk.steps:
            now = Scenario(scenario.name, persistent, state, configs.get(step.target or "target", False))
            if not step.target:
                parts.append(replace(self, scenario=now))
                continue
            part = Case(self.number, self.method, now, self.flags, guest=self.guest, several_guests=self.several_guests)
            expected = expect(part)
            configs[step.source] = expected.source_config_kept
            configs[step.target] = persistent = expected.target_persistent
            state = expected.target_state
            parts.append(part)
        return tuple(parts)
