# SPDX-License-Identifier: GPL-3.0-or-later
"""A recovery run by point and fault: what became of the guest in each case, counted, and the worst of it first."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Iterable, Mapping, Optional, Sequence

from ..journal.case_result import CaseResult
from ..model.case import Method
from ..model.verdict import RED_VERDICTS, Verdict
from ..suites.recovery.outcome import SEVERITY as OUTCOMES
from ..suites.recovery.outcome import Outcome
from ..suites.recovery.point import Point, points
from .run import CombinationResult, Run
from .wording import one_line

SUITE = "recovery"

# What stands in place of an outcome where none is known.
ERROR, NOT_OBTAINED, SKIP = "error", "not obtained", "skip"

# Outcomes and what stands in their place, the worst first. A world that was not seen in the end is no result, either.
_PLACED = {Outcome.NOT_OBTAINED: (ERROR, NOT_OBTAINED), Outcome.KILLED: (Outcome.KILLED.value, SKIP)}
SEVERITY = tuple(word for outcome in reversed(OUTCOMES) for word in _PLACED.get(outcome, (outcome.value,)))
# Outcomes that cost the guest or its data, or leave nothing to be done about it.
WORST = (Outcome.RUNNING_TWICE.value, Outcome.LOST.value, Outcome.STUCK.value)

STAGES = {
    1: "Perform has not ended",
    2: "Perform has ended, Finish has not run",
    3: "Finish has run, its reply is not seen",
    4: "Finish's reply is seen, Confirm has not run",
    5: "Confirm has run",
}


def is_recovery(run: Run) -> bool:
    """Whether the run is one of the suite ``recovery``."""
    return bool(run.data.get("suite", {}).get("name") == SUITE)


@dataclass(frozen=True)
class Trial:
    """A case with its place: ``table`` is its method (among several guests guest and method).

    ``repetition`` is empty unless the run repeats cases; ``result`` is None when there is no final one.
    """

    case: str
    table: str
    scenario: str
    flags: str
    point: str
    fault: str
    repetition: str
    result: Optional[CaseResult]

    @property
    def outcome(self) -> str:
        """The judge's word for what became of the guest, or what stands in its place: one of ``SEVERITY``."""
        if self.result is None:
            return NOT_OBTAINED
        if self.result.verdict in (Verdict.ERROR, Verdict.SKIP):
            return self.result.verdict.value
        word = str(self.result.details.get("outcome") or Outcome.NOT_OBTAINED.value)
        return NOT_OBTAINED if word == Outcome.NOT_OBTAINED.value else word

    @property
    def red(self) -> bool:
        return self.result is None or self.result.verdict in RED_VERDICTS


@dataclass(frozen=True)
class Cell:
    """The cases with the same table, point and fault."""

    table: str
    point: str
    fault: str
    trials: tuple[Trial, ...]

    @cached_property
    def counts(self) -> dict[str, int]:
        """Cases by outcome, the worst first."""
        return count_outcomes(self.trials)

    @property
    def worst(self) -> str:
        return next(iter(self.counts))

    @cached_property
    def red(self) -> int:
        """How many of the cases have a red verdict, or none."""
        return sum(trial.red for trial in self.trials)

    @property
    def reason(self) -> str:
        """Why the first of the red cases is red; empty where it has no result."""
        first = next(trial for trial in self.trials if trial.red)
        return one_line(first.result.reason) if first.result else ""

    @cached_property
    def repeated(self) -> dict[tuple[str, str], list[Trial]]:
        """The cases by scenario and flags: one for each, or its repetitions."""
        found: dict[tuple[str, str], list[Trial]] = {}
        for trial in self.trials:
            found.setdefault((trial.scenario, trial.flags), []).append(trial)
        return found


@dataclass(frozen=True)
class Row:
    """A point and what came of the faults at it, by fault. ``stage`` is 0 where the protocol at hand has no such point."""

    point: str
    stage: int
    link: str
    cells: Mapping[str, Cell]


@dataclass(frozen=True)
class Grid:
    """The points of a table in the protocol's order."""

    table: str
    protocol: str
    rows: tuple[Row, ...]

    @property
    def stages(self) -> dict[int, list[Row]]:
        """The rows by stage."""
        found: dict[int, list[Row]] = {}
        for row in self.rows:
            found.setdefault(row.stage, []).append(row)
        return found


@dataclass(frozen=True)
class FaultColumn:
    """A fault of the profile."""

    name: str
    group: str
    description: str


@dataclass(frozen=True)
class RecoveryCombination:
    """The grids of a combination; none where not even its cases are known."""

    result: CombinationResult
    grids: tuple[Grid, ...]

    @property
    def name(self) -> str:
        return self.result.name

    @cached_property
    def cells(self) -> list[Cell]:
        """The cells of all grids, in order."""
        return [cell for grid in self.grids for row in grid.rows for cell in row.cells.values()]

    @cached_property
    def counts(self) -> dict[str, int]:
        """Cases by outcome, the worst first."""
        return _sum(cell.counts for cell in self.cells)

    @cached_property
    def by_stage(self) -> dict[int, dict[str, int]]:
        """The same for each stage."""
        stages = sorted({row.stage for grid in self.grids for row in grid.rows})
        return {
            stage: _sum(
                cell.counts for grid in self.grids for row in grid.rows if row.stage == stage for cell in row.cells.values()
            )
            for stage in stages
        }

    @property
    def red(self) -> list[Cell]:
        """The cells with cases of a red verdict."""
        return [cell for cell in self.cells if cell.red]

    @property
    def worst(self) -> list[Cell]:
        """The cells with an outcome of ``WORST``, the worst outcome first."""
        found = [cell for cell in self.cells if cell.worst in WORST]
        return sorted(found, key=lambda cell: WORST.index(cell.worst))


