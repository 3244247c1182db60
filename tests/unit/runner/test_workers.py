# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine that deals cases to workers: how many at a time, in what order, and what it does when something dies."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from fake_cell import PATIENCE, A, B, C, D, E, FakeCell, FakeClientAgent, FakeMachine, break_lab, fake_cell, refuse
from migration_lab.cell.agent_process import AgentDied, AgentProcess
from migration_lab.cell.domains import Domains
from migration_lab.cell.leftovers import find_leftovers, remove_leftovers
from migration_lab.cell.machine import Machine
from migration_lab.model.case import Case
from migration_lab.model.errors import LabError
from migration_lab.relay.steps import Step
from migration_lab.runner.attempt_log import DaemonLog
from migration_lab.runner.daemons import Daemons as CellDaemons
from migration_lab.suites.attempt import Attempt
from synthetic_run import CASES, lab_error


@pytest.fixture
def cell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeCell]:
    with fake_cell(tmp_path, monkeypatch) as cell:
        yield cell


# Cases and workers


@pytest.mark.parametrize("workers", [1, 2, 3, 6])
def test_so_many_cases_run_at_a_time_as_there_are_workers(cell: FakeCell, workers: int) -> None:
    assert cell.run(CASES[:6], workers, together=workers) is True
    assert cell.runner.most == workers
    assert sorted(cell.runner.started) == sorted(case.id for case in CASES[:6]), "each once"
    assert set(cell.record.cases) == set(cell.runner.started)
    assert {line.verdict for line in cell.record.attempts} == {"pass"}
    assert {line.worker for line in cell.record.attempts} == set(range(workers))


def test_cases_start_in_order(cell: FakeCell) -> None:
    cell.run(CASES[:20])
    assert cell.runner.started == [case.id for case in CASES[:20]]


def test_there_are_not_more_workers_than_cases(cell: FakeCell) -> None:
    assert cell.run([A, B], workers=8, together=2)
    assert len(FakeClientAgent.made) == 2


def know_waiting(cell: FakeCell, monkeypatch: pytest.MonkeyPatch, *cases: Case) -> None:
    monkeypatch.setattr(type(cell.rules), "waits", lambda rules, case: case in cases)


def test_cases_that_wait_run_beside_the_workers(cell: FakeCell, monkeypatch: pytest.MonkeyPatch) -> None:
    know_waiting(cell, monkeypatch, *CASES[:8])
    assert cell.run(CASES[:12], workers=2, together=6) is True
    assert cell.runner.most == 6, "two workers, and two for each of them"
    assert sorted(cell.runner.started) == sorted(case.id for case in CASES[:12]), "each once"
    assert set(cell.record.cases) == set(cell.runner.started)


def test_workers_take_cases_that_wait_when_there_are_no_others(cell: FakeCell, monkeypatch: pytest.MonkeyPatch) -> None:
    know_waiting(cell, monkeypatch, *CASES[:9])
    assert cell.run(CASES[:9], workers=2, together=5) is True
    assert cell.runner.most == 5, "one worker, as there is nothing else to do, and four beside it"


def test_one_worker_runs_one_case_at_a_time_whatever_waits(cell: FakeCell, monkeypatch: pytest.MonkeyPatch) -> None:
    know_waiting(cell, monkeypatch, A, B)
    assert cell.run([A, B, C]) is True
    assert cell.runner.started == [A.id, B.id, C.id] and cell.runner.most == 1


def test_stop_leaves_cases_that_wait_for_later(cell: FakeCell, monkeypatch: pytest.MonkeyPatch) -> None:
    know_waiting(cell, monkeypatch, *CASES[1:12])
    for case in CASES[:12]:
        cell.behave(case, lambda attempt: cell.stop.set())
    assert cell.run(CASES[:12], workers=2, together=5) is False


def test_matrix_without_cases_is_complete(cell: FakeCell) -> None:
    assert cell.run([], workers=4) is True
    assert cell.runner.started == [] and cell.record.attempts == []


