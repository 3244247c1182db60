# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes the results for a terminal or a log file: the table, the failures with where to look, the summary. No colours."""

from __future__ import annotations

from pathlib import Path
from typing import Iterator, Optional, Sequence

from ..model.case import ROLES
from ..model.combination import label
from ..model.pair import pair_text
from ..model.verdict import JUDGED, Verdict
from ..results.comparison import ChangeKind, Comparison
from ..results.failure import Failure, Kind
from ..results.run import CombinationResult, Run
from ..results.wording import again_text, one_line, step_text, table_lines
from .sweep import read_sweep, sweep_lines

# More than a screen or two helps nobody; the page has them all.
FAILURES_SHOWN = 40

# Verdicts that have a column even when no case has them.
_ALWAYS = (Verdict.PASS, Verdict.FAIL, Verdict.ERROR)


def terminal_text(
    run: Run, page: Path, explain: bool = False, comparison: Optional[Comparison] = None, remarks: Sequence[str] = (),
    findings: Sequence[str] = (),
) -> str:
    """The results as text.

    :param page: the page that has all failures, named when not all are shown.
    :param explain: whether to print, for every case that did not pass, the rule that judged it.
    :param comparison: with an earlier run: it comes first.
    :param remarks: sentences on the comparison and the history.
    :param findings: what the run's suite has to say of its own, line by line; it comes after the table.
    """
    data = run.data
    guests = f"guest{'s' if len(run.guests) > 1 else ''} {', '.join(run.guests)}"
    heading = f"run {data['run']}: {pair_text(data['pair'])}, profile {data['profile']}, {guests}"
    lines = [heading, *run.notices.values(), *remarks, ""]
    if comparison:
        lines += [*_comparison_lines(comparison, page), ""]
    sweep = read_sweep(run)
    lines += sweep_lines(sweep) if sweep else _table(run)
    if findings:
        lines += ["", *findings]
    notes = [(combination, case, note) for combination in run.combinations for case, note in combination.notes.items()]
    if notes:
        lines += ["", *(f"{combination.name} {case}: {one_line(note)}" for combination, case, note in notes[:FAILURES_SHOWN])]
    if len(notes) > FAILURES_SHOWN:
        lines.append(f"... and {len(notes) - FAILURES_SHOWN} more cases that were tried again: see {page}")
    failures = run.failures
    for failure in failures[:FAILURES_SHOWN]:
        lines += ["", *_failure_lines(failure, run.folder)]
    if len(failures) > FAILURES_SHOWN:
        lines += ["", f"... and {len(failures) - FAILURES_SHOWN} more: see {page}"]
    if explain:
        lines += ["", "What judged each case that did not pass:", *_explanations(run)]
    again = next((failure for failure in failures if failure.kind is Kind.CASE), None)
    if again:
        lines += ["", f"One case again: {again_text(data, again.combination, again.case)}"]
    return "\n".join([*lines, "", run.summary])


def _table(run: Run) -> Iterator[str]:
    verdicts = [verdict for verdict in JUDGED if verdict in _ALWAYS or run.counts[verdict.value]]
    header = ["combination", *ROLES, "cases", "checks", *(verdict.value for verdict in verdicts), "seconds"]
    return table_lines([header, *(_row(combination, verdicts) for combination in run.combinations)], left=1 + len(ROLES))


def _row(combination: CombinationResult, verdicts: Sequence[Verdict]) -> list[str]:
    seconds = combination.seconds
    return [
        label(combination.name),
        *(combination.versions.get(role, {}).get("libvirt", "-") for role in ROLES),
        f"{len(combination.results)}/{len(combination.selected) or '?'}",
        f"{combination.checks_judged}/{combination.checks_total or '?'}",
        *(str(combination.counts[verdict.value]) for verdict in verdicts),
        "-" if seconds is None else f"{seconds:.1f}",
    ]


def _comparison_lines(comparison: Comparison, page: Path) -> Iterator[str]:
    yield comparison.line
    yield from (f"    not the same: {difference}" for difference in comparison.differences)
    kind: Optional[ChangeKind] = None
    for change in comparison.changes[:FAILURES_SHOWN]:
        if change.kind is not kind:
            kind = change.kind
            yield f"{kind.words}:"
        yield f"    {change.title}"
        yield from (f"        {line}" for line in change.lines)
    if len(comparison.changes) > FAILURES_SHOWN:
        yield f"... and {len(comparison.changes) - FAILURES_SHOWN} more changes: see {page}"


def _failure_lines(failure: Failure, folder: Path) -> Iterator[str]:
    yield f"{failure.combination} {failure.title}"
    yield from (f"    {line}" for line in failure.lines)
    if failure.kind is Kind.CASES_NOT_OBTAINED:
        yield f"    {_few(failure.cases)}"
    yield from (f"    log:     {folder / log}" for log in failure.logs)
    if failure.journal:
        yield f"    journal: {folder / failure.journal}"


def _explanations(run: Run) -> Iterator[str]:
    """Every case that did not pass, with the rule that judged it and what the relay saw of it."""
    none = True
    for combination in run.combinations:
        for case, line in combination.results.items():
            if line.verdict is not Verdict.PASS:
                none = False
                yield f"{combination.name} {case}: {line.verdict.value}"
                yield f"    {one_line(line.judged_by)}"
                yield from (f"    {step_text(step)}" for step in line.steps)
    if none:
        yield "none: every case with a result passed"


def _few(cases: Sequence[str], shown: int = 3) -> str:
    """The first of a list of case ids, and how many more there are."""
    rest = len(cases) - shown
    return ", ".join(cases[:shown]) + (f" and {rest} more" if rest > 0 else "")
