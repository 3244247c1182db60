# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a night resumes the one before, and its report."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any, Optional

import pytest

from migration_lab.model.errors import LabError
from migration_lab.nightly.night import (
    Found,
    Night,
    NightState,
    begun,
    check_space,
    end_night,
    last_night,
    reached_end,
    to_resume,
)
from synthetic_run import CASES, SyntheticRun, wrong_state

IMAGES = {"debian-12": "a1", "debian-13": "b1"}
PACKAGE = {"release": "debian-12", "name": "libvirt0", "old": "9.0.0-4", "new": "9.0.0-5"}
CHANGE = {
    "combination": "noo", "case": "p2p/transient-running/none", "before": "pass", "after": "fail",
    "reason_before": "", "reason_after": "target-state: expected running, got paused",
}
COUNTS = {"pass": 16, "fail": 0, "known": 0, "fixed": 0, "error": 0, "skip": 0, "not_obtained": 0}


def report_of(green: bool = True, base: str = "n0", counts: Optional[dict[str, int]] = None, **changes: Any) -> dict[str, Any]:
    """What migration_report returns; without a base there is no comparison."""
    lists = {kind: changes.get(kind, []) for kind in ("newly_failing", "newly_passing", "changed_reason", "other")}
    return {
        "green": green, "summary": "green" if green else "NOT green", "line": "", "counts": {**COUNTS, **(counts or {})},
        "comparison": {"base": base, "line": f"against {base}: nothing changed", "differences": [], **lists} if base else {},
    }


def ended(root: Path, **given: Any) -> Night:
    usual: dict[str, Any] = {
        "run": "n1", "found": Found(), "host": "lab", "why": "", "problems": [], "failure": "", "report": {}, "reported": True,
    }
    return end_night(root, **{**usual, **given})


def interrupted(root: Path, **fields: Any) -> NightState:
    """A night that a kill interrupted, as it is read back."""
    state = NightState("night-1", "2026-01-01T02:00:00Z", images=IMAGES, **fields)
    state.save(root)
    (root / "night-1").mkdir()
    (root / "night-1" / "run.json").write_text("{}")
    read, unusable = last_night(root)
    assert read == state and unusable == ""
    return state


def test_an_interrupted_night_is_resumed(tmp_path: Path) -> None:
    assert to_resume(tmp_path, interrupted(tmp_path), IMAGES, 3) == ("night-1", "")


def test_unknown_images_are_no_reason_to_begin_again(tmp_path: Path) -> None:
    assert to_resume(tmp_path, interrupted(tmp_path), {}, 3) == ("night-1", "")


def test_only_images_that_are_known_are_compared(tmp_path: Path) -> None:
    state = interrupted(tmp_path)
    assert to_resume(tmp_path, state, {"debian-12": "a1"}, 3) == ("night-1", "")
    run, why = to_resume(tmp_path, state, {"debian-12": "a2"}, 3)
    assert run == "" and "the image of debian-12 has changed" in why


def test_a_resumed_run_keeps_its_images_and_packages() -> None:
    before = NightState("night-1", "", images=IMAGES, packages=[PACKAGE])
    state = begun(before, "night-1", Found())
    assert (state.attempts, state.images, state.packages) == (2, IMAGES, [PACKAGE])
    assert begun(before, "night-1", Found({"debian-12": "a1"})).images == IMAGES


def test_a_rebuilt_image_has_changed_also_when_its_id_is_not_known(tmp_path: Path) -> None:
    run, why = to_resume(tmp_path, interrupted(tmp_path), {"debian-12": ""}, 3)
    assert run == "" and "the image of debian-12 has changed" in why
    assert begun(None, "night-2", Found({"debian-12": "", "debian-13": "b1"})).images == {"debian-13": "b1"}


def test_packages_of_an_unfinished_run_are_reported_with_the_next_and_those_of_an_ended_one_are_not() -> None:
    newer = {**PACKAGE, "name": "qemu"}
    state = begun(NightState("night-1", "", images=IMAGES, packages=[PACKAGE]), "night-2", Found({"debian-12": "a2"}, [newer]))
    assert (state.attempts, state.images, state.packages) == (1, {"debian-12": "a2"}, [PACKAGE, newer])
    assert begun(NightState("night-1", "", ended=True, packages=[PACKAGE]), "night-2", Found({}, [newer])).packages == [newer]
    assert begun(None, "night-1", Found({}, [newer])).packages == [newer]


def test_a_night_that_ended_is_not_resumed(tmp_path: Path) -> None:
    assert to_resume(tmp_path, interrupted(tmp_path, ended=True), IMAGES, 3) == ("", "")


def test_there_is_nothing_to_resume_before_the_first_night_and_when_its_run_had_not_begun(tmp_path: Path) -> None:
    assert last_night(tmp_path) == (None, "")
    assert to_resume(tmp_path, None, IMAGES, 3) == ("", "")
    assert to_resume(tmp_path, NightState("night-1", ""), IMAGES, 3) == ("", "")


