# SPDX-License-Identifier: GPL-3.0-or-later
"""The witness: what it makes of what inspectors see, and real inspectors on processes that look like QEMU's."""

from __future__ import annotations

import os
import struct
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any, Optional

import pytest

from fake_machines import GuestProcess, children, fake_guest
from migration_lab.cell import witness
from migration_lab.cell.machine import Machine
from migration_lab.cell.shared_agent import SharedAgent
from migration_lab.cell.witness import LEFTOVER_LIMIT, WATCH, Witness, inspector_on
from migration_lab.guest import kernel as guest
from migration_lab.guest import pattern
from migration_lab.judging.observation import Copy
from migration_lab.model.errors import LabError

GUEST = fake_guest()
SOURCE, TARGET = (Machine(name, ("env",), sys.executable) for name in ("a-source", "a-target"))
NAME = f"witnessed-{os.getpid()}"


def whole_pattern() -> bytes:
    """What a guest fills its memory with."""
    words = guest.PATTERN_SIZE // 4
    sums = struct.pack(f"<{words}Q", *range(pattern.FIRST_WORD, pattern.FIRST_WORD + pattern.STEP * words, pattern.STEP))
    return memoryview(sums).cast("I")[::2].tobytes()


PATTERN = whole_pattern()

# How a counter comes along: by the seconds since it was first looked at; None where it cannot be read.
Course = Callable[[float], Optional[int]]


def steady(since: float) -> int:
    return 40


def counting(since: float) -> int:
    return 40 + int(since * 100)


def later(since: float) -> int:
    return 40 + int(max(since - 0.02, 0) * 100)


def unread(since: float) -> None:
    return None