def test_attempt_is_journalled_with_everything_about_it(cell: FakeCell) -> None:
    def migrate(attempt: Attempt) -> None:
        attempt.migration = {"call": "virDomainMigrate", "seconds": 0.2}

    cell.behave(B, migrate)
    cell.run([B])
    (line,) = cell.record.attempts
    assert (line.number, line.case, line.final, line.attempt, line.verdict) == (2, B.id, True, 1, "pass")
    assert len(line.checks) == 10 and line.migration == {"call": "virDomainMigrate", "seconds": 0.2}
    assert (line.seconds, line.call_seconds, line.lab_error, line.logs) == (0.5, 0.25, "", ())
    assert (line.held, line.note, line.rule, line.deviation) == ("", "", "", "")


def test_what_the_tap_saw_is_journalled(cell: FakeCell) -> None:
    def seen_by_tap(attempt: Attempt) -> None:
        attempt.steps = [Step("client-target", "prepare3", 1764000000.12345, 0.21, "ok")]
        attempt.seen.protocol = "v3"

    cell.rules = replace(cell.rules, relayed=True)
    cell.behave(A, seen_by_tap)
    cell.run([A])
    (line,) = cell.record.attempts
    assert line.protocol == "v3" and line.verdict == "pass"
    assert list(line.steps) == [
        {"link": "client-target", "procedure": "prepare3", "started": 1764000000.1235, "seconds": 0.21, "result": "ok"}
    ]
    (check,) = [check for check in line.further if check.name == "protocol"]
    assert (check.expected, check.got) == ("v3", "v3")


def test_cases_in_flight_beside_a_case_are_known(cell: FakeCell) -> None:
    cell.run([A, B, C], workers=3, together=3)
    ids = {A.id, B.id, C.id}
    assert {line.case: line.beside for line in cell.record.attempts} == {name: tuple(sorted(ids - {name})) for name in ids}


def test_case_that_starts_later_is_beside_one_that_still_runs(cell: FakeCell) -> None:
    last_started = threading.Event()
    cell.behave(A, lambda attempt: cast(None, last_started.wait(PATIENCE)))
    cell.behave(C, lambda attempt: last_started.set())
    cell.run([A, B, C], workers=2)
    assert cell.record.cases[A.id].beside == tuple(sorted([B.id, C.id]))


def test_time_in_calls_is_summed_up(cell: FakeCell) -> None:
    cell.behave(D, refuse)
    cell.run([A, B, C, D])
    assert cell.stage and cell.stage.call_seconds == 1.0


# Cases that go wrong on their own


def test_case_that_fails_keeps_the_daemons_logs_and_the_others_go_on(cell: FakeCell) -> None:
    def fail(attempt: Attempt) -> None:
        refuse(attempt)
        cell.source.log += "source: operation failed\n"

    cell.behave(B, fail)
    assert cell.run([A, B, C]) is True
    assert cell.attempts() == [(A.id, 1, True, "pass"), (B.id, 1, True, "fail"), (C.id, 1, True, "pass")]
    logs = cell.record.cases[B.id].logs
    assert len(logs) == 2 and sorted(cell.folder.glob("logs/*")) == sorted(cell.folder / log for log in logs)
    texts = {Path(log).stem.rpartition("-")[2]: (cell.folder / log).read_text() for log in logs}
    assert texts == {"source": "source: operation failed\n", "target": ""}
    assert cell.record.events == [] and [connection.drops for connection in FakeClientAgent.made] == [1], "the agent was kept"


def test_no_logs_are_kept_of_cases_that_pass(cell: FakeCell) -> None:
    cell.run([A, B])
    assert not (cell.folder / "logs").exists()


def time_out(attempt: Attempt) -> None:
    refuse(attempt)
    attempt.timed_out = True


@pytest.mark.parametrize(
    ("behaviour", "verdict", "reason"),
    [(break_lab, "error", "the agent was ended by SIGKILL"), (time_out, "fail", "timed out")],
)
def test_agent_of_a_case_that_was_interrupted_is_replaced(cell: FakeCell, behaviour: Any, verdict: str, reason: str) -> None:
    cell.behave(A, behaviour)
    assert cell.run([A, B]) is True
    assert cell.attempts() == [(A.id, 1, True, verdict), (B.id, 1, True, "pass")]
    (event,) = cell.record.events
    assert (event["event"], event["worker"], event["reason"]) == ("agent-replaced", 0, reason)
    assert FakeClientAgent.made[0].drops == 2, "after the case, and at the end"
    assert (cell.source.restarts, cell.target.restarts) == (0, 0)


