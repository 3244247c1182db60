# SPDX-License-Identifier: GPL-3.0-or-later
"""The witness: sees the guests from outside libvirt, through an inspector on each daemon's machine.

Whether a guest runs, once, with its memory whole, is read from the QEMU processes themselves: their counter and the pattern
in their memory (guest/).  libvirt's own memoryPeek cannot be called through the Python bindings of 2011, and would not tell
two copies of a guest apart.  An inspector (inspector.py) is shared by all workers. A call takes a millisecond, and more
where it crosses podman (``Machine.direct``), so the witness makes few: it sleeps until there can be something new to see.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Mapping, Optional

from ..guest import pattern
from ..guest.config import GuestConfig
from ..guest.kernel import TICK_HZ, build
from ..judging.observation import Copy, Survival
from ..model.errors import LabError
from . import inspector as inspector_source
from .machine import Machine
from .shared_agent import SharedAgent

# Seconds between two looks at a guest that boots, which takes 7 ms or, with SeaBIOS, 60 (TCG).
PAUSE = 0.005
# Seconds between two ticks of a guest that runs.
TICK = 1 / TICK_HZ
# A guest is waited for until it has counted this far, so that one that started again differs from one that continued.
COUNTING_FROM = 3
# Seconds for which a guest is watched that should stand still: five of its ticks.
WATCH = 0.05
# Seconds within which a guest that should run must be seen counting; the lab host may be busy.
COUNT_LIMIT = 5.0
# Seconds that a process or file of a destroyed guest may still be there: 0.9.x answers before QEMU has ended.
LEFTOVER_LIMIT = 2.0
# Seconds between two looks at what is left: at first, and at most.
LEFTOVER_PAUSES = (0.01, 0.1)

# By machine and process number the counters of all processes of a guest, None where one cannot be read.
Counters = dict[tuple[str, int], Optional[int]]
# When one machine was looked at, in monotonic seconds, and the counters there by process number.
Sample = tuple[float, dict[int, Optional[int]]]


@dataclass(frozen=True)
class Watch:
    """A guest that is being watched: its counters at the first look, and when that was in monotonic seconds."""

    guest: GuestConfig
    name: str
    first: Counters
    started: float


def inspector_on(machine: Machine) -> SharedAgent:
    """A machine's inspector."""
    return SharedAgent(machine, inspector_source, "its QEMU processes could not be looked at")


