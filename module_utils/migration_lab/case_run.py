# SPDX-License-Identifier: GPL-3.0-or-later
"""One case on a cell: set the scenario up, migrate, look at both daemons, clean up. Observes, never judges."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass, field
from typing import Any, Optional

from .agent_process import AgentDied, AgentProcess, CallError, CallTimeout
from .domain_xml import GuestConfig, domain_xml
from .judge import Observation, Outcome, Sight
from .machine import Machine
from .model import Case, LabError, Method

# Seconds for calls that no migration is waited for in.
OPEN_LIMIT = 15.0
CLEAN_LIMIT = 30.0

# Domains of a run get UUIDs made from this and their names, so that a guest is the same one in both daemons' eyes.
UUID_SPACE = uuid.UUID("6b1f0a52-6a0e-4c59-9c54-1d0f4d0c4f0a")


@dataclass(frozen=True)
class Cell:
    """Three machines that can migrate among themselves."""

    client: Machine
    source: Machine
    target: Machine


@dataclass
class Attempt:
    """One attempt at a case: what was seen, what was called, when it started (monotonic) and the time it took (seconds)."""

    case: Case
    started: float = field(default_factory=time.monotonic)
    seen: Observation = field(default_factory=Observation)
    migration: Optional[dict[str, Any]] = None
    seconds: float = 0.0
    call_seconds: float = 0.0
    timed_out: bool = False


class DaemonSilent(LabError):
    """A daemon does not answer an agent that is well."""


class Connection:
    """An agent with its connections to both daemons, replaced when it has died, hung, or lost a daemon."""

    def __init__(self, cell: Cell) -> None:
        self._cell = cell
        self._agent: Optional[AgentProcess] = None
        self.replaced = 0
        self._retired_seconds = 0.0

    @property
    def call_seconds(self) -> float:
        """Seconds spent inside libvirt calls so far."""
        return self._retired_seconds + (self._agent.call_seconds if self._agent else 0.0)

    def agent(self) -> AgentProcess:
        """The agent, made anew if there is none alive.

        :raises DaemonSilent: when a daemon does not answer.
        :raises LabError: when the agent cannot start.
        """
        if self._agent is not None and not self._agent.alive:
            self.drop()
        if self._agent is None:
            client = self._cell.client
            agent = AgentProcess(client.exec, client.python)
            try:
                agent.call("hello", OPEN_LIMIT)
                for name, machine in (("source", self._cell.source), ("target", self._cell.target)):
                    try:
                        agent.call("open", OPEN_LIMIT, connection=name, uri=machine.uri)
                    except (CallError, CallTimeout) as error:
                        raise DaemonSilent(f"the agent on {client.name} could not connect to the {name}: {error}") from error
            except (CallError, CallTimeout, AgentDied) as error:
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


class CaseRunner:
    """Runs cases of one combination."""

    def __init__(self, cell: Cell, guest: GuestConfig, prefix: str, run: str, combination: str, time_limit: float) -> None:
        """
        :param prefix: start of every domain's name; nothing without it is ever touched.
        :param run: the run's name; it goes into the UUIDs.
        :param time_limit: seconds for a case up to its last look; cleaning up has its own.
        """
        self._cell = cell
        self._guest = guest
        self._prefix = prefix
        self._run = run
        self._combination = combination
        self._time_limit = time_limit

    def domain_name(self, case: Case) -> str:
        """The case's own domain name."""
        return f"{self._prefix}{self._combination}-{case.number:03d}"

    def run(self, case: Case, connection: Connection) -> Attempt:
        """Carry the case out once and clean up after it. Whatever happens is in the attempt; nothing is raised."""
        attempt = Attempt(case)
        called = connection.call_seconds
        deadline = attempt.started + self._time_limit
        try:
            self._act(attempt, connection, deadline)
        except (CallError, CallTimeout, AgentDied, LabError) as error:
            attempt.seen.lab_error = str(error)
            attempt.timed_out |= isinstance(error, CallTimeout)
        if attempt.seen.migrated is not None and attempt.seen.source_after is None:
            self._look_again(attempt, connection)
        self._clean(attempt, connection)
        attempt.seconds = time.monotonic() - attempt.started
        attempt.call_seconds = connection.call_seconds - called
        return attempt

    def clean_domain(self, name: str, connection: Connection) -> list[str]:
        """Remove a domain of the lab from both machines.

        Judged by what is left, not by what a call returned: old daemons answer a destroy that worked with an error.

        :returns: what is left, in words; empty when both machines are clean.
        """
        if not name.startswith(self._prefix):
            raise LabError(f"domain '{name}' has not the lab's prefix '{self._prefix}' and is not touched")
        left = []
        for side in ("source", "target"):
            for call in ("destroy", "undefine"):
                sight = self._look(connection, side, name, CLEAN_LIMIT)
                if (sight.active if call == "destroy" else sight.persistent):
                    connection.agent().outcome(call, CLEAN_LIMIT, connection=side, name=name)
            sight = self._look(connection, side, name, CLEAN_LIMIT)
            if sight.exists:
                left.append(f"{name} on the {side}: {sight}")
        return left

    def _act(self, attempt: Attempt, connection: Connection, deadline: float) -> None:
        """Set up, migrate and look; returns early when a step failed, raises when the lab cannot go on."""
        case, seen = attempt.case, attempt.seen
        agent = connection.agent()
        name = self.domain_name(case)
        xml = domain_xml(self._guest, name, str(uuid.uuid5(UUID_SPACE, f"{self._run}/{name}")))
        paused = case.scenario.state.value == "paused"

        def step(call: str, **fields: Any) -> Outcome:
            outcome = agent.outcome(call, self._left(deadline), **fields)
            attempt.timed_out |= outcome.timed_out
            return outcome

        if case.scenario.persistent:
            seen.source_defined = step("define", connection="source", xml=xml)
            if not seen.source_defined.ok:
                return
            seen.source_started = step("start", connection="source", name=name, paused=paused)
        else:
            seen.source_started = step("create", connection="source", xml=xml, paused=paused)
        if not seen.source_started.ok:
            return
        seen.source_state = self._look(connection, "source", name, self._left(deadline)).state or "absent"
        if case.scenario.target_config:
            seen.target_defined = step("define", connection="target", xml=xml)
            if not seen.target_defined.ok:
                return
        if seen.source_state != case.scenario.state.value:
            return
        bits = case.migrate_bits
        if case.method is Method.NORMAL:
            function = "virDomainMigrate"
            outcome = step("migrate", source="source", name=name, target="target", bits=bits)
        else:
            function = "virDomainMigrateToURI"
            outcome = step("migrate_to_uri", source="source", name=name, uri=self._cell.target.uri, bits=bits)
        seen.migrated = outcome
        attempt.migration = {
            "call": function, "uri": self._cell.target.uri, "flags": list(case.migrate_flags), "bits": bits,
            "seconds": round(outcome.seconds, 3), "error": outcome.error,
        }
        if agent.alive:
            seen.source_after = self._look(connection, "source", name, self._left(deadline))
            seen.target_after = self._look(connection, "target", name, self._left(deadline))

    def _look_again(self, attempt: Attempt, connection: Connection) -> None:
        """After a hung or crashed migrate call: ask both daemons through a new agent, as far as they answer."""
        name = self.domain_name(attempt.case)
        try:
            attempt.seen.source_after = self._look(connection, "source", name, CLEAN_LIMIT)
            attempt.seen.target_after = self._look(connection, "target", name, CLEAN_LIMIT)
        except (CallError, CallTimeout, AgentDied, LabError) as error:
            attempt.seen.lab_error = attempt.seen.lab_error or f"after the migration: {error}"

    def _clean(self, attempt: Attempt, connection: Connection) -> None:
        try:
            attempt.seen.leftovers = self.clean_domain(self.domain_name(attempt.case), connection)
        except (CallError, CallTimeout, AgentDied, LabError) as error:
            attempt.seen.lab_error = attempt.seen.lab_error or f"while cleaning up: {error}"

    def _look(self, connection: Connection, side: str, name: str, limit: float) -> Sight:
        return Sight(**connection.agent().call("look", limit, connection=side, name=name))

    def _left(self, deadline: float) -> float:
        return max(1.0, deadline - time.monotonic())
