# SPDX-License-Identifier: GPL-3.0-or-later
"""Cases that run alone, after the others: those that bring a daemon down by the ledger, and those that failed beside others."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from fake_cell import PATIENCE, A, B, C, D, E, FakeCell, FakeClientAgent, break_lab, fake_cell, refuse
from migration_lab.journal.case_result import CaseResult
from migration_lab.journal.journal import read_journal
from migration_lab.model.errors import LabError
from migration_lab.runner.stage import CellBroken
from migration_lab.suites.attempt import Attempt
from migration_lab.suites.procedure import Revive

# B and D, of the first five cases, have the flag.
KILLING: dict[str, Any] = {
    "when": {"flags": ["undefine-source"]},
    "effects": [{"check": "migrated", "got": "*end of file*"}, {"check": "daemons-alive", "got": "*target*"}],
}


@pytest.fixture
def cell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeCell]:
    with fake_cell(tmp_path, monkeypatch) as cell:
        yield cell


@pytest.fixture
def killing(cell: FakeCell) -> FakeCell:
    """By the ledger B and D bring the target's daemon down, and so they do."""
    cell.know(**KILLING)
    for case in (B, D):
        cell.behave(case, cell.kill_target, cell.kill_target)
    return cell


def deaths(cell: FakeCell) -> list[dict[str, Any]]:
    return [event for event in cell.record.events if event["event"] == "daemon-death"]


def alive(result: CaseResult) -> str:
    """What the check of the daemons got, empty when there was nothing to check."""
    return "".join(check.got for check in result.further if check.name == "daemons-alive")


# Cases that bring a daemon down by the ledger


def test_killing_cases_run_once_each_and_alone_after_the_others(killing: FakeCell) -> None:
    assert killing.run([A, B, C, D, E], workers=3, together=3) is True
    started = killing.runner.started
    assert sorted(started[:3]) == sorted([A.id, C.id, E.id]) and started[3:] == [B.id, D.id]
    assert killing.runner.most == 3, "the others run beside each other"
    assert killing.runner.seen_beside[B.id, 1] == killing.runner.seen_beside[D.id, 1] == set()
    assert sorted(killing.attempts()) == sorted(
        [(case.id, 1, True, "pass") for case in (A, C, E)] + [(case.id, 1, True, "known") for case in (B, D)]
    )
    assert [killing.record.cases[case.id].beside for case in (B, D)] == [(), ()]


def test_daemon_is_started_again_after_each_killing_case(killing: FakeCell) -> None:
    killing.run([A, B, C, D], workers=2)
    assert (killing.source.restarts, killing.target.restarts, killing.target.alive) == (0, 2, True)
    assert [alive(killing.record.cases[case.id]) for case in (A, B, C, D)] == [
        "", "the daemon on the target (process 22) died", "", "the daemon on the target (process 1022) died",
    ]
    assert deaths(killing) == [] and killing.record.unexplained_deaths == [], "each death is its case's own"


def test_killing_case_keeps_the_dead_daemons_log(killing: FakeCell) -> None:
    killing.run([B])
    logs = killing.record.cases[B.id].logs
    assert [(killing.folder / log).read_text() for log in logs] == ["", f"{B.id} killed me\n"]


def test_killing_cases_need_no_others(killing: FakeCell) -> None:
    assert killing.run([B, D], workers=4) is True
    assert killing.runner.started == [B.id, D.id] and killing.runner.most == 1


def test_killing_case_that_does_not_kill_is_fixed(cell: FakeCell) -> None:
    cell.know(**KILLING)
    cell.behave(D, cell.kill_target)
    assert cell.run([A, B, C, D], workers=2) is True
    assert {case.id: cell.record.cases[case.id].verdict for case in (A, B, C, D)} == {
        A.id: "pass", B.id: "fixed", C.id: "pass", D.id: "known",
    }
    assert cell.target.restarts == 1 and cell.record.cases[B.id].logs


def test_killing_case_that_kills_the_other_daemon_fails(cell: FakeCell) -> None:
    cell.know(**KILLING)
    cell.behave(B, cell.kill_source)
    cell.behave(D, cell.kill_target)
    cell.run([B, D])
    assert {line.case: line.verdict for line in cell.record.attempts} == {B.id: "fail", D.id: "known"}
    assert (cell.source.restarts, cell.target.restarts) == (1, 1)


def test_killing_case_that_is_refused_fails_without_a_restart(cell: FakeCell) -> None:
    cell.know(**KILLING)
    cell.behave(B, refuse)
    cell.run([B])
    assert cell.attempts() == [(B.id, 1, True, "fail")] and "expects exactly" in cell.record.cases[B.id].reason
    assert cell.target.restarts == 0


