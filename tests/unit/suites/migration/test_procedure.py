# SPDX-License-Identifier: GPL-3.0-or-later
"""One case: what is called in what order, and what is seen of calls that fail, crash or never come back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fake_machines import FakeRelays, FakeWitness, children, fake_guest, make_cell, make_machine
from migration_lab.cell.agent_process import AgentDied, AgentFailure, AgentProcess
from migration_lab.cell.cell import Cell
from migration_lab.cell.client import ClientAgent
from migration_lab.cell.domains import Domains
from migration_lab.cell.storage import Storage
from migration_lab.guest.config import GuestConfig
from migration_lab.guest.domain_xml import domain_xml
from migration_lab.judging.observation import Copy, Outcome, Sight, Survival
from migration_lab.model.case import Case, FlagSet, State
from migration_lab.model.errors import LabError
from migration_lab.model.verdict import Verdict
from migration_lab.relay.procedures import MIGRATION
from migration_lab.suites.attempt import Attempt
from migration_lab.suites.migration.checks import judge
from migration_lab.suites.migration.expectation import expect
from migration_lab.suites.migration.procedure import Migration
from migration_lab.suites.procedure import Bench, Deaths
from synthetic_run import BY_ID, CASES, as_expected

KERNEL = "/lab/guest.img"
DOMAINS = Domains("mlab-", "r", "noo")
NORMAL = BY_ID["normal/persistent-running-dst/undefine-source+persist-dest"]
TUNNELLED = BY_ID["tunnelled/transient-paused/persist-dest"]
ABSENT = Sight(False)


@pytest.fixture(scope="module")
def cell(tmp_path_factory: pytest.TempPathFactory) -> Cell:
    return make_cell(tmp_path_factory.mktemp("cell"))


@pytest.fixture(scope="module")
def lasting(cell: Cell) -> Iterator[ClientAgent]:
    """A connection whose agent one test leaves to the next, if nothing has become of it."""
    connection, before = ClientAgent(cell), children()
    yield connection
    connection.drop()
    assert children() <= before, "no agent is left"


@pytest.fixture(autouse=True)
def no_agent_is_left(lasting: ClientAgent) -> Iterator[None]:
    before = children()
    yield
    assert children() <= before | {str(lasting.process)}


@pytest.fixture
def connection(lasting: ClientAgent) -> ClientAgent:
    """A connection with an agent whose daemons live and have no domains."""
    try:
        untouched = names(lasting) == [] and not any(
            lasting.agent().call("look", 5, connection=side, name="mlab-1")["exists"] for side in ("source", "target")
        )
    except AgentFailure:
        untouched = False
    if not untouched:
        lasting.drop()
    lasting.agent()
    lasting.replaced = 0
    return lasting


def runner(
    cell: Cell, kernel: str = KERNEL, run: str = "r", witness: FakeWitness | None = None, relays: FakeRelays | None = None
) -> Migration:
    domains, storage = Domains("mlab-", run, "noo", witness), Storage(cell)
    return Migration(Bench(cell, domains, {"": fake_guest(kernel)}, 30, storage, witness, relays))


def verdict(attempt: Attempt) -> tuple[Verdict, str]:
    judgement = judge(attempt.case, attempt.seen)
    return judgement.verdict, judgement.reason


def names(connection: ClientAgent) -> list[str]:
    """All domains on both machines."""
    return [name for side in ("source", "target") for name in connection.agent().call("domains", 5, connection=side)["names"]]


class DeadStorage(Storage):
    """Its agent dies during the case."""

    def make(self, guest: GuestConfig, name: str) -> None: ...

    def check(self, guest: GuestConfig, name: str) -> None:
        raise LabError("the storage agent died")


@pytest.mark.parametrize("kernel", [KERNEL, "/lab/eof"])
def test_nothing_counts_of_a_guest_whose_disks_were_lost(cell: Cell, connection: ClientAgent, kernel: str) -> None:
    carry_out = runner(cell, kernel)
    carry_out.bench = replace(carry_out.bench, storage=DeadStorage(cell))
    attempt = carry_out.run(NORMAL, connection, lambda attempt, unsure, both: Deaths({"source": "source: libvirtd died"}, {}))
    assert verdict(attempt)[0] is Verdict.ERROR and verdict(attempt)[1].startswith("the storage agent died")
    assert names(connection) == []


def test_every_case_is_carried_out_as_it_says(cell: Cell, connection: ClientAgent) -> None:
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
    cell: Cell, connection: ClientAgent, case: Case, function: str, flags: list[str], bits: int
) -> None:
    attempt = runner(cell).run(case, connection)
    assert attempt.migration and attempt.migration.pop("seconds") >= 0
    assert attempt.migration == {"call": function, "uri": "fake://a-target/", "flags": flags, "bits": bits, "error": ""}
    assert 0 < attempt.call_seconds < attempt.seconds and not attempt.timed_out


def test_domains_have_names_and_uuids_of_their_own(
    cell: Cell, connection: ClientAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[tuple[str, str]] = []

    def keep(guest: GuestConfig, name: str, uuid: str, description: str) -> str:
        made.append((name, uuid))
        return domain_xml(guest, name, uuid, description)

    monkeypatch.setattr("migration_lab.suites.migration.procedure.domain_xml", keep)
    for run in ("r", "r", "other"):
        for case in (CASES[0], CASES[95]):
            runner(cell, run=run).run(case, connection)
    made = list(dict.fromkeys(made))  # of the last case two configs are made, of the same domain
    assert [name for name, _ in made] == ["mlab-noo-001", "mlab-noo-096"] * 2
    assert len({uuid for _, uuid in made}) == 4, "the same run gives the same, another one others"


def test_refused_migration_is_looked_at_and_cleaned_up_after(cell: Cell, connection: ClientAgent) -> None:
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
    cell: Cell, connection: ClientAgent
) -> None:
    attempt = runner(cell, kernel="/lab/segv").run(NORMAL, connection)
    assert attempt.seen.migrated and not attempt.seen.migrated.ok
    assert verdict(attempt) == (
        Verdict.FAIL, "migrated: expected success, got the client library crashed: the agent was ended by SIGSEGV"
    )
    assert (attempt.seen.source_after, attempt.seen.target_after) == (ABSENT, ABSENT), "the fake daemons died with the agent"
    assert attempt.seen.lab_error == "" and attempt.seen.leftovers == [] and connection.replaced == 1


def test_migration_that_hangs_costs_its_case_and_its_agent(
    cell: Cell, connection: ClientAgent, monkeypatch: pytest.MonkeyPatch
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
def test_agent_that_was_ended_is_the_labs_error(cell: Cell, connection: ClientAgent, how: str, said: str) -> None:
    attempt = runner(cell, kernel=f"/lab/{how}").run(NORMAL, connection)
    assert verdict(attempt) == (Verdict.ERROR, said)
    assert attempt.seen.migrated is None and attempt.seen.leftovers == [] and connection.replaced == 1
    assert (attempt.seen.source_after, attempt.seen.target_after) == (None, None), "nobody knows what it had done"


def test_agent_that_died_between_cases_is_replaced(cell: Cell, connection: ClientAgent) -> None:
    carry_out = runner(cell)
    carry_out.run(NORMAL, connection)
    before = connection.call_seconds
    connection.agent().kill()
    assert verdict(carry_out.run(TUNNELLED, connection)) == (Verdict.PASS, "")
    assert connection.replaced == 1 and connection.call_seconds > before > 0, "time in calls is kept"


@pytest.mark.parametrize("asked", ["wait_until_counting", "counter", "survival"])
@pytest.mark.parametrize("case", [NORMAL, TUNNELLED])
def test_agent_that_died_between_the_calls_of_a_case_costs_it(
    cell: Cell, connection: ClientAgent, monkeypatch: pytest.MonkeyPatch, case: Case, asked: str
) -> None:
    def kill(*given: Any, **fields: Any) -> Any:
        if connection.replaced == 0:
            connection.agent().kill()
        return answer(*given, **fields)

    witness = FakeWitness(cell.source, cell.target)
    answer = getattr(witness, asked)
    monkeypatch.setattr(witness, asked, kill)
    attempt = runner(cell, witness=witness).run(case, connection)
    if asked == "survival":  # all had been asked of libvirt
        assert verdict(attempt) == (Verdict.PASS, "")
    else:
        assert verdict(attempt) == (Verdict.ERROR, "the agent was ended by SIGKILL")
    assert connection.replaced == 1 and attempt.seen.leftovers == []


def test_daemon_that_refuses_connections_is_named(cell: Cell) -> None:
    connection = ClientAgent(replace(cell, target=replace(cell.target, uri="fake://a-target/refused")))
    with pytest.raises(LabError, match=r"agent on a-client could not connect to the target: .*Connection refused"):
        connection.agent()


def test_case_on_a_cell_that_cannot_be_reached_is_the_labs_error(cell: Cell) -> None:
    cell = replace(cell, client=replace(cell.client, exec=("/no/podman",)))
    connection = ClientAgent(cell)
    attempt = runner(cell).run(NORMAL, connection)
    assert verdict(attempt) == (Verdict.ERROR, "no agent could be started with '/no/podman': No such file or directory")
    assert attempt.migration is None and attempt.seen.leftovers is None


@pytest.mark.parametrize("name", ["web", "lab-1", "xmlab-1", ""])
def test_domain_without_the_prefix_is_never_touched(cell: Cell, connection: ClientAgent, name: str) -> None:
    with pytest.raises(LabError, match=f"domain '{name}' has not the lab's prefix 'mlab-' and is not touched"):
        DOMAINS.remove(name, connection)


@pytest.mark.parametrize("active", [True, False])
@pytest.mark.parametrize("persistent", [True, False])
def test_domain_is_removed_whatever_it_is(cell: Cell, connection: ClientAgent, active: bool, persistent: bool) -> None:
    agent, xml = connection.agent(), "<domain><name>mlab-1</name></domain>"
    for side in ("source", "target"):
        if persistent:
            agent.call("define", 5, connection=side, xml=xml)
        if active:
            agent.call("create", 5, connection=side, xml=xml, paused=False)
    assert DOMAINS.remove("mlab-1", connection) == []
    assert names(connection) == []


def test_domain_that_stays_is_told_in_words(cell: Cell, connection: ClientAgent, monkeypatch: pytest.MonkeyPatch) -> None:
    agent, xml = connection.agent(), "<domain><name>mlab-1</name></domain>"
    agent.call("create", 5, connection="target", xml=xml, paused=True)
    monkeypatch.setattr(agent, "outcome", lambda call, timeout, **fields: None)
    assert DOMAINS.remove("mlab-1", connection) == ["mlab-1 on the target: transient, paused"]


def test_machines_of_a_cell_can_be_elsewhere(tmp_path: Path) -> None:
    """URIs are taken from the machines, and the client alone runs the agent."""
    cell = make_cell(tmp_path)
    far = make_machine(tmp_path, "far", "fake://b-target/")
    unreachable = ("/no/podman",)
    cell = Cell(cell.client, replace(cell.source, exec=unreachable), replace(far, exec=unreachable))
    connection = ClientAgent(cell)
    attempt = runner(cell).run(TUNNELLED, connection)
    connection.drop()
    assert attempt.migration and attempt.migration["uri"] == "fake://b-target/"
    assert verdict(attempt) == (Verdict.PASS, "")


# The target's config


def test_config_of_the_target_is_seen_in_every_case(cell: Cell, connection: ClientAgent) -> None:
    carry_out = runner(cell)
    for case in CASES:
        seen = carry_out.run(case, connection).seen
        wanted = {"kept": "own", "absent": "absent", "replaced": "guest", "made": "guest"}[expect(case).target_config]
        assert seen.target_config == wanted, case.id


@pytest.mark.parametrize(("kernel", "config"), [("/lab/muddled", "another"), ("/lab/refused", None)])
def test_config_of_the_target_may_be_neither(cell: Cell, connection: ClientAgent, kernel: str, config: str | None) -> None:
    assert runner(cell, kernel).run(NORMAL, connection).seen.target_config == config


# The witness


@pytest.fixture
def witness(cell: Cell) -> FakeWitness:
    return FakeWitness(cell.source, cell.target)


NAME = f"mlab-noo-{TUNNELLED.number:03d}"


def test_guest_is_witnessed_before_and_after(cell: Cell, connection: ClientAgent) -> None:
    for case in CASES[::7]:
        witness = FakeWitness(cell.source, cell.target)
        attempt = runner(cell, witness=witness).run(case, connection)
        name, running = f"mlab-noo-{case.number:03d}", case.scenario.state is State.RUNNING
        assert witness.asked == [
            ("wait", "source", name), ("counter", "source", name),
            ("watch", name), ("survival", "target", name, running), ("leftovers", name),
        ], case.id
        assert attempt.counter == 20, case.id
        assert attempt.seen.survival == Survival(20, 20, True, (Copy("target", 30, 3 if running else 0),)), case.id
        judgement = judge(case, attempt.seen)
        assert judgement.verdict is Verdict.PASS, case.id
        assert {check.name for check in judgement.further} == {
            "guest-continuity", "guest-memory", "single-copy", "target-config", "no-leftovers",
        }, case.id


@pytest.mark.parametrize(
    ("case", "order"),
    [
        # What does not need the guest is called while it boots, and the daemons are asked while it is watched.
        (NORMAL, "define start define look wait counter migrate watch look look config survival"),
        # One to be paused is stopped when it counts, and looked at after that.
        (TUNNELLED, "create wait suspend look counter migrate_to_uri watch look look config survival"),
    ],
    ids=["running", "paused"],
)
def test_order_of_calls_and_of_what_is_witnessed(
    cell: Cell, connection: ClientAgent, witness: FakeWitness, monkeypatch: pytest.MonkeyPatch, case: Case, order: str
) -> None:
    call = AgentProcess.call

    def note(agent: AgentProcess, function: str, timeout: float, **fields: Any) -> Any:
        witness.asked.append((function,))
        return call(agent, function, timeout, **fields)

    connection.agent()
    monkeypatch.setattr(AgentProcess, "call", note)
    assert verdict(runner(cell, witness=witness).run(case, connection))[0] is Verdict.PASS
    asked = [str(each[0]) for each in witness.asked]
    assert " ".join(asked[: asked.index("survival") + 1]) == order


def test_guest_is_watched_only_after_restarted_daemons_have_settled(
    cell: Cell, connection: ClientAgent, witness: FakeWitness, monkeypatch: pytest.MonkeyPatch
) -> None:
    carry_out, attempt = runner(cell, witness=witness), Attempt(NORMAL, 1)
    attempt.seen.migrated, attempt.counter = Outcome(True), 20
    attempt.seen.daemon_deaths.append("the daemon on the source died")

    def settle(*given: object) -> tuple[Sight, Sight]:
        witness.asked.append(("settled",))
        return ABSENT, Sight(True, True, True, "running")

    monkeypatch.setattr(Domains, "look_settled", settle)
    monkeypatch.setattr(Domains, "description", lambda *given: "")
    carry_out.look(attempt, connection.agent(), 5)
    assert [asked[0] for asked in witness.asked] == ["settled", "watch", "survival"]


def test_guest_to_be_paused_runs_first_where_it_is_witnessed(
    cell: Cell, connection: ClientAgent, witness: FakeWitness, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[str, Any]] = []
    outcome = AgentProcess.outcome

    def keep(agent: AgentProcess, call: str, timeout: float, **fields: Any) -> Outcome:
        calls.append((call, fields.get("paused")))
        return outcome(agent, call, timeout, **fields)

    monkeypatch.setattr(AgentProcess, "outcome", keep)
    runner(cell, witness=witness).run(TUNNELLED, connection)
    assert calls[:3] == [("create", False), ("suspend", None), ("migrate_to_uri", None)]
    calls.clear()
    runner(cell).run(TUNNELLED, connection)
    assert calls[:2] == [("create", True), ("migrate_to_uri", None)], "nobody would see it run"


def test_guest_that_does_not_count_is_the_labs_error(cell: Cell, connection: ClientAgent, witness: FakeWitness) -> None:
    witness.counts = False
    attempt = runner(cell, witness=witness).run(NORMAL, connection)
    name = f"mlab-noo-{NORMAL.number:03d}"
    assert verdict(attempt) == (Verdict.ERROR, f"guest {name} on the source did not begin to count")
    assert attempt.seen.migrated is None and attempt.seen.leftovers == [] and names(connection) == []


def test_guest_whose_memory_is_not_there_has_not_continued(cell: Cell, connection: ClientAgent, witness: FakeWitness) -> None:
    witness.counters["target"] = witness.whole = None
    attempt = runner(cell, witness=witness).run(NORMAL, connection)
    assert verdict(attempt) == (
        Verdict.FAIL, "guest-continuity: expected from 20 on, counting, got no counter in its memory"
    )
    assert "guest-memory" not in {check.name for check in judge(NORMAL, attempt.seen).further}


def test_what_the_witness_sees_is_judged(cell: Cell, connection: ClientAgent, witness: FakeWitness) -> None:
    witness.whole = False
    witness.copies = (Copy("source", 20, 4), Copy("target", 21, 4))
    attempt = runner(cell, witness=witness).run(NORMAL, connection)
    failed = {check.name: check.got for check in judge(NORMAL, attempt.seen).further if check.result == "fail"}
    assert failed == {"guest-memory": "damaged", "single-copy": "running on source and target"}


def test_guest_is_witnessed_on_the_source_after_a_failed_migration(
    cell: Cell, connection: ClientAgent, witness: FakeWitness
) -> None:
    attempt = runner(cell, "/lab/refused", witness=witness).run(NORMAL, connection)
    name = f"mlab-noo-{NORMAL.number:03d}"
    assert witness.asked[2:] == [("watch", name), ("survival", "source", name, True), ("leftovers", name)]
    (failed,) = [check for check in judge(NORMAL, attempt.seen).checks if check.result == "fail"]
    assert failed.name == "migrated" and attempt.seen.survival


def test_flag_paused_says_how_the_guest_must_arrive(cell: Cell, connection: ClientAgent, witness: FakeWitness) -> None:
    stopped = replace(NORMAL, flags=FlagSet("paused", ("paused",)))
    assert runner(cell, witness=witness).run(stopped, connection).seen.survival
    assert witness.asked[3] == ("survival", "target", f"mlab-noo-{NORMAL.number:03d}", False), "on the target it must stand"
    witness.asked.clear()
    runner(cell, "/lab/refused", witness=witness).run(stopped, connection)
    assert witness.asked[3] == ("survival", "source", f"mlab-noo-{NORMAL.number:03d}", True), "where it stayed it must run"


def test_leftovers_that_libvirt_does_not_know_of_are_told(cell: Cell, connection: ClientAgent, witness: FakeWitness) -> None:
    witness.left = ["process 7 on the source"]
    attempt = runner(cell, witness=witness).run(NORMAL, connection)
    assert verdict(attempt) == (Verdict.FAIL, "no-leftovers: expected none, got process 7 on the source")


# The relay


@pytest.mark.parametrize(
    ("procedures", "protocol"),
    [
        (["prepare2", "perform", "finish2"], "v2"),
        (["prepare-tunnel", "perform", "finish2"], "v2"),
        (["prepare", "perform", "finish"], "v1"),
        (["begin3", "prepare3", "perform3", "finish3", "confirm3"], "v3"),
        (["begin3", "prepare-tunnel3"], "v3"),
        (["begin3-params", "prepare3-params"], "v3-params"),
        (["begin3-params", "prepare-tunnel3-params"], "v3-params"),
        (["begin3"], ""),
        ([], ""),
    ],
)
def test_protocol_is_what_the_target_was_asked_to_prepare(
    cell: Cell, connection: ClientAgent, procedures: list[str], protocol: str
) -> None:
    relays = FakeRelays()
    relays.procedures = procedures
    attempt = runner(cell, relays=relays).run(TUNNELLED, connection)
    assert relays.taken == [NAME] and [step.procedure for step in attempt.steps] == procedures
    assert attempt.seen.protocol == protocol


def test_every_prepare_procedure_has_a_protocol(cell: Cell, connection: ClientAgent) -> None:
    relays = FakeRelays()
    for procedure in MIGRATION.values():
        relays.procedures = [procedure]
        attempt = runner(cell, relays=relays).run(TUNNELLED, connection)
        assert bool(attempt.seen.protocol) == procedure.startswith("prepare"), procedure


def test_without_a_tap_no_protocol_is_seen(cell: Cell, connection: ClientAgent) -> None:
    attempt = runner(cell).run(TUNNELLED, connection)
    assert attempt.seen.protocol is None and attempt.steps == []


@pytest.mark.parametrize(
    ("path", "uri"),
    [
        ("client-source", "qemu+tcp://10.0.0.2/system"),
        ("client-target", "qemu+tcp://10.0.0.1:4001/system"),
        ("source-target", "qemu+tcp://[fe80::1]:4002/system"),
    ],
)
def test_path_through_the_tap_keeps_all_but_the_address(cell: Cell, path: str, uri: str) -> None:
    cell = replace(
        cell, source=replace(cell.source, uri="qemu+tcp://10.0.0.2/system"),
        target=replace(cell.target, uri="qemu+tcp://10.0.0.3:16509/system"),
        relayed={"client-target": "10.0.0.1:4001", "source-target": "[fe80::1]:4002"},
    )
    assert cell.uri(path) == uri


def test_agents_and_source_go_through_the_tap(cell: Cell) -> None:
    relays = FakeRelays()
    cell = replace(cell, relayed=relays.start())
    connection = ClientAgent(cell)
    attempt = runner(cell, relays=relays).run(TUNNELLED, connection)
    for side in ("source", "target"):
        assert connection.agent().call("open", 5, connection="x", uri=cell.uri(f"client-{side}"))["hostname"] == f"relayed-{side}"
    connection.drop()
    assert verdict(attempt)[0] is Verdict.PASS and attempt.migration
    assert attempt.migration["uri"] == "fake://relayed-target/"


# A daemon's death in a case that runs alone

DEATH = {"target": "the daemon on the target (process 7) died"}
KERNEL = "/lab/eof"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The fake daemons need no time to settle."""
    monkeypatch.setattr("migration_lab.cell.domains.STEADY", 0.0)


