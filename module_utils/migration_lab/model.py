# SPDX-License-Identifier: GPL-3.0-or-later
"""The words of the lab as types: methods, states, verdicts, versions, scenarios, flag sets and cases."""

from __future__ import annotations

import fnmatch
import re
from dataclasses import dataclass
from enum import Enum
from typing import Iterable, Mapping, Sequence

ROLES = ("client", "source", "target")


class LabError(Exception):
    """Something the user or the lab host has to put right, said in one sentence: what, where, what to do."""


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


class Verdict(str, Enum):
    """What a case, and the sum of its checks, came to."""

    PASS = "pass"
    FAIL = "fail"
    KNOWN = "known"  # a recorded deviation explains it
    FIXED = "fixed"  # a recorded deviation did not happen
    ERROR = "error"  # the lab's fault, not libvirt's
    SKIP = "skip"


RED_VERDICTS = (Verdict.FAIL, Verdict.FIXED, Verdict.ERROR)


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
    """One migration to judge: method x scenario x flags. ``number`` counts from 1 in the profile's order."""

    number: int
    method: Method
    scenario: Scenario
    flags: FlagSet

    @property
    def id(self) -> str:
        return f"{self.method.value}/{self.scenario.name}/{self.flags.name}"

    @property
    def migrate_flags(self) -> tuple[str, ...]:
        """All migrate flags of the call: those of the method, then those of the flag set."""
        return self.method.migrate_flags + self.flags.migrate

    @property
    def migrate_bits(self) -> int:
        """The same as the number that libvirt's API takes."""
        return sum(MIGRATE_FLAGS[flag] for flag in self.migrate_flags)


@dataclass(frozen=True)
class Profile:
    """A named matrix of cases."""

    name: str
    methods: tuple[Method, ...]
    scenarios: tuple[Scenario, ...]
    flags: tuple[FlagSet, ...]

    @classmethod
    def from_data(cls, data: Mapping) -> Profile:
        """Make a profile from the data of a file under scenarios/profiles/ (validated by ``catalogue.load_profile``)."""
        return cls(
            name=data["name"],
            methods=tuple(Method(method) for method in data["methods"]),
            scenarios=tuple(
                Scenario(entry["name"], entry["persistent"], State(entry["state"]), entry["target_config"])
                for entry in data["scenarios"]
            ),
            flags=tuple(FlagSet(entry["name"], tuple(entry["migrate"])) for entry in data["flags"]),
        )

    def cases(self) -> list[Case]:
        """All cases in order: by method, then scenario, then flags, as libvirt-tck runs them."""
        combined = ((m, s, f) for m in self.methods for s in self.scenarios for f in self.flags)
        return [Case(number, m, s, f) for number, (m, s, f) in enumerate(combined, start=1)]


def select_cases(cases: Sequence[Case], patterns: Iterable[str]) -> list[Case]:
    """The cases whose id matches at least one shell pattern (``p2p/*paused*``), in order.

    :raises LabError: when a pattern matches no case.
    """
    chosen: set[int] = set()
    for pattern in patterns:
        matches = [case.number for case in cases if fnmatch.fnmatchcase(case.id, pattern)]
        if not matches:
            raise LabError(
                f"the case pattern '{pattern}' matches none of the {len(cases)} cases; a case id looks like "
                f"'{cases[0].id}' and '*' stands for anything"
            )
        chosen.update(matches)
    return [case for case in cases if case.number in chosen]


def parse_version(text: str) -> int:
    """A version such as ``0.9.2`` as libvirt's number: major * 1,000,000 + minor * 1,000 + release.

    :raises LabError: when the text is no version.
    """
    match = re.fullmatch(r"(\d+)\.(\d{1,3})(?:\.(\d{1,3}))?", str(text))
    if not match:
        raise LabError(f"'{text}' is not a version; write it like 0.9.2")
    major, minor, release = (int(part or 0) for part in match.groups())
    return major * 1_000_000 + minor * 1_000 + release


def format_version(number: int) -> str:
    """libvirt's version number as text: 9000000 is ``9.0.0``."""
    return f"{number // 1_000_000}.{number // 1_000 % 1_000}.{number % 1_000}"