def test_daemon_that_hangs_in_a_killing_case_is_started_again(cell: FakeCell) -> None:
    def hang(attempt: Attempt) -> None:
        refuse(attempt)
        attempt.timed_out = cell.target.hangs = True

    cell.know(**KILLING)
    cell.behave(B, hang)
    cell.run([B])
    assert alive(cell.record.cases[B.id]) == "the daemon on the target (process 22) does not answer"
    assert cell.target.restarts == 1 and not cell.target.hangs


def test_death_among_the_others_is_sorted_out_before(killing: FakeCell) -> None:
    killing.behave(A, killing.kill_target, killing.kill_target)
    killing.behave(C, killing.suffer)
    assert killing.run([A, B, C, D], workers=2, together=2) is True
    assert killing.runner.started[-2:] == [B.id, D.id]
    assert {case: line.verdict for case, line in killing.record.cases.items()} == {
        A.id: "fail", B.id: "known", C.id: "pass", D.id: "known",
    }
    assert deaths(killing)[0]["culprits"] == [A.id] and killing.record.unexplained_deaths == []


def test_daemon_that_died_behind_the_others_backs_is_not_the_killing_cases_doing(cell: FakeCell) -> None:
    def die_after(attempt: Attempt) -> None:
        cell.source.alive = False

    cell.know(**KILLING)
    cell.behave(A, die_after)
    cell.behave(B, cell.kill_target)
    cell.run([A, B])
    assert cell.record.cases[B.id].verdict == "known" and "source" not in alive(cell.record.cases[B.id])
    (death,) = cell.record.unexplained_deaths
    assert (death.machine, cell.source.restarts, cell.target.restarts) == ("source", 1, 1)


def test_stop_leaves_the_killing_cases_that_have_not_begun(killing: FakeCell) -> None:
    def kill_and_stop(attempt: Attempt) -> None:
        killing.kill_target(attempt)
        killing.stop.set()

    killing.behave(B, kill_and_stop)
    assert killing.run([A, B, C, D]) is False
    assert set(killing.record.cases) == {A.id, B.id, C.id} and killing.target.alive


def test_stop_among_the_others_leaves_all_killing_cases(killing: FakeCell) -> None:
    killing.behave(A, lambda attempt: killing.stop.set())
    assert killing.run([A, B, D]) is False
    assert killing.runner.started == [A.id]


def test_run_that_breaks_down_begins_no_killing_case(killing: FakeCell) -> None:
    def boom(attempt: Attempt) -> None:
        raise LabError("machine a-client: no such container")

    killing.behave(A, boom)
    with pytest.raises(LabError, match="no such container"):
        killing.run([A, B, C])
    assert killing.runner.started == [A.id]


def test_known_deviation_that_kills_nobody_runs_among_the_others(cell: FakeCell) -> None:
    cell.know(when={"flags": ["undefine-source"]}, effects=[{"check": "migrated", "got": "operation failed"}])
    cell.behave(B, refuse)
    cell.run([A, B, C], workers=3, together=3)
    assert cell.runner.most == 3
    assert cell.record.cases[B.id].verdict == "known" and cell.record.cases[B.id].logs == ()


# Cases that failed concurrently with others


@pytest.fixture
def unsure(cell: FakeCell) -> FakeCell:
    """Of a pair whose daemons are less sure beside others."""
    cell.alone_again = True
    return cell


@pytest.mark.parametrize("again", ["pass", "fail"])
def test_case_that_failed_beside_others_is_run_again_alone(unsure: FakeCell, again: str) -> None:
    unsure.behave(B, refuse, refuse if again == "fail" else None)
    assert unsure.run([A, B, C, D], workers=2, together=2) is True
    assert unsure.runner.started[-1] == B.id and unsure.runner.attempts[B.id] == 2
    assert unsure.runner.seen_beside[B.id, 2] == set() and unsure.runner.domains.cleaned == []
    first, last = [line for line in unsure.record.attempts if line.case == B.id]
    assert (first.attempt, first.final, first.held, first.verdict, first.note) == (1, False, "beside", "fail", "")
    assert (last.attempt, last.final, last.held, last.verdict) == (2, True, "", again)
    assert last.note == (
        f"failed concurrently with {', '.join(first.beside)} (migrated: expected success, got operation failed); alone: {again}"
    )
    assert first.beside and last.beside == ()
    assert first.logs and bool(last.logs) == (again == "fail")
    assert {line.note for line in unsure.record.attempts if line.case != B.id} == {""}


def test_only_the_last_attempt_counts(unsure: FakeCell) -> None:
    unsure.behave(B, refuse)
    unsure.run([A, B, C], workers=3, together=3)
    assert unsure.stage and unsure.stage.call_seconds == 1.0
    assert unsure.record.cases[B.id].verdict == "pass"
    assert unsure.record.events == [] and unsure.record.unexplained_deaths == [], "nothing died"
    assert (unsure.source.restarts, unsure.target.restarts) == (0, 0)


