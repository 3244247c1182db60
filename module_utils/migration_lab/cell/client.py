# SPDX-License-Identifier: GPL-3.0-or-later
"""The agent on the client machine, with its connections to all daemons."""

from __future__ import annotations

from typing import Optional

from ..model.errors import LabError
from .agent_process import AgentFailure, AgentProcess, CallError, CallTimeout
from .cell import Cell

# What keeps a case from being carried out.
FAILURES = (AgentFailure, LabError)

# Seconds for calls that no migration is waited for in.
OPEN_LIMIT = 15.0

CLEAN_LIMIT = 30.0

# Seconds for a call on a daemon whose peer has just died: it may be stuck with the guest's job for 30 s (seen with 0.9.1), and
# a restart is quicker.
STUCK_LIMIT = 4.0


class DaemonSilent(LabError):
    """A daemon does not answer, though the agent works."""


class ClientAgent:
    """An agent with its connections to all daemons, replaced when it has died, hung, or lost a daemon. Use ``with``."""

    def __init__(self, cell: Cell) -> None:
        self._cell = cell
        self._agent: Optional[AgentProcess] = None
        self._process: Optional[int] = None
        self.replaced = 0
        self._retired_seconds = 0.0

    def __enter__(self) -> ClientAgent:
        return self

    def __exit__(self, *error: object) -> None:
        self.drop()

    @property
    def call_seconds(self) -> float:
        """Seconds spent inside libvirt calls so far."""
        return self._retired_seconds + (self._agent.call_seconds if self._agent else 0.0)

    @property
    def process(self) -> Optional[int]:
        """The agent's process number on the client machine, while there is one."""
        return self._process if self._agent is not None else None

    def agent(self) -> AgentProcess:
        """The agent; a new one when none is alive.

        :raises DaemonSilent: when a daemon does not answer.
        :raises LabError: when the agent cannot start.
        """
        if self._agent is not None and not self._agent.alive:
            self.drop()
        if self._agent is None:
            client = self._cell.client
            agent = AgentProcess(client.exec, client.python)
            wanted = self._cell.keepalive
            keepalive = {"keepalive": [wanted["interval"], wanted["count"]]} if wanted else {}
            try:
                self._process = agent.call("hello", OPEN_LIMIT)["pid"]
                for name in self._cell.daemons:
                    try:
                        agent.call("open", OPEN_LIMIT, connection=name, uri=self._cell.uri(f"client-{name}"), **keepalive)
                    except (CallError, CallTimeout) as error:
                        raise DaemonSilent(f"the agent on {client.name} could not connect to the {name}: {error}") from error
            except AgentFailure as error:
                agent.close()
                raise LabError(f"machine {client.name}: no agent answers ({error})") from error
            except LabError:
                agent.close()
                raise
            self._agent = agent
        return self._agent

    def drop(self) -> None:
        """End the agent; the next use makes a new one."""
        if self._agent is not None:
            self._retired_seconds += self._agent.call_seconds
            self._agent.close()
            self._agent = None
            self.replaced += 1
