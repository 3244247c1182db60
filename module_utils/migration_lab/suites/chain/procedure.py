# SPDX-License-Identifier: GPL-3.0-or-later
"""A chain: migrate a guest on and on, and replace the libvirt of a machine under it. Observes, never judges."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Mapping

from ...cell.agent_process import AgentProcess
from ...cell.client import CLEAN_LIMIT, ClientAgent, DaemonSilent
from ...judging.observation import Outcome
from ...model.case import State
from ...model.errors import LabError
from ...model.version import parse_version
from ..attempt import Attempt
from ..migration.procedure import Call, Migration
from ..procedure import Bench, Procedure, protocol_of, seconds_left
from .case import ChainCase, Step
from .observation import ChainObservation, ReplacementObservation


class Hop(Migration):
    """One hop of a chain. The guest of a later one is there already, as the hop before has left it."""

    def __init__(self, bench: Bench, step: Step, later: bool) -> None:
        super().__init__(bench)
        self.source, self.target = step.source, step.target
        self._later = later

    def set_up(self, attempt: Attempt, agent: AgentProcess, call: Call, deadline: float) -> bool:
        if not self._later:
            return super().set_up(attempt, agent, call, deadline)
        seen, scenario, limit = attempt.seen, attempt.case.scenario, seconds_left(deadline)
        there, ahead = (
            self.bench.domains.look(agent, side, self.name(attempt), limit) for side in (self.source, self.target)
        )
        if scenario.persistent:
            seen.source_defined = Outcome(there.persistent, "" if there.persistent else f"it is {there}")
        seen.source_state = there.state or "absent"
        if scenario.target_config:
            kept = ahead.persistent and not ahead.active
            seen.target_defined = Outcome(kept, "" if kept else f"it is {ahead}")
        return seen.source_state == scenario.state.value

    def look(self, attempt: Attempt, agent: AgentProcess, limit: float) -> None:
        super().look(attempt, agent, limit)
        seen, words = attempt.seen, {self.source: "source", self.target: "target"}
        if seen.survival is not None:
            copies = (replace(copy, machine=words.get(copy.machine, copy.machine)) for copy in seen.survival.copies)
            seen.survival = replace(seen.survival, copies=tuple(copies))
        if self._later and seen.target_config != "absent":
            # It may be the guest's own, which it has left there: nothing tells whether it was kept or replaced.
            seen.target_config = None


class Chain(Procedure):
    """Takes guests over the machines."""

    observation = ChainObservation

    def act(self, attempt: Attempt, client: ClientAgent, deadline: float) -> None:
        seen, case = _seen(attempt), _case(attempt)
        replaced: dict[str, dict[str, int]] = {}
        try:
            for step, part in zip(case.walk.steps, case.parts):
                if step.target:
                    done = self._hop(attempt, Attempt(part, attempt.number), step, client, deadline)
                else:
                    begun = Attempt(part, attempt.number, seen=ReplacementObservation())
                    if not seen.steps:
                        self._start(begun, step.source, client, deadline)
                    seen.steps.append(begun)
                    done = self._replace(begun, step.source, client, deadline, replaced)
                if not done:
                    return
        finally:
            for role, processes in replaced.items():
                client.drop()
                machine = self.bench.cell.daemons[role]
                now = machine.daemons()
                seen.daemon_deaths += [
                    f"{name} that replaced the daemon on the {role} (process {process}) died"
                    for name, process in processes.items() if now.get(name) != process
                ]
                attempt.daemons[role] = machine.restart_daemons()

    def look(self, attempt: Attempt, agent: AgentProcess, limit: float) -> None:
        """Look again at what the last hop has left."""
        seen = _seen(attempt)
        begun, step = seen.steps[-1], _case(attempt).walk.steps[len(seen.steps) - 1]
        if not step.target:
            return
        begun.seen.daemon_deaths = seen.daemon_deaths
        Hop(self.bench, step, later=len(seen.steps) > 1).look(begun, agent, limit)
        seen.source_after, seen.target_after = begun.seen.source_after, begun.seen.target_after

    def _hop(self, attempt: Attempt, begun: Attempt, step: Step, client: ClientAgent, deadline: float) -> bool:
        """Make a hop; returns whether the guest has arrived."""
        seen, relays = _seen(attempt), self.bench.relays
        seen.steps.append(begun)
        try:
            Hop(self.bench, step, later=len(seen.steps) > 1).act(begun, client, deadline)
        finally:
            attempt.timed_out |= begun.timed_out
            attempt.migration = begun.migration or attempt.migration
            seen.migrated, seen.source_after, seen.target_after = (
                begun.seen.migrated, begun.seen.source_after, begun.seen.target_after
            )
            if relays is not None:
                begun.steps = relays.take(self.name(attempt))
                begun.seen.protocol = protocol_of(begun.steps)
                attempt.steps += begun.steps
        return bool(begun.seen.migrated and begun.seen.migrated.ok)

    def _replace(
        self, begun: Attempt, role: str, client: ClientAgent, deadline: float, replaced: dict[str, dict[str, int]]
    ) -> bool:
        """Replace the libvirt of a machine, and look at the guest; returns whether the daemon still shows it active.

        :param replaced: by role the process numbers, by name, of daemons that replaced others; it gets the new ones.
        """
        seen, machine, witness = begun.seen, self.bench.cell.daemons[role], self.witness(begun)
        assert isinstance(seen, ReplacementObservation)
        guest, name = self.guest(begun), self.name(begun)
        counter = witness.counter(guest, role, name) if witness is not None else None
        started = time.monotonic()
        client.drop()
        replaced[role] = {}
        replaced[role] = machine.replace_daemons()
        seen.daemon = self._serving(seen, role, client, replaced[role])
        seen.daemon = replace(seen.daemon, seconds=time.monotonic() - started)
        if seen.daemon.ok and seen.libvirt != parse_version(machine.replacement):
            raise LabError(
                f"machine {machine.name}: the daemon that replaced its own is libvirt {seen.libvirt}, not {machine.replacement}; "
                "rebuild the release's image"
            )
        if witness is not None and counter is not None:
            running = begun.case.scenario.state is State.RUNNING
            survival = witness.survival(witness.watch(guest, name), role, running, before=counter)
            copies = (replace(copy, machine="source" if copy.machine == role else copy.machine) for copy in survival.copies)
            seen.survival = replace(survival, copies=tuple(copies))
        if not seen.daemon.ok:
            return False
        # A daemon that was started shows what it finds in its state files, and ends guests that it has lost a moment later.
        shown, = self.bench.domains.look_settled(client.agent(), name, seconds_left(deadline), True, (role,))
        seen.shown = shown
        return shown.active

    def _serving(self, seen: ReplacementObservation, role: str, client: ClientAgent, processes: Mapping[str, int]) -> Outcome:
        """Whether the daemon that replaced a machine's own serves, and as which version."""
        if not processes:
            return Outcome(False, "the daemon ended as soon as it was started")
        try:
            uri = self.bench.cell.uri(f"client-{role}")
            answer = client.agent().call("open", CLEAN_LIMIT, connection=role, uri=uri)
        except DaemonSilent as error:
            return Outcome(False, str(error))
        seen.libvirt = answer["libvirt"]
        return Outcome(True)

    def _start(self, begun: Attempt, role: str, client: ClientAgent, deadline: float) -> None:
        """Have the guest that a chain begins with: set it up as a hop from that machine would.

        :raises LabError: when it cannot be set up.
        """
        agent = client.agent()

        def call(function: str, **fields: object) -> Outcome:
            return agent.outcome(function, seconds_left(deadline), **fields)

        if not Hop(self.bench, Step("", role, "target"), later=False).set_up(begun, agent, call, deadline):
            raise LabError(f"the guest could not be set up on the {role}: {_problem(begun)}")


def _problem(begun: Attempt) -> str:
    seen = begun.seen
    outcomes = (outcome for outcome in (seen.source_defined, seen.source_started) if outcome is not None)
    return next((outcome.error for outcome in outcomes if not outcome.ok), f"it is {seen.source_state}")


def _seen(attempt: Attempt) -> ChainObservation:
    assert isinstance(attempt.seen, ChainObservation)
    return attempt.seen


def _case(attempt: Attempt) -> ChainCase:
    assert isinstance(attempt.case, ChainCase)
    return attempt.case