def test_machine_whose_log_cannot_be_read_says_so_in_its_place(cell: FakeCell, monkeypatch: pytest.MonkeyPatch) -> None:
    def lost(daemon: str, offset: int) -> bytes:
        raise LabError("machine a-source: no such container")

    monkeypatch.setattr(cell.source, "log_since", lost)
    cell.behave(A, refuse)
    cell.run([A])
    texts = [(cell.folder / log).read_text() for log in cell.record.cases[A.id].logs]
    assert texts[0] == "not obtained: machine a-source: no such container\n"


# Stopping


def test_stop_ends_the_run_after_the_cases_in_flight(cell: FakeCell) -> None:
    cell.behave(A, lambda attempt: cell.stop.set())
    cell.behave(B, lambda attempt: cast(None, cell.stop.wait(PATIENCE)))
    assert cell.run([A, B, C, D], workers=2, together=2) is False
    assert sorted(cell.runner.started) == sorted([A.id, B.id])
    assert set(cell.record.cases) == {A.id, B.id}


def test_stop_before_the_first_case_runs_nothing(cell: FakeCell) -> None:
    cell.stop.set()
    assert cell.run([A, B], workers=2) is False
    assert cell.runner.started == []


def test_stop_during_the_last_case_changes_nothing(cell: FakeCell) -> None:
    cell.behave(B, lambda attempt: cell.stop.set())
    assert cell.run([A, B]) is True
    assert set(cell.record.cases) == {A.id, B.id}


# Deaths of a daemon


def test_death_with_several_cases_in_flight_finds_the_culprit(cell: FakeCell) -> None:
    cell.behave(A, cell.suffer)
    cell.behave(B, cell.kill_target, cell.kill_target)
    cell.behave(C, cell.suffer)
    assert cell.run([A, B, C, D, E], workers=3, together=3) is True
    attempts = cell.attempts()
    assert sorted(attempts[:3]) == sorted((case.id, 1, False, "fail") for case in (A, B, C))
    assert sorted(attempts[3:6]) == sorted([(A.id, 2, True, "pass"), (B.id, 2, True, "fail"), (C.id, 2, True, "pass")])
    assert sorted(attempts[6:]) == sorted([(D.id, 1, True, "pass"), (E.id, 1, True, "pass")]), "no new case before that"

    (event,) = [event for event in cell.record.events if event["event"] == "daemon-death"]
    assert (event["machine"], event["culprits"], sorted(event["in_flight"])) == ("target", [B.id], sorted([A.id, B.id, C.id]))
    assert event["detail"] == "the daemon on the target (process 22) died"
    assert cell.record.unexplained_deaths == []
    assert (cell.source.restarts, cell.target.restarts) == (0, 2), "after the death, and after the culprit's own"


def test_suspects_run_again_one_at_a_time_on_clean_machines(cell: FakeCell) -> None:
    cell.behave(A, cell.suffer)
    cell.behave(B, cell.kill_target)
    cell.behave(C, cell.suffer)
    cell.run([A, B, C, D], workers=3, together=3)
    assert [cell.runner.seen_beside[case.id, 2] for case in (A, B, C)] == [set(), set(), set()]
    assert sorted(cell.runner.domains.cleaned) == ["mlab-1", "mlab-2", "mlab-3"]
    final = [line for line in cell.record.attempts if line.attempt == 2]
    assert [line.beside for line in final] == [(), (), ()]


def test_attempts_in_a_death_tell_of_it_and_of_the_others(cell: FakeCell) -> None:
    cell.behave(A, cell.suffer)
    cell.behave(B, cell.kill_target)
    cell.run([A, B], workers=2, together=2)
    first = {line.case: line for line in cell.record.attempts if not line.final}
    assert set(first) == {A.id, B.id}
    for case, other in ((A, B), (B, A)):
        (alive,) = [check for check in first[case.id].further if check.name == "daemons-alive"]
        assert (alive.result, alive.got) == ("fail", "the daemon on the target (process 22) died")
        assert first[case.id].beside == (other.id,)


