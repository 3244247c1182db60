# SPDX-License-Identifier: GPL-3.0-or-later
"""What the page shows of one case of one combination."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional, Sequence

from ..journal.case_result import CaseResult
from ..model.verdict import Verdict
from ..results.run import CombinationResult, Run
from ..results.wording import again_text, one_line, step_text, timestamp
from .grid import Mark, address, mark_of
from .log_tail import SIZE, LogTail, log_tail

# All quoted logs of a page together, in characters of HTML: the page stays small also when everything fails.
LOGS_SIZE = 300_000


@dataclass(frozen=True)
class CaseView:
    """A case with its result; ``result`` is None when there is no final one."""

    run: Run
    combination: CombinationResult
    case: str
    mark: Mark
    result: Optional[CaseResult]
    logs: Sequence[LogTail]

    @property
    def address(self) -> str:
        return address(self.combination.name, self.case)

    @property
    def failed(self) -> str:
        """The names of the checks that failed."""
        return ", ".join(check["name"] for check in self.result.failed) if self.result else ""

    @property
    def why(self) -> str:
        """What judged a case that did not pass, or why there is no result; empty for a pass."""
        if self.result is None:
            return self.combination.reason
        return "" if self.result.verdict is Verdict.PASS else one_line(self.result.judged_by)

    @property
    def error(self) -> str:
        """libvirt's error with its numbers, as the migrate call raised it; empty when it did not."""
        migration = self.result.migration if self.result else None
        return str(migration["error"]) if migration else ""

    @property
    def began(self) -> str:
        """When the first step that the relay saw began, ISO 8601 in UTC; empty when it saw none."""
        steps = self.result.steps if self.result else ()
        return f"{timestamp(steps[0]['started'])}Z" if steps else ""

    @property
    def steps(self) -> list[tuple[str, str]]:
        """The protocol's steps: seconds since the first of them began, and the step in words."""
        steps = self.result.steps if self.result else ()
        return [(f"{step['started'] - steps[0]['started']:.3f}", step_text(step)) for step in steps]

    @property
    def again(self) -> str:
        """The command that runs just this case again."""
        return again_text(self.run.data, self.combination.name, self.case)


def case_views(run: Run) -> list[CaseView]:
    """Every selected case of every combination, in order, with the ends of the logs that its line of the journal names."""
    lines = [line for combination in run.combinations for line in combination.results.values()]
    number = sum(len(line.logs) for line in lines)
    size = min(SIZE, LOGS_SIZE // max(1, number))
    return [
        CaseView(run, combination, case, mark_of(combination, case), line, [
            log_tail(run.folder, f"{combination.name}/{log}", size) for log in (line.logs if line else ())
        ])
        for combination in run.combinations
        for case in combination.selected
        for line in [combination.results.get(case)]
    ]
