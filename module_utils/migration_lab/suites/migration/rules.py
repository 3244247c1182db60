# SPDX-License-Identifier: GPL-3.0-or-later
"""The rules that a combination's cases are judged by: the oracle for its versions, the judge, and the ledger of deviations."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Mapping, Sequence

from ...judging.check import Judgement
from ...judging.condition import Situation
from ...judging.deviation import Deviation, apply, find
from ...judging.observation import Observation
from ...model.case import Case
from .checks import judge
from .expectation import expect_protocol, replaces_config


@dataclass(frozen=True)
class Rules:
    """What cases are judged by.

    ``libvirt`` and ``qemu`` are the versions that the machines report, by role, as numbers; ``shown`` is libvirt's as the
    other machines see it, lower where the tap presents an older one; ``tapped``: whether there is a tap to see the protocol.
    """

    libvirt: Mapping[str, int]
    qemu: Mapping[str, int]
    shown: Mapping[str, int]
    tapped: bool = False
    ledger: Sequence[Deviation] = field(default_factory=tuple)

    def judge(self, case: Case, seen: Observation) -> Judgement:
        """Judge a case, and see whether a recorded deviation explains it.

        Where the lab did not see everything, nothing says that exactly the recorded effects came.
        """
        judgement = judge(case, seen, self._protocol(case) if self.tapped else "", replaces_config(self.libvirt))
        return judgement if seen.lab_error else apply(judgement, self._deviation(case))

    def kills(self, case: Case) -> bool:
        """Whether the ledger says that the case brings a daemon down."""
        deviation = self._deviation(case)
        return deviation is not None and deviation.kills

    def _protocol(self, case: Case) -> str:
        return expect_protocol(case, self.shown)

    def _deviation(self, case: Case) -> Deviation | None:
        return find(self.ledger, case, Situation(self.libvirt, self.qemu, self._protocol(case)))
