# SPDX-License-Identifier: GPL-3.0-or-later
"""What libvirt promises of a guest whose migration meets a fault, as data. Pure.

A row says which outcomes are allowed where its conditions are met; the first row whose conditions are met counts.  Where none
is, nothing is promised, and a case is judged by the invariants alone.
"""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass
from typing import Any, Mapping, Optional, Sequence

from ...judging.condition import Conditions, Situation
from ...model.case import State
from .case import RecoveryCase
from .fault import Fault
from .outcome import Outcome

# Conditions that only promises have, beside those of the ledger.
OWN_CONDITIONS = ("stage", "group", "does", "also")

# Of a guest that its owner had paused, being paused is as before.
_AS_BEFORE = {
    Outcome.PAUSED_ON_SOURCE: Outcome.INTACT,
    Outcome.PAUSED_ON_TARGET: Outcome.MOVED,
    Outcome.PAUSED_ON_BOTH: Outcome.TARGET_LEFT,
}


def deeds(fault: Fault) -> tuple[str, ...]:
    """What a fault does, in words that ``does`` matches: ``kill-daemon source``, ``delivery closed``."""
    strikes = tuple(f"{strike.do} {strike.on}" for strike in fault.strikes)
    return strikes + ((f"delivery {fault.delivery}",) if fault.delivery != "delivered" else ())


@dataclass(frozen=True)
class Promise:
    """One row of scenarios/promises.yml.

    Attributes:
        id: unique among all rows.
        conditions: those that the ledger has too: protocol, method, point, fault, state, flags, versions.
        stages: of the point; empty: all.
        groups: of the fault, as shell patterns; empty: all.
        does: shell patterns of what the fault does: one of its deeds matches one of them; empty: all.
        also: with ``does``, shell patterns of what else it may do: each of its deeds matches one of all these.
        outcomes: what is allowed.
        says: the promise in a sentence.
        source: where libvirt says so: documentation, function or commit.
    """

    id: str
    conditions: Conditions
    stages: tuple[int, ...]
    groups: tuple[str, ...]
    does: tuple[str, ...]
    also: tuple[str, ...]
    outcomes: tuple[Outcome, ...]
    says: str
    source: str

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Promise:
        """From a row that ``planning.promises`` has validated.

        :raises LabError: naming the field, when a condition is not a range of versions.
        """
        when = data["when"]
        return cls(
            data["id"], Conditions.from_data({name: value for name, value in when.items() if name not in OWN_CONDITIONS}),
            tuple(when.get("stage", ())), tuple(when.get("group", ())), tuple(when.get("does", ())), tuple(when.get("also", ())),
            tuple(Outcome(word) for word in data["outcomes"]), data["says"], data["source"],
        )

    def fits(self, case: RecoveryCase) -> bool:
        """Whether the conditions on the case itself are met."""
        return (
            (not self.stages or case.point.stage in self.stages)
            and (not self.groups or _matches(case.fault.group, self.groups))
            and (not self.does or self._done_by(case.fault))
            and self.conditions.fits(case)
        )

    def _done_by(self, fault: Fault) -> bool:
        done = deeds(fault)
        return any(_matches(deed, self.does) for deed in done) and all(_matches(deed, self.does + self.also) for deed in done)

    def met(self, case: RecoveryCase, situation: Situation) -> bool:
        """Whether all conditions are met."""
        return self.fits(case) and self.conditions.met(case, situation)

    def allowed(self, case: RecoveryCase) -> tuple[Outcome, ...]:
        """The outcomes that are allowed of a case: a guest that its owner had paused is not paused by the migration."""
        if case.scenario.state is not State.PAUSED:
            return self.outcomes
        return self.outcomes + tuple(
            _AS_BEFORE[word] for word in self.outcomes if word in _AS_BEFORE and _AS_BEFORE[word] not in self.outcomes
        )


def promised(promises: Sequence[Promise], case: RecoveryCase, situation: Situation) -> Optional[Promise]:
    """The promise that counts for a case, or None: nothing is promised."""
    return next((promise for promise in promises if promise.met(case, situation)), None)


def _matches(text: str, patterns: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(text, pattern) for pattern in patterns)
