# SPDX-License-Identifier: GPL-3.0-or-later
"""Which runs are kept, and what removing the others leaves alone."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any, Optional

import pytest

from migration_lab.model.errors import LabError
from migration_lab.nightly.retention import DAY, KeptRun, choose, find_runs, remove_run

NOW = 1_800_000_000.0


def run(
    day: int, outcome: Optional[str] = "all pass", green: bool = True, kind: str = "debian", newer: bool = False,
    changed: bool = False,
) -> KeptRun:
    """A run of so many days ago."""
    touched = NOW - day * DAY
    return KeptRun(f"{2000 - day}", f"{2000 - day}", touched, kind, outcome, green, newer, changed)


def removed(runs: list[KeptRun], days: float = 7, running: str = "") -> list[int]:
    """The days ago of the runs that are removed."""
    return [2000 - int(name) for name in choose(runs, NOW, days, running)[1]]


def test_runs_of_the_last_days_and_the_first_and_the_last_green_are_kept() -> None:
    runs = [run(day) for day in range(12)]
    assert removed(runs) == [10, 9, 8, 7]
    assert choose(runs, NOW, 7)[0]["1989"] == "it changed something"


def test_runs_that_changed_something_are_kept() -> None:
    runs = [run(20), run(19), run(18, "one fails", False), run(17, "one fails", False), run(16), run(15), run(1)]
    assert removed(runs) == [19, 17, 15]


def test_runs_of_newer_packages_are_kept() -> None:
    assert removed([run(20), run(19, newer=True), run(18), run(1)]) == [18]


def test_runs_whose_comparison_has_a_change_are_kept() -> None:
    assert removed([run(20), run(19, changed=True), run(18), run(1)]) == [18]


def test_the_last_green_run_is_kept_however_old() -> None:
    runs = [run(60), run(50), *(run(day, "one fails", False) for day in (40, 30, 20, 1))]
    assert removed(runs) == [30, 20]
    assert choose(runs, NOW, 7)[0]["1950"] == "it is the last green one"


def test_runs_that_cannot_be_compared_change_nothing_for_each_other() -> None:
    runs = [run(20), run(19, "other", kind="v3-protocol"), run(18), run(17, "other", kind="v3-protocol"), run(1)]
    assert removed(runs) == [18]  # the 17th day's is the last green one of its pair


def test_a_run_without_results_is_no_base_and_is_kept() -> None:
    runs = [run(20), run(19, None, False), run(18), run(1)]
    assert removed(runs) == [18]
    assert choose(runs, NOW, 7)[0]["1981"] == "it has no results to judge it by"
    assert choose(runs, NOW, 7, running="1981")[0]["1981"] == "it is in progress, or the night's own"


def test_the_newest_run_is_kept_however_old() -> None:
    assert removed([run(20), run(19, None, False)]) == []


def test_choosing_again_removes_nothing_more() -> None:
    outcomes = "aabbbaaccca"
    runs = [run(100 - number, outcome, outcome == "a") for number, outcome in enumerate(outcomes)]
    gone = set(choose(runs, NOW, 7)[1])
    rest = [entry for entry in runs if entry.name not in gone]
    assert gone and choose(rest, NOW, 7)[1] == []
    assert [entry.outcome for entry in rest][:5] == ["a", "b", "a", "c", "a"]


def folder(root: Path, name: str, **data: Any) -> Path:
    """A run's folder as the lab leaves it."""
    made = root / name
    (made / "nnn").mkdir(parents=True)
    (made / "nnn" / "journal.jsonl").write_text("{}\n")
    facts = {
        "schema": 1, "run": name, "started": f"2026-01-01T00:00:{name}Z", "pair": {"name": "debian"}, "profile": "canonical",
        "guest": "x86_64", "combinations": ["nnn"], "cases": ["*"],
    }
    (made / "run.json").write_text(json.dumps({**facts, **data}))
    return made


def test_runs_are_read_with_their_outcome(tmp_path: Path) -> None:
    failure = {"kind": "case", "combination": "nnn", "case": "p2p/a/none", "verdict": "fail", "reason": "one", "steps": [1]}
    results = {"green": False, "combinations": {"nnn": {"counts": {"pass": 1}, "seconds": 1.0}}, "failures": [failure]}
    folder(tmp_path, "01", results=results)
    slower = {**results, "combinations": {"nnn": {"counts": {"pass": 1}, "seconds": 2.0}}}
    folder(tmp_path, "02", results=slower)
    folder(tmp_path, "03", results={**results, "failures": [{**failure, "reason": "another"}]})
    folder(tmp_path, "04")
    (tmp_path / "02" / "nightly.json").write_text(json.dumps({"packages": [{"name": "libvirt0"}]}))
    first, second, third, fourth = find_runs(tmp_path)
    assert first.outcome == second.outcome != third.outcome
    assert first.kind == fourth.kind and fourth.outcome is None
    assert [entry.newer_images for entry in (first, second, third)] == [False, True, False]


