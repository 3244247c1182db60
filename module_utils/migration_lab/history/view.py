# SPDX-License-Identifier: GPL-3.0-or-later
"""A view of earlier runs: the verdicts of each case over comparable runs, and which cases are flaky."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from ..model.verdict import Outcome
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
class PastRun:
    """A run: for each of its combinations the cases by verdict, the versions by role, and what stands for all conditions."""

    name: str
    started: str
    green: bool
    counts: dict[str, dict[str, int]]
    versions: dict[str, dict[str, dict[str, str]]] = field(default_factory=dict)
    conditions: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class HistoryView:
    """Comparable runs (same pair, profile and guest) up to one of them, oldest first."""

    runs: list[PastRun]
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
    connection = history.connection
    rows = connection.execute(
        """SELECT id, name, started, green FROM runs WHERE pair = ? AND profile = ? AND guest = ? AND (started, name) <= (?, ?)
        ORDER BY started DESC, name DESC LIMIT ?""",
        (record.pair, record.profile, record.guest, record.started, record.name, limit),
    ).fetchall()[::-1]
    runs = {run: PastRun(name, started, bool(green), {}) for run, name, started, green in rows}
    marks = ", ".join("?" * len(runs))
    for run, combination, counts, versions, conditions in connection.execute(
        f"SELECT run, name, counts, versions, conditions FROM combinations WHERE run IN ({marks})", list(runs)
    ):
        runs[run].counts[combination] = json.loads(counts)
        runs[run].versions[combination] = json.loads(versions)
        runs[run].conditions[combination] = conditions
    found: dict[tuple[str, str], dict[int, tuple[str, str]]] = defaultdict(dict)
    combination, case = only
    narrower, values = _narrower(combination, case)
    for name, told, run, verdict, reason in connection.execute(
        f"""SELECT cases.combination, case_names.name, run, verdict, reasons.text FROM cases
        JOIN case_names ON case_names.id = cases.name LEFT JOIN reasons ON reasons.id = cases.reason
        WHERE {narrower}run IN ({marks})""",
        [*values, *runs],
    ):
        found[name, told][run] = (verdict, reason or "")
    return HistoryView(list(runs.values()), {
        key: _past(key[0], [(runs[run], *seen[run]) for run in runs if run in seen]) for key, seen in found.items()
    })


def _narrower(combination: str, case: str) -> tuple[str, list[Any]]:
    """Conditions on a combination or a case. The plus keeps SQLite from going by run, which is far more rows, instead."""
    if case:
        return "combination = ? AND cases.name = (SELECT id FROM case_names WHERE name = ?) AND +", [combination, case]
    return ("combination = ? AND +", [combination]) if combination else ("", [])


def _past(combination: str, seen: list[tuple[PastRun, str, str]]) -> list[Past]:
    """A case's past, with the changes marked that nothing explains. A run that did not obtain the case is ignored."""
    obtained = [(run, verdict) for run, verdict, _ in seen if verdict != Outcome.NOT_OBTAINED.value]
    changed = {
        run.name
        for (before, was), (run, verdict) in pairwise(obtained)
        if verdict != was and run.conditions[combination] and run.conditions[combination] == before.conditions[combination]
    }
    return [Past(run.name, run.started, verdict, reason, run.name in changed) for run, verdict, reason in seen]
