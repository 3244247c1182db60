# SPDX-License-Identifier: GPL-3.0-or-later
"""The suite ``migration``: does a guest migrate, and is what it leaves behind as documented."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Mapping, Sequence

from ...judging.check import Judgement
from ...judging.observation import Observation
from ...model.case import Case
from ...model.profile import Profile
from ..suite import Rules, Suite
from .checks import CANONICAL_CHECKS, FURTHER_CHECKS, judge
from .expectation import replaces_config
from .procedure import Migration


@dataclass(frozen=True)
class MigrationRules(Rules):
    """Judges by the documented result of each migration: the oracle for a combination's versions, and the checks."""

    def compare(self, case: Case, seen: Observation) -> Judgement:
        return judge(case, seen, self.protocol(case) if self.relayed else "", replaces_config(self.libvirt))


class MigrationSuite(Suite):
    """The ten checks of libvirt-tck, and those of the guest itself. A profile's cases are the same on all combinations."""

    name = "migration"
    checks = CANONICAL_CHECKS
    further_checks = FURTHER_CHECKS
    rules = MigrationRules
    procedure = Migration

    def cases(self, profile: Mapping[str, Any], combination: str) -> Sequence[Case]:
        return Profile.from_data(profile).cases()
