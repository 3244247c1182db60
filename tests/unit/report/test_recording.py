# SPDX-License-Identifier: GPL-3.0-or-later
"""A run's releases are recorded when it proves enough."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from default_catalogue import SCENARIOS
from migration_lab.model.errors import LabError
from migration_lab.planning.recorded import read_record
from migration_lab.report.recording import record_run
from migration_lab.results.run import read_run
from synthetic_run import CASES, SyntheticRun, wrong_state


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


def test_green_run_puts_its_releases_on_record(scenarios: Path, tmp_path: Path) -> None:
    run = SyntheticRun(tmp_path / "r", ["ooo", "noo"], CASES[:3], releases=TOOK_PART)
    for combination in ("ooo", "noo"):
        run.complete(combination)
    assert record_run(scenarios, read_run(run.folder)) == ["bookworm", "trixie"]
    entries = read_record(scenarios)
    assert entries["bookworm"]["combinations"] == ["ooo", "noo"] and entries["trixie"]["combinations"] == ["noo"]
    assert entries["trixie"]["id"] == "trixie-0123456789ab" and entries["trixie"]["date"] == "2025-11-24"
    assert record_run(scenarios, read_run(run.folder)) == [], "it is there"


def test_release_that_took_no_part_keeps_its_mark(scenarios: Path, tmp_path: Path) -> None:
    run = SyntheticRun(tmp_path / "r", ["ooo"], CASES[:3], releases=TOOK_PART)
    run.complete("ooo")
    assert record_run(scenarios, read_run(run.folder)) == ["bookworm"]


def test_run_that_proves_too_little_is_not_recorded(scenarios: Path, tmp_path: Path) -> None:
    red = SyntheticRun(tmp_path / "red", ["ooo"], CASES[:3], releases=TOOK_PART)
    red.complete("ooo", {CASES[1].id: wrong_state})
    with pytest.raises(LabError, match="run red cannot be recorded: it is not green; record a green run of all cases"):
        record_run(scenarios, read_run(red.folder))
    chosen = SyntheticRun(tmp_path / "chosen", ["ooo"], CASES[:3], releases=TOOK_PART)
    chosen.complete("ooo")
    (chosen.folder / "run.json").write_text(json.dumps({**chosen.data, "cases": ["normal/*"]}))
    with pytest.raises(LabError, match="run chosen cannot be recorded: it is a run of chosen cases"):
        record_run(scenarios, read_run(chosen.folder))
    assert read_record(scenarios) == {}
