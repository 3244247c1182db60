# SPDX-License-Identifier: GPL-3.0-or-later
"""The guests that the lab ships migrate in both directions, but for those whose misbehaviour is known; with real daemons."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab import CELL, Lab, Played, cases_of, machine
from migration_lab.cell.machine import Machine

GUESTS = ["two-cores", "two-sockets", "desktop", "server", "memory-4g", "memory-9g", "uefi", "tpm"]
# A transient guest, and one that is persistent on both sides, whose config, UEFI variables and TPM come and go with it.
CASES = "p2p/transient-running/none,normal/persistent-paused-dst/undefine-source+persist-dest"
DIRECTIONS = ["oon", "ono"]
STORAGE = Path("/var/lib/migration-lab/storage")


@pytest.fixture(scope="module")
def devices(lab: Lab) -> Played:
    return lab.play(
        "full_matrix", guests=",".join(GUESTS), combinations=",".join(DIRECTIONS), cases=CASES, run="devices",
        lab_state=str(STORAGE.parent),
    )


@pytest.mark.parametrize("combination", DIRECTIONS)
@pytest.mark.parametrize("guest", GUESTS)
def test_guest_moves_both_ways_and_is_seen_whole(lab: Lab, devices: Played, combination: str, guest: str) -> None:
    cases = [case for case in cases_of(lab.journal("devices", combination)) if case["case"].startswith(f"{guest}/")]
    assert len(cases) == 2, devices.output
    expected = "known" if guest == "two-cores" else "pass"
    assert [case["verdict"] for case in cases] == [expected] * 2, cases
    further = {check["name"]: check["result"] for case in cases for check in case["further"]}
    if guest != "two-cores":
        assert {further[name] for name in ("guest-continuity", "guest-memory", "single-copy", "no-leftovers")} == {"pass"}


@pytest.mark.parametrize(
    ("combination", "deviation"), [("oon", "topology-makes-ht-old-source"), ("ono", "topology-makes-ht-new-source")]
)
def test_run_is_green_and_knows_why_two_cores_stay(lab: Lab, devices: Played, combination: str, deviation: str) -> None:
    assert devices.status == 0, devices.output
    cases = cases_of(lab.journal("devices", combination))
    assert {case["deviation"] for case in cases if case["case"].startswith("two-cores/")} == {deviation}


def test_nothing_of_the_guests_is_left_on_the_machines(devices: Played) -> None:
    assert devices.status == 0, devices.output
    assert list((STORAGE / CELL).iterdir()) == []
    for role in ("source", "target"):
        for combination in DIRECTIONS:
            name = machine(role, combination)
            left = "cd /var/lib/libvirt && find qemu/nvram swtpm -mindepth 1"
            assert Machine(name, ("podman", "exec", "-i", name), "python3").run("sh", "-c", left) == b""
    assert not [path for path in Path("/sys/block").glob("loop*/loop/backing_file") if "mlab-" in path.read_text()]
