# SPDX-License-Identifier: GPL-3.0-or-later
"""A case's line of the journal: what is written is read again, lines of older labs too, and nothing else is."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from migration_lab.journal.case_result import CaseResult
from migration_lab.journal.journal import Journal, read_journal
from migration_lab.judging.check import FAIL, NOT_RUN, PASS, Check
from migration_lab.model.errors import LabError
from migration_lab.model.verdict import Verdict

RESULT = CaseResult(
    1234, "p2p/paused/none/finish3", Verdict.FAIL, (Check("one", PASS, "a", "a"), Check("two", FAIL, "b", "c")),
    (Check("three", NOT_RUN, "d", ""), Check("four", FAIL, "e", "f")), "two: expected b, got c", "check two", "some-entry",
    final=False, held="beside", attempt=2, note="again", migration={"call": "virDomainMigrate", "error": ""}, protocol="v3",
    steps=({"link": "client-source", "procedure": "begin3"},), lab_error="none", seconds=1.25, call_seconds=1.125, worker=3,
    beside=("a", "b"), logs=("logs/1234-source.log",), time=1764000000.123, suite="recovery", cell="a",
    details={"point": "source:finish3:reply", "after": {"source": "shut off", "target": "running"}},
)

# All that a line of the first labs has.
OLD: dict[str, Any] = {
    "type": "case", "time": 1764000000.5, "number": 3, "case": "normal/x/none", "final": True, "verdict": "pass", "reason": "",
    "checks": [{"number": 1, "name": "one", "result": "pass", "expected": "a", "got": "a"}], "further": [], "migration": None,
    "lab_error": "", "seconds": 1.2, "call_seconds": 1.1, "worker": 0, "beside": [], "logs": [],
}


def test_every_field_is_written_and_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    default = CaseResult(1, "a", Verdict.PASS, ())
    assert all(getattr(RESULT, field.name) != getattr(default, field.name) for field in fields(CaseResult)), "each is told apart"
    monkeypatch.setattr("migration_lab.journal.journal.time.time", lambda: RESULT.time)
    journal = Journal(tmp_path / "journal.jsonl")
    journal.add(RESULT)
    journal.close()
    assert read_journal(journal.path).attempts == [RESULT]


def test_case_of_a_suite_without_details_has_none_in_its_line() -> None:
    line = replace(RESULT, details={}).to_data()
    assert "details" not in line and CaseResult.from_data({**line, "time": RESULT.time}).details == {}


def test_checks_are_numbered_on_from_the_suites_own() -> None:
    data = RESULT.to_data()
    assert [(row["number"], row["name"]) for row in data["checks"] + data["further"]] == [
        (1, "one"), (2, "two"), (3, "three"), (4, "four"),
    ]
    assert [row["number"] for row in RESULT.failed] == [2, 4]


def test_line_of_an_older_lab_is_read() -> None:
    old = CaseResult.from_data(OLD)
    assert (old.attempt, old.held, old.rule, old.note, old.steps, old.suite) == (1, "", "", "", (), "migration")
    assert CaseResult.from_data({**OLD, "final": False}).held == "death", "there was no other reason"
    assert replace(old, reason="why").judged_by == "why" and replace(old, reason="why", rule="rule").judged_by == "rule"


@pytest.mark.parametrize("field", ["case", "final", "verdict", "checks", "time"])
def test_line_that_lacks_a_field_is_refused_by_number(tmp_path: Path, field: str) -> None:
    refuse(tmp_path, {name: value for name, value in OLD.items() if name != field})


@pytest.mark.parametrize(
    "change",
    [
        {"verdict": "weather"}, {"verdict": None}, {"case": 7}, {"final": "yes"}, {"checks": [{"name": "one"}]}, {"checks": 5},
        {"migration": "x"}, {"logs": [1]}, {"steps": ["x"]}, {"seconds": "long"}, {"time": None}, {"reason": ["x"]},
        {"verdict": "not obtained"}, {"details": ["x"]},
        {"further": [{"name": "a", "result": "pass", "expected": "b", "got": 3}]},
    ],
)
def test_line_with_a_wrong_value_is_refused_by_number(tmp_path: Path, change: dict[str, Any]) -> None:
    refuse(tmp_path, {**OLD, **change})


def refuse(folder: Path, line: dict[str, Any]) -> None:
    path = folder / "journal.jsonl"
    path.write_text(json.dumps(OLD) + "\n" + json.dumps(line) + "\n")
    with pytest.raises(LabError, match=r"line 2 of the journal .* is not a case as the lab writes it .*; restore the file"):
        read_journal(path)
