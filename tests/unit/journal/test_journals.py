# SPDX-License-Identifier: GPL-3.0-or-later
"""Journals of several cells for one combination: merged, each case counts once, and time that overlaps does too."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from migration_lab.journal.case_result import CaseResult
from migration_lab.journal.files import journal_path, journal_paths, not_obtained_paths
from migration_lab.journal.journal import SCHEMA, Journal, Record, read_journals
from migration_lab.model.verdict import Verdict


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("migration_lab.journal.journal.time.time", clock)
    return clock


def start(folder: Path, cell: str, *selected: str) -> Journal:
    journal = Journal(journal_path(folder, cell))
    journal.append("header", schema=SCHEMA, combination="noo", selected=list(selected))
    return journal


def result(case: str, cell: str, **changes: Any) -> CaseResult:
    return replace(CaseResult(1, case, Verdict.PASS, (), cell=cell), **changes)


def test_what_several_cells_did_is_one_record(tmp_path: Path, clock: Clock) -> None:
    clock.now = 100.0
    one, two = start(tmp_path, "one", "a", "b", "c"), start(tmp_path, "two", "d")
    clock.now = 110.0
    two.add(result("d", "two"))
    two.append("event", event="end", complete=True)
    clock.now = 130.0
    one.add(result("a", "one", final=False, held="death"))
    one.add(result("a", "one", attempt=2))
    record = read_journals(tmp_path)
    assert record.selected == ("a", "b", "c", "d")
    assert [(case, found.cell) for case, found in record.cases.items()] == [("d", "two"), ("a", "one")]
    assert [attempt.attempt for attempt in record.attempts] == [1, 1, 2]
    assert [header["time"] for header in record.headers] == [100.0, 100.0] and record.header == record.headers[0]
    assert [event["event"] for event in record.events] == ["end"] and record.last == 130.0


def test_earliest_final_result_of_a_case_counts(tmp_path: Path, clock: Clock) -> None:
    one, two = start(tmp_path, "one", "a"), start(tmp_path, "two", "a")
    clock.now = 5.0
    two.add(result("a", "two", verdict=Verdict.FAIL))
    clock.now = 6.0
    one.add(result("a", "one"))
    one.add(result("a", "one"))
    record = read_journals(tmp_path)
    assert [(found.cell, found.verdict) for found in record.cases.values()] == [("two", Verdict.FAIL)]


@pytest.mark.parametrize(
    ("stretches", "seconds"),
    [
        ([(0, 10), (0, 8)], 10), ([(0, 10), (4, 14)], 14), ([(0, 10), (20, 25)], 15), ([(0, 30), (5, 6), (10, 40)], 40), ([], 0),
    ],
)
def test_time_in_which_several_cells_ran_counts_once(stretches: list[tuple[float, float]], seconds: float) -> None:
    assert Record(Path("noo"), stretches=stretches).seconds == seconds


def test_pause_before_a_resume_does_not_count(tmp_path: Path, clock: Clock) -> None:
    journal = start(tmp_path, "one", "a", "b")
    clock.now = 10.0
    journal.add(result("a", "one"))
    clock.now = 1000.0
    journal = start(tmp_path, "one", "a", "b")
    clock.now = 1005.0
    journal.add(result("b", "one"))
    record = read_journals(tmp_path)
    assert (record.seconds, record.last) == (15.0, 1005.0)


def test_journal_of_a_lab_that_had_one_cell_is_one_of_them(tmp_path: Path) -> None:
    for cell in ("", "b", "a"):
        start(tmp_path, cell, "a").add(result(f"case of {cell}", cell))
        (tmp_path / f"not-obtained-{cell or 'x'}.json").write_text("{}")
    (tmp_path / "not-obtained.json").write_text("{}")
    (tmp_path / "journals.txt").write_text("")
    assert [path.name for path in journal_paths(tmp_path)] == ["journal-a.jsonl", "journal-b.jsonl", "journal.jsonl"]
    assert len(not_obtained_paths(tmp_path)) == 4
    assert set(read_journals(tmp_path).cases) == {"case of ", "case of a", "case of b"}


def test_folder_without_journals_has_nothing(tmp_path: Path) -> None:
    assert read_journals(tmp_path / "noo") == Record(tmp_path / "noo")