class Reviver:
    """Says of each call what died, and keeps what it was told: to ask for daemons that hang, to start both anew."""

    def __init__(self, *deaths: dict[str, str]) -> None:
        self._deaths = list(deaths)
        self.told: list[tuple[bool, bool]] = []

    def __call__(self, attempt: Attempt, *, unsure: bool, both: bool) -> Deaths:
        self.told.append((unsure, both))
        return Deaths(self._deaths.pop(0) if self._deaths else {}, {})


def test_death_in_a_case_alone_is_its_own(cell: Cell, connection: ClientAgent) -> None:
    revive = Reviver(DEATH)
    attempt = runner(cell, KERNEL).run(NORMAL, connection, revive)
    seen = attempt.seen
    assert seen.daemon_deaths == [DEATH["target"]] and seen.lab_error == "" and revive.told == [(True, False)]
    # The fake daemons were the agent's: after the restart nothing is there any more.
    assert (seen.source_after, seen.target_after, seen.leftovers) == (ABSENT, ABSENT, [])
    assert connection.replaced == 1, "what was connected to the dead daemon is not used any more"
    failed = [check.name for check in judge(NORMAL, seen).checks + judge(NORMAL, seen).further if check.result == "fail"]
    assert failed == ["migrated", "source-intact", "daemons-alive"]


