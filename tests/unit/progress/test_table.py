# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of a run in progress: at the widths of terminals, and with what is written meanwhile."""

from __future__ import annotations

import io
import multiprocessing
import os
import re
import sys
import threading
from typing import Any

import pyte
import pytest
from rich.console import Console

from migration_lab.model.verdict import Verdict
from migration_lab.progress.run_progress import Phase, RunProgress
from migration_lab.progress.table import LiveTable, progress_table
from progress_rows import CALM, NOW, Stream, row, run_of

# Everything at once: every verdict, every phase, long times.
BUSY = run_of(
    row("ooo", Phase.DONE, {Verdict.PASS: 90, Verdict.KNOWN: 4, Verdict.FIXED: 2}, 1.6, last=NOW - 70),
    row("noo", Phase.NOT_OBTAINED, reason="the daemon on the target does not answer; " + "look at its log " * 20),
    row("ono", Phase.RUNNING, {Verdict.PASS: 30, Verdict.FAIL: 6, Verdict.ERROR: 2, Verdict.SKIP: 1}, 1.2, last=NOW - 1),
    row("oon", Phase.WAITING), row("nno", Phase.WAITING), row("non", Phase.WAITING), row("onn", Phase.WAITING),
    row("nnn", Phase.INTERRUPTED, {Verdict.PASS: 1}, last=NOW - 400),
)
def drawn(progress: RunProgress, width: int, **options: Any) -> str:
    console = Console(file=io.StringIO(), width=width, **options)
    console.print(progress_table(progress))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_the_table_at_80_columns() -> None:
    lines = drawn(CALM, 80).splitlines()
    assert len(lines) == 11
    assert lines[0] == "run 20261123T154200Z, pair debian"
    assert lines[1].split() == ["cases", "pass", "fail", "error", "cases/s", "left"]
    # A bar of nothing is empty.
    plain = [re.sub(r"[━╸╺]+", "", line).split() for line in lines[2:]]
    assert plain[0] == ["1", "ooo", "done", "96/96", "96", "0", "0", "1.6", "-"]
    assert plain[1] == ["2", "noo", "running", "24/96", "24", "0", "0", "1.2", "1:00"]
    assert plain[7] == ["8", "nnn", "waiting", "0/96", "0", "0", "0", "-", "-"]
    assert plain[8] == ["all", "1/8", "ended", "120/768", "120", "0", "0", "1.2", "7:00"]


@pytest.mark.parametrize("width", [80, 100, 120, 200])
@pytest.mark.parametrize("progress", [CALM, BUSY])
def test_nothing_is_cut_or_wrapped_at_the_widths_of_terminals(progress: RunProgress, width: int) -> None:
    lines = drawn(progress, width).splitlines()
    assert max(map(len, lines)) <= width
    table = [line for line in lines if re.match(r"\d \w{3} |all ", line)]
    assert len(table) == len(progress.combinations) + 1
    for one, line in zip(progress.combinations, table):
        words = line.split()
        assert words[1] == one.name and one.phase.value in line
        assert f" {one.done}/96 " in line
        numbers = [int(word) for word in words[1:] if word.isdigit()]
        assert [number for number in numbers if number] == list(one.counts.values())
    assert "…" not in "".join(table)


def test_every_verdict_has_a_column_and_a_word_at_80_columns() -> None:
    lines = drawn(BUSY, 80).splitlines()
    assert lines[1].split() == ["cases", "pass", "fail", "known", "fixed", "error", "skip", "cases/s", "left"]
    third = re.sub(r"[━╸╺]+", "=", next(line for line in lines if line.startswith("3 ono"))).split()
    assert third == ["3", "ono", "running", "=", "39/96", "30", "6", "0", "0", "2", "1", "1.2", "0:48"]


