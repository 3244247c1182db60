# SPDX-License-Identifier: GPL-3.0-or-later
"""A run in a line for a chat."""

from __future__ import annotations

from pathlib import Path

from migration_lab.report.chat import LONGEST, chat_line
from migration_lab.results.comparison import compare
from migration_lab.results.run import read_run
from synthetic_run import CASES, EMULATED, SyntheticRun, lab_error, wrong_state


def test_green_run(tmp_path: Path) -> None:
    lab = SyntheticRun(tmp_path / "night-2", ["ooo", "nnn"])
    lab.complete("ooo")
    lab.complete("nnn")
    run = read_run(lab.folder)
    assert chat_line(run) == "debian, libvirt 9.0.0 -> 11.3.0: green, 192 pass; run night-2"
    assert chat_line(run, compare(run, run)) == (
        "debian, libvirt 9.0.0 -> 11.3.0: green, 192 pass; against night-2: nothing changed; run night-2"
    )


def test_red_run_says_everything_that_keeps_it_from_green(tmp_path: Path) -> None:
    lab = SyntheticRun(tmp_path / "night", ["ooo", "noo"], CASES[:9])
    journal = lab.start("ooo")
    for case, spoil in zip(CASES[:8], (wrong_state, lab_error("hung"), *[None] * 6)):
        lab.record(journal, case, spoil)
    lab.die(journal)
    journal.close()
    assert chat_line(read_run(lab.folder)) == (
        "debian, old libvirt 9.0.0: NOT green, 6 pass, 1 fail, 1 error, 10 not obtained, 1 combination not obtained, "
        "1 daemon death unexplained; run night"
    )


def test_a_run_without_a_version_names_the_pair(tmp_path: Path) -> None:
    line = chat_line(read_run(SyntheticRun(tmp_path / "night", ["ooo"], CASES[:1]).folder))
    assert line.startswith("debian: NOT green, ")


def test_emulated_machines_are_said(tmp_path: Path) -> None:
    lab = SyntheticRun(tmp_path / "night", ["ooo"], CASES[:1], pair=EMULATED)
    lab.complete("ooo")
    assert "; old is emulated: debian-12 presented as libvirt 0.9.1; run night" in chat_line(read_run(lab.folder))


def test_line_is_never_too_long_and_keeps_start_and_run(tmp_path: Path) -> None:
    lab = SyntheticRun(
        tmp_path / ("n" * 200), ["ooo"], CASES[:1], pair={**EMULATED, "name": "p" * 300},
        untried=[f"release-{number}" for number in range(50)],
    )
    lab.complete("ooo")
    line = chat_line(read_run(lab.folder))
    assert len(line) == LONGEST
    assert line.startswith("ppp") and "old libvirt 9.0.0: green, 1 pass" in line
    assert line.endswith(f"...; run {'n' * 57}...") and "\n" not in line