def test_another_deviation_is_another_outcome_and_a_stored_change_is_a_change(tmp_path: Path) -> None:
    def results(deviation: str, **comparison: Any) -> dict[str, Any]:
        seen = {"id": deviation, "known": {"nnn": 1}, "fixed": {}}
        combinations = {"nnn": {"counts": {"pass": 1, "known": 1}}}
        return {
            "green": True, "combinations": combinations, "failures": [], "deviations": [seen],
            "comparison": {"base": "00", "newly_failing": [], **comparison} if comparison else None,
        }

    folder(tmp_path, "01", results=results("one"))
    folder(tmp_path, "02", results=results("another"))
    folder(tmp_path, "03", results=results("another", other=[]))
    folder(tmp_path, "04", results=results("another", other=[{"case": "p2p/a/none"}]))
    first, second, third, fourth = find_runs(tmp_path)
    assert first.outcome != second.outcome == third.outcome == fourth.outcome
    assert [entry.compared_changed for entry in (first, second, third, fourth)] == [False, False, False, True]


@pytest.mark.parametrize(
    "spoiled",
    [
        {"combinations": ["nnn"]}, {"combinations": {"nnn": None}}, {"failures": None}, {"deviations": ["one"]},
        {"comparison": [1]},
    ],
)
def test_a_run_with_damaged_results_is_left_alone(tmp_path: Path, spoiled: dict[str, Any]) -> None:
    results = {"green": True, "combinations": {"nnn": {"counts": {"pass": 1}}}, "failures": [], "deviations": []}
    folder(tmp_path, "01", results=results)
    folder(tmp_path, "02", results={**results, **spoiled})
    assert [entry.name for entry in find_runs(tmp_path)] == ["01"]


def test_what_a_writer_takes_away_meanwhile_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder(tmp_path, "01")
    (tmp_path / "01" / "nnn" / "journal.jsonl.new").write_text("")
    lstat = os.lstat

    def taken_away(path: Any, **options: Any) -> os.stat_result:
        if str(path).endswith(".new"):
            Path(path).unlink()
        return lstat(path, **options)

    with monkeypatch.context() as patched:
        patched.setattr(os, "lstat", taken_away)
        assert [entry.name for entry in find_runs(tmp_path)] == ["01"]
    assert not (tmp_path / "01" / "nnn" / "journal.jsonl.new").exists()


def test_only_runs_of_the_lab_are_runs(tmp_path: Path) -> None:
    elsewhere = folder(tmp_path / "elsewhere", "linked")
    root = tmp_path / "results"
    folder(root, "01")
    (root / "linked").symlink_to(elsewhere)
    folder(root, "renamed", run="another")
    folder(root, "no-schema", schema="1")
    folder(root, "newer-schema", schema=99)
    (root / "foreign").mkdir()
    (root / "foreign" / "run.json").write_text("[not json")
    folder(root, "link-inside")
    (root / "link-inside" / "run.json").rename(tmp_path / "run.json")
    (root / "link-inside" / "run.json").symlink_to(tmp_path / "run.json")
    (root / "history.sqlite").write_text("")
    assert [entry.name for entry in find_runs(root)] == ["01"]
    for name in (
        "linked", "renamed", "no-schema", "newer-schema", "foreign", "link-inside", "history.sqlite", "nothing",
        "../elsewhere/linked",
    ):
        with pytest.raises(LabError, match="is not the folder of a run; nothing of it was removed"):
            remove_run(root, name)
    assert elsewhere.exists() and (root / "foreign" / "run.json").exists()


def test_a_run_is_removed_and_what_its_links_lead_to_is_not(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("kept")
    root = tmp_path / "results"
    made = folder(root, "01")
    (made / "shortcut").symlink_to(outside)
    (made / "nnn" / "shortcut").symlink_to(outside)
    remove_run(root, "01")
    assert not made.exists() and (outside / "kept").read_text() == "kept"


def test_a_removal_that_was_killed_is_done_the_next_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder(tmp_path, "01")

    def killed(path: Path) -> None:
        (path / "journal.jsonl").unlink()
        raise OSError("killed here")

    with monkeypatch.context() as patched:
        patched.setattr(shutil, "rmtree", killed)
        with pytest.raises(LabError, match="run 01 could not be removed"):
            remove_run(tmp_path, "01")
    assert [entry.name for entry in find_runs(tmp_path)] == ["01"]
    remove_run(tmp_path, "01")
    assert not (tmp_path / "01").exists()


def test_a_run_that_was_written_to_lately_is_young(tmp_path: Path) -> None:
    made = folder(tmp_path, "01")
    for entry in (made / "run.json", made / "nnn", made):
        os.utime(entry, (NOW - 40 * DAY, NOW - 40 * DAY))
    os.utime(made / "nnn" / "journal.jsonl", (NOW - DAY, NOW - DAY))
    (found,) = find_runs(tmp_path)
    assert found.touched == NOW - DAY
