# SPDX-License-Identifier: GPL-3.0-or-later
"""What the machines report themselves, against what the combination asks for."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fake_machines import children, make_cell
from migration_lab.cell.agent_process import AgentProcess
from migration_lab.cell.cell import Cell
from migration_lab.cell.machine import Machine
from migration_lab.cell.versions import check_versions, read_versions
from migration_lab.model.errors import LabError

OLD = {"release": "debian-12", "libvirt": "9.0.0", "class": "old"}
NEW = {"release": "debian-13", "libvirt": "11.3.0", "class": "new"}


def reported(client: str, source: str, target: str) -> dict[str, dict[str, str]]:
    return {"client": {"libvirt": client}, "source": {"libvirt": source}, "target": {"libvirt": target}}


@pytest.fixture
def cell(tmp_path: Path) -> Iterator[Cell]:
    cell, before = make_cell(tmp_path), children()
    yield cell
    assert children() <= before, "no agent is left"


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Machines are not asked what they are made of, which takes longer than the rest."""
    monkeypatch.setattr(Machine, "system", lambda machine: {})


@pytest.mark.parametrize("boundary", ["11.3.0", "9.0.1", "10.0"])
def test_machines_that_are_what_was_asked_for_are_let_through(boundary: str) -> None:
    check_versions(reported("11.3.0", "9.0.0", "9.0.0"), {"client": NEW, "source": OLD, "target": OLD}, boundary)


@pytest.mark.parametrize(
    ("role", "seen", "said"),
    [
        ("client", "9.0.0", "the client reports libvirt 9.0.0, release debian-13 should be 11.3.0"),
        ("source", "11.3.0", "the source reports libvirt 11.3.0, release debian-12 should be 9.0.0"),
        ("target", "9.0.1", "the target reports libvirt 9.0.1, release debian-12 should be 9.0.0"),
    ],
)
def test_machine_of_another_version_is_named(role: str, seen: str, said: str) -> None:
    versions = {**reported("11.3.0", "9.0.0", "9.0.0"), role: {"libvirt": seen}}
    with pytest.raises(LabError) as refusal:
        check_versions(versions, {"client": NEW, "source": OLD, "target": OLD}, "11.3.0")
    assert str(refusal.value) == f"{said}; rebuild the release's image, or correct the catalogue"


def test_every_machine_that_is_wrong_is_named() -> None:
    with pytest.raises(LabError) as refusal:
        check_versions(reported("9.0.0", "9.0.0", "11.3.0"), {"client": NEW, "source": OLD, "target": OLD}, "11.3.0")
    assert str(refusal.value).startswith(
        "the client reports libvirt 9.0.0, release debian-13 should be 11.3.0; "
        "the target reports libvirt 11.3.0, release debian-12 should be 9.0.0; "
    )


@pytest.mark.parametrize(
    ("asked", "boundary", "said"),
    [
        ({**OLD, "class": "new"}, "11.3.0", "libvirt 9.0.0, which is not new at the boundary 11.3.0"),
        (OLD, "9.0.0", "libvirt 9.0.0, which is not old at the boundary 9.0.0"),
    ],
)
def test_machine_of_the_wrong_class_is_named(asked: dict[str, str], boundary: str, said: str) -> None:
    with pytest.raises(LabError, match=f"the client reports {said}"):
        check_versions(reported("9.0.0", "9.0.0", "9.0.0"), dict.fromkeys(("client", "source", "target"), asked), boundary)


def test_without_a_boundary_only_the_release_counts() -> None:
    machines = {"client": {**OLD, "class": "a"}, "source": {**NEW, "class": "b"}, "target": {**OLD, "class": "a"}}
    check_versions(reported("9.0.0", "11.3.0", "9.0.0"), machines, "")
    with pytest.raises(LabError, match=r"the source reports libvirt 9\.0\.0, release debian-13 should be 11\.3\.0"):
        check_versions(reported("9.0.0", "9.0.0", "9.0.0"), machines, "")


def versions_of(cell: Cell, wait: float, *machine_types: tuple[str, str]) -> dict[str, dict[str, str]]:
    with closing(AgentProcess(cell.client.exec, cell.client.python)) as agent:
        return read_versions(agent, cell, wait, machine_types or [("x86_64", "pc")])