class Clock:
    """Stands for the module time in the witness: nobody waits, and a call of an inspector takes a millisecond."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


CLOCK = Clock()


class Scripted:
    """An inspector whose machine has processes with counters that come along as a test says.

    One that is there only after or until some seconds is given with those.
    """

    def __init__(self, *courses: Course, arrives: float = 0.0, leaves: float = 99.0) -> None:
        self._courses = courses
        self._there = (arrives, leaves)
        self._started: float | None = None
        self.left: list[str] = []

    def call(self, call: str, **fields: Any) -> Any:
        self._started = CLOCK.now if self._started is None else self._started
        since = CLOCK.now - self._started
        CLOCK.now += 0.001
        if call == "leftovers":
            assert fields == {"name": NAME}
            return self.left
        if call == "digest":
            return None
        assert call == "copies" and fields["name"] == NAME and fields["memory_mib"] == 16
        if not self._courses or not self._there[0] <= since <= self._there[1]:
            return []
        return [{"pid": pid, "counter": course(since)} for pid, course in enumerate(self._courses)]

    def close(self) -> None:
        pass


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Witness]:
    def make(source: Scripted, target: Scripted) -> Witness:
        made = Witness(SOURCE, TARGET)
        monkeypatch.setattr(made, "_inspectors", {"source": source, "target": target})
        return made

    monkeypatch.setattr(witness, "COUNT_LIMIT", 0.3)
    monkeypatch.setattr(witness, "time", CLOCK)
    return make


def moved(copies: tuple[Copy, ...]) -> list[tuple[str, object]]:
    """By process where it is, and whether it was seen to count: None where it could not be read."""
    return [(copy.machine, None if copy.moved is None else copy.moved > 0) for copy in copies]


@pytest.mark.parametrize(
    ("source", "target", "running", "seen", "seconds"),
    [
        # Where it must run it is watched until it is seen counting, and no longer.
        (Scripted(), Scripted(counting), True, [("target", True)], (0.01, 0.2)),
        (Scripted(), Scripted(later), True, [("target", True)], (0.02, 0.2)),
        (Scripted(), Scripted(steady), True, [("target", False)], (0.3, 1.0)),
        (Scripted(), Scripted(unread), True, [("target", None)], (0.3, 1.0)),
        (Scripted(), Scripted(), True, [], (0.3, 1.0)),
        (Scripted(counting), Scripted(steady), True, [("source", True), ("target", False)], (0.3, 1.0)),
        # Where it must stand it is watched for a moment.
        (Scripted(), Scripted(steady), False, [("target", False)], (WATCH, 0.2)),
        (Scripted(), Scripted(counting), False, [("target", True)], (WATCH, 0.2)),
        # A second process is given the time to show that it counts.
        (Scripted(steady), Scripted(counting), True, [("source", False), ("target", True)], (WATCH, 0.2)),
        (Scripted(later), Scripted(counting), True, [("source", True), ("target", True)], (WATCH, 0.2)),
        (Scripted(), Scripted(counting, later), True, [("target", True), ("target", True)], (WATCH, 0.2)),
        (Scripted(unread), Scripted(counting), True, [("source", None), ("target", True)], (WATCH, 0.2)),
        # One that ends meanwhile did not count; one that comes later was no copy when the migration returned.
        (Scripted(counting, leaves=0.005), Scripted(counting), True, [("source", None), ("target", True)], (WATCH, 0.2)),
        (Scripted(counting, arrives=0.005), Scripted(counting), True, [("target", True)], (0.01, 0.2)),
    ],
)
def test_guest_is_watched(
    scripted: Callable[..., Witness], source: Scripted, target: Scripted, running: bool,
    seen: list[tuple[str, object]], seconds: tuple[float, float],
) -> None:
    started = CLOCK.now
    witnessing = scripted(source, target)
    watch = witnessing.watch(GUEST, NAME)
    copies = witnessing.survival(watch, "target", running, before=3).copies
    assert moved(copies) == seen
    assert seconds[0] <= CLOCK.now - started < seconds[1]
    assert all(copy.counter in (40, None) for copy in copies), "as it was first seen"


@pytest.mark.parametrize("running", [False, True])
@pytest.mark.parametrize("meanwhile", [0.0, 0.02, 0.04, 0.3])
def test_what_is_done_meanwhile_is_part_of_the_time(scripted: Callable[..., Witness], running: bool, meanwhile: float) -> None:
    """Two processes, so that also one that counts is watched for the whole time: never less, and no longer than needed."""
    witnessing = scripted(Scripted(steady), Scripted(counting))
    watch = witnessing.watch(GUEST, NAME)
    CLOCK.sleep(meanwhile)
    seen = witnessing.survival(watch, "target", running, before=3)
    assert moved(seen.copies) == [("source", False), ("target", True)]
    assert max(WATCH, meanwhile) <= CLOCK.now - watch.started < max(WATCH, meanwhile) + 0.02


def test_guest_can_be_watched_on_the_source(scripted: Callable[..., Witness]) -> None:
    witnessing = scripted(Scripted(counting), Scripted(steady))
    seen = witnessing.survival(witnessing.watch(GUEST, NAME), "source", running=True, before=3)
    assert moved(seen.copies) == [("source", True), ("target", False)]
    assert seen.before == 3 and seen.after is not None and seen.after > 40, "where it must be, at the last look"


def test_leftovers_that_go_are_waited_for_but_not_long(scripted: Callable[..., Witness], monkeypatch: pytest.MonkeyPatch) -> None:
    source, started = Scripted(), CLOCK.now
    source.left = ["process 7 x"]

    def go(seconds: float) -> None:
        CLOCK.now += seconds
        source.left = []

    monkeypatch.setattr(CLOCK, "sleep", go)
    assert scripted(source, Scripted()).leftovers(NAME) == [] and CLOCK.now - started < 0.02


def test_leftovers_that_stay_are_given_two_seconds(scripted: Callable[..., Witness]) -> None:
    source, started = Scripted(), CLOCK.now
    source.left = ["process 7 x"]
    assert scripted(source, Scripted()).leftovers(NAME) == ["process 7 x on the source"]
    assert LEFTOVER_LIMIT <= CLOCK.now - started < LEFTOVER_LIMIT + 0.2


def test_leftovers_say_where_they_are(scripted: Callable[..., Witness]) -> None:
    source, target = Scripted(), Scripted()
    source.left, target.left = ["process 7 x", "file /run/x.xml"], ["process 8 x"]
    assert scripted(source, target).leftovers(NAME) == [
        "process 7 x on the source", "file /run/x.xml on the source", "process 8 x on the target",
    ]
    assert scripted(Scripted(), Scripted()).leftovers(NAME) == []


# With real inspectors; source and target are both this machine


@pytest.fixture(scope="module")
def real() -> Iterator[Witness]:
    """One whose inspectors start once: what they answer does not depend on what they were asked before."""
    before = children()
    made = Witness(SOURCE, TARGET)
    yield made
    made.close()
    assert children() <= before, "no inspector is left"


@pytest.fixture
def start(real: Witness) -> Iterator[Callable[..., GuestProcess]]:
    """Starts guests, which are gone after the test."""
    started: list[GuestProcess] = []

    def start_guest(data: bytes = PATTERN, ready: bool = True) -> GuestProcess:
        started.append(GuestProcess(NAME, data, ready=ready))
        return started[-1]

    yield start_guest
    for process in started:
        process.end()


def test_running_guest_is_seen_by_real_inspectors(
    start: Callable[..., GuestProcess], real: Witness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(witness, "LEFTOVER_LIMIT", 0.2)
    process = start()
    real.wait_until_counting(GUEST, "source", NAME, 5)
    first = real.counter(GUEST, "source", NAME)
    assert first is not None and first >= witness.COUNTING_FROM
    seen = real.survival(real.watch(GUEST, NAME), "target", running=True, before=first)
    assert moved(seen.copies) == [("source", True), ("target", True)], "the same process, seen from both"
    assert seen.before == first < (seen.after or 0) and seen.pattern is True
    assert real.leftovers(NAME) == [f"process {process.pid} {NAME} on the source", f"process {process.pid} {NAME} on the target"]


def test_guest_that_stands_still_is_seen_so(start: Callable[..., GuestProcess], real: Witness) -> None:
    process = start()
    real.wait_until_counting(GUEST, "source", NAME, 5)
    process.halt()
    counter = real.counter(GUEST, "source", NAME)
    assert counter is not None
    seen = real.survival(real.watch(GUEST, NAME), "source", running=False, before=counter)
    assert [(copy.counter, copy.moved) for copy in seen.copies] == [(counter, 0)] * 2 and seen.after == counter
    assert real.counter(GUEST, "target", NAME) == counter


@pytest.mark.parametrize("at", [0, 4096 * 1000 + 17, guest.PATTERN_SIZE - 1])
def test_memory_that_is_not_whole_is_seen(start: Callable[..., GuestProcess], real: Witness, at: int) -> None:
    start(PATTERN[:at] + bytes([PATTERN[at] ^ 1]) + PATTERN[at + 1:])
    assert real.pattern_whole(GUEST, "source", NAME) is False


def test_guest_that_is_not_ready_has_nothing_to_read(start: Callable[..., GuestProcess], real: Witness) -> None:
    start(b"", ready=False)
    assert real.counter(GUEST, "source", NAME) is None and real.pattern_whole(GUEST, "source", NAME) is None
    seen = real.survival(real.watch(GUEST, NAME), "source", running=False, before=3)
    assert moved(seen.copies) == [("source", None), ("target", None)] and seen.after is None and seen.pattern is None
    with pytest.raises(LabError, match=f"guest {NAME} on the source did not begin to count within 0 s; give it more time_limit"):
        real.wait_until_counting(GUEST, "source", NAME, 0.05)


def test_guest_that_is_not_there_is_none(real: Witness) -> None:
    assert real.counter(GUEST, "target", NAME) is None and real.pattern_whole(GUEST, "target", NAME) is None
    assert real.survival(real.watch(GUEST, NAME), "target", running=False, before=3).copies == () and real.leftovers(NAME) == []


# An inspector


@pytest.fixture
def inspector() -> Iterator[SharedAgent]:
    before = children()
    made = inspector_on(SOURCE)
    yield made
    made.close()
    made.close()
    assert children() <= before


def test_inspector_starts_when_it_is_asked_and_is_kept(inspector: SharedAgent) -> None:
    before = children()
    assert inspector.call("leftovers", name=NAME) == []
    (started,) = children() - before
    assert inspector.call("leftovers", name=NAME) == [] and children() - before == {started}


def test_inspector_may_be_started_before_it_is_asked(inspector: SharedAgent) -> None:
    before = children()
    inspector.start()
    inspector.start()
    (started,) = children() - before
    assert inspector.call("leftovers", name=NAME) == [] and children() - before == {started}


def test_inspector_that_died_is_started_again(inspector: SharedAgent) -> None:
    inspector.call("leftovers", name=NAME)
    assert inspector._agent is not None
    inspector._agent.kill()
    assert inspector.call("leftovers", name=NAME) == []


def test_refusal_of_an_inspector_is_told_with_the_machine(inspector: SharedAgent) -> None:
    with pytest.raises(LabError, match=r"^machine a-source: its QEMU processes could not be looked at: TypeError"):
        inspector.call("copies")
    assert inspector.call("leftovers", name=NAME) == [], "it goes on"


def test_machine_that_is_gone_is_told() -> None:
    gone = inspector_on(Machine("a-target", ("sh", "-c", "echo no such container >&2; exit 125"), "python3"))
    with pytest.raises(LabError, match="no such container"):
        gone.call("leftovers", name=NAME)
    gone.close()


def test_both_inspectors_end_before_either_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[str] = []
    made = Witness(SOURCE, TARGET)
    for name in ("end", "close"):
        monkeypatch.setattr(SharedAgent, name, lambda proxy, name=name: ended.append(f"{name} {proxy._machine.name}"))
    made.close()
    assert ended == ["end a-source", "end a-target", "close a-source", "close a-target"]


def test_inspector_that_ended_is_started_again(inspector: SharedAgent) -> None:
    inspector.end()
    assert inspector.call("leftovers", name=NAME) == []
    inspector.end()
    assert inspector._agent is not None
    inspector._agent._process.wait(5)
    assert inspector.call("leftovers", name=NAME) == []


def test_inspector_is_shared_by_workers(inspector: SharedAgent) -> None:
    answers: list[object] = []

    def ask() -> None:
        for _ in range(20):
            answers.append(inspector.call("copies", name=NAME, memory_mib=16, status_offset=0))

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [[]] * 120
