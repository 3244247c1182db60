# SPDX-License-Identifier: GPL-3.0-or-later
"""A daemon that a case ends on purpose is no death of its own, unless it dies once more after it was started again."""

from __future__ import annotations

from typing import cast

import pytest

from fake_cell import FakeMachine
from migration_lab.cell.cell import Cell
from migration_lab.cell.machine import Machine
from migration_lab.runner.daemons import Daemons
from migration_lab.suites.attempt import Attempt
from synthetic_run import CASES


@pytest.fixture
def machines() -> tuple[FakeMachine, FakeMachine]:
    return FakeMachine("source", 11), FakeMachine("target", 22)


def daemons(machines: tuple[FakeMachine, FakeMachine]) -> Daemons:
    source, target = (cast(Machine, machine) for machine in machines)
    return Daemons(Cell(cast(Machine, FakeMachine("client", 1)), source, target))


def test_a_daemon_that_the_case_ended_is_expected_to_be_dead(machines: tuple[FakeMachine, FakeMachine]) -> None:
    revive = daemons(machines).revival(frozenset({"target"}))
    machines[1].alive = False
    deaths = revive(Attempt(CASES[0]), unsure=False, both=False)
    assert (set(deaths.expected), set(deaths.blamed), machines[1].restarts) == ({"target"}, set(), 1)


def test_a_daemon_that_the_case_has_started_again_is_the_known_one(machines: tuple[FakeMachine, FakeMachine]) -> None:
    revive = daemons(machines).revival(frozenset({"target"}))
    attempt = Attempt(CASES[0], daemons={"target": machines[1].restart_daemon()})
    assert revive(attempt, unsure=False, both=False) == ({}, {})
    assert machines[1].restarts == 1


def test_a_daemon_that_dies_after_that_has_died_by_itself(machines: tuple[FakeMachine, FakeMachine]) -> None:
    revive = daemons(machines).revival(frozenset({"target"}))
    attempt = Attempt(CASES[0], daemons={"target": machines[1].restart_daemon()})
    machines[1].alive = False
    deaths = revive(attempt, unsure=False, both=False)
    assert (set(deaths.expected), set(deaths.blamed)) == (set(), {"target"})
    # What it was restarted with is known from then on.
    assert revive(attempt, unsure=False, both=False) == ({}, {})
