# SPDX-License-Identifier: GPL-3.0-or-later
"""A run's folder is followed while it grows: only whole new lines, only final results, and what speed makes of them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from migration_lab.journal import journal as journal_module
from migration_lab.journal.files import journal_path
from migration_lab.journal.journal import Journal
from migration_lab.model.case import Case
from migration_lab.model.errors import LabError
from migration_lab.model.verdict import Verdict
from migration_lab.progress import growing_journal as growing_module
from migration_lab.progress.follower import RunFollower
from migration_lab.progress.run_progress import CombinationProgress, Phase, RunProgress
from synthetic_run import CASES, SWEEP, SyntheticRun, wrong_state

TWELVE = CASES[:12]
START = 1_764_000_000.0


class Clock:
    """The time that journals are written at, which passes only when a test says so."""

    def __init__(self) -> None:
        self.now = START

    def time(self) -> float:
        return self.now

    def passes(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(journal_module, "time", SimpleNamespace(time=clock.time))
    return clock


def lab(tmp_path: Path, *combinations: str) -> SyntheticRun:
    return SyntheticRun(tmp_path / "run", combinations or ("ooo", "noo", "nno"), TWELVE)


def of(progress: RunProgress, name: str) -> CombinationProgress:
    return next(one for one in progress.combinations if one.name == name)


def complete(run: SyntheticRun, combination: str, clock: Clock, seconds: float = 12.0) -> None:
    """A combination from its header to its end, its cases spread evenly over the time."""
    journal = run.start(combination)
    for case in run.cases:
        clock.passes(seconds / len(run.cases))
        run.record(journal, case)
    journal.append("event", event="end", complete=True, seconds=seconds)
    journal.close()


def test_a_run_that_has_only_begun_waits(tmp_path: Path, clock: Clock) -> None:
    progress = RunFollower(lab(tmp_path).folder).look(clock.now)
    assert [(one.name, one.phase, one.selected, one.done, one.rate, one.left) for one in progress.combinations] == [
        (name, Phase.WAITING, 0, 0, None, None) for name in ("ooo", "noo", "nno")
    ]
    assert (progress.run, progress.pair, progress.selected, progress.done) == ("run", "pair debian", 0, 0)
    assert (progress.rate, progress.left, progress.over, progress.interrupted, progress.quiet) == (None, None, False, False, 0)


def test_a_sweep_is_named_by_its_releases(tmp_path: Path, clock: Clock) -> None:
    run = SyntheticRun(tmp_path / "run", ["aab"], CASES[:1], pair=SWEEP)
    assert RunFollower(run.folder).look(clock.now).pair == "sweep of a debian-11, b debian-12, c debian-13"


def test_a_journal_that_appears_later_and_grows_is_followed(tmp_path: Path, clock: Clock) -> None:
    run = lab(tmp_path)
    follower = RunFollower(run.folder)
    follower.look(clock.now)
    journal = run.start("noo")
    progress = follower.look(clock.now)
    assert (of(progress, "noo").phase, of(progress, "noo").selected, of(progress, "noo").rate) == (Phase.RUNNING, 12, 0.0)
    assert progress.selected == 36, "the others are taken to have as many cases"
    assert progress.left is None
    for number, case in enumerate(TWELVE[:6], start=1):
        clock.passes(2)
        run.record(journal, case, wrong_state if number == 3 else None)
        assert of(follower.look(clock.now), "noo").done == number
    seen = of(follower.look(clock.now), "noo")
    assert seen.counts == {Verdict.PASS: 5, Verdict.FAIL: 1}
    assert (seen.seconds, seen.rate, seen.left) == (12.0, 0.5, 12.0)


def test_only_what_was_added_is_read(tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    run = lab(tmp_path)
    journal = run.start("noo")
    follower = RunFollower(run.folder)
    follower.look(clock.now)
    lines: list[int] = []
    real = journal_module.read_line

    def counted(path: Path, number: int, line: bytes) -> Any:
        lines.append(number)
        return real(path, number, line)

    monkeypatch.setattr(growing_module, "read_line", counted)
    run.record(journal, TWELVE[0])
    run.record(journal, TWELVE[1])
    follower.look(clock.now)
    follower.look(clock.now)
    assert lines == [2, 3]


def test_a_torn_line_waits_for_its_end(tmp_path: Path, clock: Clock) -> None:
    run = lab(tmp_path)
    journal = run.start("ooo")
    run.record(journal, TWELVE[0])
    path = run.journal_path("ooo")
    whole = path.read_bytes()
    run.record(journal, TWELVE[1])
    last = path.read_bytes()[len(whole):]
    follower = RunFollower(run.folder)
    for end in (0, 10, len(last) - 1):
        path.write_bytes(whole + last[:end])
        assert of(follower.look(clock.now), "ooo").done == 1
    path.write_bytes(whole + last)
    assert of(follower.look(clock.now), "ooo").done == 2


def test_a_header_that_is_not_whole_yet_is_no_start(tmp_path: Path, clock: Clock) -> None:
    run = lab(tmp_path)
    run.start("ooo")
    path = run.journal_path("ooo")
    header = path.read_bytes()
    path.write_bytes(header[:100])
    follower = RunFollower(run.folder)
    assert of(follower.look(clock.now), "ooo").phase is Phase.WAITING
    path.write_bytes(header)
    assert of(follower.look(clock.now), "ooo").phase is Phase.RUNNING


def test_a_resumed_run_goes_on_behind_its_torn_line(tmp_path: Path, clock: Clock) -> None:
    run = lab(tmp_path)
    journal = run.start("ooo")
    clock.passes(10)
    run.record(journal, TWELVE[0])
    journal.close()
    path = run.journal_path("ooo")
    with path.open("ab") as stream:
        stream.write(b'{"type":"case","case":"normal/tr')
    follower = RunFollower(run.folder)
    assert of(follower.look(clock.now), "ooo").done == 1
    clock.passes(3600)
    journal = run.start("ooo")
    clock.passes(4)
    run.record(journal, TWELVE[1])
    seen = of(follower.look(clock.now), "ooo")
    assert (seen.phase, seen.selected, seen.done) == (Phase.RUNNING, 12, 2)
    assert seen.seconds == 14.0, "the pause does not count"
    assert seen.rate == pytest.approx(1 / 4), "only what this start has done makes its speed"


def test_attempts_that_are_replaced_do_not_count(tmp_path: Path, clock: Clock) -> None:
    run = lab(tmp_path)
    journal = run.start("ooo")
    run.record(journal, TWELVE[0], wrong_state, final=False)
    run.record(journal, TWELVE[1])
    run.die(journal)
    follower = RunFollower(run.folder)
    assert of(follower.look(clock.now), "ooo").counts == {Verdict.PASS: 1}
    run.record(journal, TWELVE[0], attempt=2)
    assert of(follower.look(clock.now), "ooo").counts == {Verdict.PASS: 2}


def test_the_speed_is_that_of_the_last_thirty_seconds(tmp_path: Path, clock: Clock) -> None:
    run = lab(tmp_path)
    journal = run.start("ooo")
    for case in TWELVE[:6]:
        run.record(journal, case)
    clock.passes(100)
    for case in TWELVE[6:9]:
        run.record(journal, case)
    follower = RunFollower(run.folder)
    clock.passes(1)
    assert of(follower.look(clock.now), "ooo").rate == 0.1
    assert of(follower.look(clock.now), "ooo").left == pytest.approx(30)
    clock.passes(60)
    stuck = follower.look(clock.now)
    assert (of(stuck, "ooo").rate, of(stuck, "ooo").left, stuck.left, stuck.quiet) == (0.0, None, None, 61.0)


def test_time_left_counts_combinations_and_pauses_to_come(tmp_path: Path, clock: Clock) -> None:
    run = lab(tmp_path, "ooo", "noo", "nno", "ono")
    complete(run, "ooo", clock, seconds=12)
    clock.passes(5)
    complete(run, "noo", clock, seconds=24)
    follower = RunFollower(run.folder)
    between = follower.look(clock.now)
    assert (between.rate, between.selected, between.done) == (None, 48, 24)
    assert between.left == pytest.approx(2 * (18 + 5))
    clock.passes(7)
    journal = run.start("nno")
    assert follower.look(clock.now).left == pytest.approx(18 + 18 + 5), "one that has only begun is like the others"
    for case in TWELVE[:6]:
        clock.passes(1)
        run.record(journal, case)
    assert follower.look(clock.now).left == pytest.approx(6 + 18 + 5)


def test_combinations_that_run_side_by_side_share_the_time_left(tmp_path: Path, clock: Clock) -> None:
    run = lab(tmp_path, "ooo", "noo", "nno", "ono")
    journals = [run.start("ooo"), run.start("ono")]
    for case in TWELVE[:6]:
        clock.passes(1)
        for journal in journals:
            run.record(journal, case)
    progress = RunFollower(run.folder).look(clock.now)
    assert progress.rate == 2.0
    assert progress.left == pytest.approx((6 + 6 + 12 + 12) / 2)


def test_a_run_ends_with_its_last_combination(tmp_path: Path, clock: Clock) -> None:
    run = lab(tmp_path, "ooo", "noo")
    complete(run, "ooo", clock)
    follower = RunFollower(run.folder)
    assert not follower.look(clock.now).over
    run.not_obtained("noo", "no disk\nleft")
    progress = follower.look(clock.now)
    assert (of(progress, "ooo").phase, of(progress, "ooo").rate, of(progress, "ooo").left) == (Phase.DONE, 1.0, None)
    assert (of(progress, "noo").phase, of(progress, "noo").reason) == (Phase.NOT_OBTAINED, "no disk left")
    assert (progress.over, progress.left, progress.rate) == (True, None, None)


def test_a_note_from_an_earlier_start_does_not_end_a_combination_that_runs(tmp_path: Path, clock: Clock) -> None:
    run = lab(tmp_path, "ooo")
    journal = run.start("ooo")
    run.record(journal, TWELVE[0])
    journal.append("event", event="end", complete=False, seconds=3.0)
    clock.passes(1)
    run.not_obtained("ooo", "the daemon is gone")
    os.utime(run.folder / "ooo" / "not-obtained.json", (clock.now, clock.now))
    follower = RunFollower(run.folder)
    assert of(follower.look(clock.now), "ooo").phase is Phase.NOT_OBTAINED
    clock.passes(60)
    resumed = RunFollower(run.folder, since=clock.now)
    assert of(resumed.look(clock.now), "ooo").phase is Phase.WAITING
    clock.passes(5)
    run.start("ooo")
    for one in (follower, resumed):
        assert of(one.look(clock.now), "ooo").phase is Phase.RUNNING


def test_a_run_whose_playbook_is_gone_is_cut_off_after_a_while(tmp_path: Path, clock: Clock) -> None:
    run = lab(tmp_path)
    journal = run.start("ooo")
    run.record(journal, TWELVE[0])
    journal.append("event", event="end", complete=False, seconds=3.0)
    follower = RunFollower(run.folder)
    clock.passes(1)
    progress = follower.look(clock.now)
    assert (of(progress, "ooo").phase, progress.over, progress.interrupted) == (Phase.INTERRUPTED, False, False)
    clock.passes(30)
    assert follower.look(clock.now).interrupted


def test_no_run_is_said(tmp_path: Path) -> None:
    with pytest.raises(LabError, match=r"run\.json cannot be read"):
        RunFollower(tmp_path)


def test_a_run_of_another_schema_is_refused(tmp_path: Path) -> None:
    run = lab(tmp_path)
    (run.folder / "run.json").write_text(json.dumps({**run.data, "schema": 99}))
    with pytest.raises(LabError, match="has schema 99, this lab reads schema 1"):
        RunFollower(run.folder)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('{"type":\n', r"line 2 of the journal .* is not JSON"),
        ('{"type":"tea"}\n', r"line 2 of the journal .* has the unknown type 'tea'"),
    ],
)
def test_a_broken_line_is_named(tmp_path: Path, clock: Clock, text: str, sentence: str) -> None:
    run = lab(tmp_path)
    run.start("ooo")
    with run.journal_path("ooo").open("a") as stream:
        stream.write(text)
    with pytest.raises(LabError, match=sentence):
        RunFollower(run.folder).look(clock.now)


def test_a_journal_of_another_combination_is_named(tmp_path: Path, clock: Clock) -> None:
    run = lab(tmp_path)
    run.start("ooo", combination="nnn")
    with pytest.raises(LabError, match="is of combination 'nnn', not 'ooo'"):
        RunFollower(run.folder).look(clock.now)


def test_a_journal_that_becomes_shorter_and_a_folder_that_goes_are_named(tmp_path: Path, clock: Clock) -> None:
    run = lab(tmp_path)
    run.start("ooo")
    follower = RunFollower(run.folder)
    follower.look(clock.now)
    run.journal_path("ooo").write_text("")
    with pytest.raises(LabError, match="has become shorter"):
        follower.look(clock.now)
    run.folder.rename(tmp_path / "elsewhere")
    with pytest.raises(LabError, match="is gone"):
        follower.look(clock.now)


def test_nothing_is_written(tmp_path: Path, clock: Clock) -> None:
    run = lab(tmp_path)
    complete(run, "ooo", clock)
    before = {path: path.stat().st_mtime_ns for path in run.folder.rglob("*")}
    follower = RunFollower(run.folder)
    follower.look(clock.now)
    follower.look(clock.now)
    assert {path: path.stat().st_mtime_ns for path in run.folder.rglob("*")} == before


class Cells:
    """A run whose combination noo two cells share, beside a finished ooo."""

    def __init__(self, tmp_path: Path, clock: Clock) -> None:
        ids = [case.id for case in TWELVE]
        self.run, self.clock = SyntheticRun(tmp_path / "run", ("ooo", "noo"), TWELVE, selected={"ooo": ids, "noo": ids}), clock
        complete(self.run, "ooo", clock)
        self.follower = RunFollower(self.run.folder)

    def begin(self, cell: str, cases: list[Case]) -> Journal:
        journal = Journal(journal_path(self.run.folder / "noo", cell))
        journal.append("header", schema=1, combination="noo", selected=[case.id for case in cases])
        return journal

    def note(self, cell: str, reason: str) -> None:
        note = self.run.folder / f"noo/not-obtained-{cell}.json"
        note.parent.mkdir(exist_ok=True)
        note.write_text(json.dumps({"reason": reason}))
        os.utime(note, (self.clock.now, self.clock.now))

    def finish(self, journal: Journal, cases: list[Case]) -> None:
        for case in cases:
            self.clock.passes(1)
            self.run.record(journal, case)
        journal.append("event", event="end", complete=True, seconds=1.0)

    def look(self) -> CombinationProgress:
        return of(self.follower.look(self.clock.now), "noo")


@pytest.fixture
def cells(tmp_path: Path, clock: Clock) -> Cells:
    return Cells(tmp_path, clock)


def test_a_combination_that_two_cells_share_is_their_sum(cells: Cells) -> None:
    first, second = cells.begin("a", TWELVE[:6]), cells.begin("b", TWELVE[6:])
    for one, other in zip(TWELVE[:6], TWELVE[6:]):
        cells.clock.passes(2)
        cells.run.record(first, one)
        cells.run.record(second, other, wrong_state if other is TWELVE[6] else None)
    seen = cells.look()
    assert (seen.phase, seen.selected, seen.counts) == (Phase.DONE, 12, {Verdict.PASS: 11, Verdict.FAIL: 1})
    assert (seen.seconds, seen.rate) == (12.0, 1.0), "time in which both ran counts once"


def test_it_runs_as_long_as_one_of_its_cells_does(cells: Cells) -> None:
    first, second = cells.begin("a", TWELVE[:4]), cells.begin("b", TWELVE[4:])
    cells.finish(first, TWELVE[:4])
    seen = cells.look()
    assert (seen.phase, seen.selected, seen.done, seen.rate, seen.left) == (Phase.RUNNING, 12, 4, 1.0, 8.0)
    cells.finish(second, TWELVE[4:])
    assert cells.look().phase is Phase.DONE


def test_a_share_that_failed_is_missing_though_the_other_is_complete(cells: Cells) -> None:
    first, second = cells.begin("a", TWELVE[:6]), cells.begin("b", TWELVE[6:])
    cells.run.record(second, TWELVE[6])
    cells.clock.passes(1)
    cells.note("b", "the daemon is gone")
    assert cells.look().phase is Phase.RUNNING
    cells.finish(first, TWELVE[:6])
    seen = cells.look()
    assert (seen.phase, seen.done, seen.reason) == (Phase.NOT_OBTAINED, 7, "the daemon is gone")
    third = cells.begin("a", TWELVE[6:])
    assert cells.look().phase is Phase.RUNNING, "the other cell takes the rest"
    cells.finish(third, TWELVE[6:])
    seen = cells.look()
    assert (seen.phase, seen.done, seen.reason) == (Phase.DONE, 12, "")


def test_a_share_that_never_began_is_missing_until_another_cell_takes_it(cells: Cells) -> None:
    cells.note("b", "no disk left")
    first = cells.begin("a", TWELVE[:6])
    cells.finish(first, TWELVE[:6])
    seen = cells.look()
    assert (seen.phase, seen.reason) == (Phase.NOT_OBTAINED, "no disk left")
    cells.finish(cells.begin("a", TWELVE[6:]), TWELVE[6:])
    assert cells.look().phase is Phase.DONE


def test_the_number_of_cases_is_known_before_any_has_run(cells: Cells) -> None:
    seen = cells.look()
    assert (seen.phase, seen.selected, seen.done) == (Phase.WAITING, 12, 0)


def test_a_complete_share_is_not_the_combination(cells: Cells) -> None:
    cells.finish(cells.begin("a", TWELVE[:6]), TWELVE[:6])
    assert (cells.look().phase, cells.look().selected) == (Phase.WAITING, 12), "the other share has not begun"


def test_of_a_case_that_two_cells_ran_the_earlier_result_counts(cells: Cells) -> None:
    first, second = cells.begin("b", TWELVE[:6]), cells.begin("a", TWELVE)
    cells.run.record(first, TWELVE[0], wrong_state)
    cells.clock.passes(1)
    cells.run.record(second, TWELVE[0])
    assert cells.look().counts == {Verdict.FAIL: 1}
