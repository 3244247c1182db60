# SPDX-License-Identifier: GPL-3.0-or-later
"""The search for the case that killed a daemon.

When a daemon dies, the cases in flight say nothing about themselves: their attempts are held back, the daemon is restarted,
and each case runs again alone.  The one that kills it again is the culprit; when none does, the death is recorded as
unexplained and the run is not green.
"""

from __future__ import annotations

from ..cell.client import FAILURES, STUCK_LIMIT, ClientAgent
from ..journal.case_result import HELD_DEATH
from ..model.case import Case
from ..suites.attempt import Attempt
from .daemons import Dead
from .stage import Stage


class Suspects:
    """The attempts that are held back, and the deaths around them."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._attempts: list[Attempt] = []
        self._deaths: dict[str, Dead] = {}

    def hold(self, attempt: Attempt, dead: dict[str, Dead]) -> None:
        """Hold an attempt back; ``dead`` are the daemons that were found dead after it."""
        self._attempts.append(attempt)
        self._deaths.update(dead)

    def sort_out(self, worker: int) -> None:
        """Restart dead daemons and run the suspects again, each alone. Nothing else may run."""
        stage = self._stage
        longest = max(self._attempts, key=lambda attempt: attempt.seconds)
        self._deaths = {**self._deaths, **stage.daemons.dead(unsure=True)}
        logs = stage.log.keep(longest, "death-")
        dead = self._deaths
        cases = self.give_up(worker, logs)
        stage.daemons.restart(dead)
        with ClientAgent(stage.cell) as client:
            left = [text for case in cases for text in self._clean(case, client)]
            culprits = [case.id for case in cases if stage.run_alone(case, client, worker, number=2)]
        stage.record_death(dead, [case.id for case in cases], culprits, logs, left)

    def give_up(self, worker: int, logs: list[str]) -> list[Case]:
        """Journal the attempts as not final, and return their cases."""
        attempts, dead = self._attempts, self._deaths
        self._attempts, self._deaths = [], {}
        ids = {attempt.case.id for attempt in attempts}
        for attempt in attempts:
            attempt.seen.daemon_deaths.extend(one.text for one in dead.values())
            judgement = self._stage.rules.judge(attempt.case, attempt.seen)
            self._stage.record(attempt, judgement, worker, ids - {attempt.case.id}, logs, held=HELD_DEATH)
        return [attempt.case for attempt in attempts]

    def _clean(self, case: Case, client: ClientAgent) -> list[str]:
        """Remove what a case that a death interrupted has left; returns what stays, in words.

        A daemon that was killed while it started a guest may be stuck with that guest for good (seen with 11.3.0).
        """
        domains = self._stage.procedure.bench.domains
        name = domains.name(case.number)
        try:
            return domains.remove(name, client, STUCK_LIMIT)
        except FAILURES as error:
            client.drop()
            return [f"{name}: {error}"]
