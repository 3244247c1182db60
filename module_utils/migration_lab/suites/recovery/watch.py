# SPDX-License-Identifier: GPL-3.0-or-later
"""Watches all QEMU processes of a guest while its migration fails: which of them runs, and whether two ever run at a time."""

from __future__ import annotations

import threading
import time
from typing import Callable, Optional

from ...cell.witness import Counters, Witness
from ...guest.config import GuestConfig
from ...model.errors import LabError

# Seconds between two looks.
INTERVAL = 0.05

# A look: when it was, in monotonic seconds, and the counters that it saw.
Sample = tuple[float, Counters]


class Watch:
    """Looks at a guest in a thread of its own, until ``stop``. Use ``with``."""

    def __init__(self, witness: Witness, guest: GuestConfig, name: str) -> None:
        self.samples: list[Sample] = []
        self._witness = witness
        self._guest = guest
        self._name = name
        self._over = threading.Event()
        self._failure: Optional[Exception] = None
        self._thread = threading.Thread(target=self._run, name=f"watch {name}", daemon=True)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join()

    def stop(self) -> None:
        """Look no more.

        :raises LabError: when the guest could not be looked at.
        """
        self._over.set()
        self._thread.join()
        if self._failure is not None:
            raise LabError(f"the guest could not be watched: {self._failure}") from self._failure

    def _run(self) -> None:
        try:
            while not self._over.is_set():
                started = time.monotonic()
                self.samples.append((started, self._witness.all_counters(self._guest, self._name)))
                self._over.wait(max(0.0, started + INTERVAL - time.monotonic()))
        except Exception as error:  # raised where the case can report it
            self._failure = error


def twice_seconds(samples: list[Sample], received: Callable[[float], bool]) -> float:
    """For how long two copies were seen running at a time.

    A counter that grows shows a copy that runs; on the target only once no memory can come in any more.  When a guest moves, both
    may grow between the same two looks, one before and one after: only what comes directly after such a time counts.

    :param received: whether all memory that the target ever got was there at a time (monotonic seconds).
    """
    seconds, before = 0.0, False
    for (earlier, first), (later, last) in zip(samples, samples[1:]):
        running = [
            key for key, counter in first.items()
            if counter is not None and (last.get(key) or 0) > counter and (key[0] == "source" or received(earlier))
        ]
        twice = len(running) > 1
        if twice and before:
            seconds += later - earlier
        before = twice
    return seconds