def test_logs_of_a_death_are_kept(cell: FakeCell) -> None:
    cell.behave(A, cell.kill_target)
    cell.run([A])
    (event,) = cell.record.unexplained_deaths
    texts = [(cell.folder / log).read_text() for log in event.logs]
    assert texts == ["", f"{A.id} killed me\n"]


def test_death_that_no_case_brings_about_again_is_unexplained(cell: FakeCell) -> None:
    cell.behave(A, cell.suffer)
    cell.behave(B, cell.kill_target)
    assert cell.run([A, B, C], workers=2, together=2) is True
    assert {case: line.verdict for case, line in cell.record.cases.items()} == {A.id: "pass", B.id: "pass", C.id: "pass"}
    (event,) = cell.record.unexplained_deaths
    assert event.culprits == () and sorted(event.in_flight) == sorted([A.id, B.id])
    assert (cell.target.restarts, cell.target.alive) == (1, True)


def test_case_that_passed_in_a_death_is_no_suspect(cell: FakeCell) -> None:
    cell.behave(A, cell.survive)
    cell.behave(B, cell.kill_target)
    assert cell.run([A, B, C], workers=2, together=2) is True
    assert (A.id, 1, True, "pass") in cell.attempts()
    assert cell.runner.attempts == {A.id: 1, B.id: 2, C.id: 1}
    assert cell.record.unexplained_deaths[0].in_flight == (B.id,)


def test_each_of_two_culprits_is_named(cell: FakeCell) -> None:
    cell.behave(A, cell.kill_target, cell.kill_target)
    cell.behave(B, cell.suffer, cell.kill_target)
    cell.behave(C, cell.suffer)
    cell.run([A, B, C], workers=3, together=3)
    (event,) = [event for event in cell.record.events if event["event"] == "daemon-death"]
    assert sorted(event["culprits"]) == sorted([A.id, B.id])
    assert {case: line.verdict for case, line in cell.record.cases.items()} == {A.id: "fail", B.id: "fail", C.id: "pass"}
    assert cell.target.alive and cell.target.restarts == 3


def test_culprits_failure_says_that_the_daemon_died(cell: FakeCell) -> None:
    cell.behave(A, cell.kill_target, cell.kill_target)
    cell.run([A])
    line = cell.record.cases[A.id]
    (alive,) = [check for check in line.further if check.name == "daemons-alive"]
    assert alive.got == "the daemon on the target (process 1022) died", "the process that ran the second time"
    assert len(line.logs) == 2


def test_culprit_that_was_interrupted_by_the_death_is_libvirts_failure(cell: FakeCell) -> None:
    def die_silently(attempt: Attempt) -> None:
        cell.kill_target(attempt)
        break_lab(attempt)

    cell.behave(A, die_silently, die_silently)
    cell.run([A])
    assert cell.attempts() == [(A.id, 1, False, "fail"), (A.id, 2, True, "fail")]
    assert cell.record.cases[A.id].reason.startswith("daemons-alive: ")


def test_daemon_that_somebody_started_again_has_died_all_the_same(cell: FakeCell) -> None:
    def restart(attempt: Attempt) -> None:
        refuse(attempt)
        cell.source.process = 77

    cell.behave(A, restart)
    cell.run([A, B])
    (event,) = cell.record.unexplained_deaths
    assert event.machine == "source"
    assert event.detail == "the daemon on the source (process 11) died and was started again as 77"
    assert cell.source.restarts == 1


def test_both_daemons_can_die_at_once(cell: FakeCell) -> None:
    def kill_both(attempt: Attempt) -> None:
        cell.source.alive = False
        cell.kill_target(attempt)

    cell.behave(A, kill_both)
    cell.run([A])
    (event,) = cell.record.unexplained_deaths
    assert event.machine == "source,target"
    assert event.detail == "the daemon on the source (process 11) died; the daemon on the target (process 22) died"
    assert (cell.source.restarts, cell.target.restarts) == (1, 1)


@pytest.mark.parametrize("again", [True, False])
def test_daemon_that_hangs_is_as_good_as_dead(cell: FakeCell, again: bool) -> None:
    def hang(attempt: Attempt) -> None:
        time_out(attempt)
        cell.target.hangs = True

    cell.behave(A, hang, hang if again else None)
    assert cell.run([A, B]) is True
    (event,) = [event for event in cell.record.events if event["event"] == "daemon-death"]
    assert event["detail"] == "the daemon on the target (process 22) does not answer"
    assert event["culprits"] == ([A.id] if again else [])
    assert cell.attempts()[-1] == (B.id, 1, True, "pass") and not cell.target.hangs


