# SPDX-License-Identifier: GPL-3.0-or-later
"""An agent on a machine that several threads share."""

from __future__ import annotations

import threading
from types import ModuleType
from typing import Any, Optional

from ..model.errors import LabError
from .agent_process import AgentFailure, AgentProcess
from .machine import Machine

# Seconds for a call, none of which waits for anything.
CALL_LIMIT = 20.0


class SharedAgent:
    """Starts when it is first asked, and again after it has died. Safe for several threads."""

    def __init__(self, machine: Machine, source: ModuleType, problem: str, advice: str = "") -> None:
        """
        :param source: the agent's module, which is sent to the machine.
        :param problem: what a failed call means, for the error: ``its storage could not be prepared``.
        :param advice: what to do about it.
        """
        self._machine = machine
        self._source = source
        self._problem = problem
        self._advice = f"; {advice}" if advice else ""
        self._agent: Optional[AgentProcess] = None
        self._turn = threading.Lock()

    def start(self) -> None:
        """Start the agent, which takes 0.1 s, without waiting for it; a failure is the first call's.

        :raises LabError: when its command does not exist.
        """
        with self._turn:
            if self._agent is None:
                self._agent = AgentProcess(self._machine.exec, self._machine.python, self._source)

    def call(self, call: str, **fields: Any) -> Any:
        """Make a call and return its result.

        :raises LabError: when the agent cannot start, dies or refuses.
        """
        with self._turn:
            try:
                if self._agent is None or not self._agent.alive:
                    self._close()
                    self._agent = AgentProcess(self._machine.exec, self._machine.python, self._source)
                return self._agent.call(call, CALL_LIMIT, **fields)
            except AgentFailure as error:
                raise LabError(f"machine {self._machine.name}: {self._problem}: {error}{self._advice}") from error

    def end(self) -> None:
        """Let the agent end, without waiting for it."""
        with self._turn:
            if self._agent is not None:
                self._agent.end()

    def close(self) -> None:
        """End the agent."""
        with self._turn:
            self._close()

    def _close(self) -> None:
        if self._agent is not None:
            self._agent.close()
            self._agent = None
