# SPDX-License-Identifier: GPL-3.0-or-later
"""A migration that meets a fault: arm, migrate, heal, watch until steady, migrate again. Observes, never judges."""

from __future__ import annotations

import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Callable, Iterator, Optional

from ...cell.agent_process import AgentDied, AgentProcess, CallError, CallTimeout
from ...cell.client import CLEAN_LIMIT, STUCK_LIMIT, ClientAgent, DaemonSilent
from ...cell.machine import Machine
from ...cell.witness import COUNT_LIMIT, Witness
from ...judging.check import PASS
from ...judging.observation import Copy, Observation, Outcome, Sight
from ...model.case import SIDES, Case, State
from ...model.errors import LabError
from ...relay.steps import NO_REPLY, OK
from ..attempt import Attempt
from ..migration.checks import judge as judge_migration
from ..migration.procedure import GUEST_CONFIG, TARGET_CONFIG, Migration
from ..procedure import Bench, seconds_left
from .case import RecoveryCase
from .injection import Injection, Injector
from .observation import RecoveryObservation, told
from .outcome import main_copy
from .striker import Armed, Striker
from .watch import Watch, twice_seconds

# Seconds between two looks at a world that is to become steady, for which it must stay the same, and in which it must.
PAUSE = 0.1
STEADY = 0.3
STEADY_RESTARTED = 1.0  # a daemon that was restarted ends guests that it has lost a moment later
STEADY_LIMIT = 20.0
# Seconds for which a copy is watched that stands still.
COUNTING = 0.15
# Seconds for a strike that was begun to end.
STRIKE_LIMIT = 15.0


@dataclass(frozen=True)
class _World:
    """What both daemons show of a guest; two equal ones in a row are steady. A side that does not answer has no sight."""

    sights: tuple[Optional[Sight], ...]
    jobs: tuple[tuple[str, str], ...]
    silent: tuple[str, ...]


