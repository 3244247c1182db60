# SPDX-License-Identifier: GPL-3.0-or-later
"""Which machine is asked for what of a guest's storage, and that a guest without any costs nothing."""

from __future__ import annotations

from typing import Any

import pytest

from fake_machines import fake_guest
from migration_lab.cell.agent_process import CallError
from migration_lab.cell.cell import Cell
from migration_lab.cell.machine import Machine
from migration_lab.cell.storage import Storage
from migration_lab.model.errors import LabError

CLIENT, SOURCE, TARGET = (Machine(role, (role,), "python3") for role in ("client", "source", "target"))
CELL = Cell(CLIENT, SOURCE, TARGET)


class Agents:
    """Stands for the agents' processes; ``calls`` are what machines were asked."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str, dict[str, Any]]] = []
        self.started: list[str] = []
        self.running: list[Agents.Process] = []
        self.closed = 0
        self.refusal: str = ""

    def __call__(self, prefix: tuple[str, ...], python: str, program: Any) -> Agents.Process:
        assert program.__name__.endswith("storage_agent")
        self.started.append(prefix[0])
        return Agents.Process(self, prefix[0])

    class Process:
        def __init__(self, agents: Agents, machine: str) -> None:
            self.agents, self.machine = agents, machine
            self.alive = True
            self.disks: set[str] = set()
            agents.running.append(self)

        def call(self, call: str, timeout: float, **fields: Any) -> int:
            if self.agents.refusal:
                raise CallError({"code": None, "domain": None, "message": self.agents.refusal}, 0.0)
            self.agents.calls.append((self.machine, call, fields))
            if call == "has_disks":
                return self.disks >= set(fields["disks"])
            if call == "make_disks":
                self.disks |= set(fields["disks"])
            return 3

        def close(self) -> None:
            self.agents.closed += 1


@pytest.fixture
def agents(monkeypatch: pytest.MonkeyPatch) -> Agents:
    made = Agents()
    monkeypatch.setattr("migration_lab.cell.shared_agent.AgentProcess", made)
    return made


def test_guest_without_storage_needs_no_agent(agents: Agents) -> None:
    with Storage(CELL) as storage:
        storage.make(fake_guest(), "mlab-noo-001")
        storage.check(fake_guest(), "mlab-noo-001")
        storage.remove(fake_guest(), "mlab-noo-001", "1-2-3")
    assert agents.started == []


def test_disks_are_made_and_removed_on_the_source_by_one_agent(agents: Agents) -> None:
    guest = fake_guest(disks={"vda": 8, "vdb": 1})
    with Storage(CELL) as storage:
        storage.make(guest, "mlab-noo-001")
        storage.remove(guest, "mlab-noo-001", "1-2-3")
        assert storage.clear("mlab-") == 3
    folder = "/var/lib/migration-lab"
    assert agents.calls == [
        ("source", "make_disks", {"folder": folder, "disks": {"mlab-noo-001-vda": 8, "mlab-noo-001-vdb": 1}}),
        ("source", "remove_disks", {"folder": folder, "disks": ["mlab-noo-001-vda", "mlab-noo-001-vdb"]}),
        ("source", "clear_disks", {"folder": folder, "prefix": "mlab-"}),
    ]
    assert agents.started == ["source"] and agents.closed == 1


@pytest.mark.parametrize("xml", ["<nvram/>", "<tpm model='tpm-crb'/>", "<os firmware='efi'/>"])
def test_variables_and_tpm_are_removed_on_both_machines(agents: Agents, xml: str) -> None:
    with Storage(CELL) as storage:
        storage.remove(fake_guest(xml=xml), "mlab-noo-001", "1-2-3")
    fields = {"name": "mlab-noo-001", "uuid": "1-2-3"}
    assert agents.calls == [("source", "remove_state", fields), ("target", "remove_state", fields)]


def test_disks_of_an_agent_that_died_are_refused_and_those_of_the_next_are_not(agents: Agents) -> None:
    guest = fake_guest(disks={"vda": 8})
    with Storage(CELL) as storage:
        storage.make(guest, "one")
        storage.check(guest, "one")
        agents.running[-1].alive = False
        storage.make(guest, "two")
        storage.check(guest, "two")
        with pytest.raises(LabError, match="machine source: the storage agent that made the guest's disks died during the case"):
            storage.check(guest, "one")
    assert agents.started == ["source", "source"]


def test_refusal_says_what_disks_need(agents: Agents) -> None:
    agents.refusal = "OSError: No such file or directory: '/dev/loop-control'"
    with Storage(CELL) as storage, pytest.raises(LabError) as refusal:
        storage.make(fake_guest(disks={"vda": 8}), "mlab-noo-001")
    assert str(refusal.value).startswith("machine source: its storage could not be prepared: OSError: No such file")
    assert "load the kernel's module loop on the lab host and provision again" in str(refusal.value)