def test_what_was_seen_before_the_restart_is_seen_again(cell: Cell, connection: ClientAgent) -> None:
    """A daemon may die and come back by itself before anybody asks."""
    seen = runner(cell, "/lab/refused").run(NORMAL, connection, Reviver(DEATH)).seen
    assert (seen.source_after, seen.target_after) == (ABSENT, ABSENT), "no more what the old daemons showed"


def test_death_beside_others_is_left_to_the_matrix(cell: Cell, connection: ClientAgent) -> None:
    seen = runner(cell, KERNEL).run(NORMAL, connection).seen
    assert seen.daemon_deaths == [] and "client socket is closed" in seen.lab_error


def test_lost_daemon_that_did_not_die_stays_the_labs_error(cell: Cell, connection: ClientAgent) -> None:
    revive = Reviver()
    seen = runner(cell, KERNEL).run(NORMAL, connection, revive).seen
    assert set(revive.told) == {(True, False)} and seen.daemon_deaths == [] and "client socket is closed" in seen.lab_error


def test_nobody_asks_for_the_daemons_of_a_case_that_went_well(cell: Cell, connection: ClientAgent) -> None:
    revive = Reviver(DEATH)
    assert verdict(runner(cell).run(NORMAL, connection, revive)) == (Verdict.PASS, "")
    assert revive.told == []


