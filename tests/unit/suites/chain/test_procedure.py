# SPDX-License-Identifier: GPL-3.0-or-later
"""A chain carried out with real agents and the fake libvirt: each hop, and what is seen of a libvirt that was replaced."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from fake_machines import fake_guest, kill_daemon, make_cell, make_machine
from migration_lab.cell.cell import Cell
from migration_lab.cell.client import ClientAgent
from migration_lab.cell.domains import Domains
from migration_lab.cell.machine import Machine
from migration_lab.cell.storage import Storage
from migration_lab.judging.observation import Outcome, Sight
from migration_lab.model.case import Case, FlagSet, Method, Scenario, State
from migration_lab.model.verdict import Verdict
from migration_lab.suites.attempt import Attempt
from migration_lab.suites.chain.case import ChainCase
from migration_lab.suites.chain.observation import ChainObservation, ReplacementObservation
from migration_lab.suites.chain.procedure import Chain, Hop
from migration_lab.suites.chain.suite import ChainRules
from migration_lab.suites.migration.procedure import Call
from migration_lab.suites.procedure import Bench

VERSIONS = dict.fromkeys(("client", "source", "target", "third"), 9002)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The fake daemons need no time to settle."""
    monkeypatch.setattr("migration_lab.cell.domains.STEADY", 0.0)


def make(folder: Path) -> Cell:
    cell = make_cell(folder)
    further = {"third": make_machine(folder, "third", "fake://a-third/")}
    return replace(cell, further=further, source=replace(cell.source, replacement="11.3.0"))


def run(cell: Cell, *hops: str, persistent: bool = True, state: State = State.RUNNING, kernel: str = "/lab/guest.img") -> Attempt:
    domains, storage = Domains("mlab-", "r", "oon", sides=tuple(cell.daemons)), Storage(cell)
    case = ChainCase(1, Method.NORMAL, Scenario("s", persistent, state, False), FlagSet("none", ()), hops=hops)
    with ClientAgent(cell) as client:
        attempt = Chain(Bench(cell, domains, {"": fake_guest(kernel)}, 30, storage)).run(case, client)
        left = [
            name for side in cell.daemons for name in client.agent().call("domains", 5, connection=side)["names"]
        ]
    assert left == [] and attempt.seen.leftovers == []
    return attempt


def seen(attempt: Attempt) -> ChainObservation:
    assert isinstance(attempt.seen, ChainObservation)
    return attempt.seen


@pytest.mark.parametrize("persistent", [True, False])
@pytest.mark.parametrize("state", list(State))
def test_a_guest_goes_over_three_machines(tmp_path: Path, persistent: bool, state: State) -> None:
    attempt = run(make(tmp_path), "old", "new", "old", "new", "new", persistent=persistent, state=state)
    judgement = ChainRules(VERSIONS, VERSIONS, VERSIONS).judge(attempt.case, attempt.seen)
    assert (judgement.verdict, judgement.reason) == (Verdict.PASS, "")
    assert len(seen(attempt).steps) == 4 and len(seen(attempt).details()["migrations"]) == 4


def test_a_hop_that_fails_is_the_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    call_migrate = Hop.call_migrate

    def refuse(hop: Hop, case: Case, name: str, call: Call) -> Outcome:
        return Outcome(False, "refused") if hop.target == "third" else call_migrate(hop, case, name, call)

    monkeypatch.setattr(Hop, "call_migrate", refuse)
    attempt = run(make(tmp_path), "old", "new", "old", "new", "new")
    assert [step.seen.migrated.ok for step in seen(attempt).steps if step.seen.migrated] == [True, True, False]
    assert attempt.seen.migrated is not None and not attempt.seen.migrated.ok


def test_a_guest_that_libvirt_lost_is_seen_and_the_daemon_is_put_back(tmp_path: Path) -> None:
    # The fake's guests end with the agent's connection, as if no daemon had found them.
    cell = make(tmp_path)
    attempt = run(cell, "old", "in-place:new", "new")
    step = seen(attempt).steps[0].seen
    assert isinstance(step, ReplacementObservation)
    assert step.daemon and step.daemon.ok and step.libvirt == 11003000 and step.shown == Sight(False)
    assert len(seen(attempt).steps) == 1, "what is not there is not migrated"
    assert attempt.daemons == {"source": {"libvirtd": 102}} and attempt.seen.daemon_deaths == []
    assert cell.source.daemons() == {"libvirtd": 102}


def test_a_daemon_that_is_not_the_other_release_s_is_the_labs_fault(tmp_path: Path) -> None:
    cell = make(tmp_path)
    attempt = run(replace(cell, source=replace(cell.source, replacement="9.0.0")), "old", "in-place:new", "new")
    assert "is libvirt 11003000, not 9.0.0; rebuild the release's image" in attempt.seen.lab_error


def test_a_daemon_that_died_in_its_place_is_libvirts_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cell = make(tmp_path)
    replace_daemons = Machine.replace_daemons

    def die(machine: Machine) -> dict[str, int]:
        processes = replace_daemons(machine)
        kill_daemon(machine)
        return processes

    monkeypatch.setattr(Machine, "replace_daemons", die)
    attempt = run(cell, "old", "in-place:new", "new")
    assert attempt.seen.daemon_deaths == ["libvirtd that replaced the daemon on the source (process 101) died"]
