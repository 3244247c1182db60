# SPDX-License-Identifier: GPL-3.0-or-later
"""What a recovery run found, for a terminal: cases by outcome and verdict, and the worst with how many of how many."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Iterator

from ..model.verdict import Verdict
from ..results.recovery import WORST, Recovery, RecoveryCombination
from ..results.wording import table_lines

# More than a screen or two helps nobody; the page has them all.
SHOWN = 60


def findings_text(recovery: Recovery, page: Path) -> list[str]:
    """The findings, line by line.

    :param page: the page that has all of them, named when not all are shown.
    """
    return [*_table(recovery), "", *_worst(recovery, page)]


def _table(recovery: Recovery) -> Iterator[str]:
    tallies = [(combination.name, _tally(combination)) for combination in recovery.combinations]
    verdicts = [verdict for verdict in Verdict if any(one[verdict] for _, tally in tallies for one in tally.values())]
    rows = [["combination", "outcome", *(verdict.value for verdict in verdicts), "cases"]]
    for name, tally in tallies:
        rows += [
            [name, word, *(str(one[verdict]) for verdict in verdicts), str(sum(one.values()))] for word, one in tally.items()
        ]
    return table_lines(rows, left=2)


def _tally(combination: RecoveryCombination) -> dict[str, Counter[Verdict]]:
    """Verdicts by outcome, the worst outcome first."""
    found: dict[str, Counter[Verdict]] = {word: Counter() for word in combination.counts}
    for cell in combination.cells:
        for trial in cell.trials:
            found[trial.outcome][trial.result.verdict if trial.result else Verdict.NOT_OBTAINED] += 1
    return found


def _worst(recovery: Recovery, page: Path) -> Iterator[str]:
    """A line for each outcome of ``WORST``, method, point and fault, with the combinations that have it."""
    found: dict[tuple[str, ...], list[str]] = {}
    for word in WORST:
        for combination in recovery.combinations:
            for cell in combination.cells:
                if cell.counts.get(word):
                    rate = f"{combination.name} {cell.counts[word]} of {len(cell.trials)}"
                    found.setdefault((word, cell.table, cell.point, cell.fault), []).append(rate)
    if not found:
        yield "No guest ran twice, was lost or was stuck."
        return
    yield "Guests that ran twice, were lost or were stuck:"
    for (word, table, point, fault), rates in list(found.items())[:SHOWN]:
        yield f"    {word}: {table}, {point}, {fault}: {', '.join(rates)}"
    if len(found) > SHOWN:
        yield f"... and {len(found) - SHOWN} more: see {page}"