def test_other_pairs_try_nothing_again(cell: FakeCell) -> None:
    cell.behave(B, refuse)
    cell.run([A, B, C], workers=3, together=3)
    assert cell.runner.attempts[B.id] == 1 and cell.record.cases[B.id].verdict == "fail"
    assert cell.record.cases[B.id].held == cell.record.cases[B.id].note == ""


def test_case_that_failed_alone_is_not_tried_again(unsure: FakeCell) -> None:
    unsure.behave(B, refuse)
    unsure.run([A, B, C], workers=1)
    assert unsure.attempts() == [(A.id, 1, True, "pass"), (B.id, 1, True, "fail"), (C.id, 1, True, "pass")]


def test_fault_of_the_lab_is_not_tried_again(unsure: FakeCell) -> None:
    unsure.behave(B, break_lab)
    unsure.run([A, B], workers=2, together=2)
    assert unsure.runner.attempts[B.id] == 1 and unsure.record.cases[B.id].verdict == "error"


def test_known_deviation_is_not_tried_again(unsure: FakeCell) -> None:
    unsure.know(when={"flags": ["undefine-source"]}, effects=[{"check": "migrated", "got": "operation failed"}])
    unsure.behave(B, refuse)
    unsure.run([A, B], workers=2, together=2)
    assert unsure.runner.attempts[B.id] == 1 and unsure.record.cases[B.id].verdict == "known"


def test_case_that_kills_a_daemon_when_it_is_alone_again_is_to_blame(unsure: FakeCell) -> None:
    unsure.behave(B, refuse, unsure.kill_target)
    unsure.run([A, B, C], workers=3, together=3)
    line = unsure.record.cases[B.id]
    assert (line.verdict, alive(line)) == ("fail", "the daemon on the target (process 22) died")
    assert line.note.endswith("; alone: fail") and unsure.target.restarts == 1
    assert unsure.record.unexplained_deaths == []


def test_suspects_of_a_death_are_not_tried_a_third_time(unsure: FakeCell) -> None:
    unsure.behave(A, unsure.kill_target, unsure.kill_target)
    unsure.behave(B, unsure.suffer, refuse)
    unsure.run([A, B, C], workers=2, together=2)
    assert unsure.runner.attempts == {A.id: 2, B.id: 2, C.id: 1}
    assert [line.held for line in unsure.record.attempts if not line.final] == ["death", "death"]
    assert {case: line.verdict for case, line in unsure.record.cases.items()} == {A.id: "fail", B.id: "fail", C.id: "pass"}


def test_killing_cases_come_before_those_that_are_tried_again(unsure: FakeCell) -> None:
    unsure.know(**KILLING)
    unsure.behave(A, refuse)
    unsure.behave(B, unsure.kill_target)
    assert unsure.run([A, B, C], workers=2, together=2) is True
    assert unsure.runner.started[2:] == [B.id, A.id]
    assert unsure.record.cases[A.id].note.endswith("; alone: pass")


@pytest.mark.parametrize("again", ["pass", "fail"])
def test_run_interrupted_before_the_second_attempt_is_resumed(unsure: FakeCell, again: str) -> None:
    unsure.behave(A, lambda attempt: cast(None, unsure.stop.wait(PATIENCE)))

    def fail_and_stop(attempt: Attempt) -> None:
        refuse(attempt)
        unsure.stop.set()

    unsure.behave(B, fail_and_stop, refuse if again == "fail" else None)
    assert unsure.run([A, B], workers=2, together=2) is False
    assert set(unsure.record.cases) == {A.id} and unsure.record.unexplained_deaths == []
    rest = [case for case in (A, B) if case.id not in unsure.record.cases]
    unsure.stop = threading.Event()
    assert unsure.run(rest) is True
    assert unsure.attempts()[-1] == (B.id, 1, True, again)
    assert [line.held for line in unsure.record.attempts if line.case == B.id] == ["beside", ""]
    assert read_journal(unsure.folder / "journal.jsonl").unexplained_deaths == []


# Deaths behind a case that runs alone


def test_daemon_that_dies_behind_a_case_alone_is_that_cases_doing(cell: FakeCell) -> None:
    cell.know(**KILLING)
    cell.behave(B, lambda attempt: setattr(cell.target, "alive", False))
    cell.behave(D, cell.need_daemons)
    cell.run([B, D])
    assert {line.case: (line.verdict, alive(line)) for line in cell.record.attempts} == {
        B.id: ("fail", "the daemon on the target (process 22) died"), D.id: ("fixed", ""),
    }
    assert cell.target.restarts == 1 and cell.record.unexplained_deaths == []


