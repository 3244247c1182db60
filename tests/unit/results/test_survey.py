# SPDX-License-Identifier: GPL-3.0-or-later
"""A survey's results: what a case, and what the daemons said before it, make of a device."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from migration_lab.judging.observation import Observation, Outcome
from migration_lab.model.case import Case
from migration_lab.model.errors import LabError
from migration_lab.results.run import read_run
from migration_lab.results.survey import Fate, Result, Survey, read_survey
from synthetic_run import SyntheticRun, lab_error, refused, wrong_state
from synthetic_survey import CASES, DEVICES, FACTS, PREPARE_FAILED, PREPARED, PROFILE, start_survey


def not_started(case: Case, seen: Observation) -> None:
    """The source refuses to start the guest."""
    seen.source_started = Outcome(False, "unsupported configuration:\nno igb")
    seen.source_state = seen.migrated = seen.source_after = seen.target_after = None


def result(tmp_path: Path, spoil: Any = None, **fields: Any) -> Result:
    """What becomes of the first device of a survey whose case went so in oon."""
    run = start_survey(tmp_path / "run")
    run.complete("oon", {CASES[0].id: spoil} if spoil else None, **fields)
    run.complete("nno")
    return read_survey(read_run(run.folder)).devices[0].results["oon"]


def test_a_guest_that_arrives_whole_moves(tmp_path: Path) -> None:
    assert result(tmp_path) == Result(Fate.MOVES)


def test_what_the_source_does_not_start_is_refused(tmp_path: Path) -> None:
    assert result(tmp_path, not_started) == Result(
        Fate.REFUSED, "the source does not start it: unsupported configuration: no igb"
    )


def test_what_ends_before_prepare_is_refused_by_the_source(tmp_path: Path) -> None:
    assert result(tmp_path, refused("non-migratable device")) == Result(
        Fate.REFUSED, "the source does not migrate it: non-migratable device"
    )


def test_what_prepare_refuses_is_refused_by_the_target(tmp_path: Path) -> None:
    assert result(tmp_path, refused("unknown model"), steps=PREPARE_FAILED) == Result(
        Fate.REFUSED, "the target does not take it: unknown model"
    )


def test_what_ends_after_prepare_fails(tmp_path: Path) -> None:
    assert result(tmp_path, refused("load failed"), steps=PREPARED) == Result(Fate.FAILS, "load failed")


def test_a_guest_that_is_not_as_it_was_fails(tmp_path: Path) -> None:
    one = result(tmp_path, wrong_state)
    assert one.fate is Fate.FAILS
    assert one.words == "the call succeeded, but target-state: expected running, got paused"


def test_a_fault_of_the_lab_is_no_result(tmp_path: Path) -> None:
    assert result(tmp_path, lab_error("the agent went")) == Result(Fate.NOT_OBTAINED, "the agent went", lab_failed=True)


def survey(tmp_path: Path, combinations: tuple[str, ...] = ("oon", "nno")) -> Survey:
    """The new side does not know qxl, and refuses it; what the old side does not know it takes all the same."""
    run = start_survey(tmp_path / "run")
    for name in combinations:
        run.complete(name, {CASES[2].id: refused("no")}, steps=PREPARE_FAILED)
    return read_survey(read_run(run.folder))


def test_devices_that_a_side_does_not_know(tmp_path: Path) -> None:
    devices = {device.name: device.results for device in survey(tmp_path).devices}
    assert devices["video-qxl-q35"] == dict.fromkeys(("oon", "nno"), Result(Fate.NOT_ON_NEW, "no qxl"))
    assert devices["crypto-virtio-q35"] == {
        "oon": Result(Fate.NOT_ON_OLD, "it ignores <crypto>"), "nno": Result(Fate.MOVES),
    }


def test_devices_that_did_not_run(tmp_path: Path) -> None:
    devices = {device.name: device.results["nno"] for device in survey(tmp_path).devices}
    assert devices["disk-ide-q35"] == Result(Fate.ON_NEITHER, "no IDE; none here either")
    assert devices["hostdev-pci-q35"] == Result(Fate.NOT_TRIED, "it belongs to the host")


def test_a_combination_that_was_not_obtained_is_not_complete(tmp_path: Path) -> None:
    whole, half = survey(tmp_path / "whole"), survey(tmp_path / "half", ("oon",))
    assert whole.complete and not half.complete
    assert whole.counts["nno"] == {
        Fate.MOVES: 3, Fate.NOT_ON_NEW: 1, Fate.ON_NEITHER: 1, Fate.NOT_TRIED: 1,
    }
    assert half.devices[0].results["nno"].fate is Fate.NOT_OBTAINED
    assert half.devices[-1].results["nno"].fate is Fate.NOT_TRIED


def test_the_only_guest_of_a_run_is_found(tmp_path: Path) -> None:
    run = SyntheticRun(tmp_path, ["oon"], PROFILE.cases(), guest="net-igb-q35")
    run.complete("oon")
    (tmp_path / "devices.json").write_text(json.dumps({**FACTS, "devices": DEVICES[:1]}))
    assert read_survey(read_run(tmp_path)).devices[0].results["oon"] == Result(Fate.MOVES)


def test_as_data(tmp_path: Path) -> None:
    data = json.loads(json.dumps(survey(tmp_path).to_data()))
    assert data["complete"] is True and data["combinations"]["oon"]["direction"] == "old -> new"
    assert data["combinations"]["oon"]["qemu"] == {"source": "7.2.22", "target": "10.0.6"}
    assert data["devices"][2] == {
        "device": "video", "model": "qxl", "machine": "q35",
        "results": {name: {"fate": "not on new", "words": "no qxl"} for name in ("oon", "nno")},
    }


@pytest.mark.parametrize(("content", "problem"), [
    (None, "is no device survey: there is no"),
    ("{}", "is broken (KeyError: 'devices'); start the survey again"),
    ('{"devices": [{"name": "x"}], "capabilities": {}}', "is broken (KeyError: 'kind')"),
    ("[]", "holds no JSON object"),
])
def test_a_run_without_its_devices_is_refused(tmp_path: Path, content: str | None, problem: str) -> None:
    run = start_survey(tmp_path / "run")
    path = run.folder / "devices.json"
    path.unlink()
    if content is not None:
        path.write_text(content)
    with pytest.raises(LabError) as refusal:
        read_survey(read_run(run.folder))
    assert problem in str(refusal.value)
