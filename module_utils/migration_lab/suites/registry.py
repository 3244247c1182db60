# SPDX-License-Identifier: GPL-3.0-or-later
"""The suites by name."""

from __future__ import annotations

from typing import Any, Mapping

from ..model.errors import LabError
from .chain.suite import ChainSuite
from .migration.suite import MigrationSuite
from .recovery.suite import RecoverySuite
from .suite import Suite

SUITES: Mapping[str, Suite] = {suite.name: suite for suite in (MigrationSuite(), RecoverySuite(), ChainSuite())}


def suite_of(profile: Mapping[str, Any]) -> Suite:
    """The suite that a profile's data names, ``migration`` when it names none.

    :raises LabError: when there is no such suite.
    """
    name = profile.get("suite", MigrationSuite.name)
    if name not in SUITES:
        raise LabError(f"profile '{profile['name']}': there is no suite '{name}'; the suites are {', '.join(SUITES)}")
    return SUITES[name]
