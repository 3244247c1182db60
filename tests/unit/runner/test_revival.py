# SPDX-License-Identifier: GPL-3.0-or-later
"""A daemon that a case ends on purpose is no death of its own, unless it dies once more after it was started again."""

from __future__ import annotations

from typing import cast

import pytest

from fake_cell import FakeMachine
from migration_lab.cell.cell import Cell
from migration_lab.cell.machine import Machine
from migration_lab.runner.daemons import Daemons, Dead
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
    attempt = Attempt(CASES[0], daemons={"target": machines[1].restart_daemons()})
    assert revive(attempt, unsure=False, both=False) == ({}, {})
    assert machines[1].restarts == 1


def test_a_daemon_that_dies_after_that_has_died_by_itself(machines: tuple[FakeMachine, FakeMachine]) -> None:
    revive = daemons(machines).revival(frozenset({"target"}))
    attempt = Attempt(CASES[0], daemons={"target": machines[1].restart_daemons()})
    machines[1].alive = False
    deaths = revive(attempt, unsure=False, both=False)
    assert (set(deaths.expected), set(deaths.blamed)) == (set(), {"target"})
    # What it was restarted with is known from then on.
    assert revive(attempt, unsure=False, both=False) == ({}, {})


def test_a_daemon_that_is_dead_from_the_beginning_is_found(machines: tuple[FakeMachine, FakeMachine]) -> None:
    machines[1].alive = False
    watched = daemons(machines)
    assert watched.dead() == {"target": Dead({}, "no daemon runs on the target")}
    watched.restart(["target"])
    assert watched.dead() == {} and watched.processes["target"] == {"libvirtd": 1022}


def test_of_several_daemons_the_one_that_died_is_named(machines: tuple[FakeMachine, FakeMachine]) -> None:
    machines[1].beside = {"virtproxyd": 33}
    watched = daemons(machines)
    assert watched.processes == {"source": {"libvirtd": 11}, "target": {"libvirtd": 22, "virtproxyd": 33}}
    machines[1].beside = {}
    assert watched.dead() == {"target": Dead({"virtproxyd": 33}, "virtproxyd on the target (process 33) died")}
    machines[1].beside = {"virtproxyd": 44}
    machines[1].alive = False
    assert watched.dead()["target"].text == (
        "libvirtd on the target (process 22) died; "
        "virtproxyd on the target (process 33) died and was started again as 44"
    )


def test_daemon_beside_the_one_that_the_case_ended_has_died_by_itself(machines: tuple[FakeMachine, FakeMachine]) -> None:
    machines[1].beside = {"virtproxyd": 33}
    revive = daemons(machines).revival(frozenset({"target"}))
    machines[1].process = 23
    machines[1].beside = {}
    deaths = revive(Attempt(CASES[0], daemons={"target": {"libvirtd": 23}}), unsure=False, both=False)
    assert deaths == ({"target": "virtproxyd on the target (process 33) died"}, {})


def test_side_with_several_daemons_that_does_not_answer(
    machines: tuple[FakeMachine, FakeMachine], monkeypatch: pytest.MonkeyPatch
) -> None:
    machines[1].beside = {"virtproxyd": 33}
    watched = daemons(machines)
    monkeypatch.setattr(Daemons, "_answers", lambda self, machine: machine.name == "source")
    assert watched.dead(unsure=True) == {
        "target": Dead({"libvirtd": 22, "virtproxyd": 33}, "the daemons on the target do not answer")
    }