def test_why_a_combination_was_not_obtained_is_below_the_table_on_a_line_of_its_own() -> None:
    lines = drawn(BUSY, 80).splitlines()
    assert lines[-2].startswith("noo not obtained: the daemon on the target does not answer")
    assert len(lines[-2]) == 80 and lines[-2].endswith("…")
    assert lines[-1] == "interrupted: the playbook is gone; -e resume=true resumes the run"


def test_colours_repeat_what_words_say() -> None:
    coloured = drawn(BUSY, 100, force_terminal=True, color_system="standard", no_color=False)
    assert "\x1b[" in coloured
    words = re.sub(r"\x1b\[[\d;]*m", "", coloured)
    # Without colours the part of a bar that is to come is left out.
    assert re.sub("[━╸╺ ]+", " ", words) == re.sub("[━╸╺ ]+", " ", drawn(BUSY, 100))
    assert not re.search(r"\x1b\[[\d;]*3\d", drawn(BUSY, 100, force_terminal=True, color_system="standard", no_color=True))


def test_what_is_written_meanwhile_comes_above_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("LINES", "40")
    out, error = Stream(True), Stream(True)
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", error)
    table = LiveTable()
    sys.stdout.write("before\n")
    table.start(CALM)
    sys.stdout.write("a task\n")
    sys.stderr.write("\x1b[31ma warning\x1b[0m\n")
    table.update(BUSY)
    sys.stdout.write("half ")
    sys.stdout.write("and half\n")
    path = "/a/long/path" * 12
    print(path)
    sys.stdout.write("without an end")
    table.stop()
    sys.stdout.write("after\n")
    assert (sys.stdout, sys.stderr) == (out, error)
    screen = pyte.Screen(80, 40)
    stream = pyte.Stream(screen)
    stream.feed(out.getvalue().replace("\n", "\r\n"))
    shown = [line.rstrip() for line in screen.display]
    assert shown[:7] == ["before", "a task", "a warning", "half and half", path[:80], path[80:], "without an end"]
    assert path in out.getvalue(), "a line that is longer than the terminal is wide is no two lines"
    coloured = drawn(BUSY, 80, force_terminal=True, color_system="standard", no_color=False)
    table_lines = re.sub(r"\x1b\[[\d;]*m", "", coloured).splitlines()
    assert shown[7 : 7 + len(table_lines)] == [line.rstrip() for line in table_lines]
    assert shown[7 + len(table_lines)] == "after"
    assert not screen.cursor.hidden
    assert error.getvalue() == ""


def test_a_process_forks_between_two_drawings(monkeypatch: pytest.MonkeyPatch) -> None:
    hooks: dict[str, Any] = {}
    monkeypatch.setattr(os, "register_at_fork", lambda **given: hooks.update(given))
    monkeypatch.setenv("TERM", "xterm")
    out = Stream(True)
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", Stream(False))
    table = LiveTable()
    table.start(CALM)
    hooks["before"]()
    drawing = threading.Thread(target=table.update, args=(BUSY,))
    drawing.start()
    before = out.getvalue()
    drawing.join(0.2)
    assert drawing.is_alive() and out.getvalue() == before
    hooks["after_in_parent"]()
    drawing.join(5)
    assert not drawing.is_alive() and out.getvalue() != before
    hooks["before"]()
    hooks["after_in_child"]()
    table.stop()


def test_a_child_can_write_however_much_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stdout", Stream(True))
    monkeypatch.setattr(sys, "stderr", Stream(False))
    table = LiveTable()
    table.start(CALM)
    drawn_enough = threading.Event()

    def draw() -> None:
        # Without a pause the drawing thread takes the table's lock again before another thread wakes: forks would wait for ever.
        while not drawn_enough.wait(0.001):
            table.update(BUSY)

    drawing = threading.Thread(target=draw)
    drawing.start()
    try:
        for _ in range(20):
            child = multiprocessing.get_context("fork").Process(target=print, args=("a word",))
            child.start()
            child.join(10)
            assert child.exitcode == 0
    finally:
        drawn_enough.set()
        drawing.join()
        table.stop()
