# SPDX-License-Identifier: GPL-3.0-or-later
"""The checks of a replacement of libvirt in place. Pure. Those of a hop are the suite migration's."""

from __future__ import annotations

from dataclasses import replace
from typing import Optional

from ...judging.check import FAIL, NOT_RUN, PASS, Check, Judgement
from ...judging.observation import Sight
from ...model.case import Case
from ..migration.checks import after_checks, conclude, survival_checks
from .observation import ReplacementObservation

# Of every replacement, and those that come after them where they apply.
IN_PLACE_CHECKS = ("in-place-daemon", "in-place-guest")
IN_PLACE_FURTHER = ("in-place-guest-continuity", "in-place-guest-memory", "in-place-single-copy")


def judge_replacement(case: Case, seen: ReplacementObservation) -> Judgement:
    """Judge that the daemon of the other release serves, shows the guest as it was, and that the guest has continued."""
    scenario = case.scenario
    expected = Sight(True, True, scenario.persistent, scenario.state.value)
    daemon = None if seen.daemon is None else "serves" if seen.daemon.ok else seen.daemon.error
    shown = None if seen.shown is None else str(seen.shown)
    checks = [
        _check(name, wanted, got, seen.lab_error)
        for name, wanted, got in zip(IN_PLACE_CHECKS, ("serves", str(expected)), (daemon, shown))
    ]
    further = []
    if seen.survival is not None:
        # As after a migration that failed: it is where it was.
        there = survival_checks(case, seen.survival, migrated=False)
        further += [replace(check, name=f"in-place-{check.name}") for check in there]
    return conclude(checks, further + after_checks(seen.daemon_deaths, seen.leftovers), seen.lab_error)


def _check(name: str, expected: str, got: Optional[str], why: str) -> Check:
    if got is None:
        return Check(name, NOT_RUN, expected, why or "it was not reached")
    return Check(name, PASS if got == expected else FAIL, expected, got)
