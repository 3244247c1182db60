# SPDX-License-Identifier: GPL-3.0-or-later
"""Lines of a run in progress: what they say, when they are printed, and where."""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from migration_lab.progress import lines as lines_module
from migration_lab.progress.face import choose_face, table_wanted
from migration_lab.progress.follower import RunFollower
from migration_lab.progress.lines import INTERVAL, Lines, progress_line
from migration_lab.progress.run_progress import Phase
from progress_rows import CALM, NOW, Stream, row, run_of
from synthetic_run import CASES, SyntheticRun, lab_error, wrong_state


def test_the_line_where_there_is_no_terminal() -> None:
    clock = time.strftime("%H:%M:%S", time.localtime(NOW))
    assert progress_line(CALM) == (
        f"{clock} 20261123T154200Z 120/768 cases, 120 pass, 1 of 8 combinations ended, noo running, 1.2 cases/s, 7 min 0 s left"
    )
    assert progress_line(run_of(row("ooo", Phase.RUNNING, last=NOW - 95))) == (
        f"{clock} 20261123T154200Z 0/96 cases, 0 of 1 combination ended, ooo running, "
        "time left unknown, nothing new for 1 min 35 s"
    )


def test_the_line_of_a_run_that_has_ended_says_no_time(tmp_path: Path) -> None:
    run = SyntheticRun(tmp_path / "ended", ["ooo", "noo"], CASES[:4])
    run.complete("ooo", {CASES[0].id: wrong_state, CASES[1].id: lab_error("no answer")})
    run.not_obtained("noo", "no disk left")
    line = progress_line(RunFollower(run.folder).look(time.time()))
    assert line[9:] == "ended 4/8 cases, 2 pass, 1 fail, 1 error, 2 of 2 combinations ended, noo not obtained"


def test_the_first_and_the_last_look_are_printed_and_one_every_few_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    clock = SimpleNamespace(monotonic=lambda: now, strftime=time.strftime, localtime=time.localtime)
    monkeypatch.setattr(lines_module, "time", clock)
    printed: list[str] = []
    lines = Lines(printed.append)
    lines.start(CALM)
    for later in range(1, 13):
        now = 100.0 + later
        lines.update(replace(CALM, now=NOW + later))
    assert printed == [progress_line(replace(CALM, now=NOW + later)) for later in (0, INTERVAL, 2 * INTERVAL)]
    lines.stop()
    assert printed[3:] == [progress_line(replace(CALM, now=NOW + 12))], "what was seen last"


def test_a_run_that_has_ended_already_is_one_line() -> None:
    printed: list[str] = []
    lines = Lines(printed.append)
    lines.start(CALM)
    lines.stop()
    assert printed == [progress_line(CALM)]


@pytest.mark.parametrize(
    ("terminal", "environment", "wanted"),
    [
        (True, {"TERM": "xterm-256color"}, True),
        (True, {"TERM": "xterm", "NO_COLOR": "1"}, True),
        (True, {"TERM": "xterm", "CI": ""}, True),
        (True, {"TERM": "xterm", "CI": "true"}, False),
        (True, {"TERM": "dumb"}, False),
        (True, {}, False),
        (False, {"TERM": "xterm"}, False),
        (False, {"TERM": "xterm", "FORCE_COLOR": "1"}, False),
    ],
)
def test_a_table_needs_a_terminal(terminal: bool, environment: dict[str, str], wanted: bool) -> None:
    assert table_wanted(Stream(terminal), environment) is wanted


@pytest.mark.parametrize(("terminal", "face"), [(True, "LiveTable"), (False, "Lines")])
def test_a_terminal_gets_the_table_and_everything_else_lines(monkeypatch: pytest.MonkeyPatch, terminal: bool, face: str) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setattr(sys, "stdout", Stream(terminal))
    assert type(choose_face(print)).__name__ == face
