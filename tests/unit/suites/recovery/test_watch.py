# SPDX-License-Identifier: GPL-3.0-or-later
"""Two copies that run at a time are seen, and a guest that moves between two looks is not taken for two."""

from __future__ import annotations

import threading
from typing import cast

import pytest

from migration_lab.cell.witness import Counters, Witness
from migration_lab.guest.config import GuestConfig
from migration_lab.model.errors import LabError
from migration_lab.suites.recovery.watch import Sample, Watch, twice_seconds

SOURCE, TARGET = ("source", 10), ("target", 20)


def samples(source: list[int | None], target: list[int | None]) -> list[Sample]:
    """Looks at two copies, a second apart; None: the copy is not there to be read."""
    return [
        (float(number), {SOURCE: mine, TARGET: other}) for number, (mine, other) in enumerate(zip(source, target))
    ]


def always(when: float) -> bool:
    return True


def test_a_guest_that_moves_between_two_looks_is_one() -> None:
    assert twice_seconds(samples([1, 5, 7, 7, 7], [None, 7, 9, 15, 20]), always) == 0


def test_two_copies_that_run_are_counted_after_the_first_look() -> None:
    assert twice_seconds(samples([1, 5, 9, 13, 13], [1, 5, 9, 13, 17]), always) == 2


def test_a_target_that_receives_memory_does_not_run() -> None:
    looks = samples([1, 5, 9, 13], [None, 4, 8, 12])
    assert twice_seconds(looks, lambda when: False) == 0


def test_a_target_runs_once_its_memory_is_there() -> None:
    looks = samples([1, 5, 9, 13, 17], [1, 5, 9, 13, 17])
    assert twice_seconds(looks, lambda when: when >= 2) == 1


def test_a_copy_that_stands_or_is_gone_does_not_count() -> None:
    assert twice_seconds(samples([1, 5, 9, 13], [5, 5, 5, None]), always) == 0


class FakeWitness:
    """Sees a counter that grows with each look, until it fails."""

    def __init__(self, fails: bool = False) -> None:
        self._fails = fails
        self._looks = 0

    def all_counters(self, guest: GuestConfig, name: str) -> Counters:
        self._looks += 1
        if self._fails:
            raise LabError("the inspector is gone")
        return {SOURCE: self._looks}


def watch(witness: FakeWitness) -> Watch:
    return Watch(cast(Witness, witness), cast(GuestConfig, None), "mlab-nnn-001")


def test_a_watch_keeps_what_it_sees() -> None:
    with watch(FakeWitness()) as watching:
        while len(watching.samples) < 2:
            pass
        watching.stop()
    assert [counters for _, counters in watching.samples][:2] == [{SOURCE: 1}, {SOURCE: 2}]


def test_a_watch_that_fails_says_so_in_the_end() -> None:
    with watch(FakeWitness(fails=True)) as watching, pytest.raises(LabError, match="could not be watched: the inspector is gone"):
        watching.stop()


def test_nobody_looks_on_after_an_error() -> None:
    def fail() -> None:
        raise LabError("the daemon is silent")

    before = threading.active_count()
    with pytest.raises(LabError, match="silent"), watch(FakeWitness()):
        fail()
    assert threading.active_count() == before