@dataclass(frozen=True)
class Recovery:
    """A recovery run."""

    run: Run
    faults: tuple[FaultColumn, ...]
    combinations: tuple[RecoveryCombination, ...]

    @property
    def aftermath(self) -> str:
        """What the manager did after a migration that failed."""
        return str(self.run.data.get("profile_data", {}).get("aftermath", "again"))

    @property
    def groups(self) -> dict[str, list[FaultColumn]]:
        """The faults by group."""
        found: dict[str, list[FaultColumn]] = {}
        for fault in self.faults:
            found.setdefault(fault.group, []).append(fault)
        return found

    @cached_property
    def counts(self) -> dict[str, int]:
        """Cases by outcome over all combinations, the worst first."""
        return _sum(combination.counts for combination in self.combinations)


def read_recovery(run: Run) -> Recovery:
    """Arrange the cases of a recovery run."""
    trials = {combination.name: trials_of(run, combination) for combination in run.combinations}
    described = {fault["name"]: fault for fault in run.data.get("profile_data", {}).get("faults", ())}
    used = dict.fromkeys(trial.fault for found in trials.values() for trial in found)
    order = [name for name in described if name in used] + [name for name in used if name not in described]
    # A group's faults stand together, whatever the order in which files and cases name them.
    faults = [FaultColumn(name, *(described.get(name, {}).get(key, "") for key in ("group", "description"))) for name in order]
    groups = list(dict.fromkeys(fault.group for fault in faults))
    faults.sort(key=lambda fault: groups.index(fault.group))
    return Recovery(run, tuple(faults), tuple(
        RecoveryCombination(combination, _grids(run, combination.name, trials[combination.name], faults))
        for combination in run.combinations
    ))


def trials_of(run: Run, combination: CombinationResult) -> list[Trial]:
    """The combination's cases with their places, in order."""
    shift = int(len(run.guests) > 1)
    found = []
    for case in combination.selected:
        axes = run.axes[case]
        scenario, flags, point, fault, *repetition = axes[1 + shift:]
        table = "/".join(axes[: 1 + shift])
        found.append(Trial(
            case, table, scenario, flags, point, fault, "".join(repetition), combination.results.get(case),
        ))
    return found


def count_outcomes(trials: Iterable[Trial]) -> dict[str, int]:
    """Cases by outcome, the worst first."""
    return _ordered(Counter(trial.outcome for trial in trials))


def severity(outcome: str) -> int:
    """The place of an outcome among all, 0 for the worst. A word that this lab does not know is as bad as a lost result."""
    return SEVERITY.index(outcome if outcome in SEVERITY else ERROR)


def protocol_of(run: Run, combination: str, table: str) -> str:
    """The protocol of a table's method on a combination, ``v2`` or ``v3``, as the run was planned."""
    protocols: Mapping[str, Any] = run.data.get("profile_data", {}).get("protocols", {})
    return str(protocols.get(combination, {}).get(table.rpartition("/")[2], "v3"))


def _grids(run: Run, combination: str, trials: Sequence[Trial], faults: Sequence[FaultColumn]) -> tuple[Grid, ...]:
    tables: dict[str, dict[tuple[str, str], list[Trial]]] = {}
    for trial in trials:
        tables.setdefault(trial.table, {}).setdefault((trial.point, trial.fault), []).append(trial)
    found = []
    methods = [method.value for method in Method]
    for table, cells in sorted(tables.items(), key=lambda item: methods.index(item[0].rpartition("/")[2])):
        protocol = protocol_of(run, combination, table)
        known = {point.name: point for point in points(Method(table.rpartition("/")[2]), protocol)}
        names = [*known, *dict.fromkeys(point for point, _ in cells if point not in known)]
        rows = (_row(table, name, known.get(name), cells, faults) for name in names)
        found.append(Grid(table, protocol, tuple(row for row in rows if row.cells)))
    return tuple(found)


def _row(
    table: str, name: str, point: Optional[Point], cells: Mapping[tuple[str, str], list[Trial]], faults: Sequence[FaultColumn]
) -> Row:
    return Row(name, point.stage if point else 0, point.link if point else "", {
        fault.name: Cell(table, name, fault.name, tuple(cells[name, fault.name]))
        for fault in faults if (name, fault.name) in cells
    })


def _sum(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for one in counts:
        total.update(one)
    return _ordered(total)


def _ordered(counts: Mapping[str, int]) -> dict[str, int]:
    return {word: counts[word] for word in sorted(counts, key=severity)}