class Recovery(Migration):
    """Migrates guests into faults."""

    observation = RecoveryObservation

    def __init__(self, bench: Bench) -> None:
        super().__init__(bench)
        assert bench.witness is not None
        assert bench.relays is not None
        self._witness: Witness = bench.witness
        self._relays = bench.relays
        self._striker = Striker()
        self._injector = Injector(bench)
        self._call_limit = float(bench.profile["call_limit"])

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Has the machines' keepalive set, and what strikes at hand."""
        self._relays.intercept(self._striker)
        self._relays.carry_memory()
        keepalive = self.bench.profile["keepalive"]
        with ExitStack() as ends:
            for side in SIDES:
                machine = getattr(self.bench.cell, side)
                ends.push(_without_keepalive(machine))
                machine.set_keepalive(keepalive)
            ends.callback(self._injector.close)
            self._injector.start()
            yield

    def act(self, attempt: Attempt, client: ClientAgent, deadline: float) -> None:
        seen, case, name = _seen(attempt), attempt.case, self.name(attempt)
        assert isinstance(case, RecoveryCase)
        agent = client.agent()

        def call(function: str, **fields: Any) -> Outcome:
            return agent.outcome(function, seconds_left(deadline), **fields)

        if not self.set_up(attempt, agent, call, deadline):
            raise LabError("the scenario could not be set up")
        injection = self._injector.injection(case, name, self.guest(attempt), client.process)
        with Watch(self._witness, self.guest(attempt), name) as watch:
            armed = self._striker.arm(name, case.point, case.fault, injection.strike, injection.after)
            try:
                self._migrate_into(attempt, agent, armed)
            finally:
                self._striker.disarm(name)
                # What struck is healed whatever else fails.
                self._heal(attempt, client, armed, injection)
            if attempt.migration is not None:
                attempt.migration["keepalive"] = self.bench.profile["keepalive"]
            if seen.lab_error:
                return
            assert armed.reached is not None
            self._wait_until_steady(attempt, client, armed.reached, bool(injection.daemons))
            seen.copies = self._copies(attempt, seen.source_after, seen.target_after)
            watch.stop()
        self._sum_up(attempt, client, watch)
        if not seen.stuck:
            self._migrate_again(attempt, client)

    def look(self, attempt: Attempt, agent: AgentProcess, limit: float) -> None:
        """What both daemons show, and whose config they have. After a daemon that died by itself was restarted, in any case."""
        seen = _seen(attempt)
        seen.source_after, seen.target_after = (
            self.bench.domains.look(agent, side, self.name(attempt), limit) for side in SIDES
        )
        seen.copies = self._copies(attempt, seen.source_after, seen.target_after)
        self._note_configs(attempt, agent, limit)
        self._note_pattern(attempt)

    def suspicious(self, attempt: Attempt) -> bool:
        """That a migration failed is no wonder here."""
        seen = _seen(attempt)
        return bool(seen.lab_error or seen.stuck or seen.again) or None in (seen.source_after, seen.target_after)

    def stuck(self, attempt: Attempt) -> bool:
        """Whether a daemon does not answer for the guest."""
        return bool(_seen(attempt).stuck)

    def _migrate_into(self, attempt: Attempt, agent: AgentProcess, armed: Armed) -> None:
        """Make the migrate call, for so long as a manager would wait."""
        seen = _seen(attempt)

        def call(function: str, **fields: Any) -> Outcome:
            return agent.outcome(function, self._call_limit, **fields)

        started = time.monotonic()
        try:
            outcome: Optional[Outcome] = self.migrate(attempt, call)
        except AgentDied as error:
            if armed.reached is None:
                raise
            outcome = None
            self.note_migration(attempt, Outcome(False, f"the caller died: {error}", time.monotonic() - started))
        seen.told = told(outcome)
        seen.counter = attempt.counter

    def _heal(self, attempt: Attempt, client: ClientAgent, armed: Armed, injection: Injection) -> None:
        """Let the strikes end, close the caller's connections, and undo what the fault did."""
        seen, name = _seen(attempt), self.name(attempt)
        armed.end(STRIKE_LIMIT)
        if seen.told is None or seen.told.answer == "nothing":
            # On its machine the call goes on for a moment after it was given up.
            injection.end_agent()
        # As long as they live, jobs and incoming copies stay.
        client.drop()
        try:
            seen.healed = injection.heal()
        except LabError as error:
            seen.lab_error = attempt.broken = f"the fault could not be healed: {error}"
        finally:
            self._relays.heal(name)
        seen.struck = None if armed.notes is None else injection.notes
        seen.killed, attempt.daemons = injection.killed, dict(injection.daemons)
        seen.lab_error = seen.lab_error or _why_not_struck(armed, seen)

    def _sum_up(self, attempt: Attempt, client: ClientAgent, watch: Watch) -> None:
        """What was seen of the world that is steady now."""
        seen, name = _seen(attempt), self.name(attempt)
        stream = self._relays.stream_bytes(name)

        def received(when: float) -> bool:
            return stream is not None and stream[1] is not None and stream[1] <= when

        seen.twice_seconds = twice_seconds(watch.samples, received)
        attempt.steps = self._relays.take(name)
        answers = {step.procedure: step.answer for step in attempt.steps if step.procedure.startswith("finish")}
        # An answer that never came here is not known, but of v3 a copy that Finish has not taken over ends with its connection.
        left = "target" not in seen.jobs and any(copy.machine == "target" for copy in seen.copies or ())
        seen.target_finished = any(
            answer == OK or (left and answer == NO_REPLY and procedure.startswith("finish3"))
            for procedure, answer in answers.items()
        )
        self._note_configs(attempt, client.agent(), CLEAN_LIMIT)
        self._note_pattern(attempt)

    def _wait_until_steady(self, attempt: Attempt, client: ClientAgent, since: float, restarted: bool) -> None:
        """Ask both daemons until what they show stays the same and no job is active."""
        seen, name = _seen(attempt), self.name(attempt)
        wanted = STEADY_RESTARTED if restarted else STEADY
        deadline = time.monotonic() + STEADY_LIMIT
        world = self._world(client, name)
        changed = time.monotonic()
        while (now := time.monotonic()) < deadline:
            settled = not (world.jobs or world.silent) and all(sight and sight.state != "in shutdown" for sight in world.sights)
            if settled and now >= changed + wanted:
                seen.steady_seconds = changed - since
                break
            time.sleep(PAUSE)
            again = self._world(client, name)
            if again != world:
                world, changed = again, time.monotonic()
        seen.source_after, seen.target_after = world.sights
        seen.jobs = dict(world.jobs)
        seen.stuck = [f"the daemon on the {side} does not answer" for side in world.silent]

    def _world(self, client: ClientAgent, name: str) -> _World:
        sights: list[Optional[Sight]] = []
        jobs, silent = [], []
        for side in SIDES:
            try:
                agent = client.agent()
                sight = self.bench.domains.look(agent, side, name, STUCK_LIMIT)
                if sight.active:
                    job = agent.call("job", STUCK_LIMIT, connection=side, name=name)["job"]
                    if job:
                        jobs.append((side, job))
                sights.append(sight)
            except CallTimeout:
                sights.append(None)
                silent.append(side)
            except CallError as error:
                # Gone between two calls, or a connection that the fault has ended.
                client.drop()
                sights.append(None)
                jobs.append((side, f"not known: {error.message}"))
        return _World(tuple(sights), tuple(jobs), tuple(silent))

    def _copies(self, attempt: Attempt, source: Optional[Sight], target: Optional[Sight]) -> tuple[Copy, ...]:
        """All processes of the guest, and how far each counts on; one that libvirt shows as running is given time to."""
        guest, name, shown = self.guest(attempt), self.name(attempt), {"source": source, "target": target}
        first, started = self._witness.all_counters(guest, name), time.monotonic()
        while True:
            time.sleep(PAUSE)
            last = self._witness.all_counters(guest, name)
            late = time.monotonic() - started
            grown = {
                key: None if counter is None or last.get(key) is None else (last[key] or 0) - counter
                for key, counter in first.items()
            }
            waited_for = [
                key for key, growth in grown.items()
                if not growth and (sight := shown[key[0]]) is not None and sight.state == State.RUNNING.value
            ]
            if late >= COUNT_LIMIT or (late >= COUNTING and not waited_for):
                return tuple(Copy(side, last.get((side, pid)), growth) for (side, pid), growth in grown.items())

    def _note_pattern(self, attempt: Attempt) -> None:
        """Whether the memory of the copy that is the guest is whole."""
        seen, case = _seen(attempt), attempt.case
        assert isinstance(case, RecoveryCase)
        if (copy := main_copy(case, seen)) is not None:
            seen.pattern = self._witness.pattern_whole(self.guest(attempt), copy.machine, self.name(attempt))

    def _note_configs(self, attempt: Attempt, agent: AgentProcess, limit: float) -> None:
        """Whose config each side has."""
        seen, name = _seen(attempt), self.name(attempt)
        configs: dict[str, Optional[str]] = {}
        for side, sight in (("source", seen.source_after), ("target", seen.target_after)):
            if sight is None:
                configs[side] = None
            elif not sight.persistent:
                configs[side] = "absent"
            else:
                described = self.bench.domains.description(agent, side, name, limit)
                configs[side] = {TARGET_CONFIG: "own", GUEST_CONFIG: "guest"}.get(described, "another")
        seen.source_config, seen.target_config = configs["source"], configs["target"]

    def _react(self, attempt: Attempt, client: ClientAgent) -> None:
        """What the manager of the run does about a migration that failed or was never answered (the setting ``aftermath``)."""
        seen, name = _seen(attempt), self.name(attempt)
        seen.reaction = self.bench.profile["aftermath"]
        source, target = seen.source_after, seen.target_after
        agent = client.agent()

        def call(function: str, **fields: Any) -> Outcome:
            return agent.outcome(function, self._call_limit, **fields)

        runs = attempt.case.scenario.state is State.RUNNING
        if seen.reaction == "again":
            self.call_migrate(attempt.case, name, call)
        elif seen.reaction == "trust-the-error":
            if target and target.active:
                call("destroy", connection="target", name=name)
            if runs and source and source.active:
                call("resume", connection="source", name=name)
        elif seen.reaction == "trust-the-target":
            if target and target.active:
                if source and source.active:
                    call("destroy", connection="source", name=name)
                if runs:
                    call("resume", connection="target", name=name)
            elif runs and source and source.active:
                call("resume", connection="source", name=name)
        elif seen.reaction == "restart-daemons":
            client.drop()
            for side in SIDES:
                attempt.daemons[side] = getattr(self.bench.cell, side).restart_daemons()
            time.sleep(STEADY_RESTARTED)
        after = [self.bench.domains.look(client.agent(), side, name, STUCK_LIMIT) for side in SIDES]
        copies = self._copies(attempt, *after)
        for copy in copies:
            damaged = self._witness.pattern_whole(self.guest(attempt), copy.machine, name) is False
            seen.reaction_left[copy.machine] = "damaged" if damaged else "running" if copy.moved else "standing"

    def _migrate_again(self, attempt: Attempt, client: ClientAgent) -> None:
        """The same migration without the fault: of the same guest where it is as it was, else of a new one."""
        seen, case, name = _seen(attempt), attempt.case, self.name(attempt)
        assert isinstance(case, RecoveryCase)
        second = Attempt(case, attempt.number)
        again = second.seen
        deadline = time.monotonic() + self.bench.time_limit
        try:
            same = self._as_before(attempt)
            if seen.told and seen.told.answer != "success" and not same:
                self._react(attempt, client)
            agent = client.agent()

            def call(function: str, **fields: Any) -> Outcome:
                return agent.outcome(function, seconds_left(deadline), **fields)

            if same:
                again.source_defined, again.source_started = seen.source_defined, seen.source_started
                again.source_state, again.target_defined = seen.source_state, seen.target_defined
            else:
                left = self.bench.domains.remove(name, client, STUCK_LIMIT)
                if case.fault.cuts_power:
                    # Files that nobody knows of after it are left, and not in the way.
                    seen.left = [text for text in left if text.startswith(("file", "directory"))]
                if left != seen.left:
                    seen.again_why_not = f"what is left cannot be removed: {'; '.join(left)}"
                    return
                if not self.set_up(second, agent, call, deadline):
                    seen.again = _first_problem(case, again)
                    return
            outcome = self.migrate(second, call)
            if outcome.ok or agent.alive:
                super().look(second, agent, seconds_left(deadline))
            seen.again = _first_problem(case, again)
        except (CallError, CallTimeout, DaemonSilent) as error:
            seen.again = f"not carried out: {error}"
            client.drop()
        except (AgentDied, LabError) as error:
            seen.lab_error = f"while migrating again: {error}"
            client.drop()

    def _clean(self, attempt: Attempt, client: ClientAgent, limit: float) -> None:
        super()._clean(attempt, client, limit)
        seen = _seen(attempt)
        if seen.leftovers is not None:
            seen.leftovers += [text for text in seen.left if text not in seen.leftovers]

    def _as_before(self, attempt: Attempt) -> bool:
        """Whether the guest is on the source exactly as it was set up, and the target has nothing but its config."""
        seen, scenario = attempt.seen, attempt.case.scenario
        source = Sight(True, True, scenario.persistent, scenario.state.value)
        target = Sight(True, False, True, "shutoff") if scenario.target_config else Sight(False)
        return (seen.source_after, seen.target_after) == (source, target)


