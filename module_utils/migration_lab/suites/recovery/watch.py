# SPDX-License-Identifier: GPL-3.0-or-later
"""Watches all QEMU processes of a guest while its migration fails: which of them runs, and whether two ever run at a time."""

from __future__ import annotations

from bisect import bisect_right
from contextlib import suppress
from typing import Callable, Mapping, Optional, Sequence

from ...cell.witness import Sample, Witness
from ...guest.config import GuestConfig
from ...model.errors import LabError


class Watch:
    """Has a guest looked at, until ``stop``. Use ``with``. ``samples`` are those of each machine, once it has stopped."""

    def __init__(self, witness: Witness, guest: GuestConfig, name: str) -> None:
        self.samples: dict[str, list[Sample]] = {}
        self._witness = witness
        self._guest = guest
        self._name = name
        self._offsets: Optional[Mapping[str, float]] = None

    def __enter__(self) -> Watch:
        self._offsets = self._witness.begin_samples(self._guest, self._name)
        return self

    def __exit__(self, *error: object) -> None:
        # Nobody needs the samples any more, nor whether there are any.
        with suppress(LabError):
            self.stop()

    def stop(self) -> None:
        """Look no more.

        :raises LabError: when the guest could not be looked at.
        """
        offsets, self._offsets = self._offsets, None
        if offsets is not None:
            self.samples = self._witness.end_samples(self._name, offsets)


def twice_seconds(samples: Mapping[str, Sequence[Sample]], received: Callable[[float], bool]) -> float:
    """For how long two copies were seen running at a time.

    A counter that grows shows a copy that runs; on the target only once no memory can come in any more.  Between two looks at the
    source counts what the target's last looks before them show.  When a guest moves, both may grow there, one before and one
    after: only what comes directly after such a time counts.

    :param samples: of ``source`` and ``target``.
    :param received: whether all memory that the target ever got was there at a time (monotonic seconds).
    """
    source, target = samples["source"], samples["target"]
    times = [when for when, _ in target]

    def grown(first: Sample, last: Sample) -> int:
        return sum(counter is not None and (last[1].get(pid) or 0) > counter for pid, counter in first[1].items())

    seconds, before = 0.0, False
    for first, last in zip(source, source[1:]):
        running = grown(first, last)
        if seen := bisect_right(times, first[0]):
            look = target[seen - 1]
            if received(look[0]):
                running += grown(look, target[bisect_right(times, last[0]) - 1])
        twice = running > 1
        if twice and before:
            seconds += last[0] - first[0]
        before = twice
    return seconds
