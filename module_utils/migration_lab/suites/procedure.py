# SPDX-License-Identifier: GPL-3.0-or-later
"""How one case is carried out on a cell, whatever its suite: act, look, clean up. Observes, never judges."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Iterator, Mapping, NamedTuple, Optional, Protocol

from ..cell.agent_process import AgentDied, AgentProcess, CallError, CallTimeout
from ..cell.cell import Cell
from ..cell.client import CLEAN_LIMIT, FAILURES, STUCK_LIMIT, ClientAgent
from ..cell.domains import Domains
from ..cell.storage import Storage
from ..cell.witness import Witness
from ..guest.config import GuestConfig
from ..judging.observation import Observation
from ..model.case import Case
from ..model.errors import LabError
from ..relay.relays import Relays
from ..relay.steps import Step
from .attempt import Attempt


class Deaths(NamedTuple):
    """Daemons that died, by role, with what is known: those to blame on a case, and those that it was meant to kill."""

    blamed: dict[str, str]
    expected: dict[str, str]

    def note(self, seen: Observation) -> bool:
        """Record them in what was seen of a case; returns whether there are any."""
        seen.daemon_deaths.extend(self.blamed.values())
        seen.expected_deaths.extend(self.expected.values())
        return bool(self.blamed or self.expected)


class Revive(Protocol):
    """Restarts daemons while a case runs alone: what dies then, dies of that case."""

    def __call__(self, attempt: Attempt, *, unsure: bool, both: bool) -> Deaths:
        """Restart the daemons that died.

        :param attempt: the case's; its ``daemons`` are the known ones from now on.
        :param unsure: also those that do not answer.
        :param both: source and target, dead or not.
        :raises LabError: when one cannot be started: that ends the run.
        """


@dataclass(frozen=True)
class Bench:
    """What a case is carried out with.

    ``guests`` are those of the cases, by name, and ``storage`` has their disks. ``time_limit`` is the seconds for a case up to
    its last look; cleaning up has its own. Without ``witness`` only libvirt is asked; ``relays`` are what the cell's paths go
    through, where they do.  ``profile`` is the data of the run's profile.
    """

    cell: Cell
    domains: Domains
    guests: Mapping[str, GuestConfig]
    time_limit: float
    storage: Storage
    witness: Optional[Witness] = None
    relays: Optional[Relays] = None
    profile: Mapping[str, Any] = field(default_factory=dict)


class Procedure(ABC):
    """Carries out the cases of one combination. ``observation`` is the suite's class of what is seen of a case."""

    observation: type[Observation] = Observation

    def __init__(self, bench: Bench) -> None:
        self.bench = bench

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Has the machines in the state that the suite needs. Entering and leaving may restart daemons."""
        yield

    @abstractmethod
    def act(self, attempt: Attempt, client: ClientAgent, deadline: float) -> None:
        """Set up, do what the case is about, and look at the result; fills in the attempt.

        Returns early when a step failed, raises one of ``FAILURES`` when the lab cannot go on.

        :param deadline: monotonic seconds.
        """

    @abstractmethod
    def look(self, attempt: Attempt, agent: AgentProcess, limit: float) -> None:
        """Look at what is there after the migration call, which has ended; ``limit`` is the seconds for each call."""

    def run(self, case: Case, client: ClientAgent, revive: Optional[Revive] = None, number: int = 1) -> Attempt:
        """Carry a case out once and clean up after it. Every result is in the attempt; only ``revive`` may raise.

        :param revive: given when the case runs alone: dead daemons are then restarted, and both asked what is left.
        :param number: of the attempt.
        """
        attempt = Attempt(case, number, seen=self.observation())
        seen = attempt.seen
        made, lost_disks = False, ""
        called = client.call_seconds
        try:
            self.bench.storage.make(self.guest(attempt), self.name(attempt))
            made = True
            self.act(attempt, client, attempt.started + self.bench.time_limit)
        except FAILURES as error:
            seen.lab_error = str(error)
            attempt.timed_out |= isinstance(error, CallTimeout)
        if made:
            lost_disks = self._lost_disks(attempt)
        if self.bench.relays is not None:
            attempt.steps = attempt.steps or self.bench.relays.take(self.name(attempt))
            seen.protocol = protocol_of(attempt.steps)
        if attempt.broken:
            revive = None
        if revive and self.suspicious(attempt) and self.survive(attempt, client, revive):
            seen.source_after = seen.target_after = None
        if seen.migrated is not None and seen.source_after is None:
            self._look_again(attempt, client)
        died = bool(seen.daemon_deaths or seen.expected_deaths)
        self._clean(attempt, client, STUCK_LIMIT if died else CLEAN_LIMIT)
        # A daemon whose peer died may be stuck with the guest's job (seen with 0.9.1): it is restarted as well. So is one
        # that does not answer for the guest, though it does for others: it would hang with the next case (7.0.0).
        both = died or self.stuck(attempt)
        if revive and (seen.lab_error or seen.leftovers) and (self.survive(attempt, client, revive, both=both) or both):
            self._clean(attempt, client, CLEAN_LIMIT)
        if lost_disks:
            # The guest may have had the disks of somebody else: nothing that was seen of it counts, nor whether a daemon died.
            words = "; ".join([lost_disks, *seen.daemon_deaths])
            attempt.seen = type(seen)(leftovers=seen.leftovers, lab_error=words)
        attempt.seconds = time.monotonic() - attempt.started
        attempt.call_seconds = client.call_seconds - called
        return attempt

    def name(self, attempt: Attempt) -> str:
        """Name of the attempt's domain."""
        return self.bench.domains.name(attempt.case.number, attempt.number)

    def guest(self, attempt: Attempt) -> GuestConfig:
        """The attempt's guest."""
        return self.bench.guests[attempt.case.guest]

    def witness(self, attempt: Attempt) -> Optional[Witness]:
        """Who sees the attempt's guest from outside libvirt; None where nobody can or should."""
        return self.bench.witness if self.guest(attempt).witness else None

    def suspicious(self, attempt: Attempt) -> bool:
        """Whether a daemon may have died of the case, by what was seen of it: looking at the daemons takes time."""
        seen = attempt.seen
        return bool(seen.lab_error) or not (seen.migrated and seen.migrated.ok)

    def stuck(self, attempt: Attempt) -> bool:
        """Whether a daemon does not answer for the guest, by what was seen of it."""
        return False

    def survive(self, attempt: Attempt, client: ClientAgent, revive: Revive, both: bool = False) -> bool:
        """Restart the daemons that the case killed, and clear the lab error: what the case could not do is their doing.

        :param both: restart the daemons of all sides, dead or not.
        :returns: whether one had died.
        """
        seen = attempt.seen
        died = revive(attempt, unsure=bool(attempt.timed_out or seen.lab_error or seen.leftovers), both=both).note(seen)
        if died or both:
            seen.lab_error = ""
            client.drop()
        return died

    def _lost_disks(self, attempt: Attempt) -> str:
        """Why the guest's disks may not have been its own; empty where they were."""
        try:
            self.bench.storage.check(self.guest(attempt), self.name(attempt))
        except LabError as error:
            return str(error)
        return ""

    def _look_again(self, attempt: Attempt, client: ClientAgent) -> None:
        """After a hung or crashed migrate call: ask both daemons through a new agent, as far as they answer."""
        try:
            self.look(attempt, client.agent(), CLEAN_LIMIT)
        except FAILURES as error:
            attempt.seen.lab_error = attempt.seen.lab_error or f"after the migration: {error}"

    def _clean(self, attempt: Attempt, client: ClientAgent, limit: float) -> None:
        name = self.name(attempt)
        try:
            attempt.seen.leftovers = self.bench.domains.remove(name, client, limit)
            if not attempt.seen.leftovers:
                self.bench.storage.remove(self.guest(attempt), name, self.bench.domains.identity(name))
        except (CallError, CallTimeout) as error:
            # A daemon that lives and does not say what is left is at fault, not the lab.
            attempt.seen.leftovers = [f"not known: {error}"]
            attempt.timed_out |= isinstance(error, CallTimeout)
        except (AgentDied, LabError) as error:
            attempt.seen.lab_error = attempt.seen.lab_error or f"while cleaning up: {error}"


def seconds_left(deadline: float) -> float:
    """Seconds for a call that has to end by a deadline (monotonic); at least one."""
    return max(1.0, deadline - time.monotonic())


def protocol_of(steps: list[Step]) -> str:
    """The migration protocol that ran, by what the target was asked to prepare; empty when it was not."""
    forms = {
        "prepare": "v1", "prepare2": "v2", "prepare-tunnel": "v2", "prepare3": "v3", "prepare-tunnel3": "v3",
        "prepare3-params": "v3-params", "prepare-tunnel3-params": "v3-params",
    }
    prepared = [forms[step.procedure] for step in steps if step.procedure in forms]
    return prepared[-1] if prepared else ""