def test_daemons_of_a_refused_case_are_asked_but_trusted(cell: Cell, connection: ClientAgent) -> None:
    revive = Reviver()
    seen = runner(cell, "/lab/refused").run(NORMAL, connection, revive).seen
    assert revive.told == [(False, False)] and seen.daemon_deaths == [] and seen.source_after and connection.replaced == 0


class Cleaner:
    """What cleaning up comes to, call by call: something is left, or it fails; after that it is done as ever."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *answers: list[str] | Exception) -> None:
        self._answers = list(answers)
        remove = Domains.remove

        def remove_or_answer(domains: Domains, name: str, connection: ClientAgent, limit: float) -> list[str]:
            answer = self._answers.pop(0) if self._answers else None
            if isinstance(answer, Exception):
                raise answer
            return remove(domains, name, connection) if answer is None else answer

        monkeypatch.setattr(Domains, "remove", remove_or_answer)


LOST = AgentDied(1, "cannot acquire state change lock")


@pytest.mark.parametrize("answer", [LOST, ["mlab-noo-032 on the source: persistent, running"]], ids=["refused", "left over"])
@pytest.mark.parametrize("deaths", [{}, {"source": "the daemon on the source (process 8) does not answer"}], ids=len)
def test_daemon_that_is_stuck_after_its_peer_died_is_restarted_too(
    cell: Cell, connection: ClientAgent, monkeypatch: pytest.MonkeyPatch, answer: list[str] | Exception, deaths: dict[str, str]
) -> None:
    Cleaner(monkeypatch, answer)
    revive = Reviver(DEATH, deaths)
    seen = runner(cell, KERNEL).run(NORMAL, connection, revive).seen
    assert revive.told == [(True, False), (True, True)] and seen.daemon_deaths == [DEATH["target"], *deaths.values()]
    assert (seen.lab_error, seen.leftovers) == ("", [])
    assert connection.replaced == 2


@pytest.mark.parametrize("stuck", [True, False])
def test_daemons_of_which_one_does_not_answer_for_the_guest_alone_are_restarted(
    cell: Cell, connection: ClientAgent, monkeypatch: pytest.MonkeyPatch, stuck: bool
) -> None:
    Cleaner(monkeypatch, ["not known: 'look' did not answer within 30 s"])
    monkeypatch.setattr(Migration, "stuck", lambda procedure, attempt: stuck)
    revive = Reviver({}, {})
    seen = runner(cell).run(NORMAL, connection, revive).seen
    assert [both for _, both in revive.told] == [stuck] and seen.daemon_deaths == [], "no daemon has died"
    assert seen.leftovers == ([] if stuck else ["not known: 'look' did not answer within 30 s"])


def test_what_stays_though_both_daemons_were_restarted_is_left_over(
    cell: Cell, connection: ClientAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    Cleaner(monkeypatch, ["process 7 on the source"], ["process 7 on the source"])
    revive = Reviver(DEATH)
    seen = runner(cell, KERNEL).run(NORMAL, connection, revive).seen
    assert seen.leftovers == ["process 7 on the source"] and len(revive.told) == 2, "not tried for ever"


def test_daemon_that_dies_in_the_cleaning_up_after_a_case_alone_is_its_own(
    cell: Cell, connection: ClientAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    Cleaner(monkeypatch, AgentDied(1, "the connection was lost"))
    revive = Reviver(DEATH)
    seen = runner(cell).run(NORMAL, connection, revive).seen
    assert revive.told == [(True, False)] and seen.daemon_deaths == [DEATH["target"]]
    assert (seen.leftovers, seen.lab_error) == ([], "") and seen.target_after, "what was seen before it counts"


def test_cleaning_up_that_fails_though_nothing_died_is_the_labs_error(
    cell: Cell, connection: ClientAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    Cleaner(monkeypatch, AgentDied(1, "no such container"))
    attempt = runner(cell).run(NORMAL, connection, Reviver())
    assert verdict(attempt) == (Verdict.ERROR, "while cleaning up: the agent exited 1: no such container")


def test_guest_that_libvirt_shows_running_is_watched_until_it_counts(
    cell: Cell, connection: ClientAgent, witness: FakeWitness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A paused guest of 0.9.1 that arrives running: what is got must be the same on every lab host."""
    look = Domains.look

    def arrived(domains: Domains, agent: AgentProcess, side: str, name: str, limit: float) -> Sight:
        sight = look(domains, agent, side, name, limit)
        return replace(sight, state="running") if side == "target" and sight.active else sight

    monkeypatch.setattr(Domains, "look", arrived)
    runner(cell, witness=witness).run(TUNNELLED, connection)
    assert [asked[-1] for asked in witness.asked if asked[0] == "survival"] == [True]
