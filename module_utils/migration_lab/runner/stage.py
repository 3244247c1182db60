# SPDX-License-Identifier: GPL-3.0-or-later
"""What an attempt goes through: carried out, judged, its logs kept, its line in the journal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Collection, Sequence

from ..cell.cell import Cell
from ..cell.client import FAILURES, ClientAgent
from ..journal.case_result import CaseResult
from ..journal.journal import Journal
from ..judging.check import Judgement
from ..model.case import Case
from ..model.errors import LabError
from ..model.verdict import Verdict
from ..suites.attempt import Attempt
from ..suites.procedure import Procedure
from ..suites.suite import Rules
from .attempt_log import AttemptLog
from .daemons import Daemons, Dead, RunBroken


class CellBroken(LabError):
    """No other case can run on the cell after the one that was recorded last; on new machines they can."""


@dataclass
class Stage:
    """A cell with everything that attempts on it need. ``call_seconds`` is the time of all attempts inside libvirt calls."""

    cell: Cell
    procedure: Procedure
    rules: Rules
    daemons: Daemons
    log: AttemptLog
    journal: Journal
    suite: str = "migration"
    cell_name: str = ""
    call_seconds: float = 0.0

    def run_alone(self, case: Case, client: ClientAgent, worker: int, number: int, note: str = "") -> bool:
        """Run a case while nothing else runs and record its result; returns whether it killed a daemon.

        A daemon that the case is expected to kill does not count.

        :param number: of the attempt.
        :param note: the result of a concurrent attempt, when that is why it runs alone.
        :raises CellBroken: when no other case can run on the cell after it.
        """
        revive = self.daemons.revival(self.rules.expected_deaths(case))
        attempt = Attempt(case, number, seen=self.procedure.observation())
        try:
            attempt = self.procedure.run(case, client, revive, number)
            if not (attempt.broken or attempt.seen.daemon_deaths or attempt.seen.expected_deaths):
                # One that died after a case that went well is its doing as well: nothing else ran.
                revive(attempt, unsure=False, both=False).note(attempt.seen)
        except RunBroken as error:
            attempt.broken = attempt.seen.lab_error = f"the cell is broken after it: {error}"
        except FAILURES as error:
            attempt.seen.lab_error = f"could not be run alone: {error}"
        seen = attempt.seen
        if seen.lab_error or attempt.timed_out or seen.daemon_deaths or seen.expected_deaths:
            client.drop()
        judgement = self.rules.judge(case, seen)
        logs = [] if judgement.verdict is Verdict.PASS else self.log.keep(attempt)
        if note:
            note += f"; alone: {judgement.verdict.value}"
        self.record(attempt, judgement, worker, (), logs, note=note)
        if attempt.broken:
            raise CellBroken(attempt.broken)
        return bool(seen.daemon_deaths)

    def record(
        self, attempt: Attempt, judgement: Judgement, worker: int, beside: Collection[str], logs: list[str],
        held: str = "", note: str = "",
    ) -> None:
        """Append an attempt to the journal.

        :param beside: ids of the cases that ran at the same time.
        :param held: why it is not final: ``death`` of a daemon around it, or ``beside``: it failed next to others.
        """
        case = attempt.case
        self.journal.add(CaseResult(
            case.number, case.id, judgement.verdict, tuple(judgement.checks), tuple(judgement.further),
            reason=judgement.reason, rule=judgement.rule, deviation=judgement.deviation, final=not held, held=held,
            attempt=attempt.number, note=note, migration=attempt.migration, protocol=attempt.seen.protocol or "",
            steps=tuple(step.to_data() for step in attempt.steps), lab_error=attempt.seen.lab_error,
            seconds=attempt.seconds, call_seconds=attempt.call_seconds, worker=worker, beside=tuple(sorted(beside)),
            logs=tuple(logs), suite=self.suite, cell=self.cell_name,
            details={**self.rules.describe(case, attempt.seen), **attempt.seen.details()},
        ))
        self.call_seconds += attempt.call_seconds

    def record_death(
        self, dead: dict[str, Dead], in_flight: Sequence[str] = (), culprits: Sequence[str] = (), logs: Sequence[str] = (),
        left: Sequence[str] = (),
    ) -> None:
        """Append the death of daemons to the journal, with their processes by side and name; without culprits it is unexplained.

        :param left: what stayed of the cases in flight, in words.
        """
        self.journal.append(
            "event", event="daemon-death", machine=",".join(dead), detail="; ".join(one.text for one in dead.values()),
            daemons={side: one.processes for side, one in dead.items()}, in_flight=list(in_flight), culprits=list(culprits),
            logs=list(logs), left=list(left),
        )
