# SPDX-License-Identifier: GPL-3.0-or-later
"""The ledger of deviations: known misbehaviour of certain versions, and what it makes of a judgement. Pure.

A ledger's entry is data (``scenarios/deviations.yml``); ``ledger.py`` reads and validates it on the controller. It
explains a case only when exactly the effects of one of its alternatives were seen, and when they were not, the ledger is wrong
and the case is red.
"""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass, replace
from typing import Any, Mapping, Optional, Sequence

from ..model.case import Case
from ..model.verdict import Verdict
from .check import FAIL, Check, Judgement
from .condition import CHAIN, MIGRATION, RECOVERY, REPLACES, STRUCK, Conditions, Situation

# The check that fails when a daemon has died: cases of such an entry are run alone.
DAEMONS_ALIVE = "daemons-alive"


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
class Alternative:
    """One way in which a deviation shows: where ``when`` is met, exactly its effects are seen."""

    when: Conditions
    effects: tuple[Effect, ...]

    @property
    def needed(self) -> list[Effect]:
        """The effects that must be seen: none where all are optional, so that a case that passes is no surprise."""
        return [effect for effect in self.effects if not effect.optional]

    def explains(self, failed: Sequence[Check]) -> bool:
        """Whether the failed checks are exactly the effects: each check is one of them, each needed effect is there."""
        return all(any(effect.matches(check) for effect in self.effects) for check in failed) and self.among(failed)

    def among(self, failed: Sequence[Check]) -> bool:
        """Whether each needed effect is among the failed checks, whatever else failed."""
        return all(any(effect.matches(check) for check in failed) for effect in self.needed)

    def __str__(self) -> str:
        return "; ".join(map(str, self.needed or self.effects)) or "nothing"


@dataclass(frozen=True)
class Deviation:
    """One entry of the ledger. Of its alternatives exactly one is seen, whole."""

    id: str
    alternatives: tuple[Alternative, ...]
    cause: str
    reference: str

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Deviation:
        """An entry of the ledger that was validated (``ledger.load_ledger``)."""
        return cls(data["id"], tuple(
            Alternative(_conditions(way["when"]), tuple(map(Effect.from_data, way["effects"]))) for way in alternatives(data)
        ), data["cause"], data["reference"])

    @property
    def kills(self) -> bool:
        """Whether a daemon dies of it, or may: such cases are run alone."""
        return any(effect.check == DAEMONS_ALIVE for way in self.alternatives for effect in way.effects)

    @property
    def races(self) -> bool:
        """Whether it is seen only sometimes, so that a case that passes is no surprise."""
        return any(not way.needed for way in self.alternatives)

    def explains(self, failed: Sequence[Check]) -> bool:
        """Whether the failed checks are exactly those of an alternative."""
        return any(way.explains(failed) for way in self.alternatives)

    def effects_text(self) -> str:
        """What must be seen, in words; of a race what may be."""
        return " or else ".join(dict.fromkeys(map(str, self.alternatives)))


def alternatives(entry: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The alternatives of an entry as data: each with all that it needs (``when``) and its ``effects``."""
    return [
        {"when": {**entry["when"], **way.get("when", {})}, "effects": way["effects"]}
        for way in entry.get("any_of") or [{"effects": entry["effects"]}]
    ]


def _conditions(when: Mapping[str, Any]) -> Conditions:
    # A known misbehaviour of good migrations need not be the only thing that goes wrong when a fault strikes as well.
    suite = RECOVERY if STRUCK & set(when) else CHAIN if REPLACES in when else MIGRATION
    return Conditions.from_data({"suite": suite, **when})


def find(ledger: Sequence[Deviation], case: Case, situation: Situation) -> Optional[Deviation]:
    """The one entry that applies to a case, if any, with those of its alternatives that do.

    That there is only one, ``ledger.load_ledger`` has seen to.
    """
    for deviation in ledger:
        ways = tuple(way for way in deviation.alternatives if way.when.met(case, situation))
        if ways:
            return replace(deviation, alternatives=ways)
    return None


def apply(judgement: Judgement, deviation: Optional[Deviation]) -> Judgement:
    """A judgement in the light of the deviation that is expected.

    :returns: ``known`` when exactly its effects, those of one alternative, were seen, ``fixed`` when the case passed all the same
        and the deviation is no race, and ``fail`` with a reason when something else was seen. A fault of the lab is never
        explained by a deviation.
    """
    if deviation is None or judgement.verdict not in (Verdict.PASS, Verdict.FAIL):
        return judgement
    expected = deviation.effects_text()
    if judgement.verdict is Verdict.PASS and deviation.races:
        return judgement
    if judgement.verdict is Verdict.PASS:
        reason = f"deviation {deviation.id} was expected and did not come: {expected}"
        rule = f"deviation {deviation.id}: expected {expected}; every check passed"
        return replace(judgement, verdict=Verdict.FIXED, deviation=deviation.id, reason=reason, rule=rule)
    failed = [check for check in judgement.checks + judgement.further if check.result == FAIL]
    seen = "; ".join(f"{check.name} got {check.got}" for check in failed)
    if deviation.explains(failed):
        reason, rule = f"known deviation {deviation.id}: {seen}", f"deviation {deviation.id}: {seen}"
        return replace(judgement, verdict=Verdict.KNOWN, deviation=deviation.id, reason=reason, rule=rule)
    reason = f"{judgement.reason}; deviation {deviation.id} expects exactly: {expected}"
    return replace(judgement, reason=reason, rule=f"deviation {deviation.id} expects exactly: {expected}; seen: {seen}")
