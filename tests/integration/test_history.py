# SPDX-License-Identifier: GPL-3.0-or-later
"""report.yml as it is called: what changed, the history, and what is refused or said. No containers, synthetic runs."""

from __future__ import annotations

import json
import shutil
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


def report(lab: Lab, *options: str, **settings: str) -> Played:
    """Make a report that must be made."""
    played = lab.play("report", *options, **settings)
    assert played.status == 0, played.output
    return played


def test_what_changed_since_the_last_run_and_since_another(here: Lab) -> None:
    before = files(here)
    assert report(here, "--check").changed() == 1 and files(here) == before
    played = report(here)
    assert "run night-3: " in played.output
    assert f"against night-2: 1 newly failing, nothing else changed newly failing: noo {SECOND}: pass -> fail" in played.message()
    assert (here.results / "history.sqlite").is_file() and not (here.results / "night-2/index.html").exists()
    assert report(here).changed() == 0, "the same again"
    results = json.loads((here.results / "night-3/run.json").read_text())["results"]
    assert results["comparison"]["base"] == "night-2" and "against night-2: 1 newly failing" in results["line"]

    assert "against night-1: 2 newly failing, nothing else changed" in report(here, base="night-1").output
    assert "against night-3: 1 newly passing, nothing else changed" in report(here, run="night-2", base="night-3").output
    assert "run night-3: " in report(here).output, "still the newest, though another one was written last"
    first = report(here, run="night-1")
    assert "compared with no other run: none before it has the same pair" in first.message()
    assert "against night" not in report(here, base="").output


def test_history_of_a_combination_and_of_a_case(here: Lab) -> None:
    combination = report(here, history_of="noo")
    assert "history of noo (pair debian, profile canonical, guest x86_64), 3 runs" in combination.output
    row = next(line.split() for line in combination.output.splitlines() if "night-3" in line)
    assert row == ["night-3", "2026-01-03T02:00:00Z", "4", "2", "11.3.0", "9.0.0/7.2.22", "9.0.0/7.2.22", "1", "flaky"]
    case = report(here, history_of=f"noo/{FIRST}", run="night-2")
    rows = [line.split()[:3] for line in case.output.splitlines() if " night-" in line]
    assert rows == [["night-1", "2026-01-01T02:00:00Z", "pass"], ["night-2", "2026-01-02T02:00:00Z", "fail"]]
    assert "flaky: its verdict changed without a change of versions" in case.output
    assert not (here.results / "night-3/index.html").exists(), "no report is made"
    unknown = here.play("report", history_of="noo/never")
    assert unknown.status != 0 and "has selected noo/never; name a combination (noo) or a case" in unknown.message()


def test_unknown_base_is_refused_and_nothing_is_written(here: Lab) -> None:
    before = files(here)
    for base in ("night-9", "../night-1"):
        played = here.play("report", base=base)
        assert played.status != 0
        sentence = f"there is no run '{base}' in {here.results}; there are night-3, night-2, night-1"
        assert sentence in played.message() and "Traceback" not in played.output
    assert "cannot be compared with itself" in here.play("report", base="night-3").message()
    assert f"there is no run 'night-9' in {here.results}; there are night-3" in here.play("report", run="night-9").message()
    assert files(here) == before


def test_results_of_another_schema_are_one_sentence_and_nothing_is_lost(here: Lab) -> None:
    path = here.results / "night-2/run.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "schema": 7}))
    before = files(here)
    sentence = "run.json has schema 7, this lab reads schema 1; use the lab's version that wrote it"
    for settings in ({"run": "night-2"}, {"base": "night-2"}):
        played = here.play("report", **settings)
        assert played.status != 0 and sentence in played.message() and "Traceback" not in played.output
    assert files(here) == before
    played = report(here)
    assert "run night-2 is left out of the history, because" in played.message()
    assert "against night-1: 2 newly failing" in played.output, "the last one that can be read"
    assert files(here)["night-2/run.json"] == before["night-2/run.json"]

    journal = here.results / "night-1/noo/journal.jsonl"
    journal.write_text(journal.read_text().replace('"schema":1', '"schema":7', 1))
    played = here.play("report", run="night-1")
    assert played.status != 0 and f"the journal {journal} has schema 7, this lab reads schema 1" in played.message()


def test_a_torn_last_line_is_read_up_to_it_and_one_in_the_middle_is_said(here: Lab) -> None:
    journal = here.results / "night-3/noo/journal.jsonl"
    lines = journal.read_text().splitlines(keepends=True)
    torn = "".join(lines[:-2]) + lines[-2][:100]  # the last case, without the line of the end
    journal.write_text(torn)
    played = report(here)
    assert "1 case not obtained" in played.output and "against night-2: 2 newly failing" in played.output
    assert f"noo {SOME[-1].id}: pass -> not obtained" in played.output
    assert journal.read_text() == torn
    journal.write_text("".join([*lines[:2], lines[2][:100] + "\n", *lines[3:]]))
    played = here.play("report")
    sentence = f"line 3 of the journal {journal} is not JSON; restore the file or remove it"
    assert played.status != 0 and sentence in played.message()


def test_a_broken_history_is_set_aside_and_made_again(here: Lab) -> None:
    report(here)
    shutil.rmtree(here.results / "night-1")
    history = here.results / "history.sqlite"
    history.write_bytes(b"no database, whatever its name says\n" * 99)
    broken = history.read_bytes()
    played = report(here, history_of="nnn")
    aside = next(here.results.glob("history.sqlite.broken-*"))
    assert aside.read_bytes() == broken
    assert f"cannot be trusted (file is not a database): it is set aside as {aside.name} and made again" in played.message()
    assert "2 runs" in played.output, "what the journals can say"
    assert "cannot be trusted" not in report(here).output


def test_the_history_is_read_again_from_all_journals(here: Lab) -> None:
    report(here)
    (here.results / "night-1/run.json").write_text("[]")
    shutil.rmtree(here.results / "night-2")
    played = report(here, rebuild="true")
    assert "run night-1 is left out of the history, because" in played.message()
    assert "what the history has of 1 run without a folder was kept: night-2" in played.message()
    assert "3 runs in the history" in played.output
    (here.results / "history.sqlite").unlink()
    assert "1 run in the history" in report(here, rebuild="true").output