def test_every_worker_connects_again_after_a_death(cell: FakeCell) -> None:
    cell.behave(A, cell.suffer)
    cell.behave(B, cell.kill_target)
    both = threading.Barrier(2)
    for case in (C, D):
        cell.behave(case, lambda attempt: cast(None, both.wait(PATIENCE)))
    cell.run(CASES[:8], workers=2, together=2)
    assert [connection.drops for connection in FakeClientAgent.made[:2]] == [2, 2], "once after the death, and at the end"


@pytest.mark.parametrize("stays", [True, False])
def test_what_a_suspect_has_left_does_not_touch_its_second_attempt(
    cell: FakeCell, monkeypatch: pytest.MonkeyPatch, stays: bool
) -> None:
    """Its domain has another name, and what stays of the first is reported with the death."""

    def clean(name: str, connection: object, limit: float) -> list[str]:
        if stays:
            return [f"{name} on the source: transient, paused"]
        raise AgentDied(125, "no such container")

    monkeypatch.setattr(cell.runner.domains, "remove", clean)
    cell.behave(A, cell.kill_target)
    assert cell.run([A, B]) is True
    assert [cell.record.cases[case.id].verdict for case in (A, B)] == ["pass", "pass"]
    (death,) = cell.record.events
    said = "mlab-1 on the source: transient, paused" if stays else "mlab-1: the agent exited 125: no such container"
    assert death["left"] == [said]


def test_stop_during_a_death_still_sorts_it_out(cell: FakeCell) -> None:
    def kill_and_stop(attempt: Attempt) -> None:
        cell.stop.set()
        cell.kill_target(attempt)

    cell.behave(A, kill_and_stop)
    cell.behave(B, cell.suffer)
    assert cell.run([A, B, C], workers=2, together=2) is False
    assert set(cell.record.cases) == {A.id, B.id} and len(cell.record.unexplained_deaths) == 1


# Faults of the lab


def test_worker_that_breaks_down_ends_the_run(cell: FakeCell) -> None:
    def break_down(attempt: Attempt) -> None:
        raise LabError("machine a-client: no such container")

    cell.behave(A, lambda attempt: cast(None, FakeClientAgent.dropped.wait(PATIENCE)))
    cell.behave(B, break_down)
    with pytest.raises(LabError, match="machine a-client: no such container"):
        cell.run([A, B, C, D], workers=2, together=2)
    assert sorted(cell.runner.started) == sorted([A.id, B.id]), "the other worker begins no case after it"
    assert A.id in cell.record.cases and B.id not in cell.record.cases, "what was done is in the journal"


def test_worker_that_breaks_down_frees_one_that_waits(cell: FakeCell) -> None:
    """The other one holds its case back, because a daemon died, until nothing is in flight any more."""
    waiting = threading.Event()

    def kill(attempt: Attempt) -> None:
        cell.kill_target(attempt)
        waiting.set()

    def break_down(attempt: Attempt) -> None:
        assert waiting.wait(PATIENCE)
        time.sleep(0.05)  # so that the other one waits by now; the run must end in either order
        raise LabError("machine a-client: no such container")

    cell.behave(A, kill)
    cell.behave(B, break_down)
    with pytest.raises(LabError, match="machine a-client: no such container"):
        cell.run([A, B, C], workers=2, together=2)
    assert C.id not in cell.runner.started


@pytest.mark.parametrize("workers", [1, 2])
def test_machine_that_cannot_be_asked_ends_the_run(cell: FakeCell, workers: int) -> None:
    def lose(attempt: Attempt) -> None:
        refuse(attempt)
        cell.target.reachable = False

    cell.behave(A, lose)
    with pytest.raises(LabError, match="machine a-target: no such container"):
        cell.run(CASES[:8], workers)


