# SPDX-License-Identifier: GPL-3.0-or-later
"""Two copies that run at a time are seen, and a guest that moves between two looks is not taken for two."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import pytest

from migration_lab.cell.witness import Sample, Witness
from migration_lab.guest.config import GuestConfig
from migration_lab.model.errors import LabError
from migration_lab.suites.recovery.watch import Watch, twice_seconds


def samples(source: list[int | None], target: list[int | None], late: float = 0.0) -> dict[str, list[Sample]]:
    """Looks at two copies, a second apart; None: it is not there to be read. ``late``: seconds of the target's after those."""
    return {
        "source": [(float(number), {10: counter}) for number, counter in enumerate(source)],
        "target": [(number + late, {20: counter}) for number, counter in enumerate(target)],
    }


def always(when: float) -> bool:
    return True


@pytest.mark.parametrize("late", [0.0, 0.5, -0.5])
def test_a_guest_that_moves_between_two_looks_is_one(late: float) -> None:
    assert twice_seconds(samples([1, 5, 7, 7, 7], [None, 7, 9, 15, 20], late), always) == 0


@pytest.mark.parametrize(("late", "seconds"), [(0.0, 2), (-0.5, 2), (0.5, 1)])
def test_two_copies_that_run_are_counted_after_the_first_look(late: float, seconds: int) -> None:
    assert twice_seconds(samples([1, 5, 9, 13, 13], [1, 5, 9, 13, 17], late), always) == seconds


def test_a_target_that_receives_memory_does_not_run() -> None:
    looks = samples([1, 5, 9, 13], [None, 4, 8, 12])
    assert twice_seconds(looks, lambda when: False) == 0


def test_a_target_runs_once_its_memory_is_there() -> None:
    looks = samples([1, 5, 9, 13, 17], [1, 5, 9, 13, 17])
    assert twice_seconds(looks, lambda when: when >= 2) == 1


def test_a_target_without_looks_was_not_seen_running() -> None:
    assert twice_seconds(samples([1, 5, 9, 13], []), always) == 0


def test_two_copies_on_one_machine_are_two() -> None:
    looks: list[Sample] = [(float(number), {10: number, 11: number}) for number in range(4)]
    assert twice_seconds({"source": looks, "target": []}, always) == 2


def test_a_copy_that_stands_or_is_gone_does_not_count() -> None:
    assert twice_seconds(samples([1, 5, 9, 13], [5, 5, 5, None]), always) == 0


class FakeWitness:
    """Looks at one guest at a time, and may fail in the end."""

    def __init__(self, fails: bool = False) -> None:
        self._fails = fails
        self.looks = 0

    def begin_samples(self, guest: GuestConfig, name: str) -> dict[str, float]:
        self.looks += 1
        return {"source": 5.0}

    def end_samples(self, name: str, offsets: Mapping[str, float]) -> dict[str, list[Sample]]:
        self.looks -= 1
        if self._fails:
            raise LabError("the inspector is gone")
        return {"source": [(1 + offsets["source"], {10: 3})]}


def watch(witness: FakeWitness) -> Watch:
    return Watch(cast(Witness, witness), cast(GuestConfig, None), "mlab-nnn-001")


def test_a_watch_keeps_what_was_seen() -> None:
    witness = FakeWitness()
    with watch(witness) as watching:
        watching.stop()
    assert watching.samples == {"source": [(6, {10: 3})]} and witness.looks == 0


def test_a_watch_that_fails_says_so_in_the_end() -> None:
    with watch(FakeWitness(fails=True)) as watching, pytest.raises(LabError, match="the inspector is gone"):
        watching.stop()


@pytest.mark.parametrize("fails", [False, True])
def test_nobody_looks_on_after_an_error(fails: bool) -> None:
    def fail() -> None:
        raise LabError("the daemon is silent")

    witness = FakeWitness(fails)
    with pytest.raises(LabError, match="silent"), watch(witness):
        fail()
    assert witness.looks == 0
