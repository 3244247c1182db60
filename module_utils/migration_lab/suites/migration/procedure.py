# SPDX-License-Identifier: GPL-3.0-or-later
"""A migration: set the scenario up, migrate, look at both daemons. Observes, never judges."""

from __future__ import annotations

from typing import Any, Callable

from ...cell.agent_process import AgentProcess
from ...cell.client import ClientAgent
from ...guest.domain_xml import domain_xml
from ...judging.observation import Outcome
from ...model.case import SIDES, Case, Method, State
from ...model.errors import LabError
from ..attempt import Attempt
from ..procedure import Procedure, seconds_left

# Tell a guest's own config from the one that the target has of it before the migration.
GUEST_CONFIG = "config of the guest"
TARGET_CONFIG = "config that the target had"

# Makes a call of the agent and returns how it ended.
Call = Callable[..., Outcome]


class Migration(Procedure):
    """Migrates guests. ``source`` and ``target`` are the roles of the machines between which it does."""

    source, target = SIDES

    def act(self, attempt: Attempt, client: ClientAgent, deadline: float) -> None:
        """All of it through one agent: when that dies, also between two calls, the case is lost."""
        agent = client.agent()

        def call(function: str, **fields: Any) -> Outcome:
            outcome = agent.outcome(function, seconds_left(deadline), **fields)
            attempt.timed_out |= outcome.timed_out
            return outcome

        if not self.set_up(attempt, agent, call, deadline):
            return
        outcome = self.migrate(attempt, call)
        if outcome.ok or agent.alive:
            self.look(attempt, agent, seconds_left(deadline))

    def set_up(self, attempt: Attempt, agent: AgentProcess, call: Call, deadline: float) -> bool:
        """Bring the scenario about; returns whether it is there."""
        seen, scenario, name, witness = attempt.seen, attempt.case.scenario, self.name(attempt), self.witness(attempt)
        guest, identity = self.guest(attempt), self.bench.domains.identity(name)
        xml = domain_xml(guest, name, identity, GUEST_CONFIG)
        pause = scenario.state is State.PAUSED
        # A guest that is to be paused first runs where it is witnessed, so that there is something to see in its memory.
        paused = pause and witness is None
        if scenario.persistent:
            seen.source_defined = call("define", connection=self.source, xml=xml)
            if not seen.source_defined.ok:
                return False
            seen.source_started = call("start", connection=self.source, name=name, paused=paused)
        else:
            seen.source_started = call("create", connection=self.source, xml=xml, paused=paused)
        if not seen.source_started.ok:
            return False
        # What must be called in any case is called while the guest boots.
        if scenario.target_config:
            own = domain_xml(guest, name, identity, TARGET_CONFIG)
            seen.target_defined = call("define", connection=self.target, xml=own)
        if not pause:
            seen.source_state = self.state_on_source(agent, name, deadline)
        if witness is not None:
            witness.wait_until_counting(guest, self.source, name, seconds_left(deadline))
        if pause:
            if not paused:
                seen.source_started = call("suspend", connection=self.source, name=name)
                if not seen.source_started.ok:
                    return False
            seen.source_state = self.state_on_source(agent, name, deadline)
        if seen.target_defined is not None and not seen.target_defined.ok:
            return False
        return seen.source_state == scenario.state.value

    def state_on_source(self, agent: AgentProcess, name: str, deadline: float) -> str:
        """The guest's state as the source shows it."""
        return self.bench.domains.look(agent, self.source, name, seconds_left(deadline)).state or "absent"

    def migrate(self, attempt: Attempt, call: Call) -> Outcome:
        """Make the case's migration call."""
        case, name, witness = attempt.case, self.name(attempt), self.witness(attempt)
        if witness is not None:
            attempt.counter = witness.counter(self.guest(attempt), self.source, name)
            if attempt.counter is None:
                raise LabError(f"guest {name} on the source cannot be seen before its migration, though it was seen to count")
        return self.note_migration(attempt, self.call_migrate(case, name, call))

    def note_migration(self, attempt: Attempt, outcome: Outcome) -> Outcome:
        """Keep the call and how it ended in the attempt; returns the outcome."""
        case, normal = attempt.case, attempt.case.method is Method.NORMAL
        attempt.seen.migrated = outcome
        attempt.migration = {
            "call": "virDomainMigrate" if normal else "virDomainMigrateToURI",
            "uri": self.bench.cell.uri(f"{'client' if normal else self.source}-{self.target}"),
            "flags": list(case.migrate_flags), "bits": case.migrate_bits,
            "seconds": round(outcome.seconds, 3), "error": outcome.error,
        }
        return outcome

    def call_migrate(self, case: Case, name: str, call: Call) -> Outcome:
        """Call for the migration of a domain in the case's way."""
        if case.method is Method.NORMAL:
            return call("migrate", source=self.source, name=name, target=self.target, bits=case.migrate_bits)
        uri = self.bench.cell.uri(f"{self.source}-{self.target}")
        return call("migrate_to_uri", source=self.source, name=name, uri=uri, bits=case.migrate_bits)

    def look(self, attempt: Attempt, agent: AgentProcess, limit: float) -> None:
        """What both daemons show, the target's config, and the guest itself."""
        seen, name, domains, witness = attempt.seen, self.name(attempt), self.bench.domains, self.witness(attempt)
        guest, restarted = self.guest(attempt), bool(seen.daemon_deaths or seen.expected_deaths)
        # The daemons are asked while the guest is watched, unless they are still ending guests that they lost.
        watch = None
        if witness is not None and attempt.counter is not None and not restarted:
            watch = witness.watch(guest, name)
        source, target = domains.look_settled(agent, name, limit, restarted, (self.source, self.target))
        assert seen.migrated is not None
        side, there = (self.target, target) if seen.migrated.ok else (self.source, source)
        if seen.migrated.ok and target.persistent:
            described = domains.description(agent, self.target, name, limit)
            seen.target_config = {TARGET_CONFIG: "own", GUEST_CONFIG: "guest"}.get(described, "another")
        elif seen.migrated.ok:
            seen.target_config = "absent"
        if witness is not None and attempt.counter is not None and there.active:
            running = there.state == State.RUNNING.value
            seen.survival = witness.survival(watch or witness.watch(guest, name), side, running, before=attempt.counter)
        seen.source_after, seen.target_after = source, target
