# SPDX-License-Identifier: GPL-3.0-or-later
"""``make watch`` beside a run that grows, on a terminal and without one. The run is made up: no machines are needed."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import ROOT
from pseudo_terminal import PseudoTerminal, environment
from synthetic_run import CASES, SyntheticRun, wrong_state

TWELVE = CASES[:12]
WATCH = [sys.executable, "-m", "migration_lab.progress.watch"]
ENVIRONMENT = environment(TERM="xterm-256color", PYTHONPATH="module_utils")


@pytest.fixture
def run(tmp_path: Path) -> SyntheticRun:
    """A run of two combinations that has begun."""
    return SyntheticRun(tmp_path / "growing", ["ooo", "noo"], TWELVE)


@pytest.fixture
def lines(run: SyntheticRun) -> Iterator[subprocess.Popen[str]]:
    """The run watched without a terminal, as in the background of a script: with SIGINT ignored."""
    process = subprocess.Popen(
        ["sh", "-c", "trap '' INT; exec \"$@\"", "sh", *WATCH, "--results", str(run.folder.parent)], cwd=ROOT, env=ENVIRONMENT,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )
    yield process
    process.kill()
    process.communicate()


def grow(run: SyntheticRun, combination: str) -> None:
    run.complete(combination, {TWELVE[3].id: wrong_state})


def test_make_watch_follows_the_newest_run_on_a_terminal_to_its_end(run: SyntheticRun) -> None:
    SyntheticRun(run.folder.parent / "older", started="2020-01-01T00:00:00Z")
    with PseudoTerminal(["make", "watch", f"RESULTS={run.folder.parent}"], ROOT, ENVIRONMENT) as terminal:
        terminal.wait_for("the run's name", lambda shown: "run growing, pair debian" in shown.screen)
        terminal.wait_for("the waiting run", lambda shown: shown.screen[-1].startswith("all ") and " 0/? " in shown.screen[-1])
        journal = run.start("ooo")
        for case in TWELVE[:5]:
            run.record(journal, case)
        with run.journal_path("ooo").open("ab") as torn:
            torn.write(b'{"type":"case","case":')
            torn.flush()
            terminal.wait_for("five cases", lambda shown: any("running" in line and " 5/12 " in line for line in shown.screen))
            torn.write(b"#torn\n")
        for case in TWELVE[5:]:
            run.record(journal, case, wrong_state if case is TWELVE[5] else None)
        terminal.wait_for("twelve cases", lambda shown: any(" done " in line and " 12/12 " in line for line in shown.screen))
        assert terminal.process.poll() is None
        run.not_obtained("noo", "no disk left")
        assert terminal.end() == 0
        shown = terminal.everything
        assert sum(line.startswith("all ") for line in shown) == 1, "one table, drawn over and over"
        assert "12/24    11     1      0" in next(line for line in shown if line.startswith("all "))
        assert "noo not obtained: no disk left" in shown
        assert not terminal.cursor_hidden


@pytest.mark.parametrize(("by", "status"), [("make", -signal.SIGINT), ("python", 130)])
def test_ctrl_c_ends_the_watching_quietly(run: SyntheticRun, by: str, status: int) -> None:
    results = str(run.folder.parent)
    command = ["make", "watch", f"RESULTS={results}"] if by == "make" else [*WATCH, "--results", results]
    with PseudoTerminal(command, ROOT, ENVIRONMENT) as terminal:
        terminal.wait_for("the table", lambda shown: shown.screen[-1].startswith("all "))
        terminal.interrupt()
        assert terminal.end() == status
        lines = terminal.everything
        assert sum(line.startswith("all ") for line in lines) == 1
        assert lines[-1].startswith("all "), "nothing is said after the table"
        assert not terminal.cursor_hidden


def test_without_a_terminal_there_are_lines(run: SyntheticRun, lines: subprocess.Popen[str]) -> None:
    assert lines.stdout
    first = lines.stdout.readline()
    assert first[9:] == "growing 0/? cases, 0 of 2 combinations ended, time left unknown\n"
    grow(run, "ooo")
    grow(run, "noo")
    rest, error = lines.communicate(timeout=30)
    assert (lines.returncode, error) == (0, "")
    assert "\x1b" not in rest
    assert rest.splitlines()[-1][9:] == "growing 24/24 cases, 22 pass, 2 fail, 2 of 2 combinations ended"


def test_in_ci_a_terminal_gets_lines(run: SyntheticRun) -> None:
    grow(run, "ooo")
    grow(run, "noo")
    with PseudoTerminal([*WATCH, "--results", str(run.folder.parent)], ROOT, {**ENVIRONMENT, "CI": "true"}) as terminal:
        assert terminal.end() == 0
        assert [line[9:] for line in terminal.everything] == ["growing 24/24 cases, 22 pass, 2 fail, 2 of 2 combinations ended"]


def test_ctrl_c_without_a_terminal(lines: subprocess.Popen[str]) -> None:
    assert lines.stdout
    lines.stdout.readline()
    lines.send_signal(signal.SIGINT)
    _, error = lines.communicate(timeout=30)
    assert (lines.returncode, error) == (130, "")


def test_an_interrupted_run_is_reported(run: SyntheticRun) -> None:
    journal = run.start("ooo")
    run.record(journal, TWELVE[0])
    journal.append("event", event="end", complete=False, seconds=1.0)
    journal.close()
    path = run.journal_path("ooo")
    path.write_text(re.sub(r'"time":[\d.]+', '"time":1764000000', path.read_text()))
    done = watch(run.folder.parent)
    assert done.returncode == 1
    assert "1/24 cases, 1 pass, 0 of 2 combinations ended, ooo interrupted" in done.stdout
    assert done.stderr == "run growing was interrupted; -e run=growing -e resume=true resumes it\n"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--run", "nothing"], "there is no run 'nothing' in {results}; there are growing\n"),
        (["--results", "/missing"], "there is no results folder /missing; start a run, or name the folder that has them\n"),
        (
            ["--results", "{results}/empty"],
            "there is no run in {results}/empty; run the matrix first, or set results_root\n",
        ),
    ],
)
def test_no_such_run_is_one_sentence(run: SyntheticRun, arguments: list[str], sentence: str) -> None:
    results = str(run.folder.parent)
    (run.folder.parent / "empty").mkdir()
    done = watch(run.folder.parent, *(argument.replace("{results}", results) for argument in arguments))
    assert (done.returncode, done.stdout, done.stderr) == (2, "", sentence.replace("{results}", results))


def watch(results: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Watch without a terminal to the end."""
    return subprocess.run(
        [*WATCH, "--results", str(results), *arguments], cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True,
        timeout=60, check=False,
    )
