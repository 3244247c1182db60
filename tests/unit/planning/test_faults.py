# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults are read and refused with a sentence, and a profile of suite recovery is complete before anything is started."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from migration_lab.model.errors import LabError
from migration_lab.planning.faults import complete, every_case, load_faults
from migration_lab.planning.profiles import load_profile
from migration_lab.suites.recovery.fault import Fault
from migration_lab.suites.recovery.reaction import REACTIONS
from synthetic_run import ROOT

SCENARIOS = ROOT / "scenarios"
V2, V3 = dict.fromkeys(("client", "source", "target"), 9001), dict.fromkeys(("client", "source", "target"), 9000000)
FAULT = {"name": "daemon-gone", "description": "It is gone.", "strikes": [{"do": "kill-daemon", "on": "source"}]}


def completed(**options: Any) -> dict[str, Any]:
    return complete(load_profile("recovery", SCENARIOS), SCENARIOS, options, {"nnn": V3})


@pytest.fixture
def scenarios(tmp_path: Path) -> Path:
    """Scenarios with one file of faults, which has one fault."""
    shutil.copytree(SCENARIOS / "schema", tmp_path / "schema")
    (tmp_path / "faults").mkdir()
    write(tmp_path, FAULT)
    return tmp_path


def write(scenarios: Path, *entries: dict[str, Any], name: str = "mine") -> None:
    (scenarios / "faults" / f"{name}.yml").write_text(yaml.safe_dump(list(entries)))


# Faults


def test_the_labs_faults_are_those_of_its_files() -> None:
    faults = load_faults(SCENARIOS)
    paths = sorted((SCENARIOS / "faults").glob("*.yml"))
    assert list(dict.fromkeys(fault["group"] for fault in faults)) == [path.stem for path in paths]
    assert len({fault["name"] for fault in faults}) == len(faults) > 40
    assert all(Fault.from_data(fault).name for fault in faults)


def test_a_fault_has_the_name_of_its_file_as_its_group(scenarios: Path) -> None:
    assert load_faults(scenarios) == [{**FAULT, "group": "mine"}]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"colour": "red"}, "'daemon-gone': Additional properties are not allowed ('colour' was unexpected)"),
        ({"delivery": "eaten"}, "'daemon-gone', delivery: 'eaten' is not one of"),
        ({"name": "Daemon"}, "'Daemon', name: 'Daemon' does not match"),
        ({"after": [0]} | {"strikes": None}, "'daemon-gone', strikes: None is not of type 'array'"),
        ({"seconds": 3}, "'daemon-gone': 'delivery' is a required property"),
        ({"points": ["finish-rely"]}, "'daemon-gone': points: no point is like 'finish-rely'; the points are begin-call, "),
        (
            {"points": ["prepare-call"], "copies": ["target"]},
            "'daemon-gone': it can strike nowhere: no point meets its points, copies, methods and delivery; correct them",
        ),
        (
            {"strikes": [{"do": "eat-daemon", "on": "source"}]},
            "'daemon-gone': strikes, entry 1, do: there is no verb 'eat-daemon'; the verbs are kill-daemon, ",
        ),
        (
            {"strikes": [{"do": "kill-daemon", "on": "client"}]},
            "'daemon-gone': strikes, entry 1, on: 'kill-daemon' cannot be done on the client; it can on source, target",
        ),
        (
            {"strikes": [{"do": "kill-daemon", "on": "source", "seconds": 3}]},
            "'daemon-gone': strikes, entry 1, seconds: 'kill-daemon' does not last; leave it out",
        ),
        (
            {"strikes": [{"do": "kill-daemon", "on": "source", "what": "config"}]},
            "'daemon-gone': strikes, entry 1, what: 'kill-daemon' takes none; leave it out",
        ),
        (
            {"strikes": [{"do": "take-name", "on": "target"}]},
            "'daemon-gone': strikes, entry 1, active: it is missing; 'take-name' takes true, false",
        ),
        (
            {"strikes": [{"do": "take-name", "on": "target", "active": "often"}]},
            "'daemon-gone': strikes, entry 1, active: it is often; 'take-name' takes true, false",
        ),
    ],
)
def test_an_entry_that_is_wrong_is_refused_by_file_entry_and_field(
    scenarios: Path, change: dict[str, Any], sentence: str
) -> None:
    write(scenarios, {**FAULT, **change})
    with pytest.raises(LabError) as refused:
        load_faults(scenarios)
    assert str(refused.value).startswith(f"{scenarios}/faults/mine.yml: {sentence}")


