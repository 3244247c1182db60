# SPDX-License-Identifier: GPL-3.0-or-later
"""The suite ``recovery``: what becomes of a guest when its migration meets a fault at an exact step."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Mapping, Sequence

from ...judging.check import Judgement
from ...judging.observation import Observation
from ...model.case import SIDES, Case
from ..suite import Rules, Suite
from .case import RecoveryCase, choose, effort, waiting
from .checks import CHECKS, FURTHER_CHECKS, judge
from .observation import RecoveryObservation
from .outcome import outcome
from .procedure import Recovery
from .promise import Promise, promised


@dataclass(frozen=True)
class RecoveryRules(Rules):
    """Judges by invariants, then by what libvirt promises of the point and the fault."""

    def compare(self, case: Case, seen: Observation) -> Judgement:
        assert isinstance(case, RecoveryCase)
        assert isinstance(seen, RecoveryObservation)
        return judge(case, seen, self.promises, self.situation(case))

    def describe(self, case: Case, seen: Observation) -> dict[str, Any]:
        assert isinstance(case, RecoveryCase)
        assert isinstance(seen, RecoveryObservation)
        promise = promised(self.promises, case, self.situation(case))
        return {"outcome": outcome(case, seen).value, "promise": promise.id if promise else "", "stage": case.point.stage}

    @cached_property
    def promises(self) -> tuple[Promise, ...]:
        """What libvirt promises, by the run's profile."""
        return tuple(map(Promise.from_data, self.profile.get("promises", ())))

    def expected_deaths(self, case: Case) -> frozenset[str]:
        assert isinstance(case, RecoveryCase)
        return frozenset(SIDES) if self.profile.get("aftermath") == "restart-daemons" else case.fault.daemons

    def alone(self, case: Case) -> bool:
        assert isinstance(case, RecoveryCase)
        return case.fault.alone or super().alone(case)

    def waits(self, case: Case) -> bool:
        assert isinstance(case, RecoveryCase)
        return waiting(case.fault, self.profile["keepalive"]) > 0


class RecoverySuite(Suite):
    """Points times faults, with a profile's methods, scenarios and flags. The points follow from a combination's protocol."""

    name = "recovery"
    checks = CHECKS
    further_checks = FURTHER_CHECKS
    spread = True
    needs_relay = True
    needs_guest_checks = True
    rules = RecoveryRules
    procedure = Recovery

    def cases(self, profile: Mapping[str, Any], combination: str) -> Sequence[Case]:
        """
        :param profile: completed by ``planning.faults.complete``: with ``faults``, ``promises``, ``protocols`` by combination
            and method, ``selection``, ``repeat``.
        """
        return choose(profile, profile["protocols"][combination])

    def effort(self, profile: Mapping[str, Any], case: Case) -> float:
        assert isinstance(case, RecoveryCase)
        return effort(case, profile["keepalive"])
