# SPDX-License-Identifier: GPL-3.0-or-later
"""Third parties: others on the client machine who act on a guest meanwhile, through connections of their own, not relayed."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from typing import Any, Optional

from ...cell.agent_process import AgentFailure
from ...cell.cell import Cell
from ...cell.client import ClientAgent
from ...judging.observation import Outcome
from ...model.errors import LabError

# Seconds that a strike waits for a third party's call, which may wait for a lock; and those after which nobody waits any more.
ANSWER = 2.0
NO_ANSWER = f"no answer in {ANSWER:.0f} s"
CALL_LIMIT = 60.0
# Seconds for a call that only finds out whether a daemon is still there.
PROBE = 5.0


class ThirdPartyCall:
    """A call that goes on for as long as it takes, in a thread of its own.

    Attributes:
        in_time: whether it had ended when ``ThirdParties.call`` stopped waiting; its agent was given back then.
    """

    def __init__(self, client: ClientAgent, call: str, fields: dict[str, Any]) -> None:
        self.call = call
        self.client = client
        self.outcome: Optional[Outcome] = None
        self.failure = ""
        self.in_time = False
        self._agent = client.agent()
        self._fields = fields
        self._thread = threading.Thread(target=self._make, name=f"third party's {call}", daemon=True)
        self._thread.start()

    def wait(self, limit: float) -> bool:
        """Wait until the call has ended; ``limit`` is in seconds. Returns whether it has."""
        self._thread.join(limit)
        return not self._thread.is_alive()

    def give_up(self) -> None:
        """End the agent, and with it the call."""
        self._agent.kill()
        self._thread.join()
        self.client.drop()

    @property
    def words(self) -> str:
        """How the call ended, or that it has not."""
        if self._thread.is_alive():
            return NO_ANSWER
        if self.outcome is None:
            return self.failure
        if self.outcome.timed_out:
            # Nobody refused it.
            return f"no answer in {CALL_LIMIT:.0f} s"
        return "done" if self.outcome.ok else f"refused: {self.outcome.error}"

    @property
    def done(self) -> bool:
        """Whether the call has succeeded."""
        return not self._thread.is_alive() and self.outcome is not None and self.outcome.ok

    def _make(self) -> None:
        try:
            self.outcome = self._agent.outcome(self.call, CALL_LIMIT, **self._fields)
        except (AgentFailure, LabError) as error:
            self.failure = str(error)


class ThirdParties:
    """Agents with direct connections, kept ready for the strikes of a run. Safe for several threads."""

    def __init__(self, cell: Cell) -> None:
        self._cell = replace(cell, relayed={}, keepalive=None)
        self._idle: list[ClientAgent] = []
        self._leaving: list[threading.Thread] = []
        self._lock = threading.Lock()

    def start(self) -> None:
        """Have one ready.

        :raises LabError: when it cannot connect.
        """
        client = ClientAgent(self._cell)
        client.agent()
        self._idle.append(client)

    def call(self, call: str, **fields: Any) -> ThirdPartyCall:
        """Make a call, and wait for it for ``ANSWER`` seconds.

        :raises LabError: when no third party can connect.
        """
        made = ThirdPartyCall(self._take(), call, fields)
        made.in_time = made.wait(ANSWER)
        if made.in_time:
            self.give_back(made.client)
        return made

    def ask(self, call: str, **fields: Any) -> Any:
        """Make a call that waits for nothing, and return its result.

        :raises AgentFailure: when it fails.
        :raises LabError: when no third party can connect.
        """
        client = self._take()
        try:
            return client.agent().call(call, CALL_LIMIT / 6, **fields)
        finally:
            self.give_back(client)

    def give_back(self, client: ClientAgent) -> None:
        """Let another strike use an agent."""
        with self._lock:
            self._idle.append(client)

    def forget(self) -> None:
        """End the agents that are not in use, without waiting for it: their daemons are not there any more."""
        with self._lock:
            idle, self._idle = self._idle, []
            for client in idle:
                # To leave a container takes 0.1 s and more.
                thread = threading.Thread(target=client.drop, name="third party that leaves", daemon=True)
                thread.start()
                self._leaving = [*(each for each in self._leaving if each.is_alive()), thread]

    def close(self) -> None:
        """End the agents."""
        self.forget()
        for thread in self._leaving:
            thread.join()

    def _take(self) -> ClientAgent:
        """An agent whose connections work."""
        with self._lock:
            client = self._idle.pop() if self._idle else ClientAgent(self._cell)
        started = time.monotonic()
        try:
            for side in ("source", "target"):
                client.agent().call("alive", PROBE, connection=side)
        except AgentFailure:
            # A daemon has died since. One that is silent is not asked again.
            client.drop()
            if time.monotonic() - started >= PROBE:
                raise LabError("no third party gets an answer from the daemons") from None
        client.agent()
        return client