def test_daemon_that_cannot_be_started_again_ends_the_run(cell: FakeCell, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse_to_start() -> dict[str, int]:
        raise LabError("machine a-target: the daemon could not be started")

    monkeypatch.setattr(cell.target, "restart_daemons", refuse_to_start)
    cell.behave(A, cell.kill_target)
    with pytest.raises(LabError, match="the daemon could not be started"):
        cell.run([A, B, C], workers=2)
    assert A.id not in cell.record.cases, "it has no result, so a resumed run asks again"


# Parts


def test_log_of_an_attempt_begins_where_an_earlier_look_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 10.0
    monkeypatch.setattr("migration_lab.runner.attempt_log.time.monotonic", lambda: now)
    machine = FakeMachine("a-source", 1)
    log = DaemonLog(cast(Machine, machine), "libvirtd")
    machine.log += "one\n"
    assert log.since(started=5.0) == "one\n", "not what was there before the run"
    machine.log += "two\n"
    assert log.since(started=11.0) == "two\n"
    assert log.since(started=9.0) == "one\ntwo\n", "it began before the first look"


def test_log_of_a_daemon_beside_the_others_is_kept_where_it_logged_something(cell: FakeCell) -> None:
    cell.source.beside = {"virtproxyd": 12, "virtsecretd": 13}
    cell.source.logs_beside = {"virtproxyd": "started\n", "virtsecretd": "started\n"}

    def log(attempt: Attempt) -> None:
        refuse(attempt)
        cell.source.logs_beside["virtproxyd"] += "a client left\n"

    cell.behave(A, log)
    cell.run([A])
    logs = {Path(log).name.partition("-")[2]: (cell.folder / log).read_text() for log in cell.record.cases[A.id].logs}
    assert logs == {"source.log": "", "source-virtproxyd.log": "a client left\n", "target.log": ""}


class Daemons:
    """An agent that knows the domains on both machines."""

    def __init__(self, source: list[str], target: list[str]) -> None:
        self._names = {"source": source, "target": target}

    def call(self, call: str, timeout: float, connection: str) -> dict[str, list[str]]:
        assert call == "domains"
        return {"names": self._names[connection]}


def test_leftovers_are_the_labs_domains_on_either_machine() -> None:
    daemons = Daemons(["mlab-noo-002", "web", "xmlab-1"], ["mlab-noo-001", "mlab-noo-002", "mla"])
    assert find_leftovers(cast(AgentProcess, daemons), "mlab-") == ["mlab-noo-001", "mlab-noo-002"]


def test_daemons_that_cannot_be_asked_for_leftovers_are_reported() -> None:
    def call(*given: object, **fields: object) -> None:
        raise AgentDied(125, "no such container")

    with pytest.raises(LabError, match="could not be asked for left-over domains: the agent exited 125"):
        find_leftovers(cast(AgentProcess, SimpleNamespace(call=call)), "mlab-")


def test_leftovers_are_removed(cell: FakeCell) -> None:
    remove_leftovers(cell.cell, cast(Domains, cell.runner.domains), ["mlab-1", "mlab-2"])
    assert cell.runner.domains.cleaned == ["mlab-1", "mlab-2"]


def test_leftovers_that_stay_are_named(cell: FakeCell, monkeypatch: pytest.MonkeyPatch) -> None:
    left = {"mlab-1": [], "mlab-2": ["mlab-2 on the source: persistent, running"]}
    monkeypatch.setattr(cell.runner.domains, "remove", lambda name, connection: left[name])
    with pytest.raises(LabError, match="mlab-2 on the source: persistent, running; re-provision the combination"):
        remove_leftovers(cell.cell, cast(Domains, cell.runner.domains), ["mlab-1", "mlab-2"])
    assert (cell.source.restarts, cell.target.restarts) == (1, 1), "tried once with daemons started anew, not more"


def test_daemons_that_do_not_let_go_of_leftovers_are_restarted(cell: FakeCell, monkeypatch: pytest.MonkeyPatch) -> None:
    def clean(name: str, connection: FakeClientAgent) -> list[str]:
        return [] if cell.target.restarts else [f"{name} on the target: transient, paused"]

    monkeypatch.setattr(cell.runner.domains, "remove", clean)
    remove_leftovers(cell.cell, cast(Domains, cell.runner.domains), ["mlab-1"])
    assert cell.target.restarts == 1


# Deaths and hangs that are awkward to sort out: nobody innocent is blamed, and nothing of them is lost


def deaths(cell: FakeCell) -> list[dict[str, Any]]:
    return [event for event in cell.record.events if event["event"] == "daemon-death"]


def test_hang_noticed_by_a_short_case_names_no_innocent_culprit(cell: FakeCell) -> None:
    def hang(attempt: Attempt) -> None:
        lab_error("'look' did not answer within 1 s")(attempt.case, attempt.seen)
        attempt.timed_out = True
        cell.target.hangs = True
        cell.died.set()

    def long_refused(attempt: Attempt) -> None:
        cell.died.wait(PATIENCE)
        time.sleep(0.1)
        refuse(attempt)
        attempt.seconds = 9

    def while_hanging(attempt: Attempt) -> None:
        if cell.target.hangs:
            lab_error("could not connect to a-target")(attempt.case, attempt.seen)

    cell.behave(A, hang, while_hanging)
    cell.behave(B, long_refused, while_hanging)
    cell.run([A, B], 2, 2)
    assert deaths(cell)[0]["detail"] and deaths(cell)[0]["culprits"] == []


def test_client_that_cannot_run_an_agent_is_the_labs_fault(tmp_path: Path) -> None:
    cell = FakeCell(tmp_path)
    cell.cell = replace(cell.cell, client=Machine("a-client", ("sh", "-c", "echo no such container >&2; exit 125"), "python3"))

    def no_agent(attempt: Attempt) -> None:
        lab_error("the agent exited 125: no such container")(attempt.case, attempt.seen)

    cell.behave(A, no_agent, no_agent)
    with pytest.raises(LabError, match="agent"):
        cell.run([A])
    assert (cell.source.restarts, cell.target.restarts) == (0, 0)


def test_any_exception_of_a_worker_is_told_as_a_lab_error(cell: FakeCell) -> None:
    def boom(attempt: Attempt) -> None:
        raise ValueError("x")

    cell.behave(A, boom)
    with pytest.raises(LabError, match=r"the run broke down .ValueError: x."):
        cell.run([A])


def test_death_is_in_the_journal_though_the_daemon_cannot_be_restarted(cell: FakeCell, monkeypatch: pytest.MonkeyPatch) -> None:
    def cannot() -> dict[str, int]:
        raise LabError("cannot be started")

    monkeypatch.setattr(cell.target, "restart_daemons", cannot)
    cell.behave(A, cell.kill_target)
    with pytest.raises(LabError, match="cannot be started"):
        cell.run([A])
    assert [attempt.case for attempt in cell.record.attempts] == [A.id]
    assert cell.record.unexplained_deaths


def test_held_back_attempts_are_kept_when_another_worker_breaks_down(cell: FakeCell) -> None:
    killed = threading.Event()

    def kill(attempt: Attempt) -> None:
        cell.kill_target(attempt)
        killed.set()

    def boom(attempt: Attempt) -> None:
        killed.wait(PATIENCE)
        time.sleep(0.05)
        raise LabError("x")

    cell.behave(A, kill)
    cell.behave(B, boom)
    with pytest.raises(LabError):
        cell.run([A, B], 2, 2)
    assert [attempt.case for attempt in cell.record.attempts] == [A.id]


def test_hang_that_passes_before_it_is_sorted_out_keeps_its_words(cell: FakeCell, monkeypatch: pytest.MonkeyPatch) -> None:
    def hang(attempt: Attempt) -> None:
        time_out(attempt)
        cell.target.hangs = True

    answers = CellDaemons._answers

    def once(self: CellDaemons, machine: Machine) -> bool:
        answered = answers(self, machine)
        cell.target.hangs = cell.target.hangs and answered
        return answered

    cell.behave(A, hang)
    monkeypatch.setattr(CellDaemons, "_answers", once)
    cell.run([A])
    assert "does not answer" in deaths(cell)[0]["detail"]


def test_daemon_that_dies_after_its_last_case_is_noticed(cell: FakeCell) -> None:
    def die_after(attempt: Attempt) -> None:
        cell.target.alive = False

    cell.behave(A, die_after)
    cell.run([A])
    assert deaths(cell)[0]["machine"] == "target" and cell.record.unexplained_deaths
