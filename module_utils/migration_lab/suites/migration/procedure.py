# SPDX-License-Identifier: GPL-3.0-or-later
"""One case on a cell: set the scenario up, migrate, look at both daemons, clean up. Observes, never judges."""

from __future__ import annotations

import re
import time
import uuid
from typing import Any, Callable, Optional

from ...cell.agent_process import AgentDied, AgentProcess, CallError, CallTimeout
from ...cell.cell import Cell
from ...cell.client import CLEAN_LIMIT, FAILURES, STUCK_LIMIT, ClientAgent
from ...cell.witness import Witness
from ...guest.config import GuestConfig
from ...guest.domain_xml import domain_xml
from ...judging.observation import Outcome, Sight
from ...model.case import Case, Method, State
from ...model.errors import LabError
from ...relay.relays import Relays
from ...relay.steps import Step
from ..attempt import Attempt

# Domains of a run get UUIDs made from this and their names, so that a guest is the same one in both daemons' eyes.
UUID_SPACE = uuid.UUID("6b1f0a52-6a0e-4c59-9c54-1d0f4d0c4f0a")


# Seconds that a guest may be seen shutting down before that counts as its state.
SETTLE_LIMIT = 10.0


# Tell a guest's own config from the one that the target has of it before the migration.
GUEST_CONFIG = "config of the guest"


TARGET_CONFIG = "config that the target had"


# Starts dead daemons again, those that do not answer if its first argument tells it to ask, and both if its second one does;
# returns what died, by role. Raises LabError when one cannot be started: that ends the run.
Revive = Callable[[bool, bool], dict[str, str]]


