# SPDX-License-Identifier: GPL-3.0-or-later
"""A migration that meets a fault: arm, migrate, heal, watch until steady, migrate again. Observes, never judges."""

from __future__ import annotations

from ..migration.procedure import Migration
from ..procedure import Bench
from .observation import RecoveryObservation
from .striker import Striker


class Recovery(Migration):
    """Migrates guests into faults."""

    observation = RecoveryObservation

    def __init__(self, bench: Bench) -> None:
        super().__init__(bench)
        self._striker = Striker()
