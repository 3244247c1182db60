# SPDX-License-Identifier: GPL-3.0-or-later
"""The ledger of deviations: known misbehaviour of certain versions, and what it makes of a judgement. Pure.

A ledger's entry is data (``scenarios/deviations.yml``); ``ledger.py`` reads and validates it on the controller. It
explains a case only when exactly its effects were seen, and when they were not, the ledger is wrong and the case is red.
"""

from __future__ import annotations

import fnmatch
import re
from dataclasses import dataclass, field, replace
from typing import Any, Mapping, Optional, Sequence

from ..model.case import ROLES, Case, Method, State
from ..model.errors import LabError
from ..model.protocol import PROTOCOL_V3
from ..model.verdict import Verdict
from ..model.version import parse_version
from .check import FAIL, Check, Judgement

# The check that fails when a daemon has died: cases of such an entry are run alone.
DAEMONS_ALIVE = "daemons-alive"

# Above all versions that ``parse_version`` makes numbers of.
_ENDLESS = 10**12


@dataclass(frozen=True)
class Versions:
    """A range of version numbers: ``low`` is in it, ``end`` is not."""

    low: int = 0
    end: int = _ENDLESS

    @classmethod
    def parse(cls, text: str) -> Versions:
        """A range such as ``<0.9.2``, ``>=7.0.0`` or ``>=0.9.2 <1.3.0``.

        :raises LabError: when the text is no range, or no version is in it.
        """
        match = re.fullmatch(r"(?:>=(\S+))?\s*(?:<([^=\s]\S*))?", text)
        if not match or not (match[1] or match[2]):
            raise LabError(f"'{text}' is not a range of versions; write it like '>=0.9.2 <1.3.0'")
        versions = cls(parse_version(match[1]) if match[1] else 0, parse_version(match[2]) if match[2] else _ENDLESS)
        if versions.empty:
            raise LabError(f"the range '{text}' has no version in it")
        return versions

    def __contains__(self, version: int) -> bool:
        return self.low <= version < self.end

    def __and__(self, other: Versions) -> Versions:
        return Versions(max(self.low, other.low), min(self.end, other.end))

    @property
    def empty(self) -> bool:
        return self.low >= self.end


@dataclass(frozen=True)
class Situation:
    """What cases run on: versions by role as libvirt and QEMU report them, as numbers (9.0.0 is 9000000), and the protocol
    that the oracle expects for the case, ``v2`` or ``v3``. A peer that the tap presents as older reports what it is."""

    libvirt: Mapping[str, int]
    qemu: Mapping[str, int]
    protocol: str


@dataclass(frozen=True)
class Conditions:
    """When a deviation is expected. What is ``None`` or empty is no condition."""

    libvirt: Mapping[str, Versions] = field(default_factory=dict)
    qemu: Mapping[str, Versions] = field(default_factory=dict)
    protocol: str = ""
    methods: tuple[Method, ...] = ()
    state: Optional[State] = None
    persistent: Optional[bool] = None
    target_config: Optional[bool] = None
    flags: tuple[str, ...] = ()
    without_flags: tuple[str, ...] = ()

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Conditions:
        """From the field ``when`` of an entry.

        :raises LabError: when a range of versions is none.
        """
        return cls(
            libvirt={role: Versions.parse(data[role]) for role in ROLES if role in data},
            qemu={role: Versions.parse(data[f"{role}_qemu"]) for role in ROLES if f"{role}_qemu" in data},
            protocol=data.get("protocol", ""),
            methods=tuple(Method(method) for method in data.get("method", ())),
            state=State(data["state"]) if "state" in data else None,
            persistent=data.get("persistent"),
            target_config=data.get("target_config"),
            flags=tuple(data.get("flags", ())),
            without_flags=tuple(data.get("without_flags", ())),
        )

    def fits(self, case: Case) -> bool:
        """Whether the conditions on the case itself are met."""
        scenario, given = case.scenario, case.migrate_flags
        return (
            (not self.methods or case.method in self.methods)
            and self.state in (None, scenario.state)
            and self.persistent in (None, scenario.persistent)
            and self.target_config in (None, scenario.target_config)
            and all(flag in given for flag in self.flags)
            and not any(flag in given for flag in self.without_flags)
        )

    def met(self, case: Case, situation: Situation) -> bool:
        """Whether all conditions are met. A version that is not known meets no condition on it."""
        return (
            self.fits(case)
            and self.protocol in ("", situation.protocol)
            and all(situation.libvirt.get(role, -1) in versions for role, versions in self.libvirt.items())
            and all(situation.qemu.get(role, -1) in versions for role, versions in self.qemu.items())
        )

    def possible(self, case: Case, other: Optional[Conditions] = None) -> bool:
        """Whether there is any situation in which a case meets these conditions, and the other ones too when given."""
        sides = (self, other) if other else (self,)
        protocols = {side.protocol for side in sides if side.protocol}
        if not all(side.fits(case) for side in sides) or len(protocols) > 1:
            return False
        for role in ROLES:
            libvirt = _common([side.libvirt.get(role, Versions()) for side in sides])
            # No real version below it speaks v3, while the tap can make any version speak v2.
            if "v3" in protocols and (role != "client" or case.method is Method.NORMAL):
                libvirt &= Versions(low=PROTOCOL_V3)
            if libvirt.empty or _common([side.qemu.get(role, Versions()) for side in sides]).empty:
                return False
        return True


