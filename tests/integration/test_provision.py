# SPDX-License-Identifier: GPL-3.0-or-later
"""Provisioning alone: versions verified, idempotent, check mode, destroyed again."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from default_catalogue import RELEASES
from lab import Lab, Played, machine


def images(combination: str = "noo") -> dict[str, str]:
    """Image of each of the machines of a combination, by role."""
    command = ["podman", "inspect", "--format", "{{.ImageName}}"]
    return {
        role: subprocess.run([*command, machine(role, combination)], capture_output=True, text=True, check=True).stdout.strip()
        for role in ("client", "source", "target")
    }


def numbers(combination: str) -> dict[str, str]:
    """Number of the container of each of the machines of a combination, by role."""
    names = {role: machine(role, combination) for role in ("client", "source", "target")}
    command = ["podman", "inspect", "--format", "{{.Id}}"]
    return {role: subprocess.check_output([*command, name], text=True) for role, name in names.items()}


@pytest.fixture(scope="module")
def noo(lab: Lab) -> Played:
    """The machines of noo and no others; each test leaves machines that can be provisioned again."""
    assert lab.play("destroy").status == 0
    return lab.play("provision", combination="noo")


def test_a_combination_is_provisioned(noo: Played) -> None:
    """roles/cell/molecule provisions it a second time, which changes nothing."""
    assert noo.status == 0, noo.output
    assert "noo: client libvirt 11.3.0; source libvirt 9.0.0, QEMU 7.2" in noo.message()
    by_role = images()
    assert "debian-13" in by_role["client"]
    assert "debian-12" in by_role["source"] and "debian-12" in by_role["target"]


def test_another_combination_gets_the_machine_that_it_lacks_and_one_for_a_daemon_that_cannot_be_started(
    lab: Lab, noo: Played
) -> None:
    before, target = numbers("noo"), machine("target", "noo")
    subprocess.run(["podman", "exec", target, "sh", "-c", "kill -9 $(cat /run/libvirtd.pid); rm /usr/sbin/libvirtd"], check=True)
    played = lab.play("provision", combination="nno")
    assert played.status == 0, played.output
    assert f"recreating {target}: machine {target}: " in played.message()
    assert [role for role, number in numbers("nno").items() if number == before[role]] == ["client"]
    assert [role for role, number in numbers("noo").items() if number == before[role]] == ["client", "source"]


def test_a_dead_daemon_is_started_and_a_dead_machine_too(lab: Lab, noo: Played) -> None:
    source, target = machine("source", "noo"), machine("target", "noo")
    subprocess.run(["podman", "exec", source, "sh", "-c", "kill -9 $(cat /run/libvirtd.pid)"], check=True)
    subprocess.run(["podman", "kill", target], check=True, capture_output=True)
    repaired = lab.play("provision", combination="noo")
    assert repaired.status == 0, repaired.output
    assert f"the daemon of {source} was dead, or left with a fault, and has been started" in repaired.message()
    assert "noo: client libvirt 11.3.0; source libvirt 9.0.0" in repaired.message()


def test_check_mode_changes_nothing(lab: Lab, noo: Played, tmp_path: Path) -> None:
    before = images()
    checked = lab.play("provision", "--check", combination="onn")
    assert checked.status == 0, checked.output
    full = lab.play("full_matrix", "--check", combinations="onn,noo", results_root=str(tmp_path / "none"))
    assert full.status == 0, full.output
    assert images() == before
    assert not (tmp_path / "none").exists()


def test_a_machine_of_another_version_than_asked_is_refused(lab: Lab) -> None:
    played = lab.play("provision", combination="noo", own_releases={"debian-12": {**RELEASES["debian-12"], "libvirt": "9.1.0"}})
    assert played.status != 0
    assert "the source reports libvirt 9.0.0, release debian-12 should be 9.1.0" in played.message()


def test_a_machine_type_that_a_qemu_does_not_know_is_refused(lab: Lab) -> None:
    played = lab.play("provision", combination="noo", guest_machine="pc-i440fx-10.0")
    assert played.status != 0
    assert "its QEMU knows no machine type 'pc-i440fx-10.0' for x86_64" in played.message()


def test_the_machines_reach_nothing_but_each_other(noo: Played) -> None:
    routes = subprocess.check_output(["podman", "exec", machine("source", "noo"), "cat", "/proc/net/route"], text=True)
    destinations = [line.split()[1] for line in routes.splitlines()[1:]]
    assert "00000000" not in destinations, "the internal network must have no default route"


def test_a_cell_is_destroyed_and_a_second_time_changes_nothing(lab: Lab, noo: Played) -> None:
    assert lab.play("destroy").changed() > 0
    names = subprocess.check_output(["podman", "ps", "--all", "--format", "{{.Names}}"], text=True).split()
    assert not [name for name in names if name.startswith("mlab-t-")]
    assert lab.play("destroy").changed() == 0
