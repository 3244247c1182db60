# SPDX-License-Identifier: GPL-3.0-or-later
"""The rules that a combination's migrations are judged by: the oracle for its versions, and the checks."""

from __future__ import annotations

from dataclasses import dataclass

from ...judging.check import Judgement
from ...judging.observation import Observation
from ...model.case import Case
from ..suite import Rules
from .checks import judge
from .expectation import replaces_config


@dataclass(frozen=True)
class MigrationRules(Rules):
    """Judges by the documented result of each migration."""

    def compare(self, case: Case, seen: Observation) -> Judgement:
        return judge(case, seen, self.protocol(case) if self.relayed else "", replaces_config(self.libvirt))
