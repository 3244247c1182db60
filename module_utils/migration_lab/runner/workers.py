# SPDX-License-Identifier: GPL-3.0-or-later
"""The matrix run of one combination: deals cases to workers, survives what dies, and keeps the journal.

Each worker has an agent of its own.  When a daemon dies, the cases in flight beside it say nothing about themselves: no
new case starts, the daemon is started again, and each of those cases is run again alone.  The one that brings it down
again is the culprit; when none does, the death is recorded as unexplained and the run is not green.

Cases that bring a daemon down by the ledger are run alone from the start, after the others: that costs them a restart
each, and nobody else anything.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Callable, Iterable, Mapping, Optional, Sequence

from ..cell.cell import Cell
from ..cell.client import FAILURES, STUCK_LIMIT, ClientAgent, DaemonSilent
from ..cell.machine import Machine
from ..journal.case_result import HELD_BESIDE, HELD_DEATH, CaseResult
from ..journal.journal import Journal
from ..judging.check import Judgement
from ..model.case import Case
from ..model.errors import LabError
from ..model.verdict import Verdict
from ..suites.attempt import Attempt
from ..suites.migration.procedure import CaseRunner
from ..suites.migration.rules import Rules
from .attempt_log import DaemonLog
from .tally import Tally


class RunBroken(LabError):
    """A daemon cannot be started again: no case can be run any more."""


# Verdicts that need no look at the daemons and no log.
QUIET = (Verdict.PASS, Verdict.KNOWN)


class Matrix:
    """Runs cases of one combination on one cell."""

    def __init__(
        self,
        cell: Cell,
        runner: CaseRunner,
        rules: Rules,
        journal: Journal,
        folder: Path,
        cases: list[Case],
        workers: int,
        stop: Callable[[], bool],
        alone_again: bool = False,
        failed_beside: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """
        :param folder: the combination's results folder; logs of cases that did not pass go into its ``logs``.
        :param workers: cases at a time, at least 1.
        :param stop: asked before each case; true ends the run after the cases in flight.
        :param alone_again: whether a case that failed beside others is run once more, alone.
        :param failed_beside: cases, by id with a note, that failed so before the run was cut off.
        """
        self._cell = cell
        self._runner = runner
        self._rules = rules
        self._journal = journal
        self._folder = folder
        alone = [case for case in cases if rules.kills(case) or case.id in failed_beside]
        self._pending = deque(case for case in cases if case not in alone)
        self._alone = deque((case, failed_beside.get(case.id, "")) for case in alone)
        self._alone_again = alone_again
        self._workers = min(workers, max(len(self._pending), 1))
        self._stop = stop
        self.tally = Tally(len(cases))
        self._turn = threading.Condition()
        self._in_flight: dict[int, Case] = {}
        self._beside: dict[int, set[str]] = {}
        self._suspects: list[Attempt] = []
        self._deaths: dict[str, str] = {}
        self._halted = False
        self._broken: Optional[BaseException] = None
        self._stale: set[int] = set()
        daemons = (cell.source, cell.target)
        self._processes = {machine.name: machine.daemon_process() for machine in daemons}
        self._logs = {role: DaemonLog(machine) for role, machine in (("source", cell.source), ("target", cell.target))}

    def run(self) -> bool:
        """Run all cases.

        :returns: whether every case has a final result (false when ``stop`` ended the run).
        :raises LabError: when the lab cannot go on; what was done is in the journal.
        """
        threads = [threading.Thread(target=self._work, args=(number,), daemon=True) for number in range(self._workers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if isinstance(self._broken, LabError):
            raise self._broken
        if self._broken:
            raise LabError(f"the run broke down ({type(self._broken).__name__}: {self._broken})") from self._broken
        self._tell_silent_death()
        if self._alone and not self._pending:
            self._run_rest_alone()
        return not self._pending and not self._alone

    def _run_rest_alone(self) -> None:
        connection = ClientAgent(self._cell)
        try:
            while self._alone and not self._stop():
                case, note = self._alone.popleft()
                self._run_alone(case, connection, worker=0, number=2 if note else 1, note=note)
        finally:
            connection.drop()

    def _tell_silent_death(self) -> None:
        """A daemon that is dead though every case passed: nobody is to blame, and what comes next needs it."""
        dead = self._dead()
        if dead:
            self._tell_death(dead, in_flight=[], culprits=[], logs=[])
            self._revive(dead)

    def _work(self, worker: int) -> None:
        connection = ClientAgent(self._cell)
        try:
            while True:
                case = self._next(worker)
                if case is None:
                    return
                if worker in self._stale:
                    self._stale.discard(worker)
                    connection.drop()
                attempt = self._runner.run(case, connection)
                self._conclude(worker, attempt, connection)
        except BaseException as error:  # a worker's fault ends the run, with the fault told
            with self._turn:
                self._broken = self._broken or error
                self._in_flight.pop(worker, None)
                self._halted = False
                self._turn.notify_all()
                self._keep_suspects(worker, [])
        finally:
            connection.drop()

    def _next(self, worker: int) -> Optional[Case]:
        with self._turn:
            while self._halted and not self._broken:
                self._turn.wait()
            if self._broken or not self._pending or self._stop():
                return None
            case = self._pending.popleft()
            others = {other.id for other in self._in_flight.values()}
            for number in self._in_flight:
                self._beside[number].add(case.id)
            self._in_flight[worker] = case
            self._beside[worker] = others
            return case

    def _conclude(self, worker: int, attempt: Attempt, connection: ClientAgent) -> None:
        """Journal the attempt, or hold it back when a daemon died around it; the last one in flight sorts that out."""
        judgement = self._rules.judge(attempt.case, attempt.seen)
        passed = judgement.verdict in QUIET
        # Machines are asked before the turn is taken, so that a case that failed does not hold up the others.
        dead = {} if passed else self._dead(unsure=bool(attempt.timed_out or attempt.seen.lab_error))
        logs = [] if passed or dead else self._keep_logs(f"{attempt.case.number:03d}", attempt)
        with self._turn:
            if dead or (self._halted and not passed):
                self._halted = True
                self._deaths.update(dead)
                self._suspects.append(attempt)
            else:
                beside = self._beside[worker]
                again = self._alone_again and judgement.verdict is Verdict.FAIL and bool(beside)
                self._record(attempt, judgement, worker, beside, logs, held=HELD_BESIDE if again else "")
                if again:
                    self._alone.append((attempt.case, f"failed beside {', '.join(sorted(beside))} ({judgement.reason})"))
                if not passed:
                    self._replace(worker, attempt, connection)
            del self._in_flight[worker]
            if self._halted and not self._in_flight:
                self._sort_out(worker)
                self._halted = False
                self._stale = set(range(self._workers))
                self._turn.notify_all()

    def _replace(self, worker: int, attempt: Attempt, connection: ClientAgent) -> None:
        """After an attempt that ended badly its agent is not trusted any more."""
        if attempt.seen.lab_error or attempt.timed_out:
            connection.drop()
            self._journal.append("event", event="agent-replaced", worker=worker, reason=attempt.seen.lab_error or "timed out")

    def _dead(self, unsure: bool = False) -> dict[str, str]:
        """Daemons that died, by role, with what is known of it; where it is unsure whether they answer, also those that hang."""
        dead = {}
        for role, machine in (("source", self._cell.source), ("target", self._cell.target)):
            known = self._processes[machine.name]
            now = machine.daemon_process()
            if now is None:
                dead[role] = f"the daemon on the {role} (process {known}) died"
            elif now != known:
                dead[role] = f"the daemon on the {role} (process {known}) died and was started again as {now}"
            elif unsure and not self._answers(machine):
                dead[role] = f"the daemon on the {role} (process {known}) does not answer"
        return dead

    def _answers(self, machine: Machine) -> bool:
        probe = ClientAgent(replace(self._cell, source=machine, target=machine, tapped={}))
        try:
            probe.agent()
        except DaemonSilent:
            return False
        finally:
            probe.drop()
        return True

    def _revive(self, roles: Iterable[str]) -> None:
        for role in roles:
            machine: Machine = getattr(self._cell, role)
            try:
                self._processes[machine.name] = machine.restart_daemon()
            except LabError as error:
                raise RunBroken(str(error)) from error

    def _sort_out(self, worker: int) -> None:
        """Start dead daemons again and run the suspects again, each alone."""
        longest = max(self._suspects, key=lambda attempt: attempt.seconds)
        self._deaths = {**self._dead(unsure=True), **self._deaths}
        logs = self._keep_logs(f"death-{longest.case.number:03d}", longest)
        dead, suspects = self._keep_suspects(worker, logs)
        self._revive(dead)
        connection = ClientAgent(self._cell)
        left = [text for attempt in suspects for text in self._clean_first(attempt.case, connection)]
        try:
            culprits = [attempt.case.id for attempt in suspects if self._run_alone(attempt.case, connection, worker, number=2)]
        finally:
            connection.drop()
        self._tell_death(dead, [attempt.case.id for attempt in suspects], culprits, logs, left)

    def _clean_first(self, case: Case, connection: ClientAgent) -> list[str]:
        """Remove what a case cut off by a death has left; returns what stays, in words.

        A daemon that was killed while it started a guest may be stuck with that guest for good (seen with 11.3.0).
        """
        try:
            return self._runner.clean_domain(self._runner.domain_name(case), connection, STUCK_LIMIT)
        except FAILURES as error:
            connection.drop()
            return [f"{self._runner.domain_name(case)}: {error}"]

    def _run_alone(self, case: Case, connection: ClientAgent, worker: int, number: int, note: str = "") -> bool:
        """Run a case with nothing beside it and record its result; returns whether it brought a daemon down.

        :param number: of the attempt.
        :param note: what became of an attempt beside others, when that is why.
        """
        try:
            attempt = self._runner.run(case, connection, self._revive_dead, number)
        except RunBroken:
            raise
        except FAILURES as error:
            attempt = Attempt(case, number)
            attempt.seen.lab_error = f"could not be run alone: {error}"
        if not attempt.seen.daemon_deaths:
            # One that died behind a case that went well is its doing all the same: nothing else ran.
            attempt.seen.daemon_deaths.extend(self._revive_dead(unsure=False, stuck=False).values())
        if attempt.seen.lab_error or attempt.timed_out or attempt.seen.daemon_deaths:
            connection.drop()
        judgement = self._rules.judge(case, attempt.seen)
        quiet = judgement.verdict is Verdict.PASS
        logs = [] if quiet else self._keep_logs(f"{case.number:03d}", attempt)
        if note:
            note += f"; alone: {judgement.verdict.value}"
        self._record(attempt, judgement, worker, set(), logs, number=number, note=note)
        return bool(attempt.seen.daemon_deaths)

    def _revive_dead(self, unsure: bool, stuck: bool) -> dict[str, str]:
        """Start daemons again that died, where it is unsure also those that do not answer; both where one is stuck.

        :returns: those that died or did not answer, by role, with what is known.
        """
        dead = self._dead(unsure)
        self._revive(("source", "target") if stuck else dead)
        return dead

    def _keep_suspects(self, worker: int, logs: list[str]) -> tuple[dict[str, str], list[Attempt]]:
        """Journal the attempts that were held back, as not final, and hand over them and the deaths around them."""
        dead, self._deaths = self._deaths, {}
        suspects, self._suspects = self._suspects, []
        ids = {attempt.case.id for attempt in suspects}
        for attempt in suspects:
            attempt.seen.daemon_deaths.extend(dead.values())
            judgement = self._rules.judge(attempt.case, attempt.seen)
            self._record(attempt, judgement, worker, ids - {attempt.case.id}, logs, held=HELD_DEATH)
        return dead, suspects

    def _tell_death(
        self, dead: dict[str, str], in_flight: list[str], culprits: list[str], logs: list[str], left: Sequence[str] = ()
    ) -> None:
        self._journal.append(
            "event", event="daemon-death", machine=",".join(dead), detail="; ".join(dead.values()),
            in_flight=in_flight, culprits=culprits, logs=logs, left=list(left),
        )

    def _record(
        self, attempt: Attempt, judgement: Judgement, worker: int, beside: set[str], logs: list[str],
        held: str = "", number: int = 1, note: str = "",
    ) -> None:
        """Append an attempt to the journal.

        :param held: why it is not final: ``death`` of a daemon around it, or failed ``beside`` others and to be run alone.
        """
        case = attempt.case
        self._journal.add(CaseResult(
            case.number, case.id, judgement.verdict, tuple(judgement.checks), tuple(judgement.further),
            reason=judgement.reason, rule=judgement.rule, deviation=judgement.deviation, final=not held, held=held,
            attempt=number, note=note, migration=attempt.migration, protocol=attempt.seen.protocol or "",
            steps=tuple(step.to_data() for step in attempt.steps), lab_error=attempt.seen.lab_error,
            seconds=attempt.seconds, call_seconds=attempt.call_seconds,
            worker=worker, beside=tuple(sorted(beside)), logs=tuple(logs),
        ))
        if not held:
            self.tally.verdicts[judgement.verdict.value] += 1
        self.tally.call_seconds += attempt.call_seconds

    def _keep_logs(self, label: str, attempt: Attempt) -> list[str]:
        """Keep what both daemons logged during an attempt; returns paths relative to the combination's folder."""
        kept: list[str] = []
        folder = self._folder / "logs"
        folder.mkdir(exist_ok=True)
        for role, log in self._logs.items():
            try:
                text = log.since(attempt.started)
            except LabError as error:
                text = f"not obtained: {error}\n"
            path = folder / f"{label}-{role}.log"
            with path.open("a") as stream:
                stream.write(text)
            kept.append(str(path.relative_to(self._folder)))
        if attempt.seen.daemon_deaths:
            kept += self._keep_crash(folder / f"{label}-kernel.log", time.monotonic() - attempt.started)
        return kept

    def _keep_crash(self, path: Path, seconds: float) -> list[str]:
        """Keep the kernel's word on where a daemon crashed: the machines of a lab host share its kernel, and its log."""
        try:
            text = self._cell.source.crash_since(seconds + 1) or self._cell.target.crash_since(seconds + 1)
        except LabError as error:
            text = f"not obtained: {error}\n"
        if not text:
            return []
        with path.open("a") as stream:
            stream.write(text)
        return [str(path.relative_to(self._folder))]
