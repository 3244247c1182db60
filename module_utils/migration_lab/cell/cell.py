# SPDX-License-Identifier: GPL-3.0-or-later
"""A cell: three machines that migrate among themselves."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Mapping, Optional
from urllib.parse import urlsplit

from ..model.case import ROLES
from .machine import Machine


@dataclass(frozen=True)
class Cell:
    """Three machines that can migrate among themselves.

    ``relayed``: by path (``client-source``, ``client-target``, ``source-target``) the address and port at which the relay
    takes its connections; a path that is missing is direct.  ``keepalive``: ``interval`` (seconds) and ``count`` that
    clients set on their connections; None: they set none.
    """

    client: Machine
    source: Machine
    target: Machine
    relayed: Mapping[str, str] = field(default_factory=dict)
    keepalive: Optional[Mapping[str, int]] = None

    def direct(self) -> Cell:
        """The cell with the quickest way to run commands on each machine (``Machine.direct``)."""
        return replace(self, **{role: getattr(self, role).direct() for role in ROLES})

    def uri(self, path: str) -> str:
        """Where a daemon answers those that come by a path."""
        machine: Machine = getattr(self, path.partition("-")[2])
        if path not in self.relayed:
            return machine.uri
        return urlsplit(machine.uri)._replace(netloc=self.relayed[path]).geturl()
