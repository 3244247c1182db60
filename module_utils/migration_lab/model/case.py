# SPDX-License-Identifier: GPL-3.0-or-later
"""The words of the lab as types: methods, states, scenarios, flag sets and cases."""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import cached_property
from typing import Iterable, Sequence

from .errors import LabError

# The roles of a migration: those with a daemon, and all.
SIDES = ("source", "target")
ROLES = ("client", *SIDES)


class Method(str, Enum):
    """How a migration is controlled."""

    NORMAL = "normal"  # managed direct: the client talks to both daemons
    P2P = "p2p"  # the source daemon talks to the target daemon
    TUNNELLED = "tunnelled"  # p2p, with the guest's memory inside the libvirt connection as well

    @property
    def migrate_flags(self) -> tuple[str, ...]:
        """The migrate flags that choose this method."""
        return {
            Method.NORMAL: (),
            Method.P2P: ("peer2peer",),
            Method.TUNNELLED: ("peer2peer", "tunnelled"),
        }[self]


class State(str, Enum):
    """Run state of an active guest, in libvirt's words (virDomainState)."""

    RUNNING = "running"
    PAUSED = "paused"


# virDomainMigrateFlags, by libvirt's names; the first ten bits are all that libvirt had up to 0.9.10.
MIGRATE_FLAGS = {
    "live": 1 << 0,
    "peer2peer": 1 << 1,
    "tunnelled": 1 << 2,
    "persist-dest": 1 << 3,
    "undefine-source": 1 << 4,
    "paused": 1 << 5,
    "non-shared-disk": 1 << 6,
    "non-shared-inc": 1 << 7,
    "change-protection": 1 << 8,
    "unsafe": 1 << 9,
    "offline": 1 << 10,
    "compressed": 1 << 11,
    "abort-on-error": 1 << 12,
    "auto-converge": 1 << 13,
    "rdma-pin-all": 1 << 14,
    "postcopy": 1 << 15,
    "tls": 1 << 16,
    "parallel": 1 << 17,
}


@dataclass(frozen=True)
class Scenario:
    """A guest's situation before the migration."""

    name: str
    persistent: bool
    state: State
    target_config: bool


@dataclass(frozen=True)
class FlagSet:
    """A named set of migrate flags (the names of VIR_MIGRATE_* in lower case with dashes)."""

    name: str
    migrate: tuple[str, ...]


@dataclass(frozen=True)
class Case:
    """One migration to judge: method x scenario x flags. ``number`` counts from 1 in the profile's order.

    ``guest`` is the name of the guest that migrates. Among several guests it is the case's first axis.  A suite whose cases have
    more axes (a point, a fault) extends this class and ``own_axes``; the id follows.
    """

    number: int
    method: Method
    scenario: Scenario
    flags: FlagSet
    guest: str = field(default="", kw_only=True)
    several_guests: bool = field(default=False, kw_only=True)

    @property
    def axes(self) -> dict[str, str]:
        """The case's place on each axis of its run's matrix, by the axis' name, in order."""
        return {"guest": self.guest, **self.own_axes} if self.several_guests else self.own_axes

    @property
    def own_axes(self) -> dict[str, str]:
        """The same without the guest: its place in the suite's matrix."""
        return {"method": self.method.value, "scenario": self.scenario.name, "flags": self.flags.name}

    @cached_property
    def id(self) -> str:
        return "/".join(self.axes.values())

    @property
    def names(self) -> tuple[str, ...]:
        """What a pattern of case ids may match."""
        return (self.id, "/".join(self.own_axes.values())) if self.several_guests else (self.id,)

    @property
    def migrate_flags(self) -> tuple[str, ...]:
        """All migrate flags of the call: those of the method, then those of the flag set."""
        return self.method.migrate_flags + self.flags.migrate

    @property
    def migrate_bits(self) -> int:
        """The same as the number that libvirt's API takes."""
        return sum(MIGRATE_FLAGS[flag] for flag in self.migrate_flags)


def with_guests(cases: Sequence[Case], guests: Sequence[str]) -> list[Case]:
    """The cases for each guest, one guest after the other, numbered from 1."""
    every = [(guest, case) for guest in guests for case in cases]
    return [
        replace(case, number=number, guest=guest, several_guests=len(guests) > 1)
        for number, (guest, case) in enumerate(every, start=1)
    ]


def select_cases(cases: Sequence[Case], patterns: Iterable[str]) -> list[Case]:
    """The cases whose id matches at least one shell pattern (``p2p/*paused*``), in order.

    Among several guests a pattern may leave out the guest.

    :raises LabError: when a pattern matches no case.
    """
    chosen: set[int] = set()
    for pattern in patterns:
        matches = [case.number for case in cases if any(fnmatch.fnmatchcase(name, pattern) for name in case.names)]
        if not matches:
            raise LabError(
                f"the case pattern '{pattern}' matches none of the {len(cases)} cases; a case id looks like "
                f"'{cases[0].id}' and '*' stands for anything"
            )
        chosen.update(matches)
    return [case for case in cases if case.number in chosen]
