# SPDX-License-Identifier: GPL-3.0-or-later
"""Migrations into faults, with real daemons: each fault strikes, no case is lost with the run, and nothing stays."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab import CELL, ROOT, Lab, Played, cases_of, kill_all, machine, wait_for, wait_for_cases
from leftovers import podman
from migration_lab.journal.journal import read_journals
from migration_lab.suites.recovery.outcome import Outcome

GUEST = {"guest": "s390x"}
COMBINATIONS = ["nnn", "noo"]
MORE = f"mlab-{CELL}-2"  # what the additional cell's machines and network are called


def recovery(lab: Lab, run: str, **settings: Any) -> Played:
    """Run recovery with the guest that starts quickly."""
    return lab.play("recovery", **{**GUEST, "run": run, "selection": "smoke", **settings})


def details(lab: Lab, run: str, combination: str) -> dict[str, tuple[str, dict[str, Any]]]:
    """By case its verdict and what was seen of it, over all cells."""
    return {
        name: (case.verdict.value, dict(case.details))
        for name, case in read_journals(lab.results / run / combination).cases.items()
    }


def own() -> set[str]:
    """Containers, by name and number, and networks of the tests' cells."""
    lines = podman("ps", "--all", "--format", "{{.Names}} {{.ID}}").splitlines()
    lines += podman("network", "ls", "--format", "{{.Name}}").splitlines()
    return {line for line in lines if line.startswith(f"mlab-{CELL}")}


def additional() -> set[str]:
    """Those of the additional cell."""
    return {line for line in own() if line.startswith(MORE)}


@pytest.fixture(scope="module")
def smoke(lab: Lab) -> Played:
    return recovery(lab, "smoke", combinations=",".join(COMBINATIONS), recovery_cells="2")


@pytest.mark.parametrize("combination", COMBINATIONS)
def test_each_fault_strikes_once_and_its_case_has_a_word_and_a_verdict(lab: Lab, smoke: Played, combination: str) -> None:
    facts = json.loads((lab.results / "smoke" / "run.json").read_text())
    assert facts["cells"] == [CELL, f"{CELL}-2"], smoke.output
    seen = details(lab, "smoke", combination)
    assert set(seen) == set(facts["selected"][combination]), smoke.output
    for case, (verdict, found) in seen.items():
        assert verdict not in ("error", "skip"), (case, found)
        assert found["struck"] is not None and all(note["done"] for note in found["struck"]), (case, found)
        assert Outcome(found["outcome"]) is not Outcome.NOT_OBTAINED, (case, found)
        assert found["told"]["answer"] in ("success", "error", "nothing"), case
    cells = {case["cell"] for path in (lab.results / "smoke" / combination).glob("journal-*.jsonl") for case in headers(path)}
    assert cells == set(facts["cells"]), "both cells had a share"
    assert additional() == set(), "the additional cell is gone"


def headers(path: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return [line for line in lines if line["type"] == "header"]


def test_a_killed_run_is_resumed_with_its_cells_and_loses_no_case(lab: Lab) -> None:
    settings = {
        **GUEST, "run": "recovery-killed", "combinations": "nnn", "selection": "smoke", "cases": "p2p/*", "recovery_cells": "2",
    }
    process = lab.start("recovery", **settings)
    wait_for_cases(lab.journal("recovery-killed", "nnn"), 2, process)
    kill_all(process)
    assert additional(), "the additional cell survives the run"
    folder = lab.results / "recovery-killed" / "nnn"
    kept = set(read_journals(folder).cases)
    resumed = lab.play("recovery", **{**settings, "resume": True, "clean": True})
    facts = json.loads((folder.parent / "run.json").read_text())
    seen = details(lab, "recovery-killed", "nnn")
    assert 0 < len(kept) < len(seen) and set(seen) == set(facts["selected"]["nnn"]), resumed.output
    lines = [case["case"] for path in folder.glob("journal-*.jsonl") for case in cases_of(path) if case["final"]]
    assert {name: lines.count(name) for name in kept} == dict.fromkeys(kept, 1), "what was done before the kill is kept"
    assert all(verdict != "error" for verdict, _ in seen.values()), seen
    assert additional() == set()


def test_destroy_removes_cells_that_a_killed_run_had_added(lab: Lab) -> None:
    process = lab.start("recovery", **GUEST, run="left", combinations="nnn", selection="smoke", recovery_cells="2")
    wait_for("the additional cell", lambda: process.poll() is not None or len(additional()) >= 4, 900)  # network and machines
    kill_all(process)
    assert len(additional()) >= 4
    destroyed = lab.play("destroy")
    assert destroyed.status == 0, destroyed.output
    assert additional() == set()


def test_a_fault_that_cannot_be_carried_out_is_an_error(lab: Lab, tmp_path: Path) -> None:
    scenarios = Path(shutil.copytree(ROOT / "scenarios", tmp_path / "scenarios"))
    fault = {
        "name": "early-kill", "description": "A process is killed that is not there yet.", "points": ["begin-call"],
        "methods": ["normal"], "strikes": [{"do": "kill-qemu", "on": "target"}],
    }
    (scenarios / "faults" / "mine.yml").write_text(yaml.safe_dump([fault]))
    played = recovery(lab, "cannot", combinations="nnn", faults="early-kill", scenarios_path=str(scenarios), recovery_cells="1")
    assert played.status != 0
    ((case, (verdict, found)),) = details(lab, "cannot", "nnn").items()
    assert verdict == "error" and not found["struck"][0]["done"], (case, found)
    assert "1 error" in played.message()


def test_a_cell_that_a_fault_has_broken_is_made_again(lab: Lab) -> None:
    cases = "*/finish-call/target-daemon-killed"
    process = lab.start("recovery", **GUEST, run="broken", combinations="nnn", cases=cases, recovery_cells="1")
    journal = lab.journal("broken", "nnn")
    wait_for_cases(journal, 1, process)
    # The next case kills a daemon that cannot be started again.
    subprocess.run(["podman", "exec", machine("target", "nnn"), "rm", "/usr/sbin/libvirtd"], check=True)
    output, _ = process.communicate(timeout=300)
    assert process.returncode != 0 and "1 error" in output, output
    assert len(headers(journal)) == 2, "the rest ran on new machines"
    assert set(details(lab, "broken", "nnn")) == set(headers(journal)[0]["selected"]), output
    (broken,) = [case for case in cases_of(journal) if case["verdict"] == "error"]
    assert "the fault could not be healed" in broken["lab_error"]


def test_a_wrong_setting_is_refused_before_anything_is_started(lab: Lab, tmp_path: Path) -> None:
    """tests/unit/planning has the planner's sentences."""
    before = own()
    lab = Lab(tmp_path / "results")
    played = recovery(lab, "wrong", combinations="nnn", recovery_cells="2", cell_subnet="10.254.211.0/24")
    assert played.status != 0
    assert "cell_subnet is given for all cells at once." in played.message(), played.output
    assert own() == before
    assert not lab.results.exists()


def test_a_network_that_somebody_has_is_refused_and_not_destroyed(lab: Lab) -> None:
    podman("network", "create", "--subnet", "10.254.240.0/24", MORE)
    try:
        played = lab.play("recovery", **GUEST, combinations="nnn", recovery_cells="2")
        destroyed = lab.play("destroy")
        assert additional() == {MORE}
    finally:
        podman("network", "rm", MORE)
    assert played.status != 0
    assert f"the additional cell {CELL}-2 needs a network {MORE}, and podman has one" in played.message()
    assert destroyed.status == 0, destroyed.output
