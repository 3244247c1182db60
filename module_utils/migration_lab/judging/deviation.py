# SPDX-License-Identifier: GPL-3.0-or-later
"""The ledger of deviations: known misbehaviour of certain versions, and what it makes of a judgement. Pure.

A ledger's entry is data (``scenarios/deviations.yml``); ``ledger.py`` reads and validates it on the controller. It
explains a case only when exactly its effects were seen, and when they were not, the ledger is wrong and the case is red.
"""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass, replace
from typing import Any, Mapping, Optional, Sequence

from ..model.case import Case
from ..model.verdict import Verdict
from .check import FAIL, Check, Judgement
from .condition import MIGRATION, RECOVERY, STRUCK, Conditions, Situation

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
        # A known misbehaviour of good migrations need not be the only thing that goes wrong when a fault strikes as well.
        suite = RECOVERY if STRUCK & set(data["when"]) else MIGRATION
        when = Conditions.from_data({"suite": suite, **data["when"]})
        return cls(data["id"], when, effects, data["cause"], data["reference"])

    @property
    def kills(self) -> bool:
        """Whether a daemon dies of it, or of a race may: such cases are run alone."""
        return any(effect.check == DAEMONS_ALIVE and (self.races or not effect.optional) for effect in self.effects)

    @property
    def _needed(self) -> list[Effect]:
        return [effect for effect in self.effects if not effect.optional]

    @property
    def races(self) -> bool:
        """Whether it is seen only sometimes, so that a case that passes is no surprise."""
        return not self._needed

    def explains(self, failed: Sequence[Check]) -> bool:
        """Whether the failed checks are exactly the effects: each check is one of them, each needed effect is there."""
        known = all(any(effect.matches(check) for effect in self.effects) for check in failed)
        return known and all(any(effect.matches(check) for check in failed) for effect in self._needed)

    def effects_text(self) -> str:
        """The effects that must be seen, in words; of a race those that may be."""
        return "; ".join(str(effect) for effect in self._needed or self.effects)


def find(ledger: Sequence[Deviation], case: Case, situation: Situation) -> Optional[Deviation]:
    """The one entry that applies to a case, if any. That there is only one, ``ledger.load_ledger`` has seen to."""
    return next((deviation for deviation in ledger if deviation.when.met(case, situation)), None)


def apply(judgement: Judgement, deviation: Optional[Deviation]) -> Judgement:
    """A judgement in the light of the deviation that is expected.

    :returns: ``known`` when exactly its effects were seen, ``fixed`` when the case passed all the same and the deviation is no
        race, and ``fail`` with a reason when something else was seen. A fault of the lab is never explained by a deviation.
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
