# SPDX-License-Identifier: GPL-3.0-or-later
"""A run's releases are recorded when it proves enough."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from default_catalogue import SCENARIOS
from migration_lab.model.combination import COMBINATIONS, running_order
from migration_lab.model.errors import LabError
from migration_lab.model.pair import classes_of
from migration_lab.planning.recorded import read_record
from migration_lab.report.recording import record_run
from migration_lab.results.run import Run, read_run
from synthetic_run import CASES, PAIR, SyntheticRun, wrong_state


@pytest.fixture
def scenarios(tmp_path: Path) -> Path:
    """A folder of scenarios with the lab's schema and no record."""
    folder = tmp_path / "scenarios"
    folder.mkdir()
    (folder / "schema").symlink_to(SCENARIOS / "schema")
    return folder


TOOK_PART = {
    name: {"id": f"{name}-0123456789ab", "kind": "debootstrap", "libvirt": version}
    for name, version in (("bookworm", "9.0.0"), ("trixie", "11.3.0"))
}


def green(folder: Path, pair: dict[str, Any] = PAIR, **facts: Any) -> Run:
    """A green run of all combinations, with some of the cases so that the test is short."""
    run = SyntheticRun(folder, running_order(classes_of(pair)), CASES[:3], pair=pair, releases=TOOK_PART, **facts)
    for combination in run.data["combinations"]:
        run.complete(combination)
    return read_run(run.folder)


def test_green_run_puts_its_releases_on_record(scenarios: Path, tmp_path: Path) -> None:
    run = green(tmp_path / "r")
    assert record_run(scenarios, run) == ["bookworm", "trixie"]
    entries = read_record(scenarios)
    assert entries["bookworm"]["combinations"] == [name for name in COMBINATIONS if name != "nnn"]
    assert entries["trixie"]["combinations"] == [name for name in COMBINATIONS if name != "ooo"]
    assert entries["trixie"]["id"] == "trixie-0123456789ab" and entries["trixie"]["date"] == "2025-11-24"
    assert record_run(scenarios, run) == [], "it is there"


@pytest.mark.parametrize("profile", ["sweep", "canonical"])
def test_whole_sweep_puts_its_releases_on_record(scenarios: Path, tmp_path: Path, profile: str) -> None:
    swept = {"name": "sweep", "releases": list(TOOK_PART)}
    assert record_run(scenarios, green(tmp_path / "r", swept, profile=profile)) == ["bookworm", "trixie"]
    took_part = {"baa", "aba", "bba", "aab", "bab", "abb", "bbb"}
    assert set(read_record(scenarios)["trixie"]["combinations"]) == took_part


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"cases": ["normal/*"]}, "it is a run of chosen cases; record a green run of all combinations and cases"),
        ({"combinations": ["ooo", "noo"]}, "it is a run of chosen combinations"),
        ({"profile": "recovery"}, "it is of profile recovery"),
        ({"profile": "chain"}, "it is of profile chain"),
        ({"profile": "sweep"}, "it is of profile sweep"),
    ],
)
def test_run_that_proves_too_little_is_not_recorded(
    scenarios: Path, tmp_path: Path, facts: dict[str, Any], said: str
) -> None:
    run = green(tmp_path / "r")
    (run.folder / "run.json").write_text(json.dumps({**run.data, **facts}))
    with pytest.raises(LabError, match=f"run r cannot be recorded: {said}"):
        record_run(scenarios, read_run(run.folder))
    assert read_record(scenarios) == {}


def test_run_that_is_not_green_is_not_recorded(scenarios: Path, tmp_path: Path) -> None:
    red = SyntheticRun(tmp_path / "red", ["ooo"], CASES[:3], releases=TOOK_PART)
    red.complete("ooo", {CASES[1].id: wrong_state})
    with pytest.raises(LabError, match="run red cannot be recorded: it is not green; record a green run of all"):
        record_run(scenarios, read_run(red.folder))
    assert read_record(scenarios) == {}