def test_a_name_that_two_files_have_is_refused(scenarios: Path) -> None:
    write(scenarios, FAULT, name="other")
    with pytest.raises(LabError, match=r"other\.yml: 'daemon-gone': name: mine\.yml has a fault of this name"):
        load_faults(scenarios)


def test_no_faults_at_all_are_refused(scenarios: Path) -> None:
    (scenarios / "faults" / "mine.yml").unlink()
    with pytest.raises(LabError, match="has no file of faults"):
        load_faults(scenarios)


# Profiles


def test_the_profile_has_all_that_its_cases_depend_on() -> None:
    profile = load_profile("recovery", SCENARIOS)
    normal_only = {**V3, "client": V2["client"]}
    data = complete(profile, SCENARIOS, {}, {"ooo": V2, "onn": normal_only, "nnn": V3})
    assert data["protocols"] == {
        "ooo": {"normal": "v2", "p2p": "v2", "tunnelled": "v2"},
        "onn": {"normal": "v2", "p2p": "v3", "tunnelled": "v3"},
        "nnn": {"normal": "v3", "p2p": "v3", "tunnelled": "v3"},
    }
    assert (data["selection"], data["repeat"], data["aftermath"]) == ("pairwise", 1, "again")
    assert data["keepalive"] == {"interval": 1, "count": 5} and data["call_limit"] == 20
    assert data["faults"] == load_faults(SCENARIOS)


def test_a_full_run_has_keepalive_as_libvirt_ships_it() -> None:
    data = completed(selection="full")
    assert data["keepalive"] == {"interval": 5, "count": 5} and data["call_limit"] == 60


def test_settings_replace_what_the_profile_has() -> None:
    data = completed(selection="smoke", repeat="20", aftermath="trust-the-error", keepalive_interval="2", call_limit="30")
    assert (data["selection"], data["repeat"], data["aftermath"], data["call_limit"]) == ("smoke", 20, "trust-the-error", 30)
    assert data["keepalive"] == {"interval": 2, "count": 5}


def test_faults_are_chosen_by_name_and_by_group() -> None:
    chosen = completed(faults="qemu, connection-*")["faults"]
    assert {fault["name"] for fault in chosen} == {
        "connection-closed", "connection-reset", "source-qemu-killed", "target-qemu-killed"
    }


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"selection": "most"}, "there is no selection 'most'; there are smoke, pairwise, full"),
        ({"aftermath": "hope"}, f"there is no aftermath 'hope'; there are {', '.join(REACTIONS)}"),
        ({"faults": "connection-*,earthquake"}, "there is no fault 'earthquake'; the faults are agent-killed, "),
        ({"repeat": "0"}, "repeat is '0'; it must be a whole number, at least 1"),
        ({"repeat": "often"}, "repeat is 'often'; it must be a whole number, at least 1"),
        ({"keepalive_count": "-1"}, "keepalive_count is '-1'; it must be a whole number, at least 1"),
        (
            {"call_limit": "6"},
            "call_limit is 6 seconds, and keepalive (interval 1, count 5) takes 6 to notice a silent peer; give a higher",
        ),
    ],
)
def test_an_option_that_is_wrong_is_refused(options: dict[str, str], sentence: str) -> None:
    with pytest.raises(LabError) as refused:
        completed(**options)
    assert str(refused.value).startswith(sentence)


def test_every_case_is_there_once_in_each_protocol() -> None:
    cases = every_case(load_profile("recovery", SCENARIOS), SCENARIOS)
    assert len({case.id for case in cases}) == len(cases) > 3000
