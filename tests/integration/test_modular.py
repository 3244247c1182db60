# SPDX-License-Identifier: GPL-3.0-or-later
"""Modular daemons: virtqemud behind virtproxyd migrates with libvirtd, and each of the two is watched and struck by itself.

Debian ships libvirtd alone, so these tests need a tree for debian-13 that somebody has built; they are skipped without it.
"""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lab import Lab, Played, cases_of, events_of, machine
from migration_lab.model.combination import COMBINATIONS, classes

TREE = os.environ.get("MIGRATION_LAB_MODULAR_TREE", "")
pytestmark = pytest.mark.skipif(
    not TREE, reason="MIGRATION_LAB_MODULAR_TREE is not set: the path of a tree for debian-13 with virtqemud and virtproxyd"
)
# What libvirt 11.3.0 in such a tree needs.
PACKAGES = [
    "libtirpc3t64", "libjson-c5", "libnl-3-200", "libnl-route-3-200", "libnuma1", "libpciaccess0", "libcap-ng0", "libacl1",
]
# Of each method a case in which the guest runs and one in which it is paused.
CASES = "*/persistent-running/none,*/transient-paused-dst/none"


@pytest.fixture(scope="module")
def settings() -> dict[str, Any]:
    sha256 = hashlib.sha256(Path(TREE).read_bytes()).hexdigest()
    release = {
        "kind": "tree", "base": "debian-13", "tree": TREE, "sha256": sha256, "packages": PACKAGES, "libvirt": "11.3.0",
        "daemons": "modular",
    }
    pairs = {"modular": {"old": "debian-12", "new": "modular", "boundary": "11.3.0"}}
    return {"pair": "modular", "own_releases": {"modular": release}, "own_pairs": pairs, "guest": "s390x"}


@pytest.fixture(scope="module")
def every(lab: Lab, settings: dict[str, Any]) -> Iterator[Played]:
    """All combinations of libvirtd and modular daemons, each with a few cases."""
    yield lab.play("full_matrix", **settings, run="modular", cases=CASES)
    assert lab.play("destroy").status == 0
    images = subprocess.check_output(["podman", "images", "--quiet", "localhost/migration-lab/modular"], text=True).split()
    subprocess.run(["podman", "rmi", *images], check=True, capture_output=True)


def running(side: str) -> dict[str, int]:
    """The daemons of a modular machine."""
    words = subprocess.check_output(["podman", "exec", machine(side, "nnn"), "/lab/machine", "status"], text=True).split()
    return dict(zip(words[::2], map(int, words[1::2])))


def test_modular_and_monolithic_daemons_migrate_in_all_combinations(lab: Lab, every: Played) -> None:
    assert every.status == 0, every.output
    assert "green: 8 combinations, 48 of 48 cases" in every.message()
    for combination in COMBINATIONS:
        (event,) = events_of(lab.journal("modular", combination), "daemons")
        for side, processes in event["processes"].items():
            modular = classes(combination)[side] == "new"
            assert list(processes) == (["virtqemud", "virtproxyd"] if modular else ["libvirtd"]), combination


def test_fault_strikes_the_daemon_that_runs_guests_and_the_other_lives_on(
    lab: Lab, settings: dict[str, Any], every: Played
) -> None:
    faults = "source-daemon-killed,target-daemon-killed,source-daemon-restarted,target-daemon-frozen-3s"
    lab.play("recovery", **settings, run="struck", combinations="nnn", selection="smoke", faults=faults)
    cases = cases_of(lab.journal("struck", "nnn"))
    assert len(cases) >= 4
    for case in cases:
        assert case["verdict"] not in ("error", "skip"), case
        for note in case["details"]["struck"]:
            assert note["done"] and note["detail"].startswith("virtqemud, process "), note
        assert case["details"]["deaths"] == [], "virtproxyd did not die of it"
    assert list(running("source")) == list(running("target")) == ["virtqemud", "virtproxyd"]


@pytest.mark.parametrize("name", ["virtqemud", "virtproxyd"])
def test_a_daemon_that_is_dead_when_a_run_starts_is_started(
    lab: Lab, settings: dict[str, Any], every: Played, name: str
) -> None:
    target = machine("target", "nnn")
    before = running("target")
    subprocess.run(["podman", "exec", target, "kill", f"-{signal.SIGKILL}", str(before[name])], check=True)
    played = lab.play("provision", **settings, combination="nnn")
    assert played.status == 0, played.output
    assert f"the daemon of {target} was dead" in played.message()
    after = running("target")
    assert {daemon for daemon in before if before[daemon] != after[daemon]} == {name}
