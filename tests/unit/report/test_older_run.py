# SPDX-License-Identifier: GPL-3.0-or-later
"""A run of revision 2ac8d62, made with real daemons: whatever reads results today reads it as it was."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import jsonschema
import pytest

from migration_lab.history.file import read_history
from migration_lab.history.update import plan_update
from migration_lab.nightly.retention import choose, find_runs
from migration_lab.report.report import make_report
from migration_lab.results.comparable import question
from migration_lab.results.comparison import compare
from migration_lab.results.run import read_run
from synthetic_run import ROOT

NAME = "20261128T073649Z"
FLAGS = ("none", "undefine-source", "persist-dest", "undefine-source+persist-dest")
CASES = [f"p2p/transient-running/{flags}" for flags in FLAGS]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(ROOT / "tests/runs" / NAME, tmp_path / NAME))


def test_it_is_read(folder: Path) -> None:
    run = read_run(folder)
    (ooo,) = run.combinations
    assert run.green and run.summary == "green: 1 combination, 4 of 4 cases, 40 of 40 checks"
    assert list(ooo.selected) == CASES and ooo.journals == ["ooo/journal.jsonl"]
    assert {result.protocol for result in ooo.results.values()} == {"v3-params"} and ooo.seconds == 58.833
    assert run.axes[CASES[3]] == ("p2p", "transient-running", "undefine-source+persist-dest")


def test_its_report_is_made(folder: Path) -> None:
    report = make_report(folder, ROOT / "roles/report/templates", history=folder.parent / "history.sqlite", base="last")
    written = report.write()
    assert {path.name for path in written} == {
        "run.json", "index.html", "matrix.svg", "results.tap", "junit.xml", "history.sqlite",
    }
    assert "1..40" in (folder / "ooo/results.tap").read_text() and "not ok" not in (folder / "ooo/results.tap").read_text()
    schema = json.loads((ROOT / "scenarios/schema/run.json").read_text())
    jsonschema.validate(json.loads((folder / "run.json").read_text()), schema)
    assert report.line == f"debian, old libvirt 9.0.0: green, 4 pass; run {NAME}"


def test_it_is_compared_with(folder: Path) -> None:
    later = Path(shutil.copytree(folder, folder.with_name("later")))
    journal = later / "ooo/journal.jsonl"
    journal.write_text(journal.read_text().replace('"verdict":"pass"', '"verdict":"fail"', 1))
    comparison = compare(read_run(later), read_run(folder))
    assert comparison.tally == "1 newly failing, nothing else changed" and comparison.differences == []


def test_history_and_retention_take_it(folder: Path) -> None:
    root = folder.parent
    plan_update(root).write()
    record = read_history(root / "history.sqlite")[0].record(NAME)
    assert record and record.green and list(record.combinations["ooo"].cases) == CASES
    make_report(folder, ROOT / "roles/report/templates").write()
    (kept,) = find_runs(root)
    assert (kept.name, kept.green) == (NAME, True) and kept.outcome
    assert list(choose([kept], 0.0, 7)[0]) == [NAME]
    data = read_run(folder).data
    assert question({**data, "pair": {**data["pair"], "workers_per_core": 2}}) == question(data), "speed is no question"
