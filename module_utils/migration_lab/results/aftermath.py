# SPDX-License-Identifier: GPL-3.0-or-later
"""What a manager should do about a migration that failed or was never answered: what each reaction leaves of the guest."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from pathlib import Path
from typing import Iterable, Mapping, Optional, Sequence

from ..model.case import State
from ..model.errors import LabError
from ..suites.recovery.reaction import REACTIONS
from .recovery import Recovery, Trial, is_recovery, read_recovery
from .run import Run, read_run


class Left(str, Enum):
    """What is left of a guest after a reaction, the worst first."""

    DAMAGED = "damaged"  # it ran twice before the manager came, or its memory is not whole
    TWO = "two copies"
    NONE = "no copy"
    UNTRIED = "not tried"  # a daemon or a job did not come back, so that nothing could be done
    STANDS = "one copy, which stands"  # though the guest ran before
    ONE = "one whole copy"

    @property
    def kept(self) -> bool:
        return self is Left.ONE


@dataclass(frozen=True)
class Place:
    """A point and a fault of a method, with what each reaction leaves, by reaction."""

    combination: str
    table: str
    point: str
    stage: int
    fault: str
    left: Mapping[str, Counter[Left]]

    def rate(self, reaction: str) -> tuple[int, int]:
        """In how many cases the reaction keeps exactly one whole copy, and of how many."""
        counts = self.left[reaction]
        return counts[Left.ONE], sum(counts.values())

    @cached_property
    def keeping(self) -> list[str]:
        """The reactions that do so in every case."""
        return [reaction for reaction, counts in self.left.items() if 0 < counts[Left.ONE] == sum(counts.values())]


@dataclass(frozen=True)
class Aftermath:
    """What each reaction leaves, from runs that reacted in different ways.

    ``runs`` are the runs with the reaction of each, ``reactions`` those that there are.
    """

    runs: Mapping[str, Recovery]
    reactions: tuple[str, ...]
    places: tuple[Place, ...]

    @property
    def combinations(self) -> dict[str, list[Place]]:
        """The places by combination."""
        found: dict[str, list[Place]] = {}
        for place in self.places:
            found.setdefault(place.combination, []).append(place)
        return found


def read_aftermath(folders: Sequence[Path]) -> Aftermath:
    """Compare the reactions of some recovery runs.

    :param folders: of the runs.
    :raises LabError: when a run cannot be read, is not one of the suite recovery, is of another pair or guest
        than the first, or two reacted in the same way.
    """
    if not folders:
        raise LabError("no runs are named; name recovery runs with different aftermaths, such as -e runs=one,two")
    runs = {folder.name: read_recovery(_read(folder)) for folder in folders}
    first, *others = runs.values()
    for other in others:
        for name in ("pair", "guest"):
            if other.run.data[name] != first.run.data[name]:
                raise LabError(
                    f"runs {first.run.data['run']} and {other.run.data['run']} cannot be compared: the {name} differs; "
                    "name runs with the same pair and guest"
                )
    by_reaction: dict[str, str] = {}
    for name, recovery in runs.items():
        other_name = by_reaction.setdefault(recovery.aftermath, name)
        if other_name != name:
            raise LabError(
                f"runs {other_name} and {name} both reacted with {recovery.aftermath}; name one run of each aftermath"
            )
    found = {recovery.aftermath for recovery in runs.values()}
    reactions = (*(one for one in REACTIONS if one in found), *sorted(found - REACTIONS.keys()))
    return Aftermath(runs, reactions, tuple(_places(list(runs.values()), reactions)))


def left_of(trial: Trial, runs_before: bool) -> Optional[Left]:
    """What is left of the guest of a case; None where no manager has to do anything: the call succeeded, or the fault itself
    killed the guest, or the lab saw not enough.

    :param runs_before: whether the guest ran before the migration.
    """
    result = trial.result
    told = result.details.get("told") if result else None
    if not result or not told or told["answer"] == "success" or trial.outcome in ("error", "not obtained", "skip", "killed"):
        return None
    seen = result.details
    if trial.outcome == "running-twice" or seen.get("pattern") is False:
        return Left.DAMAGED
    if not seen.get("reaction"):
        # An intact guest needs no reaction; after one that is stuck none was possible.
        return Left.ONE if trial.outcome == "intact" else Left.UNTRIED
    copies: Mapping[str, str] = seen.get("reaction_left", {})
    if "damaged" in copies.values():
        return Left.DAMAGED
    if len(copies) != 1:
        return Left.TWO if copies else Left.NONE
    return Left.ONE if not runs_before or "running" in copies.values() else Left.STANDS


def total(places: Iterable[Place], reaction: str) -> tuple[int, int]:
    """In how many cases of all the places a reaction keeps exactly one whole copy, and of how many."""
    rates = [place.rate(reaction) for place in places]
    return sum(kept for kept, _ in rates), sum(cases for _, cases in rates)


def _read(folder: Path) -> Run:
    run = read_run(folder)
    if not is_recovery(run):
        raise LabError(f"run {folder.name} is not one of playbooks/recovery.yml; name recovery runs")
    return run


def _places(runs: Sequence[Recovery], reactions: Sequence[str]) -> Iterable[Place]:
    """The places in the order of combinations, points and faults, with the counts of all runs."""
    places: dict[tuple[str, str, str, str], Place] = {}
    for recovery in runs:
        running = {
            entry["name"]: entry["state"] == State.RUNNING.value
            for entry in recovery.run.data.get("profile_data", {}).get("scenarios", ())
        }
        for combination in recovery.combinations:
            stages = {(grid.table, row.point): row.stage for grid in combination.grids for row in grid.rows}
            for cell in combination.cells:
                found = [left_of(trial, running.get(trial.scenario, True)) for trial in cell.trials]
                if any(found):
                    key = (combination.name, cell.table, cell.point, cell.fault)
                    place = places.setdefault(key, Place(
                        combination.name, cell.table, cell.point, stages[cell.table, cell.point], cell.fault,
                        {one: Counter() for one in reactions},
                    ))
                    place.left[recovery.aftermath].update(left for left in found if left)
    return places.values()
