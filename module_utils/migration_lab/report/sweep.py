# SPDX-License-Identifier: GPL-3.0-or-later
"""A sweep as a table: from each of its releases to each, the worst result of any client and case."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Iterator, Optional

from ..model.combination import classes
from ..model.pair import is_sweep, releases_of
from ..model.verdict import Verdict
from ..results.comparison import case_state
from ..results.failure import Kind
from ..results.machine_versions import machine_versions
from ..results.run import CombinationResult, Run
from ..results.wording import count, one_line, table_lines
from .grid import MARKS, SEVERITY, Mark

# What the margins have of a release's machines, of all that they report.
_MARGIN = {"libvirt daemon": "libvirt ", "package of libvirt": "", "QEMU": "QEMU ", "package of QEMU": ""}


@dataclass(frozen=True)
class Worst:
    """The worst result of a direction: a case, or with ``case`` empty its combination as a whole; ``why`` is empty for a pass."""

    mark: Mark
    combination: str
    case: str
    why: str

    @property
    def title(self) -> str:
        """``bab p2p/transient-paused/none``."""
        return f"{self.combination} {self.case or 'as a whole'}"


@dataclass(frozen=True)
class Direction:
    """From a release to a release, by their classes, with each client that the run has; without any, ``worst`` is None.

    ``tally`` says how many of its cases have the worst verdict: ``3 of 48 cases``.
    """

    source: str
    target: str
    combinations: tuple[CombinationResult, ...]
    worst: Optional[Worst]
    tally: str


@dataclass(frozen=True)
class Sweep:
    """A run that is a sweep: its releases by class, what their machines reported, and the directions, row by row."""

    releases: dict[str, str]
    margins: dict[str, tuple[str, ...]]
    rows: dict[str, tuple[Direction, ...]]  # by the source's class, a direction for each target

    @property
    def telling(self) -> list[tuple[Direction, Worst]]:
        """The directions with something else than passes, each with its worst result, the worst first."""
        found = [(one, one.worst) for row in self.rows.values() for one in row if one.worst and one.worst.why]
        return sorted(found, key=lambda one: SEVERITY.index(Verdict(one[1].mark.word)))

    def words(self, direction: Direction) -> str:
        """``debian-11 -> debian-13``."""
        return f"{self.releases[direction.source]} -> {self.releases[direction.target]}"


def read_sweep(run: Run) -> Optional[Sweep]:
    """The run as a sweep; None where it is of a pair."""
    if not is_sweep(run.data["pair"]):
        return None
    releases = releases_of(run.data["pair"])
    found: dict[tuple[str, str], list[CombinationResult]] = {ends: [] for ends in product(releases, releases)}
    for combination in run.combinations:
        kinds = classes(combination.name)
        found[kinds["source"], kinds["target"]].append(combination)
    rows = {row.what: row.found for row in machine_versions(run)}
    return Sweep(
        releases,
        {
            kind: tuple(word + ", ".join(rows[what][kind]) for what, word in _MARGIN.items() if rows.get(what, {}).get(kind))
            for kind in releases
        },
        {
            source: tuple(_direction(source, target, found[source, target]) for target in releases)
            for source in releases
        },
    )


def sweep_lines(sweep: Sweep) -> Iterator[str]:
    """The sweep for a terminal: the table, its releases, and the worst case of each direction that did not only pass."""
    names = {kind: f"{kind} {release}" for kind, release in sweep.releases.items()}
    yield from table_lines([
        ["source \\ target", *names.values()],
        *([names[source], *(one.worst.mark.letter if one.worst else "-" for one in row)] for source, row in sweep.rows.items()),
    ], left=1 + len(names))
    seen = [one.worst.mark for row in sweep.rows.values() for one in row if one.worst]
    letters = ", ".join(f"{mark.letter} {mark.word}" for mark in MARKS.values() if mark in seen)
    yield f"    {letters}; the worst of any client and case"
    yield ""
    yield from table_lines([[names[kind], *facts] for kind, facts in _filled(sweep).items()], left=1 + len(_MARGIN))
    for one, worst in sweep.telling:
        yield ""
        tally = f"{one.tally} {worst.mark.word}, such as " if worst.case else ""
        yield f"{worst.mark.letter} {sweep.words(one)}: {tally}{worst.title}"
        yield f"    {worst.why}"


def _filled(sweep: Sweep) -> dict[str, tuple[str, ...]]:
    """The margins with as many columns in each row; of a release that was to be source or target and reported nothing, so."""
    ends = {end for row in sweep.rows.values() for one in row if one.combinations for end in (one.source, one.target)}
    rows = {kind: facts or (("not obtained",) if kind in ends else ()) for kind, facts in sweep.margins.items()}
    most = max(map(len, rows.values()))
    return {kind: (*facts, *[""] * (most - len(facts))) for kind, facts in rows.items()}


def _direction(source: str, target: str, combinations: list[CombinationResult]) -> Direction:
    results = [result for combination in combinations for result in _results(combination)]
    # The first of the worst: a case before what concerns a combination as a whole.
    worst = min(results, key=lambda result: SEVERITY.index(result[0]), default=None)
    if worst is None:
        return Direction(source, target, (), None, "")
    cases = [verdict for verdict, _, case, _ in results if case]
    tally = f"{cases.count(worst[0])} of {count(len(cases), 'case')}" if worst[2] else count(len(cases), "case")
    return Direction(source, target, tuple(combinations), Worst(MARKS[worst[0].value], *worst[1:]), tally)


def _results(combination: CombinationResult) -> Iterator[tuple[Verdict, str, str, str]]:
    """Verdict, combination, case and reason of each case, and of what concerns the combination as a whole."""
    for case in combination.selected:
        verdict, why = case_state(combination, case)
        yield Verdict(verdict), combination.name, case, one_line(why)
    if not combination.selected:
        yield Verdict.NOT_OBTAINED, combination.name, "", one_line(combination.reason)
    for failure in combination.failures:
        if failure.kind is Kind.DAEMON_DEATH:
            yield Verdict.FAIL, combination.name, "", one_line(f"{failure.title}: {failure.reason}")