def _common(ranges: Sequence[Versions]) -> Versions:
    common = Versions()
    for versions in ranges:
        common &= versions
    return common


@dataclass(frozen=True)
class Effect:
    """A check that fails, and shell patterns of which one matches what it got. An optional one need not be seen."""

    check: str
    got: tuple[str, ...]
    optional: bool = False

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Effect:
        got = data["got"]
        return cls(data["check"], (got,) if isinstance(got, str) else tuple(got), data.get("optional", False))

    def matches(self, check: Check) -> bool:
        """Whether a failed check is this effect."""
        return check.name == self.check and any(fnmatch.fnmatchcase(check.got, pattern) for pattern in self.got)

    def __str__(self) -> str:
        return f"{self.check} got {' or '.join(self.got)}"


@dataclass(frozen=True)
class Deviation:
    """One entry of the ledger."""

    id: str
    when: Conditions
    effects: tuple[Effect, ...]
    cause: str
    reference: str

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Deviation:
        """An entry of the ledger that was validated (``ledger.load_ledger``)."""
        effects = tuple(Effect.from_data(effect) for effect in data["effects"])
        return cls(data["id"], Conditions.from_data(data["when"]), effects, data["cause"], data["reference"])

    @property
    def kills(self) -> bool:
        """Whether a daemon dies of it: such cases are run alone."""
        return any(effect.check == DAEMONS_ALIVE and not effect.optional for effect in self.effects)

    def applies(self, case: Case, situation: Situation) -> bool:
        """Whether the deviation is expected of the case."""
        return self.when.met(case, situation)

    @property
    def _needed(self) -> list[Effect]:
        return [effect for effect in self.effects if not effect.optional]

    def explains(self, failed: Sequence[Check]) -> bool:
        """Whether the failed checks are exactly the effects: each check is one of them, each needed effect is there."""
        known = all(any(effect.matches(check) for effect in self.effects) for check in failed)
        return known and all(any(effect.matches(check) for check in failed) for effect in self._needed)

    def effects_text(self) -> str:
        """The effects that must be seen, in words."""
        return "; ".join(str(effect) for effect in self._needed)


def find(ledger: Sequence[Deviation], case: Case, situation: Situation) -> Optional[Deviation]:
    """The one entry that applies to a case, if any. That there is only one, ``ledger.load_ledger`` has seen to."""
    return next((deviation for deviation in ledger if deviation.applies(case, situation)), None)


def apply(judgement: Judgement, deviation: Optional[Deviation]) -> Judgement:
    """A judgement in the light of the deviation that is expected.

    :returns: ``known`` when exactly its effects were seen, ``fixed`` when the case passed all the same, and ``fail`` with
        a reason when something else was seen. A fault of the lab is never explained by a deviation.
    """
    if deviation is None:
        return judgement
    expected = deviation.effects_text()
    failed = [check for check in judgement.checks + judgement.further if check.result == FAIL]
    if judgement.verdict is Verdict.PASS:
        return replace(
            judgement,
            verdict=Verdict.FIXED,
            deviation=deviation.id,
            reason=f"deviation {deviation.id} was expected and did not come: {expected}",
            rule=f"deviation {deviation.id}: expected {expected}; every check passed",
        )
    if judgement.verdict is not Verdict.FAIL:
        return judgement
    seen = "; ".join(f"{check.name} got {check.got}" for check in failed)
    if deviation.explains(failed):
        return replace(
            judgement,
            verdict=Verdict.KNOWN,
            deviation=deviation.id,
            reason=f"known deviation {deviation.id}: {seen}",
            rule=f"deviation {deviation.id}: {seen}",
        )
    reason = f"{judgement.reason}; deviation {deviation.id} expects exactly: {expected}"
    return replace(judgement, reason=reason, rule=f"deviation {deviation.id} expects exactly: {expected}; seen: {seen}")
