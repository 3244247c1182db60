# SPDX-License-Identifier: GPL-3.0-or-later
"""The suite ``migration``: does a guest migrate, and is what it leaves behind as documented."""

from __future__ import annotations

from typing import Any, Mapping, Sequence

from ...model.case import Case
from ...model.profile import Profile
from ..suite import Suite
from .checks import CANONICAL_CHECKS, FURTHER_CHECKS
from .procedure import Migration
from .rules import MigrationRules


class MigrationSuite(Suite):
    """The ten checks of libvirt-tck, and those of the guest itself. A profile's cases are the same on all combinations."""

    name = "migration"
    checks = CANONICAL_CHECKS
    further_checks = FURTHER_CHECKS
    rules = MigrationRules
    procedure = Migration

    def cases(self, profile: Mapping[str, Any], combination: str) -> Sequence[Case]:
        return Profile.from_data(profile).cases()
