# SPDX-License-Identifier: GPL-3.0-or-later
"""report.yml as it is called: what changed, the history, and what is refused. No containers, synthetic runs.

One playbook for each thing that it shows; tests/unit/history, tests/unit/results and tests/unit/report have the cases of each.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lab import Lab, Played
from synthetic_run import CASES, SyntheticRun, wrong_state

SOME = CASES[:6]
FIRST, SECOND = SOME[0].id, SOME[1].id


def night(root: Path, number: int, *failing: str) -> SyntheticRun:
    """A run of two combinations, some cases failing in one of them."""
    lab = SyntheticRun(root / f"night-{number}", ["noo", "nnn"], SOME, started=f"2026-01-0{number}T02:00:00Z")
    lab.complete("noo", {case: wrong_state for case in failing})
    lab.complete("nnn")
    return lab


@pytest.fixture
def here(tmp_path: Path) -> Lab:
    """A results folder with three nights, not reported yet."""
    night(tmp_path, 1)
    night(tmp_path, 2, FIRST)
    night(tmp_path, 3, FIRST, SECOND)
    return Lab(tmp_path)


def files(lab: Lab) -> dict[str, bytes]:
    """Everything in the results folder."""
    return {str(path.relative_to(lab.results)): path.read_bytes() for path in lab.results.rglob("*") if path.is_file()}


def report(lab: Lab, **settings: str) -> Played:
    """Run the playbook, which must succeed."""
    played = lab.play("report", **settings)
    assert played.status == 0, played.output
    return played


def test_the_newest_run_is_compared_with_the_last_one(here: Lab) -> None:
    played = report(here)
    assert "run night-3: " in played.output
    assert f"against night-2: 1 newly failing, nothing else changed newly failing: noo {SECOND}: pass -> fail" in played.message()
    assert (here.results / "history.sqlite").is_file() and not (here.results / "night-2/index.html").exists()
    results = json.loads((here.results / "night-3/run.json").read_text())["results"]
    assert results["comparison"]["base"] == "night-2" and "against night-2: 1 newly failing" in results["line"]


def test_a_named_run_is_compared_with_a_named_one(here: Lab) -> None:
    assert "against night-3: 1 newly passing, nothing else changed" in report(here, run="night-2", base="night-3").output
    assert not (here.results / "night-3/index.html").exists()


def test_history_of_a_case(here: Lab) -> None:
    case = report(here, history_of=f"noo/{FIRST}", run="night-2")
    assert f"history of noo/{FIRST} (pair debian, profile canonical, guest x86_64), 2 runs" in case.output
    rows = [line.split()[:3] for line in case.output.splitlines() if " night-" in line]
    assert rows == [["night-1", "2026-01-01T02:00:00Z", "pass"], ["night-2", "2026-01-02T02:00:00Z", "fail"]]
    assert "flaky: its verdict changed without a change of versions" in case.output
    assert not list(here.results.glob("*/index.html")), "no report is made"


def test_what_cannot_be_shown_is_refused_and_nothing_is_written(here: Lab) -> None:
    before = files(here)
    played = here.play("report", base="night-9")
    assert played.status != 0
    assert f"there is no run 'night-9' in {here.results}; there are night-3, night-2, night-1" in played.message()
    assert "Traceback" not in played.output
    assert files(here) == before


def test_a_broken_history_is_set_aside_and_read_again_from_all_journals(here: Lab) -> None:
    (here.results / "night-1/run.json").write_text("[]")
    history = here.results / "history.sqlite"
    history.write_bytes(b"no database, whatever its name says\n" * 99)
    broken = history.read_bytes()
    played = report(here, rebuild="true")
    (aside,) = here.results.glob("history.sqlite.broken-*")
    assert aside.read_bytes() == broken
    assert f"cannot be trusted (file is not a database): it is set aside as {aside.name} and made again" in played.message()
    assert "run night-1 is left out of the history, because" in played.message()
    assert "2 runs in the history" in played.output