def test_other_images_begin_a_new_run_that_says_why(tmp_path: Path) -> None:
    run, why = to_resume(tmp_path, interrupted(tmp_path), {**IMAGES, "debian-13": "b2"}, 3)
    assert (run, why) == ("", "run night-1 was interrupted and is left as it is: the image of debian-13 has changed")


def test_a_run_that_is_interrupted_again_and_again_is_left(tmp_path: Path) -> None:
    run, why = to_resume(tmp_path, interrupted(tmp_path, attempts=3), IMAGES, 3)
    assert (run, why) == ("", "run night-1 was interrupted 3 times and is left as it is")


@pytest.mark.parametrize("text", ["", "[1]", "{", '{"schema": 2, "run": "a", "started": ""}', '{"schema": 1, "mood": "good"}'])
def test_a_file_that_cannot_be_used_is_reported(tmp_path: Path, text: str) -> None:
    (tmp_path / "nightly.json").write_text(text)
    state, unusable = last_night(tmp_path)
    assert state is None and f"{tmp_path}/nightly.json cannot be used" in unusable


@pytest.mark.parametrize(
    "field", [{"run": 5}, {"started": None}, {"attempts": "x"}, {"attempts": True}, {"ended": 0}, {"images": []},
              {"images": {"debian-12": 1}}, {"packages": {}}, {"packages": ["libvirt0"]}],
)
def test_a_field_of_another_type_is_reported(tmp_path: Path, field: dict[str, Any]) -> None:
    (tmp_path / "nightly.json").write_text(json.dumps({"schema": 1, "run": "night-1", "started": "", **field}))
    state, unusable = last_night(tmp_path)
    assert state is None and f"cannot be used (wrong type of {next(iter(field))})" in unusable


def test_what_refreshing_found() -> None:
    refreshed = {
        "debian-12": {"newer": [{"name": "libvirt0", "old": "9.0.0-4", "new": "9.0.0-5"}], "reason": ""},
        "debian-13": {"newer": [], "reason": "the mirror is away"},
    }
    assert Found.from_data({"refreshed": refreshed}) == Found({"debian-12": ""}, [PACKAGE]), "killed before the ids were known"
    assert Found.from_data({"refreshed": refreshed, "images": IMAGES}) == Found(IMAGES, [PACKAGE])
    assert Found.from_data({"refreshed": {}, "images": IMAGES}) == Found(IMAGES)
    assert Found.from_data({}) == Found()


@pytest.fixture
def begun_run(tmp_path: Path) -> tuple[SyntheticRun, NightState]:
    """A night of two combinations that began an hour ago."""
    return SyntheticRun(tmp_path / "n1", ["ooo", "noo"], CASES[:4]), NightState(
        "n1", time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 3600)), images=IMAGES
    )


def test_a_run_reached_its_end_when_every_combination_is_done_or_not_obtained(
    tmp_path: Path, begun_run: tuple[SyntheticRun, NightState]
) -> None:
    run, state = begun_run
    assert not reached_end(tmp_path, state), "nothing has run"
    run.complete("ooo", {CASES[0].id: wrong_state})
    assert not reached_end(tmp_path, state), "noo has not begun"
    run.not_obtained("noo", "the daemon does not start")
    assert reached_end(tmp_path, state)
    os.utime(run.folder / "noo" / "not-obtained.json", (0, 0))
    assert not reached_end(tmp_path, state), "the note is of an earlier night"
    run.complete("noo")
    assert reached_end(tmp_path, state)
    run.journal_path("noo").write_text("broken\n")
    assert not reached_end(tmp_path, state)


def test_an_interrupted_combination_is_not_the_end(tmp_path: Path, begun_run: tuple[SyntheticRun, NightState]) -> None:
    run, state = begun_run
    run.complete("ooo")
    journal = run.start("noo")
    run.record(journal, CASES[0])
    journal.close()
    assert not reached_end(tmp_path, state)
    assert not reached_end(tmp_path, NightState("n2", state.started)), "there is no such run"


FAILED = "noo: NOT green"


@pytest.mark.parametrize(
    ("given", "problems", "over"),
    [
        ({"report": report_of(green=True)}, [], True),
        ({"report": report_of(green=False), "failure": FAILED}, [], True),
        ({"report": report_of(green=True), "failure": "the history is broken"}, ["the history is broken"], True),
        ({"report": report_of(green=False), "failure": FAILED, "reported": False}, [FAILED], False),
        ({"report": {}, "failure": FAILED, "problems": [FAILED, "no space"]}, [FAILED, "no space"], True),
    ],
    ids=["green", "red", "another-failure", "not-written", "no-report"],
)
def test_a_run_that_is_not_green_at_its_end_is_no_failure_of_the_lab(
    tmp_path: Path, begun_run: tuple[SyntheticRun, NightState], given: dict[str, Any], problems: list[str], over: bool
) -> None:
    run, state = begun_run
    run.complete("ooo")
    run.complete("noo")
    state.save(tmp_path)
    assert ended(tmp_path, **given).problems == problems
    after, _ = last_night(tmp_path)
    assert after and after.ended is over


