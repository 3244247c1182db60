# SPDX-License-Identifier: GPL-3.0-or-later
"""A run of another suite: ids of four parts, three checks a case, numbers over 999, and other cases in each combination."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from migration_lab.history.entry import record_of
from migration_lab.journal.case_result import CaseResult
from migration_lab.journal.files import journal_path
from migration_lab.journal.journal import Journal
from migration_lab.judging.check import FAIL, PASS, Check
from migration_lab.model.verdict import Verdict
from migration_lab.report.grid import grid
from migration_lab.report.junit import junit_text
from migration_lab.report.page import page_text
from migration_lab.report.picture import picture_text
from migration_lab.report.run_json import run_text
from migration_lab.report.tap import tap_text
from migration_lab.results.comparison import compare
from migration_lab.results.run import Run, read_run
from synthetic_run import ROOT, SyntheticRun

CHECKS = ["guest-survives", "single-copy", "retry-succeeds"]
AXES = {
    f"{method}/paused/none/{point}/drop": [method, "paused", "none", f"{point}/drop"]
    for method in ("normal", "p2p") for point in ("finish3", "perform3")
}
FIRST, SECOND, THIRD, FOURTH = AXES
SELECTED = {"ooo": [FIRST, SECOND, THIRD], "nnn": [SECOND], "noo": [FOURTH]}


def result(number: int, case: str, cell: str, failed: int = -1) -> CaseResult:
    checks = tuple(
        Check(name, FAIL if index == failed else PASS, "yes", "no" if index == failed else "yes")
        for index, name in enumerate(CHECKS)
    )
    verdict = Verdict.PASS if failed < 0 else Verdict.FAIL
    logs = () if failed < 0 else (f"logs/{number}-source.log",)
    reason = "" if failed < 0 else "it died"
    return CaseResult(number, case, verdict, checks, reason=reason, logs=logs, cell=cell, suite="another")


@pytest.fixture
def run(tmp_path: Path) -> Run:
    lab = SyntheticRun(
        tmp_path / "run", ["ooo", "nnn", "noo"], axes=AXES, selected=SELECTED, suite={"name": "another", "checks": CHECKS},
    )
    lab.not_obtained("noo", "no room")
    for cell, combination, results in (
        ("one", "ooo", [result(1000, FIRST, "one"), result(1002, THIRD, "one")]),
        ("two", "ooo", [result(1001, SECOND, "two", failed=2)]),
        ("one", "nnn", [result(1001, SECOND, "one")]),
    ):
        journal = Journal(journal_path(lab.folder / combination, cell))
        journal.append("header", **{**lab.header(combination), "selected": [one.case for one in results]})
        for one in results:
            journal.add(one)
        journal.close()
    return read_run(lab.folder)


def test_each_combination_has_its_own_cases_also_one_that_was_not_obtained(run: Run) -> None:
    ooo, noo, nnn = run.combinations
    assert [combination.selected for combination in (ooo, noo, nnn)] == [
        (FIRST, SECOND, THIRD), (FOURTH,), (SECOND,),
    ]
    assert (ooo.checks_total, ooo.checks_judged, noo.checks_total, nnn.checks_total) == (9, 9, 3, 3)
    assert ooo.journals == ["ooo/journal-one.jsonl", "ooo/journal-two.jsonl"]
    assert [(failure.case, failure.journal) for failure in run.failures if failure.case] == [(SECOND, "ooo/journal-two.jsonl")]
    assert run.counts["not_obtained"] == 1
    assert run.sums.startswith("NOT green: 2 of 3 combinations, 4 of 5 cases, 12 of 15 checks")


def test_columns_come_from_the_axes(run: Run) -> None:
    assert grid(run) == {"normal": {"paused": [FIRST, SECOND]}, "p2p": {"paused": [THIRD, FOURTH]}}
    assert list(grid(run)) == ["normal", "p2p"]


def test_tap_has_a_test_for_each_check_of_the_suite(run: Run) -> None:
    lines = tap_text(run, run.combinations[0]).splitlines()
    assert lines[1] == "1..9"
    assert [line for line in lines if line.startswith("not ok")] == [f"not ok 6 - {SECOND}: retry-succeeds"]
    lost = tap_text(run, run.combinations[1]).splitlines()
    assert [line for line in lost if line.startswith("not ok")] == [
        f"not ok {number} - {FOURTH}: {name}" for number, name in enumerate(CHECKS, start=1)
    ]


def test_junit_has_a_suite_for_each_method(run: Run) -> None:
    document = ElementTree.fromstring(junit_text(run, run.combinations[0]))
    assert [(suite.get("name"), suite.get("tests"), suite.get("failures")) for suite in document.iter("testsuite")] == [
        ("ooo.normal", "2", "1"), ("ooo.p2p", "1", "0"),
    ]


def test_page_picture_run_file_history_and_comparison_take_it(run: Run) -> None:
    page = page_text(run, ROOT / "roles/report/templates")
    for case in AXES:
        assert f'id="at:ooo/{case}"' in page or f'id="at:noo/{case}"' in page
    assert 'href="ooo/journal-two.jsonl"' in page
    assert "not obtained" in picture_text(run)
    assert json.loads(run_text(run, "line"))["results"]["combinations"]["ooo"]["checks"] == {"total": 9, "judged": 9}
    assert list(record_of(run).combinations["ooo"].cases) == [FIRST, SECOND, THIRD]
    assert compare(run, run).changes == []
