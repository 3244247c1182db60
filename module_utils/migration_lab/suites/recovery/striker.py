# SPDX-License-Identifier: GPL-3.0-or-later
"""Lets a fault strike when a migration reaches its point: holds the message in the relay, strikes, says what becomes of it."""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from functools import partial
from typing import Callable, Optional

from ...relay.framing import ERROR, reply_to
from ...relay.interception import Action, Answer, Drop, End, Forward, Interceptor, Passage, Silence
from ...relay.remote_error import encode_error
from .fault import Fault
from .observation import StrikeNote
from .point import Point

# VIR_ERR_OPERATION_FAILED and VIR_FROM_QEMU: the error that a daemon's QEMU driver answers with when a step has failed.
ERR_OPERATION_FAILED, FROM_QEMU = 9, 10
ERROR_TEXT = "the migration lab's relay answered in the daemon's place"

# Does what a fault does, and returns what came of each of its strikes.
Strikes = Callable[[], list[StrikeNote]]


class Armed:
    """A fault that waits for its point. Made by ``Striker.arm``; the thread that strikes is one of the maker's own."""

    def __init__(self, domain: str, point: Point, fault: Fault, after: float, strike: Strikes) -> None:
        self.domain = domain
        self.point = point
        self.reached: Optional[float] = None  # monotonic seconds
        self.notes: Optional[list[StrikeNote]] = None
        self.error: Optional[BaseException] = None
        self._fault = fault
        self._after = after
        self._strike = strike
        self._posts: queue.Queue[Optional[Callable[[], object]]] = queue.Queue()
        # Started here and not by the relay: a thread inherits the network namespace of the one that starts it.
        self._thread = threading.Thread(target=self._serve, name=f"strike {domain}", daemon=True)
        self._thread.start()

    @property
    def struck(self) -> bool:
        """Whether the point was reached and everything was done."""
        return self.notes is not None

    def hit(self) -> Optional[asyncio.Event]:
        """The point is reached: have the thread strike. Returns what the message waits for. In the relay's thread."""
        self.reached = time.monotonic()
        if self._after or not self._fault.strikes:
            self._posts.put(partial(time.sleep, self._after))
            self._posts.put(self._carry_out)
            return None
        loop, done = asyncio.get_running_loop(), asyncio.Event()
        self._posts.put(self._carry_out)
        self._posts.put(partial(loop.call_soon_threadsafe, done.set))
        return done

    def end(self, limit: float) -> None:
        """Wait until a strike that was begun is over; ``limit`` is in seconds."""
        self._posts.put(None)
        self._thread.join(limit)

    def _carry_out(self) -> None:
        try:
            self.notes = self._strike()
        except BaseException as error:  # the case reports it
            self.error = error

    def delivery(self, passage: Passage) -> Action:
        """What becomes of the message."""
        delivery = self._fault.delivery
        if delivery == "error" and passage.message is not None:
            payload = encode_error(ERR_OPERATION_FAILED, FROM_QEMU, ERROR_TEXT)
            return Answer(reply_to(passage.message.header, ERROR, payload))
        actions: dict[str, Action] = {
            "delivered": Forward(), "dropped": Drop(), "closed": End(), "reset": End(reset=True),
            "silent": Silence(self._fault.seconds),
        }
        return actions[delivery]

    def _serve(self) -> None:
        while (post := self._posts.get()) is not None:
            post()


class Striker(Interceptor):
    """Knows the faults that wait, by domain. Safe in any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._armed: dict[str, Armed] = {}

    def arm(self, domain: str, point: Point, fault: Fault, strike: Strikes, after: float = 0.0) -> Armed:
        """Have a fault strike when the domain's migration first reaches a point.

        :param after: seconds between the delivery of the message and the strike; 0: the message is held until it has struck.
        """
        armed = Armed(domain, point, fault, after, strike)
        with self._lock:
            self._armed[domain] = armed
        return armed

    def disarm(self, domain: str) -> None:
        """Have nothing strike any more; what strikes already goes on."""
        with self._lock:
            self._armed.pop(domain, None)

    def wants(self, domain: str) -> Optional[str]:
        with self._lock:
            armed = self._armed.get(domain)
            return None if armed is None else armed.point.name

    async def passes(self, passage: Passage) -> Action:
        with self._lock:
            armed = self._armed.get(passage.domain or "")
            if armed is None or armed.point.name != passage.point or armed.point.link != passage.link:
                return Forward()
            del self._armed[armed.domain]
            # Before anybody can disarm it and end its thread.
            done = armed.hit()
        if done is not None:
            await done.wait()
        return armed.delivery(passage)
