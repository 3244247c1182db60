# SPDX-License-Identifier: GPL-3.0-or-later
"""A recovery run by point and fault: the order of rows and columns, and the worst of each cell."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from migration_lab.results.recovery import NOT_OBTAINED, Recovery, is_recovery, read_recovery, severity
from migration_lab.results.run import read_run
from migration_lab.suites.recovery.case import RecoveryCase
from synthetic_recovery import Fate, SyntheticRecovery
from synthetic_run import SyntheticRun

# A few points and faults are enough to see rows and columns.
FAULTS = ("connection-closed", "source-daemon-killed", "agent-killed")


def few(case: RecoveryCase) -> bool:
    return case.fault.name in FAULTS and case.scenario.name.startswith("transient-running")


def mixed(case: RecoveryCase) -> Fate:
    """In each cell of finish-reply one case is worse than the other; the call is never seen by the lab."""
    if case.point.name == "finish-call":
        return "error", True
    if case.point.name == "finish-reply":
        return ("moved", False) if case.scenario.target_config else ("running-twice", True)
    return "intact", False


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> SyntheticRecovery:
    lab = SyntheticRecovery(tmp_path_factory.mktemp("recovery") / "run", ["nnn", "ooo"], "full", keep=few)
    lab.carry_out("nnn", mixed, leave_out=[lab.chosen["nnn"][0].id])
    lab.carry_out("ooo", mixed)
    return lab


@pytest.fixture(scope="module")
def recovery(lab: SyntheticRecovery) -> Recovery:
    return read_recovery(read_run(lab.folder))


def test_only_runs_of_the_suite_are_such(lab: SyntheticRecovery, tmp_path: Path) -> None:
    other = SyntheticRun(tmp_path / "run", ["nnn"])
    other.complete("nnn")
    assert is_recovery(read_run(lab.folder)) and not is_recovery(read_run(other.folder))


def test_rows_are_points_in_the_protocols_order_with_their_stages(recovery: Recovery) -> None:
    ooo, nnn = recovery.combinations
    assert [(grid.table, grid.protocol) for grid in ooo.grids] == [("normal", "v2"), ("p2p", "v2"), ("tunnelled", "v2")]
    normal = nnn.grids[0]
    assert [row.point for row in normal.rows][:4] == ["begin-call", "begin-reply", "prepare-call", "prepare-reply"]
    assert {stage: [row.point for row in rows] for stage, rows in normal.stages.items() if stage > 1} == {
        2: ["perform-reply", "finish-call"], 3: ["finish-reply"], 4: ["confirm-call"], 5: ["confirm-reply"],
    }
    assert "begin-call" not in [row.point for row in ooo.grids[0].rows], "v2 has no Begin"
    assert normal.rows[0].link == "client-source"


def test_columns_are_the_faults_in_use_by_group(recovery: Recovery) -> None:
    assert {group: [fault.name for fault in faults] for group, faults in recovery.groups.items()} == {
        "client": ["agent-killed"], "connection": ["connection-closed"], "daemon": ["source-daemon-killed"],
    }
    assert all(fault.description for fault in recovery.faults)


def test_a_cell_has_the_worst_first(recovery: Recovery) -> None:
    row = next(row for row in recovery.combinations[1].grids[0].rows if row.point == "finish-reply")
    cell = row.cells["connection-closed"]
    assert cell.counts == {"running-twice": 1, "moved": 1} and list(cell.counts) == ["running-twice", "moved"]
    assert (cell.worst, cell.red, cell.reason) == ("running-twice", 1, "single-copy: the guest is running-twice")
    assert cell in recovery.combinations[1].worst and cell in recovery.combinations[1].red
    assert all(cell.worst == "running-twice" for cell in recovery.combinations[1].worst)


def test_what_has_no_outcome_is_counted_as_such(lab: SyntheticRecovery, recovery: Recovery) -> None:
    nnn = recovery.combinations[1]
    assert nnn.counts[NOT_OBTAINED] == 1 and nnn.counts["error"] == nnn.by_stage[2]["error"] > 0
    assert sum(nnn.counts.values()) == len(lab.chosen["nnn"]) == sum(sum(one.values()) for one in nnn.by_stage.values())
    lost = next(cell for cell in nnn.cells if cell.counts.get(NOT_OBTAINED))
    assert lost.red == 1 and lost.reason == ""


def test_repetitions_are_together(tmp_path: Path) -> None:
    lab = SyntheticRecovery(
        tmp_path / "run", selection="smoke", repeat=3, keep=lambda case: case.fault.name == "connection-closed",
    )
    lab.carry_out("nnn", lambda case: ("lost", True) if case.repetition == 2 else ("intact", False))
    cell, = read_recovery(read_run(lab.folder)).combinations[0].cells
    assert cell.counts == {"lost": 1, "intact": 2}
    (scenario, flags), = cell.repeated
    assert [trial.repetition for trial in cell.repeated[scenario, flags]] == ["1", "2", "3"]


def test_guests_are_part_of_the_table(tmp_path: Path) -> None:
    lab = SyntheticRecovery(tmp_path / "run", selection="smoke", keep=lambda case: case.fault.name == "connection-closed")
    case, = lab.chosen["nnn"]
    several = f"one/{case.id}"
    facts: dict[str, Any] = {"guest": "one,two", "axes": {several: ["one", *case.axes.values()]}, "selected": {"nnn": [several]}}
    lab = SyntheticRecovery(tmp_path / "run", selection="smoke", keep=lambda case: False, **facts)
    grid, = read_recovery(read_run(lab.folder)).combinations[0].grids
    assert (grid.table, grid.protocol) == (f"one/{case.method.value}", "v3")
    assert [row.point for row in grid.rows] == [case.point.name]


def test_an_unknown_word_is_no_good_sign() -> None:
    assert severity("running-twice") < severity("vanished") < severity("intact")
