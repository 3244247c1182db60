# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's domains on a cell: how they are named, looked at and removed."""

from __future__ import annotations

import re
import time
import uuid
from typing import Optional, Sequence

from ..judging.observation import Sight
from ..model.case import SIDES
from ..model.errors import LabError
from .agent_process import AgentProcess
from .client import CLEAN_LIMIT, ClientAgent
from .witness import Witness

# Domains get UUIDs made from this, the run and their names, so that both daemons take a guest for the same one.
UUID_SPACE = uuid.UUID("6b1f0a52-6a0e-4c59-9c54-1d0f4d0c4f0a")

# Seconds that a guest may change or be seen shutting down before what is seen counts as its state.
SETTLE_LIMIT = 10.0
# Seconds for which two restarted daemons must show the same before it counts.
STEADY = 1.0


class Domains:
    """The domains of one combination in one run."""

    def __init__(
        self, prefix: str, run: str, combination: str, witness: Optional[Witness] = None, sides: Sequence[str] = SIDES
    ) -> None:
        """
        :param prefix: start of every domain's name; nothing without it is ever touched.
        :param witness: knows what a guest leaves outside libvirt; without one only libvirt is asked.
        :param sides: roles of the machines that they can be on.
        """
        self._prefix = prefix
        self._run = run
        self._stem = f"{prefix}{combination}-"
        self._witness = witness
        self._sides = sides

    def name(self, number: int, attempt: int = 1) -> str:
        """Name of the domain of an attempt at a case; a later attempt is independent of what an earlier one left."""
        return f"{self._stem}{number:03d}" + (f"-{attempt}" if attempt > 1 else "")

    @property
    def pattern(self) -> str:
        """Regular expression of all the names."""
        return re.escape(self._stem) + r"\d+(?:-\d+)?"

    def identity(self, name: str) -> str:
        """The domain's UUID."""
        return str(uuid.uuid5(UUID_SPACE, f"{self._run}/{name}"))

    def look(self, agent: AgentProcess, side: str, name: str, limit: float) -> Sight:
        """A domain as the daemon of a side shows it; ``limit`` is in seconds."""
        return Sight(**agent.call("look", limit, connection=side, name=name))

    def look_settled(
        self, agent: AgentProcess, name: str, limit: float, restarted: bool, sides: Sequence[str] = SIDES
    ) -> tuple[Sight, ...]:
        """A domain as source and target, or other sides, show it once none is on its way to another state.

        A daemon that was restarted first shows what it finds in its state files, and ends guests that it has lost a moment later.

        :param limit: seconds for each call.
        :param restarted: whether a daemon was restarted just now: what is seen must then stay the same for a while.
        """
        started = since = time.monotonic()
        sights = tuple(self.look(agent, side, name, limit) for side in sides)
        while (now := time.monotonic()) < started + SETTLE_LIMIT:
            if all(sight.state != "in shutdown" for sight in sights) and (not restarted or now >= since + STEADY):
                break
            time.sleep(0.1)
            again = tuple(self.look(agent, side, name, limit) for side in sides)
            if again != sights:
                sights, since = again, time.monotonic()
        return sights

    def description(self, agent: AgentProcess, side: str, name: str, limit: float) -> str:
        """The description in a domain's config, empty when it has none."""
        xml = agent.call("config", limit, connection=side, name=name)["xml"]
        described = re.search("<description>(.*?)</description>", xml)
        return described.group(1) if described else ""

    def remove(self, name: str, client: ClientAgent, limit: float = CLEAN_LIMIT) -> list[str]:
        """Remove a domain from all machines.

        Judged by what is left, not by what a call returned: old daemons answer a destroy that worked with an error.

        :param limit: seconds for each call.
        :returns: what is left, in words; empty when all machines are clean.
        """
        if not name.startswith(self._prefix):
            raise LabError(f"domain '{name}' has not the lab's prefix '{self._prefix}' and is not touched")
        left = []
        for side in self._sides:
            for call in ("destroy", "undefine"):
                sight = self.look(client.agent(), side, name, limit)
                if (sight.active if call == "destroy" else sight.persistent):
                    client.agent().outcome(call, limit, connection=side, name=name)
            sight = self.look(client.agent(), side, name, limit)
            if sight.exists:
                left.append(f"{name} on the {side}: {sight}")
        return left + (self._witness.leftovers(name) if self._witness else [])
