# SPDX-License-Identifier: GPL-3.0-or-later
"""What the guests of a cell have on its machines' disks: their disks, UEFI variables and TPMs.

Only guests that have some cost anything: then a storage agent (storage_agent.py) runs on the machine, shared by all workers.
"""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Any, Optional

from ..guest.config import STORAGE, GuestConfig
from ..model.errors import LabError
from . import storage_agent
from .agent_process import AgentFailure, AgentProcess
from .cell import Cell
from .machine import Machine

# Seconds for a call, none of which waits for anything.
CALL_LIMIT = 20.0


class StorageAgentProxy:
    """A storage agent on a machine, started when it is first asked and again after it has died. Safe for several threads."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._agent: Optional[AgentProcess] = None
        self._turn = threading.Lock()

    def call(self, call: str, **fields: Any) -> Any:
        """Make a call and return its result.

        :raises LabError: when the agent cannot start, dies or refuses.
        """
        with self._turn:
            try:
                if self._agent is None or not self._agent.alive:
                    self._close()
                    self._agent = AgentProcess(self._machine.exec, self._machine.python, storage_agent)
                return self._agent.call(call, CALL_LIMIT, **fields)
            except AgentFailure as error:
                raise LabError(
                    f"machine {self._machine.name}: its storage could not be prepared: {error}; guests with disks need loop "
                    "devices: load the kernel's module loop on the lab host and provision again"
                ) from error

    def close(self) -> None:
        """End the agent; disks of domains that are gone have no device from then on."""
        with self._turn:
            self._close()

    def _close(self) -> None:
        if self._agent is not None:
            self._agent.close()
            self._agent = None


class Storage:
    """The storage of a cell's guests. Use ``with``."""

    def __init__(self, cell: Cell) -> None:
        self._source = cell.source
        self._agents = {"source": StorageAgentProxy(cell.source), "target": StorageAgentProxy(cell.target)}

    def __enter__(self) -> Storage:
        return self

    def __exit__(
        self, kind: Optional[type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        for agent in self._agents.values():
            agent.close()

    def make(self, guest: GuestConfig, name: str) -> None:
        """Make the empty disks of a domain, which source and target share.

        :param name: of the domain.
        :raises LabError: when they cannot be made.
        """
        if guest.disks:
            disks = {f"{name}-{disk}": size for disk, size in guest.disks.items()}
            self._agents["source"].call("make_disks", folder=STORAGE, disks=disks)

    def check(self, guest: GuestConfig, name: str) -> None:
        """Require that the agent that made the disks of a domain has had them since.

        When an agent dies, the kernel detaches its devices and may give them to somebody else. So a case whose agent has died
        is worth nothing, even where its guest had its disks open before.

        :param name: of the domain.
        :raises LabError: when it has not, or cannot be asked.
        """
        if guest.disks:
            disks = [f"{name}-{disk}" for disk in guest.disks]
            if not self._agents["source"].call("has_disks", folder=STORAGE, disks=disks):
                raise LabError(
                    f"machine {self._source.name}: the storage agent that made the guest's disks died during the case; run the "
                    "case again"
                )

    def remove(self, guest: GuestConfig, name: str, uuid: str) -> None:
        """Remove the disks of a domain, and on both machines its UEFI variables and its TPM, which libvirt may leave.

        :raises LabError: when they cannot be removed.
        """
        if guest.disks:
            self._agents["source"].call("remove_disks", folder=STORAGE, disks=[f"{name}-{disk}" for disk in guest.disks])
        if guest.has_state:
            for agent in self._agents.values():
                agent.call("remove_state", name=name, uuid=uuid)

    def clear(self, prefix: str) -> int:
        """Remove the disks that an earlier run has left: those of domains whose names begin so.

        :returns: the number of files removed.
        :raises LabError: when they cannot be removed.
        """
        return int(self._agents["source"].call("clear_disks", folder=STORAGE, prefix=prefix))