def test_the_failure_of_an_unfinished_run_is_a_problem_though_it_is_not_green(
    tmp_path: Path, begun_run: tuple[SyntheticRun, NightState]
) -> None:
    run, state = begun_run
    run.complete("ooo")
    state.save(tmp_path)
    result = ended(tmp_path, report=report_of(green=False), failure="no space")
    assert result.problems == ["no space"] and result.failed
    after, _ = last_night(tmp_path)
    assert after and after.ended is False


def test_the_result_of_a_night_without_a_run_leaves_the_state_of_the_last(tmp_path: Path) -> None:
    interrupted(tmp_path)
    result = ended(tmp_path, run="", found=Found({}, [PACKAGE]), problems=["the disk is full"])
    assert (result.run, result.packages) == ("", [PACKAGE])
    assert last_night(tmp_path)[0] == NightState("night-1", "2026-01-01T02:00:00Z", images=IMAGES)


def test_a_disk_that_is_nearly_full_is_refused_with_how_much_and_where(tmp_path: Path) -> None:
    with pytest.raises(LabError, match=rf"GiB are free in the results folder {tmp_path}/results, a night needs 1e\+06"):
        check_space(tmp_path / "results", 1e6)
    assert check_space(tmp_path / "results", 0) > 0
    assert not (tmp_path / "results").exists()


def night(report: Optional[dict[str, Any]], **fields: Any) -> Night:
    """A night with such a report."""
    given: dict[str, Any] = {
        "run": "n1", "folder": "/results/n1", "host": "lab", "resumed": False, "why": "", "packages": [], "problems": [],
    }
    return Night(**{**given, **fields}, report=report)


@pytest.mark.parametrize(
    ("given", "changed", "failed", "green"),
    [
        (night(report_of()), False, False, True),
        (night(report_of(green=False)), False, False, False),  # as red as the last one
        (night(report_of(base="")), False, False, True),
        (night(report_of(green=False, base="")), True, False, False),
        (night(report_of(green=False, newly_failing=[CHANGE])), True, False, False),
        (night(report_of(newly_passing=[CHANGE])), True, False, True),
        (night(report_of(other=[CHANGE])), True, False, True),
        (night(report_of(), packages=[PACKAGE]), True, False, True),
        (night(report_of(green=False, counts={"not_obtained": 1})), False, True, False),
        (night(report_of(green=False, counts={"error": 1})), False, True, False),
        (night({**report_of(green=False), "lost": 8}), False, True, False),
        (night({**report_of(green=False), "lost": 0}), False, False, False),
        (night(report_of(), problems=["the mirror is away"]), False, True, False),
        (night(None, problems=["the disk is full"]), False, True, False),
    ],
    ids=[
        "same", "same-red", "first", "first-red", "failing", "passing", "other", "packages", "not-obtained", "error", "lost",
        "none-lost", "problem", "nothing",
    ],
)
def test_the_result_of_a_night(given: Night, changed: bool, failed: bool, green: bool) -> None:
    assert (given.changed, given.failed, given.green) == (changed, failed, green)


def test_a_night_in_a_line_and_in_a_mail() -> None:
    given = night(
        report_of(green=False, newly_failing=[CHANGE]), packages=[PACKAGE], problems=["the mirror is away"], why="run n0 is left"
    )
    assert given.line == (
        "migration lab on lab: run n1: NOT green; against n0: nothing changed; 1 package newer; "
        "the lab failed: the mirror is away"
    )
    assert given.text.splitlines()[1:] == [
        "",
        "debian-12: libvirt0 9.0.0-4 -> 9.0.0-5",
        "newly failing: noo p2p/transient-running/none: pass -> fail (target-state: expected running, got paused)",
        "the mirror is away",
        "run n0 is left",
        "results: /results/n1",
    ]
    assert night(None, run="", problems=["no space"]).line == "migration lab on lab: no run: no result; the lab failed: no space"
    said = night({**report_of(), "line": "debian: green; against n0: nothing changed; run n1"})
    assert said.line == "migration lab on lab: debian: green; against n0: nothing changed; run n1"


def test_a_mail_lists_only_so_many_changes() -> None:
    lines = night(report_of(newly_failing=[CHANGE] * 50)).text.splitlines()
    assert len([line for line in lines if line.startswith("newly failing")]) == 40
    assert "... and 10 further changes" in lines


def test_a_night_is_kept_with_its_run_and_only_there(tmp_path: Path) -> None:
    given = night(report_of(), folder=str(tmp_path / "n1"))
    given.save()
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "n1").mkdir()
    (tmp_path / "n1" / "run.json").write_text("{}")
    given.save()
    assert json.loads((tmp_path / "n1" / "nightly.json").read_text()) == given.to_data()