class Witness:
    """Sees the guests on a cell's source, target and further machines."""

    def __init__(self, source: Machine, target: Machine, **further: Machine) -> None:
        machines = {"source": source, "target": target, **further}
        self._inspectors = {side: inspector_on(machine) for side, machine in machines.items()}

    def start(self) -> None:
        """Start the inspectors without waiting for them."""
        for inspector in self._inspectors.values():
            inspector.start()

    def wait_until_counting(self, guest: GuestConfig, side: str, name: str, limit: float) -> None:
        """Wait until a guest has booted and counts.

        :param name: of its domain, here and below.
        :param limit: seconds.
        :raises LabError: when it does not within the limit.
        """
        deadline = time.monotonic() + limit
        while True:
            counter = self.counter(guest, side, name)
            if counter is not None and counter >= COUNTING_FROM:
                return
            if time.monotonic() > deadline:
                raise LabError(f"guest {name} on the {side} did not begin to count within {limit:.0f} s; give it more time_limit")
            time.sleep(PAUSE if counter is None else (COUNTING_FROM - counter - 0.5) * TICK)

    def counter(self, guest: GuestConfig, side: str, name: str) -> Optional[int]:
        """A guest's counter; None where its memory is not there to be read."""
        return next((counter for _, counter in self._copies(guest, side, name) if counter is not None), None)

    def watch(self, guest: GuestConfig, name: str) -> Watch:
        """Begin to watch all processes of a guest; what is done until ``survival`` is part of the time that it takes."""
        return Watch(guest, name, self.all_counters(guest, name), time.monotonic())

    def survival(self, watch: Watch, side: str, running: bool, before: int) -> Survival:
        """Watch the guest for long enough, and compare its memory with the pattern meanwhile.

        :param side: where the guest must be; where it must run, it is watched until it is seen counting.
        :param before: its counter before the migration.
        """
        guest, name, first = watch.guest, watch.name, watch.first
        pattern = self.pattern_whole(guest, side, name)
        limit = COUNT_LIMIT if running else WATCH
        time.sleep(max(0.0, watch.started + (TICK if running else WATCH) - time.monotonic()))
        while True:
            # The time of a look counts from before it, so that no process is watched for less.
            late = time.monotonic() - watch.started
            last = self.all_counters(guest, name)
            moved = {key: _growth(counter, last.get(key)) for key, counter in first.items()}
            counting = any(growth for (machine, _), growth in moved.items() if machine == side)
            # One process that counts is enough to know; a second one is given time to show that it counts as well.
            if late >= limit or (running and counting and (len(moved) == 1 or late >= WATCH)):
                after = next((counter for (machine, _), counter in last.items() if machine == side and counter is not None), None)
                copies = tuple(Copy(machine, first[machine, pid], moved[machine, pid]) for machine, pid in first)
                return Survival(before, after, pattern, copies)
            time.sleep(TICK)

    def all_counters(self, guest: GuestConfig, name: str) -> Counters:
        """The counters of all processes of a guest on both machines."""
        return {(side, pid): counter for side in self._inspectors for pid, counter in self._copies(guest, side, name)}

    def begin_samples(self, guest: GuestConfig, name: str) -> dict[str, float]:
        """Have both machines look at a guest's processes every 50 ms, without being asked each time.

        :returns: by machine what is to be added to its time to get monotonic seconds here.
        """
        offsets = {}
        for side, inspector in self._inspectors.items():
            before = time.monotonic()
            there = inspector.call("begin_samples", name=name, **_place(guest))
            offsets[side] = (before + time.monotonic()) / 2 - there
        return offsets

    def end_samples(self, name: str, offsets: Mapping[str, float]) -> dict[str, list[Sample]]:
        """What was seen of a guest since ``begin_samples``, which returned the offsets, by machine."""
        return {
            side: [(when + offsets[side], dict(counters)) for when, counters in inspector.call("end_samples", name=name)]
            for side, inspector in self._inspectors.items()
        }

    def _copies(self, guest: GuestConfig, side: str, name: str) -> list[tuple[int, Optional[int]]]:
        """Process number and counter of each process of a guest on one side."""
        copies = self._inspectors[side].call("copies", name=name, **_place(guest))
        return [(copy["pid"], copy["counter"]) for copy in copies]

    def pattern_whole(self, guest: GuestConfig, side: str, name: str) -> Optional[bool]:
        """Whether the pattern in a guest's memory is as the guest wrote it; None when its memory is not there."""
        built = build(guest.arch)
        where = {"address_offset": built.pattern_address - built.ram_base, "size": built.pattern_size}
        digest = self._inspectors[side].call("digest", name=name, **_place(guest), **where)
        return None if digest is None else digest == pattern.digest(built.pattern_size)

    def leftovers(self, name: str) -> list[str]:
        """Processes, sockets and files of a guest that are on either machine, in words; what is about to go is waited for."""
        deadline = time.monotonic() + LEFTOVER_LIMIT
        pause, longest = LEFTOVER_PAUSES
        left = self._leftovers(name)
        while left and time.monotonic() < deadline:
            time.sleep(pause)
            pause = min(2 * pause, longest)
            left = self._leftovers(name)
        return left

    def _leftovers(self, name: str) -> list[str]:
        return [
            f"{text} on the {side}"
            for side, inspector in self._inspectors.items()
            for text in inspector.call("leftovers", name=name)
        ]

    def close(self) -> None:
        """End the inspectors, both at a time."""
        for inspector in self._inspectors.values():
            inspector.end()
        for inspector in self._inspectors.values():
            inspector.close()


def _place(guest: GuestConfig) -> dict[str, int]:
    built = build(guest.arch)
    return {"memory_mib": guest.memory, "status_offset": built.magic_address - built.ram_base}


def _growth(first: Optional[int], last: Optional[int]) -> Optional[int]:
    return None if first is None or last is None else last - first
