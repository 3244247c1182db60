# SPDX-License-Identifier: GPL-3.0-or-later
"""What the guests of a cell have on its machines' disks: their disks, UEFI variables and TPMs.

Only guests that have some cost anything: then a storage agent (storage_agent.py) runs on the machine, shared by all workers.
"""

from __future__ import annotations

from types import TracebackType
from typing import Optional

from ..guest.config import STORAGE, GuestConfig
from ..model.errors import LabError
from . import storage_agent
from .cell import Cell
from .shared_agent import SharedAgent

_PROBLEM = "its storage could not be prepared"
_ADVICE = "guests with disks need loop devices: load the kernel's module loop on the lab host and provision again"


class Storage:
    """The storage of a cell's guests. Use ``with``."""

    def __init__(self, cell: Cell) -> None:
        self._source = cell.source
        # Disks of domains that are gone have no device once the agents have ended.
        self._agents = {
            side: SharedAgent(machine, storage_agent, _PROBLEM, _ADVICE)
            for side, machine in cell.daemons.items()
        }

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