def test_versions_are_asked_of_library_and_daemons(cell: Cell) -> None:
    versions = versions_of(cell, wait=5)
    assert set(versions) == {"client", "source", "target"}
    assert versions["client"]["libvirt"] == "0.9.2" and versions["client"]["python"].startswith("3.")
    status = Path("/var/lib/dpkg/status")  # the fake machines are this one
    system = {"kernel": os.uname().release}
    if status.exists():
        system["packages"] = hashlib.sha256(status.read_bytes()).hexdigest()[:12]
    source = {name: value for name, value in versions["source"].items() if not name.endswith("_package")}
    daemon = {"libvirt": "11.3.0", "hypervisor": "7.2.22", "hostname": "a-source", "daemons": "libvirtd"}
    assert source == {**daemon, **system}
    assert system.items() <= versions["client"].items() and "qemu_package" not in versions["client"]
    assert versions["target"]["hostname"] == "a-target"


@pytest.mark.usefixtures("plain")
@pytest.mark.parametrize("role", ["source", "target"])
@pytest.mark.parametrize(("how", "why"), [("refused", "Connection refused"), ("exit", "the agent exited 7: the last words")])
def test_daemon_that_does_not_answer_is_named(cell: Cell, role: str, how: str, why: str) -> None:
    changes: dict[str, Any] = {role: replace(getattr(cell, role), uri=f"fake://h/{how}")}
    with pytest.raises(LabError, match=f"machine a-{role}: the daemon does not answer at fake://h/{how} .*{why}") as refusal:
        versions_of(replace(cell, **changes), wait=0)
    assert str(refusal.value).endswith("; look at its log")


@pytest.mark.usefixtures("plain")
def test_daemon_is_waited_for(cell: Cell, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It refuses connections until it is asked a third time."""
    asked = tmp_path / "asked"
    module = tmp_path / "libvirt.py"
    module.write_text(
        module.read_text() + "\n\nreal_open = open\n\n\ndef open(uri):\n"
        f"    with io.open({str(asked)!r}, 'a') as counter:\n        counter.write(u'x')\n"
        f"    if os.path.getsize({str(asked)!r}) < 3:\n        misbehave('refused')\n    return real_open(uri)\n\n\nimport io\n"
    )
    monkeypatch.setattr("migration_lab.cell.versions.time.sleep", lambda seconds: None)
    assert versions_of(cell, wait=5)["source"]["libvirt"] == "11.3.0"
    assert asked.read_text() == "xxxx", "three for the source, one for the target"


def test_client_without_a_binding_is_named(cell: Cell, tmp_path: Path) -> None:
    (tmp_path / "libvirt.py").write_text("raise ImportError\n")
    with pytest.raises(LabError, match=r"machine a-client: no agent answers \(.*has no libvirt module\); check its python"):
        versions_of(cell, wait=0)


@pytest.mark.usefixtures("plain")
def test_machine_types_that_both_know_are_let_through(cell: Cell) -> None:
    versions_of(cell, 5, ("x86_64", "pc-i440fx-7.2"), ("x86_64", "pc"), ("aarch64", "virt-7.2"))


@pytest.mark.usefixtures("plain")
def test_machine_type_that_one_does_not_know_is_refused(cell: Cell) -> None:
    with closing(AgentProcess(cell.client.exec, cell.client.python)) as agent:
        for arch, machine in (("x86_64", "pc-i440fx-10.0"), ("x86_64", "virt-7.2"), ("aarch64", "pc"), ("s390x", "pc")):
            said = f"machine a-source: its QEMU knows no machine type '{machine}' for {arch}; set guest_machine"
            with pytest.raises(LabError, match=said):
                read_versions(agent, cell, 5, [(arch, machine)])


def test_emulated_old_machine_is_of_the_class_that_it_is_presented_as() -> None:
    emulated = {**OLD, "ceiling": "0.9.1"}
    new = {**OLD, "class": "new"}
    check_versions(reported("9.0.0", "9.0.0", "9.0.0"), {"client": new, "source": emulated, "target": emulated}, "0.9.2")
    with pytest.raises(LabError, match=r"the source reports libvirt 9\.0\.0, which is not old at the boundary 0\.9\.2"):
        check_versions(reported("9.0.0", "9.0.0", "9.0.0"), {"client": new, "source": OLD, "target": emulated}, "0.9.2")
