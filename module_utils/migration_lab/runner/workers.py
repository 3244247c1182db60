# SPDX-License-Identifier: GPL-3.0-or-later
"""The workers: deal the cases of one combination to threads, a number of them at a time, and survive what dies.

Each worker has an agent of its own.  After a daemon's death no new case starts until the cases in flight have ended and the
last of them has found the culprit (suspects.py).

Cases that kill a daemon, on purpose or by the ledger, run alone from the start, after the others: that costs them a restart
each, and no other case anything.  Cases that mostly wait have workers of their own beside the others, so that nobody waits for
them; one worker alone stays alone.
"""

from __future__ import annotations

import threading
from collections import deque
from types import MappingProxyType
from typing import Callable, Mapping, Optional, Sequence

from ..cell.client import ClientAgent
from ..journal.case_result import HELD_BESIDE
from ..model.case import Case
from ..model.errors import LabError
from ..model.verdict import Verdict
from ..suites.attempt import Attempt
from .stage import CellBroken, Stage
from .suspects import Suspects

# Verdicts that need no look at the daemons and no log.
QUIET = (Verdict.PASS, Verdict.KNOWN)
# Workers for cases that mostly wait, for each of the others.
WAITING_PER_WORKER = 2


class Workers:
    """Runs cases of one combination on one cell."""

    def __init__(
        self, stage: Stage, cases: Sequence[Case], workers: int, stop: Callable[[], bool], alone_again: bool = False,
        failed_beside: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """
        :param workers: cases at a time, at least 1; cases that mostly wait come on top where it is more than 1.
        :param stop: asked before each case; true ends the run after the cases in flight.
        :param alone_again: whether a case that failed concurrently with others is run once more, alone.
        :param failed_beside: cases, by id with a note, that failed so before the run was interrupted.
        """
        self._stage = stage
        alone = [case for case in cases if stage.rules.alone(case) or case.id in failed_beside]
        apart = {case.number for case in alone}
        waiting = {case.number for case in cases if case.number not in apart and workers > 1 and stage.rules.waits(case)}
        self._pending = deque(case for case in cases if case.number not in apart | waiting)
        self._waiting = deque(case for case in cases if case.number in waiting)
        self._alone = deque((case, failed_beside.get(case.id, "")) for case in alone)
        self._alone_again = alone_again
        self._workers = min(workers, max(len(self._pending), 1))
        # Those above _workers take only cases that wait.
        self._threads = self._workers + min(WAITING_PER_WORKER * workers, len(waiting))
        self._stop = stop
        self._turn = threading.Condition()
        self._in_flight: dict[int, Case] = {}
        self._beside: dict[int, set[str]] = {}
        self._suspects = Suspects(stage)
        self._halted = False
        self._stale: set[int] = set()
        self._broken: Optional[BaseException] = None

    def run(self) -> bool:
        """Run all cases.

        :returns: whether every case has a final result (false when ``stop`` ended the run).
        :raises CellBroken: when a case, which is in the journal, has broken the cell, so that the others need new machines.
        :raises LabError: when the lab cannot go on; what was done is in the journal.
        """
        threads = [threading.Thread(target=self._work, args=(number,), daemon=True) for number in range(self._threads)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if isinstance(self._broken, LabError):
            raise self._broken
        if self._broken:
            raise LabError(f"the run broke down ({type(self._broken).__name__}: {self._broken})") from self._broken
        self._report_silent_death()
        if self._alone and not (self._pending or self._waiting):
            self._run_rest_alone()
        return not (self._pending or self._waiting or self._alone)

    def _run_rest_alone(self) -> None:
        with ClientAgent(self._stage.cell) as client:
            while self._alone and not self._stop():
                case, note = self._alone.popleft()
                self._stage.run_alone(case, client, worker=0, number=2 if note else 1, note=note)

    def _report_silent_death(self) -> None:
        """A daemon that is dead though every case passed: no case is to blame, and the next ones need it."""
        dead = self._stage.daemons.dead()
        if dead:
            self._stage.record_death(dead)
            self._stage.daemons.restart(dead)

    def _work(self, worker: int) -> None:
        try:
            with ClientAgent(self._stage.cell) as client:
                while (case := self._next(worker)) is not None:
                    if worker in self._stale:
                        self._stale.discard(worker)
                        client.drop()
                    self._conclude(worker, self._stage.procedure.run(case, client), client)
        except BaseException as error:  # a worker's fault ends the run, with the fault reported
            with self._turn:
                self._broken = self._broken or error
                self._in_flight.pop(worker, None)
                self._halted = False
                self._turn.notify_all()
                self._suspects.give_up(worker, [])

    def _next(self, worker: int) -> Optional[Case]:
        with self._turn:
            while self._halted and not self._broken:
                self._turn.wait()
            cases = self._pending if self._pending and worker < self._workers else self._waiting
            if self._broken or not cases or self._stop():
                return None
            case = cases.popleft()
            others = {other.id for other in self._in_flight.values()}
            for number in self._in_flight:
                self._beside[number].add(case.id)
            self._in_flight[worker] = case
            self._beside[worker] = others
            return case

    def _conclude(self, worker: int, attempt: Attempt, client: ClientAgent) -> None:
        """Journal the attempt, or hold it back when a daemon died around it; the last one in flight sorts that out."""
        stage = self._stage
        judgement = stage.rules.judge(attempt.case, attempt.seen)
        if attempt.broken:
            logs = stage.log.keep(attempt)
            with self._turn:
                stage.record(attempt, judgement, worker, self._beside[worker], logs)
            raise CellBroken(attempt.broken)
        passed = judgement.verdict in QUIET
        # Machines are asked before the turn is taken, so that a case that failed does not hold up the others.
        dead = {} if passed else stage.daemons.dead(unsure=bool(attempt.timed_out or attempt.seen.lab_error))
        logs = [] if passed or dead else stage.log.keep(attempt)
        with self._turn:
            if dead or (self._halted and not passed):
                self._halted = True
                self._suspects.hold(attempt, dead)
            else:
                beside = self._beside[worker]
                again = self._alone_again and judgement.verdict is Verdict.FAIL and bool(beside)
                stage.record(attempt, judgement, worker, beside, logs, held=HELD_BESIDE if again else "")
                if again:
                    others = ", ".join(sorted(beside))
                    self._alone.append((attempt.case, f"failed concurrently with {others} ({judgement.reason})"))
                if not passed:
                    self._replace(worker, attempt, client)
            del self._in_flight[worker]
            if self._halted and not self._in_flight:
                self._suspects.sort_out(worker)
                self._halted = False
                self._stale = set(range(self._threads))
                self._turn.notify_all()

    def _replace(self, worker: int, attempt: Attempt, client: ClientAgent) -> None:
        """After an attempt that ended badly its agent is not trusted any more."""
        reason = attempt.seen.lab_error or ("timed out" if attempt.timed_out else "")
        if reason:
            client.drop()
            self._stage.journal.append("event", event="agent-replaced", worker=worker, reason=reason)
