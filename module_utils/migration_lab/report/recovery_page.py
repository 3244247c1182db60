# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes the pages of a recovery run: index.html with the grids of points and faults, and beside it the cases of each grid."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Mapping, Optional

from ..history.view import HistoryView
from ..results.comparison import Comparison
from ..results.machine_versions import machine_versions
from ..results.recovery import STAGES, Cell, Grid, Recovery, RecoveryCombination, count_outcomes
from ..results.run import Run
from ..results.seen_deviations import seen_deviations
from ..results.wording import count
from .case_view import LOGS_SIZE
from .grid import MARKS, place
from .log_tail import SIZE
from .outcome_marks import OUTCOME_MARKS, outcome_mark
from .page import duration, render
from .recovery_case import promises_of, recovery_case_views

MAIN, CASES = "recovery.html.j2", "recovery_cases.html.j2"
PAGE_FILE = "index.html"

# Of a log less than this tells nothing.
_LEAST_LOG = 400


def recovery_pages(
    recovery: Recovery, templates: Path, comparison: Optional[Comparison] = None, history: Optional[HistoryView] = None
) -> dict[str, str]:
    """The pages by path relative to the run's folder, each whole in itself.

    :param templates: the folder of the templates.
    :param comparison: with a base run; shown first when there is one.
    :param history: of comparable runs.
    :raises LabError: when a template cannot be read or is faulty.
    """
    run = recovery.run
    pages = {PAGE_FILE: render(
        templates, MAIN, **_words(recovery), comparison=comparison, history=history, versions=machine_versions(run),
        deviations=seen_deviations(run), duration=duration(run), flaky=history.flaky if history else (),
        pages={
            f"{combination.name}/{grid.table}/": cases_path(combination.name, grid.table)
            for combination in recovery.combinations for grid in combination.grids
        },
    )}
    for combination in recovery.combinations:
        for grid in combination.grids:
            pages[cases_path(combination.name, grid.table)] = _cases_page(recovery, combination, grid, templates)
    return pages


def cases_path(combination: str, table: str) -> str:
    """The page of the cases of a grid, relative to the run's folder."""
    return f"{combination}/cases-{table.replace('/', '-')}.html"


def case_address(run: Run, combination: str, case: str) -> str:
    """The stable address of a case, relative to the run's folder."""
    return f"{cases_path(combination, place(run, case)[0])}#{case}"


def cell_text(cell: Cell) -> str:
    """A cell in words: its worst outcome's letter, point and fault, cases by outcome, and how many are red."""
    letter = outcome_mark(cell.worst).letter
    counts = ", ".join(f"{number} {word}" for word, number in cell.counts.items())
    return f"{letter}{'!' if cell.red else ''}: {cell.point}, {cell.fault}: {counts}" + (f"; {cell.red} red" if cell.red else "")


def rate_text(counts: Mapping[str, int]) -> str:
    """Outcomes of a case's repetitions: ``running-twice 3 of 20, intact 17 of 20``."""
    total = sum(counts.values())
    return ", ".join(f"{word} {number} of {total}" for word, number in counts.items())


def _words(recovery: Recovery) -> dict[str, Any]:
    return {
        "run": recovery.run, "recovery": recovery, "marks": MARKS, "outcomes": OUTCOME_MARKS, "outcome_mark": outcome_mark,
        "stages": STAGES, "cell_text": cell_text, "cases_path": cases_path, "rate_text": rate_text,
        "count_outcomes": count_outcomes, "several": len(recovery.combinations) > 1, "case_address": case_address,
    }


def _cases_page(recovery: Recovery, combination: RecoveryCombination, grid: Grid, templates: Path) -> str:
    run = recovery.run
    cells = [cell for row in grid.rows for cell in row.cells.values()]
    logs = sum(len(trial.result.logs) for cell in cells for trial in cell.trials if trial.red and trial.result)
    size = min(SIZE, LOGS_SIZE // max(1, logs))
    promises = promises_of(run)
    descriptions = {fault.name: fault.description for fault in recovery.faults}
    return render(
        templates, CASES, **_words(recovery), combination=combination, grid=grid, descriptions=descriptions,
        number=count(sum(len(cell.trials) for cell in cells), "case"),
        views=lambda cell: recovery_case_views(
            run, combination.result, cell, promises, size if size >= _LEAST_LOG else 0
        ),
    )