def test_what_was_connected_to_a_daemon_that_died_is_not_used_any_more(cell: FakeCell) -> None:
    """Or the next case would find the connection gone, and be the lab's error."""
    drops: list[int] = []
    cell.know(**KILLING)
    cell.behave(B, lambda attempt: setattr(cell.target, "alive", False))
    cell.behave(D, lambda attempt: drops.append(FakeClientAgent.made[-1].drops))
    cell.run([B, D])
    assert drops == [1]


def test_agent_of_a_case_alone_that_was_interrupted_is_replaced(cell: FakeCell) -> None:
    drops: list[int] = []
    cell.know(**KILLING)
    cell.behave(B, break_lab)
    cell.behave(D, lambda attempt: drops.append(FakeClientAgent.made[-1].drops))
    cell.run([B, D])
    assert cell.record.cases[B.id].verdict == "error" and len(drops) == 1


def test_case_after_which_a_daemon_cannot_be_started_has_broken_the_cell(
    killing: FakeCell, monkeypatch: pytest.MonkeyPatch,
) -> None:
    def cannot() -> dict[str, int]:
        raise LabError("machine a-target: the daemon could not be started")

    monkeypatch.setattr(killing.target, "restart_daemons", cannot)
    with pytest.raises(CellBroken, match="the daemon could not be started"):
        killing.run([A, B, D])
    assert killing.attempts() == [(A.id, 1, True, "pass"), (B.id, 1, True, "error")], "D is left to new machines"
    assert killing.record.cases[B.id].lab_error.startswith("the cell is broken after it: ")


@pytest.mark.parametrize("workers", [1, 3])
def test_case_that_leaves_a_broken_cell_is_the_last_one(cell: FakeCell, workers: int) -> None:
    def break_cell(attempt: Attempt) -> None:
        cell.target.alive = False
        attempt.broken = attempt.seen.lab_error = "the fault could not be healed"

    cell.behave(A, break_cell)
    with pytest.raises(CellBroken, match="could not be healed"):
        cell.run([A, B, C, D, E], workers, together=workers)
    assert (A.id, 1, True, "error") in cell.attempts() and cell.target.restarts == 0
    assert workers > 1 or len(cell.attempts()) == 1


def test_case_that_leaves_a_broken_cell_alone_is_the_last_one(killing: FakeCell) -> None:
    def break_cell(attempt: Attempt) -> None:
        attempt.broken = attempt.seen.lab_error = "the fault could not be healed"

    killing.behave(B, break_cell)
    with pytest.raises(CellBroken, match="could not be healed"):
        killing.run([B, D])
    assert killing.attempts() == [(B.id, 1, True, "error")] and killing.target.restarts == 0


def test_stuck_daemon_is_restarted_with_the_dead_one(killing: FakeCell, monkeypatch: pytest.MonkeyPatch) -> None:
    def stuck(attempt: Attempt, revive: Revive) -> None:
        assert revive(attempt, unsure=True, both=True).blamed == {"target": "the daemon on the target (process 22) died"}

    killing.behave(B, killing.kill_target)
    monkeypatch.setattr(killing.runner, "survive", lambda attempt, connection, revive: stuck(attempt, revive))
    killing.run([B])
    assert (killing.source.restarts, killing.target.restarts) == (1, 1)
    assert alive(killing.record.cases[B.id]) == "", "both are the ones that run now"


def test_agent_is_ended_though_the_culprits_daemon_cannot_be_started_again(
    cell: FakeCell, monkeypatch: pytest.MonkeyPatch
) -> None:
    restart = cell.target.restart_daemons

    def once() -> dict[str, int]:
        if cell.target.restarts:
            raise LabError("machine a-target: the daemon could not be started")
        return restart()

    monkeypatch.setattr(cell.target, "restart_daemons", once)
    cell.behave(A, cell.kill_target, cell.kill_target)
    with pytest.raises(LabError, match="could not be started"):
        cell.run([A, B])
    dropped = all(connection.drops for connection in FakeClientAgent.made)
    for connection in FakeClientAgent.made:
        connection.drop()
    assert dropped


def test_processes_of_the_daemons_that_died_are_in_the_journal(cell: FakeCell) -> None:
    cell.target.beside = {"virtproxyd": 23}
    cell.behave(A, cell.kill_target)
    cell.run([A])
    (event,) = [event for event in cell.record.events if event["event"] == "daemon-death"]
    assert event["daemons"] == {"target": {"libvirtd": 22}}
    assert event["detail"] == "libvirtd on the target (process 22) died"


def test_kernels_word_on_a_crash_is_kept_with_the_case(killing: FakeCell) -> None:
    killing.source.crash = "[ 1.0] rpc-libvirtd[7]: segfault at 8\n"
    killing.run([B])
    kept = [log for log in killing.record.cases[B.id].logs if log.endswith("-kernel.log")]
    assert [(killing.folder / log).read_text() for log in kept] == [killing.source.crash]
