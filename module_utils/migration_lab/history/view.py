# SPDX-License-Identifier: GPL-3.0-or-later
"""A view of earlier runs: the verdicts of each case over comparable runs, and which cases are flaky."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from itertools import pairwise

from ..model.verdict import Verdict
from .entry import RunRecord
from .history import History

# How many runs a page shows.
RUNS_SHOWN = 30


@dataclass(frozen=True)
class Past:
    """A case's result in a run: ``verdict`` is ``not obtained`` where it was selected and has no result.

    ``changed``: the verdict differs from that of the previous run that has one, although nothing that could affect it changed.
    That is what makes a case flaky.
    """

    run: str
    started: str
    verdict: str
    reason: str = ""
    changed: bool = False


@dataclass(frozen=True)
class HistoryView:
    """Comparable runs (same pair, profile and guest) up to one of them, oldest first."""

    runs: list[RunRecord]
    cases: dict[tuple[str, str], list[Past]]

    def case(self, combination: str, case: str) -> list[Past]:
        """The results of the case in the runs that selected it, oldest first."""
        return self.cases.get((combination, case), [])

    @property
    def flaky(self) -> frozenset[tuple[str, str]]:
        """Combination and case whose verdict changed between two consecutive runs without a change of conditions."""
        return frozenset(key for key, past in self.cases.items() if any(entry.changed for entry in past))

    def changed_in(self, combination: str) -> dict[str, int]:
        """By run, how many cases of a combination changed their verdict with nothing else changed; runs without one left out."""
        found: dict[str, int] = defaultdict(int)
        for (name, _), past in self.cases.items():
            for entry in past:
                if name == combination and entry.changed:
                    found[entry.run] += 1
        return dict(found)


def history_view(history: History, record: RunRecord, limit: int = RUNS_SHOWN, only: tuple[str, str] = ("", "")) -> HistoryView:
    """The runs that are comparable with one, up to it.

    :param record: the run; it need not be in the history any more than the others.
    :param limit: how many runs, the newest.
    :param only: a combination, or a combination and a case, when the others are not asked for; empty: all.
    """
    runs = history.up_to(record, limit, *only)
    seen: dict[tuple[str, str], list[tuple[RunRecord, str, str]]] = defaultdict(list)
    for run in runs:
        for name, combination in run.combinations.items():
            for case, (verdict, reason) in combination.cases.items():
                seen[name, case].append((run, verdict, reason))
    return HistoryView(runs, {key: _past(key[0], results) for key, results in seen.items()})


def _past(combination: str, seen: list[tuple[RunRecord, str, str]]) -> list[Past]:
    """A case's past, with the changes marked that nothing explains. A run that did not obtain the case is ignored."""
    obtained = [
        (run, verdict, run.combinations[combination].conditions)
        for run, verdict, _ in seen
        if verdict != Verdict.NOT_OBTAINED.value
    ]
    changed = {
        run.name
        for (_, was, before), (run, verdict, conditions) in pairwise(obtained)
        if verdict != was and conditions and conditions == before
    }
    return [Past(run.name, run.started, verdict, reason, run.name in changed) for run, verdict, reason in seen]