def _without_keepalive(machine: Machine) -> Callable[..., None]:
    """What has a machine's keepalive as shipped again when a context ends. On one that is broken the first error counts."""

    def leave(kind: object, error: Optional[BaseException], trace: object) -> None:
        try:
            machine.set_keepalive(None)
        except LabError:
            if error is None:
                raise

    return leave


def _why_not_struck(armed: Armed, seen: RecoveryObservation) -> str:
    """Why the fault did not strike, or not as a whole; empty when it did."""
    if armed.error is not None:
        return f"the fault could not strike: {armed.error}"
    if armed.reached is None:
        ended = seen.told.text or seen.told.answer if seen.told else "no answer"
        return f"the migration never came to {armed.point.name}, so nothing struck; it ended with: {ended}"
    return "" if armed.notes is not None else f"the fault was not done striking after {STRIKE_LIMIT:.0f} s"


def _seen(attempt: Attempt) -> RecoveryObservation:
    assert isinstance(attempt.seen, RecoveryObservation)
    return attempt.seen


def _first_problem(case: Case, again: Observation) -> str:
    """The first of the ten checks of a migration that did not pass; empty when all did."""
    judgement = judge_migration(case, again)
    for check in (*judgement.checks, *judgement.further):
        if check.result != PASS and check.name != "target-config":
            return f"{check.name}: expected {check.expected}, got {check.got}"
    return ""