class CaseRunner:
    """Runs cases of one combination."""

    def __init__(
        self,
        cell: Cell,
        guest: GuestConfig,
        prefix: str,
        run: str,
        combination: str,
        time_limit: float,
        witness: Optional[Witness] = None,
        tap: Optional[Relays] = None,
    ) -> None:
        """
        :param prefix: start of every domain's name; nothing without it is ever touched.
        :param run: the run's name; it goes into the UUIDs.
        :param time_limit: seconds for a case up to its last look; cleaning up has its own.
        :param witness: looks at the guests themselves; without one only libvirt is asked.
        :param tap: what the cell's paths go through, where they do.
        """
        self._cell = cell
        self._guest = guest
        self._prefix = prefix
        self._run = run
        self._combination = combination
        self._time_limit = time_limit
        self._witness = witness
        self._tap = tap

    def domain_name(self, case: Case, number: int = 1) -> str:
        """Name of the domain of an attempt at a case; a later attempt has nothing to do with what may be left of the first."""
        return f"{self._prefix}{self._combination}-{case.number:03d}" + (f"-{number}" if number > 1 else "")

    def run(self, case: Case, connection: ClientAgent, revive: Optional[Revive] = None, number: int = 1) -> Attempt:
        """Carry the case out once and clean up after it. Whatever happens is in the attempt; only ``revive`` may raise.

        :param revive: given when the case runs alone: a daemon that dies is then its doing, is started again, and both
            are asked what is left of the guest.
        :param number: of the attempt.
        """
        attempt = Attempt(case, number)
        seen = attempt.seen
        called = connection.call_seconds
        deadline = attempt.started + self._time_limit
        try:
            self._act(attempt, connection, deadline)
        except FAILURES as error:
            seen.lab_error = str(error)
            attempt.timed_out |= isinstance(error, CallTimeout)
        if self._tap is not None:
            attempt.steps = self._tap.take(self._name(attempt))
            seen.protocol = _protocol(attempt.steps)
        lost = bool(seen.lab_error) or not (seen.migrated and seen.migrated.ok)
        if revive and lost and self._survive(attempt, connection, revive):
            seen.source_after = seen.target_after = None
        if seen.migrated is not None and seen.source_after is None:
            self._look_again(attempt, connection)
        self._clean(attempt, connection, STUCK_LIMIT if seen.daemon_deaths else CLEAN_LIMIT)
        # A daemon whose peer died may be stuck with the guest's job (seen with 0.9.1); it is started anew as well.
        stuck = bool(seen.daemon_deaths)
        if revive and (seen.lab_error or seen.leftovers) and (self._survive(attempt, connection, revive, stuck) or stuck):
            self._clean(attempt, connection, CLEAN_LIMIT)
        attempt.seconds = time.monotonic() - attempt.started
        attempt.call_seconds = connection.call_seconds - called
        return attempt

    def clean_domain(self, name: str, connection: ClientAgent, limit: float = CLEAN_LIMIT) -> list[str]:
        """Remove a domain of the lab from both machines.

        Judged by what is left, not by what a call returned: old daemons answer a destroy that worked with an error.

        :param limit: seconds for each call.
        :returns: what is left, in words; empty when both machines are clean.
        """
        if not name.startswith(self._prefix):
            raise LabError(f"domain '{name}' has not the lab's prefix '{self._prefix}' and is not touched")
        left = []
        for side in ("source", "target"):
            for call in ("destroy", "undefine"):
                sight = self._look(connection.agent(), side, name, limit)
                if (sight.active if call == "destroy" else sight.persistent):
                    connection.agent().outcome(call, limit, connection=side, name=name)
            sight = self._look(connection.agent(), side, name, limit)
            if sight.exists:
                left.append(f"{name} on the {side}: {sight}")
        return left + (self._witness.leftovers(name) if self._witness else [])

    def _act(self, attempt: Attempt, connection: ClientAgent, deadline: float) -> None:
        """Set up, migrate and look; returns early when a step failed, raises when the lab cannot go on.

        All of it through one agent: when that dies, also between two calls, the case is lost.
        """
        case, seen = attempt.case, attempt.seen
        agent = connection.agent()
        name = self._name(attempt)
        identity = str(uuid.uuid5(UUID_SPACE, f"{self._run}/{name}"))
        xml = domain_xml(self._guest, name, identity, GUEST_CONFIG)
        pause = case.scenario.state is State.PAUSED

        def step(call: str, **fields: Any) -> Outcome:
            outcome = agent.outcome(call, self._left(deadline), **fields)
            attempt.timed_out |= outcome.timed_out
            return outcome

        # A guest that is to be paused first runs where it is witnessed, so that there is something to see in its memory.
        paused = pause and self._witness is None
        if case.scenario.persistent:
            seen.source_defined = step("define", connection="source", xml=xml)
            if not seen.source_defined.ok:
                return
            seen.source_started = step("start", connection="source", name=name, paused=paused)
        else:
            seen.source_started = step("create", connection="source", xml=xml, paused=paused)
        if seen.source_started.ok and self._witness is not None:
            self._witness.wait_until_counting("source", name, self._left(deadline))
            if pause:
                seen.source_started = step("suspend", connection="source", name=name)
        if not seen.source_started.ok:
            return
        seen.source_state = self._look(agent, "source", name, self._left(deadline)).state or "absent"
        if case.scenario.target_config:
            own = domain_xml(self._guest, name, identity, TARGET_CONFIG)
            seen.target_defined = step("define", connection="target", xml=own)
            if not seen.target_defined.ok:
                return
        if seen.source_state != case.scenario.state.value:
            return
        if self._witness is not None:
            attempt.counter = self._witness.counter("source", name)
        bits = case.migrate_bits
        if case.method is Method.NORMAL:
            function, uri = "virDomainMigrate", self._cell.uri("client-target")
            outcome = step("migrate", source="source", name=name, target="target", bits=bits)
        else:
            function, uri = "virDomainMigrateToURI", self._cell.uri("source-target")
            outcome = step("migrate_to_uri", source="source", name=name, uri=uri, bits=bits)
        seen.migrated = outcome
        attempt.migration = {
            "call": function, "uri": uri, "flags": list(case.migrate_flags), "bits": bits,
            "seconds": round(outcome.seconds, 3), "error": outcome.error,
        }
        if outcome.ok or agent.alive:
            self._look_after(attempt, agent, self._left(deadline))

    def _look_after(self, attempt: Attempt, agent: AgentProcess, limit: float) -> None:
        """What is there after the migration call: both daemons' sight, the target's config, and the guest itself."""
        seen, name = attempt.seen, self._name(attempt)
        source = self._look_settled(agent, "source", name, limit)
        target = self._look_settled(agent, "target", name, limit)
        assert seen.migrated is not None
        side, there = ("target", target) if seen.migrated.ok else ("source", source)
        if seen.migrated.ok:
            seen.target_config = self._config(agent, name, limit) if target.persistent else "absent"
        if self._witness is not None and attempt.counter is not None and there.active:
            running = there.state == State.RUNNING.value
            seen.survival = self._witness.survival(name, side, running, before=attempt.counter)
        seen.source_after, seen.target_after = source, target

    def _look_again(self, attempt: Attempt, connection: ClientAgent) -> None:
        """After a hung or crashed migrate call: ask both daemons through a new agent, as far as they answer."""
        try:
            self._look_after(attempt, connection.agent(), CLEAN_LIMIT)
        except FAILURES as error:
            attempt.seen.lab_error = attempt.seen.lab_error or f"after the migration: {error}"

    def _survive(self, attempt: Attempt, connection: ClientAgent, revive: Revive, stuck: bool = False) -> bool:
        """Start daemons that the case has brought down again; what the case could not do for that is not the lab's fault.

        :param stuck: whether both daemons are to be started anew.
        :returns: whether one had died.
        """
        seen = attempt.seen
        deaths = revive(bool(attempt.timed_out or seen.lab_error or seen.leftovers), stuck)
        seen.daemon_deaths.extend(deaths.values())
        if deaths or stuck:
            seen.lab_error = ""
            connection.drop()
        return bool(deaths)

    def _clean(self, attempt: Attempt, connection: ClientAgent, limit: float) -> None:
        try:
            attempt.seen.leftovers = self.clean_domain(self._name(attempt), connection, limit)
        except (CallError, CallTimeout) as error:
            # A daemon that lives and does not tell what is left is at fault, not the lab.
            attempt.seen.leftovers = [f"not told: {error}"]
            attempt.timed_out |= isinstance(error, CallTimeout)
        except (AgentDied, LabError) as error:
            attempt.seen.lab_error = attempt.seen.lab_error or f"while cleaning up: {error}"

    def _name(self, attempt: Attempt) -> str:
        return self.domain_name(attempt.case, attempt.number)

    def _look(self, agent: AgentProcess, side: str, name: str, limit: float) -> Sight:
        return Sight(**agent.call("look", limit, connection=side, name=name))

    def _look_settled(self, agent: AgentProcess, side: str, name: str, limit: float) -> Sight:
        """A sight that is not on its way to another: a daemon that was started again first ends guests that it has lost."""
        deadline = time.monotonic() + SETTLE_LIMIT
        sight = self._look(agent, side, name, limit)
        while sight.state == "in shutdown" and time.monotonic() < deadline:
            time.sleep(0.1)
            sight = self._look(agent, side, name, limit)
        return sight

    def _config(self, agent: AgentProcess, name: str, limit: float) -> str:
        """Whose config the target has: its own, the guest's, or another."""
        xml = agent.call("config", limit, connection="target", name=name)["xml"]
        described = re.search("<description>(.*?)</description>", xml)
        return {TARGET_CONFIG: "own", GUEST_CONFIG: "guest"}.get(described.group(1) if described else "", "another")

    def _left(self, deadline: float) -> float:
        return max(1.0, deadline - time.monotonic())


def _protocol(steps: list[Step]) -> str:
    """The migration protocol that ran, by what the target was asked to prepare; empty when it was not."""
    forms = {
        "prepare": "v1", "prepare2": "v2", "prepare-tunnel": "v2", "prepare3": "v3", "prepare-tunnel3": "v3",
        "prepare3-params": "v3-params", "prepare-tunnel3-params": "v3-params",
    }
    prepared = [forms[step.procedure] for step in steps if step.procedure in forms]
    return prepared[-1] if prepared else ""
