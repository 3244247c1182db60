# SPDX-License-Identifier: GPL-3.0-or-later
"""A cell: three machines that migrate among themselves, or five where guests go on."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import permutations
from typing import Any, Mapping, Optional
from urllib.parse import urlsplit

from ..model.case import ROLES, SIDES
from .machine import MACHINE_ARGUMENT, Machine

# Roles of further machines with daemons, to which a guest goes on from source and target.
FURTHER = ("third", "fourth")

# The modules' argument for the machines of a cell, by role.
CELL_ARGUMENT = {
    "type": "dict", "required": True,
    "options": {**dict.fromkeys(ROLES, MACHINE_ARGUMENT), **{role: {**MACHINE_ARGUMENT, "required": False} for role in FURTHER}},
}


@dataclass(frozen=True)
class Cell:
    """Machines that can migrate among themselves: three, and the ``further`` ones, by role, that a suite asks for.

    ``relayed``: by path (``client-source``, ``client-target``, ``source-target``) the address and port at which the relay
    takes its connections; a path that is missing is direct.  ``keepalive``: ``interval`` (seconds) and ``count`` that
    clients set on their connections; None: they set none.
    """

    client: Machine
    source: Machine
    target: Machine
    relayed: Mapping[str, str] = field(default_factory=dict)
    keepalive: Optional[Mapping[str, int]] = None
    further: Mapping[str, Machine] = field(default_factory=dict)

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Cell:
        """Make a cell from a module's argument."""
        machines = {role: Machine.from_data(machine) for role, machine in data.items() if machine is not None}
        further = {role: machines[role] for role in FURTHER if role in machines}
        return cls(machines["client"], machines["source"], machines["target"], further=further)

    @property
    def daemons(self) -> dict[str, Machine]:
        """The machines that have a daemon, by role."""
        return {**{side: getattr(self, side) for side in SIDES}, **self.further}

    @property
    def paths(self) -> list[str]:
        """The paths of connections: the client's to each daemon, and those between daemons that migrate."""
        between = list(permutations(self.daemons, 2)) if self.further else [SIDES]
        return [f"{ROLES[0]}-{role}" for role in self.daemons] + ["-".join(pair) for pair in between]

    def direct(self) -> Cell:
        """The cell with the quickest way to run commands on each machine (``Machine.direct``)."""
        further = {role: machine.direct() for role, machine in self.further.items()}
        return replace(self, **{role: getattr(self, role).direct() for role in ROLES}, further=further)

    def uri(self, path: str) -> str:
        """Where a daemon answers those that come by a path."""
        machine = self.daemons[path.partition("-")[2]]
        if path not in self.relayed:
            return machine.uri
        return urlsplit(machine.uri)._replace(netloc=self.relayed[path]).geturl()
