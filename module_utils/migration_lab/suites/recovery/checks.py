# SPDX-License-Identifier: GPL-3.0-or-later
"""The judge of the suite ``recovery``: invariants first, then what libvirt promises. Pure."""

from __future__ import annotations

from typing import Sequence

from ...judging.check import Judgement
from ...judging.condition import Situation
from ...judging.deviation import DAEMONS_ALIVE
from .case import RecoveryCase
from .observation import RecoveryObservation
from .promise import Promise

CHECKS = (
    "scenario",
    "injected",
    "single-copy",
    "guest-kept",
    "guest-memory",
    "run-state",
    "steady",
    "configs",
    "told-truth",
    "promised",
)
FURTHER_CHECKS = ("migrates-again", DAEMONS_ALIVE, "no-leftovers")


def judge(case: RecoveryCase, seen: RecoveryObservation, promises: Sequence[Promise], situation: Situation) -> Judgement:
    """Judge one case."""
    raise NotImplementedError
