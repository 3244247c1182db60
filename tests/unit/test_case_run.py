# SPDX-License-Identifier: GPL-3.0-or-later
"""One case: what is called in what order, and what is seen of calls that fail, crash or never come back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fake_machines import children, make_cell, make_machine
from migration_lab.agent_process import AgentProcess
from migration_lab.case_run import Attempt, CaseRunner, Cell, Connection
from migration_lab.domain_xml import GuestConfig, domain_xml
from migration_lab.judge import Outcome, Sight, judge
from migration_lab.model import Case, LabError, Verdict
from synthetic_run import BY_ID, CASES, as_expected

GUEST = GuestConfig("x86_64", "x86_64", "tcg", "pc-i440fx-7.2", "", 16, "/lab/guest.img")
NORMAL = BY_ID["normal/persistent-running-dst/undefine-source+persist-dest"]
TUNNELLED = BY_ID["tunnelled/transient-paused/persist-dest"]
ABSENT = Sight(False)


@pytest.fixture
def cell(tmp_path: Path) -> Iterator[Cell]:
    cell, before = make_cell(tmp_path), children()
    yield cell
    assert children() <= before, "no agent is left"


@pytest.fixture
def connection(cell: Cell) -> Iterator[Connection]:
    connection = Connection(cell)
    yield connection
    connection.drop()


def runner(cell: Cell, kernel: str = GUEST.kernel, run: str = "r") -> CaseRunner:
    return CaseRunner(cell, replace(GUEST, kernel=kernel), "mlab-", run, "noo", time_limit=30)


def verdict(attempt: Attempt) -> tuple[Verdict, str]:
    judgement = judge(attempt.case, attempt.seen)
    return judgement.verdict, judgement.reason


def names(connection: Connection) -> list[str]:
    """All domains on both machines."""
    return [name for side in ("source", "target") for name in connection.agent().call("domains", 5, connection=side)["names"]]


def test_every_case_is_carried_out_as_it_says(cell: Cell, connection: Connection) -> None:
    carry_out = runner(cell)
    for case in CASES:
        seen = carry_out.run(case, connection).seen
        expected = as_expected(case)
        assert (seen.source_state, seen.source_after, seen.target_after) == (
            expected.source_state, expected.source_after, expected.target_after,
        ), case.id
        assert verdict(Attempt(case, seen=seen)) == (Verdict.PASS, ""), case.id
    assert names(connection) == [] and connection.replaced == 0, "one agent did it all, and cleaned up"


@pytest.mark.parametrize(
    ("case", "function", "flags", "bits"),
    [
        (NORMAL, "virDomainMigrate", ["undefine-source", "persist-dest"], 24),
        (TUNNELLED, "virDomainMigrateToURI", ["peer2peer", "tunnelled", "persist-dest"], 14),
    ],
)
def test_migration_call_is_kept(
    cell: Cell, connection: Connection, case: Case, function: str, flags: list[str], bits: int
) -> None:
    attempt = runner(cell).run(case, connection)
    assert attempt.migration and attempt.migration.pop("seconds") >= 0
    assert attempt.migration == {"call": function, "uri": "fake://a-target/", "flags": flags, "bits": bits, "error": ""}
    assert 0 < attempt.call_seconds < attempt.seconds and not attempt.timed_out


def test_domains_have_names_and_uuids_of_their_own(
    cell: Cell, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[tuple[str, str]] = []

    def keep(guest: GuestConfig, name: str, uuid: str) -> str:
        made.append((name, uuid))
        return domain_xml(guest, name, uuid)

    monkeypatch.setattr("migration_lab.case_run.domain_xml", keep)
    for run in ("r", "r", "other"):
        for case in (CASES[0], CASES[95]):
            runner(cell, run=run).run(case, connection)
    assert [name for name, _ in made] == ["mlab-noo-001", "mlab-noo-096"] * 3
    uuids = [uuid for _, uuid in made]
    assert uuids[:2] == uuids[2:4], "the same run gives the same"
    assert len(set(uuids)) == 4


def test_refused_migration_is_looked_at_and_cleaned_up_after(cell: Cell, connection: Connection) -> None:
    attempt = runner(cell, kernel="/lab/refused").run(NORMAL, connection)
    seen = attempt.seen
    assert seen.source_after == Sight(True, True, True, "running") and seen.target_after == Sight(True, False, True, "shutoff")
    assert verdict(attempt) == (
        Verdict.FAIL, "migrated: expected success, got unable to connect to server: Connection refused (error 38, domain 7)"
    )
    assert attempt.migration and attempt.migration["error"].startswith("unable to connect")
    assert seen.leftovers == [] and names(connection) == []
    assert connection.replaced == 0 and not attempt.timed_out


def test_crash_in_the_client_library_is_libvirts_and_both_daemons_are_asked_through_a_new_agent(
    cell: Cell, connection: Connection
) -> None:
    attempt = runner(cell, kernel="/lab/segv").run(NORMAL, connection)
    assert attempt.seen.migrated and not attempt.seen.migrated.ok
    assert verdict(attempt) == (
        Verdict.FAIL, "migrated: expected success, got the client library crashed: the agent was ended by SIGSEGV"
    )
    assert (attempt.seen.source_after, attempt.seen.target_after) == (ABSENT, ABSENT), "the fake daemons died with the agent"
    assert attempt.seen.lab_error == "" and attempt.seen.leftovers == [] and connection.replaced == 1


def test_migration_that_hangs_costs_its_case_and_its_agent(
    cell: Cell, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hurried(agent: AgentProcess, call: str, timeout: float, **fields: Any) -> Outcome:
        return outcome(agent, call, 0.1 if call == "migrate" else timeout, **fields)

    outcome = AgentProcess.outcome
    monkeypatch.setattr(AgentProcess, "outcome", hurried)
    attempt = runner(cell, kernel="/lab/hang").run(NORMAL, connection)
    assert verdict(attempt) == (Verdict.FAIL, "migrated: expected success, got 'migrate' did not answer within 0 s")
    assert attempt.timed_out and connection.replaced == 1
    assert attempt.seen.lab_error == "" and attempt.seen.source_after == ABSENT, "a new agent was asked"


@pytest.mark.parametrize(
    ("how", "said"), [("kill", "the agent was ended by SIGKILL"), ("exit", "the agent exited 7: the last words")]
)
def test_agent_that_was_ended_is_the_labs_error(cell: Cell, connection: Connection, how: str, said: str) -> None:
    attempt = runner(cell, kernel=f"/lab/{how}").run(NORMAL, connection)
    assert verdict(attempt) == (Verdict.ERROR, said)
    assert attempt.seen.migrated is None and attempt.seen.leftovers == [] and connection.replaced == 1
    assert (attempt.seen.source_after, attempt.seen.target_after) == (None, None), "nobody knows what it had done"


def test_agent_that_died_between_cases_is_replaced(cell: Cell, connection: Connection) -> None:
    carry_out = runner(cell)
    carry_out.run(NORMAL, connection)
    before = connection.call_seconds
    connection.agent().kill()
    assert verdict(carry_out.run(TUNNELLED, connection)) == (Verdict.PASS, "")
    assert connection.replaced == 1 and connection.call_seconds > before > 0, "time in calls is kept"


def test_daemon_that_refuses_connections_is_named(cell: Cell) -> None:
    connection = Connection(replace(cell, target=replace(cell.target, uri="fake://a-target/refused")))
    with pytest.raises(LabError, match=r"agent on a-client could not connect to the target: .*Connection refused"):
        connection.agent()


def test_case_on_a_cell_that_cannot_be_reached_is_the_labs_error(cell: Cell) -> None:
    cell = replace(cell, client=replace(cell.client, exec=("/no/podman",)))
    connection = Connection(cell)
    attempt = runner(cell).run(NORMAL, connection)
    assert verdict(attempt) == (Verdict.ERROR, "no agent could be started with '/no/podman': No such file or directory")
    assert attempt.migration is None and attempt.seen.leftovers is None


@pytest.mark.parametrize("name", ["web", "lab-1", "xmlab-1", ""])
def test_domain_without_the_prefix_is_never_touched(cell: Cell, connection: Connection, name: str) -> None:
    with pytest.raises(LabError, match=f"domain '{name}' has not the lab's prefix 'mlab-' and is not touched"):
        runner(cell).clean_domain(name, connection)


@pytest.mark.parametrize("active", [True, False])
@pytest.mark.parametrize("persistent", [True, False])
def test_domain_is_removed_whatever_it_is(cell: Cell, connection: Connection, active: bool, persistent: bool) -> None:
    agent, xml = connection.agent(), "<domain><name>mlab-1</name></domain>"
    for side in ("source", "target"):
        if persistent:
            agent.call("define", 5, connection=side, xml=xml)
        if active:
            agent.call("create", 5, connection=side, xml=xml, paused=False)
    assert runner(cell).clean_domain("mlab-1", connection) == []
    assert names(connection) == []


def test_domain_that_stays_is_told_in_words(cell: Cell, connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    agent, xml = connection.agent(), "<domain><name>mlab-1</name></domain>"
    agent.call("create", 5, connection="target", xml=xml, paused=True)
    monkeypatch.setattr(agent, "outcome", lambda call, timeout, **fields: None)
    assert runner(cell).clean_domain("mlab-1", connection) == ["mlab-1 on the target: transient, paused"]


def test_machines_of_a_cell_can_be_elsewhere(tmp_path: Path) -> None:
    """URIs are taken from the machines, and the client alone runs the agent."""
    cell = make_cell(tmp_path)
    far = make_machine(tmp_path, "far", "fake://b-target/")
    unreachable = ("/no/podman",)
    cell = Cell(cell.client, replace(cell.source, exec=unreachable), replace(far, exec=unreachable))
    connection = Connection(cell)
    attempt = runner(cell).run(TUNNELLED, connection)
    connection.drop()
    assert attempt.migration and attempt.migration["uri"] == "fake://b-target/"
    assert verdict(attempt) == (Verdict.PASS, "")
