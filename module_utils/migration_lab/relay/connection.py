# SPDX-License-Identifier: GPL-3.0-or-later
"""A relayed connection, whatever it carries: its two ends, how it is made and ends, and how it falls silent."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any, Callable, Coroutine, Optional

from . import interception
from .domain_names import DomainNames
from .end import End
from .framing import Message
from .interception import Action, Forward, Interceptor, Passage, Silence
from .silences import Silences
from .splitter import Reached, Splitter
from .steps import StepLog


@dataclass(frozen=True)
class Recording:
    """What all connections of a cell share: how they know domains, whom they ask, and where they note what they saw.

    ``silences`` are those that last, ``cut_off`` the roles that are.
    """

    names: DomainNames
    steps: StepLog
    interceptors: list[Interceptor]
    note_oddity: Callable[[str], None]
    silences: Silences = field(default_factory=Silences)
    cut_off: set[str] = field(default_factory=set)

    def wanted(self, domain: Optional[str], point: str) -> bool:
        """Whether a domain's memory stream is to be prepared for a point."""
        return domain is not None and any(interceptor.wants(domain) == point for interceptor in self.interceptors)


class Connection(ABC):
    """A connection that came in, whose end is ``near``, and the one that the relay makes for it, whose end is ``far``."""

    def __init__(
        self, link: str, roles: frozenset[str], recording: Recording, near: Splitter, far: Splitter,
        gone: Callable[[Connection], None],
    ) -> None:
        """
        :param link: name of the link, as passages have it.
        :param roles: of the machines at its ends.
        :param near: looks at what the side that has connected sends.
        :param far: looks at what the other side sends.
        :param gone: called when both connections are over.
        """
        self.link = link
        self.recording = recording
        self.near, self.far = End(self, near), End(self, far)
        self.near.other, self.far.other = self.far, self.near
        self._roles = roles
        self._gone = gone
        self._tasks: set[asyncio.Task[None]] = set()
        self._connecting = True
        self._over = False
        self._audible, self._reachable = asyncio.Event(), asyncio.Event()
        self._audible.set()
        self._reachable.set()
        self.follow_cuts()

    def accepted(self, host: str, port: int) -> End:
        """A connection came in: what it sends waits until the one to the other side is there.

        :returns: the protocol for it.
        """
        self.near.hold()
        self.start(self._connect(host, port))
        return self.near

    def abort(self) -> None:
        """End everything at once."""
        for task in self._tasks:
            task.cancel()
        self.end(reset=True)

    def end(self, reset: bool) -> None:
        """End both connections, in order or by a reset: what has not been passed on is lost."""
        self._over = True
        ends = (self.near, self.far)
        for end in ends:
            end.discard()
        for end in ends:
            if reset:
                end.reset()
            else:
                end.close(drain=True)
        self._audible.set()
        self._reachable.set()

    def follow_cuts(self) -> None:
        """Fall silent while one of the machines is cut off; a machine that has come back knows nothing of the connection."""
        if self._over:
            return
        if self._roles & self.recording.cut_off:
            self._reachable.clear()
            self._choose_silence()
        elif not self._reachable.is_set():
            self.end(reset=True)

    # what the ends report

    @abstractmethod
    def message_read(self, end: End, message: Message) -> None:
        """A message that was wanted is complete."""

    @abstractmethod
    def point_reached(self, end: End, reached: Reached) -> None:
        """The memory stream has reached a point."""

    @abstractmethod
    def framing_lost(self, end: End) -> None:
        """What an end's peer sends is not what it should be: nothing on this connection is looked at any more."""

    @abstractmethod
    def end_ended(self, end: End) -> None:
        """An end's peer will send no more."""

    def end_lost(self, end: End, error: Optional[Exception]) -> None:
        """An end has no connection any more: neither has the other for long, and in the same way."""
        if not self._over:
            if error is None:
                end.other.close()
            else:
                end.other.reset()
        self._check_gone()

    # for those that carry something

    @abstractmethod
    def connected(self) -> None:
        """The other side is there; ``near`` is held until it is released."""

    @abstractmethod
    def refused(self, error: OSError) -> None:
        """The other side is not there."""

    def ask(self, end: End, passage: Passage, carry_out: Callable[[Action], None]) -> None:
        """Hold a direction until the interceptors have decided, and have that carried out.

        :param carry_out: does what ``Forward``, ``Answer`` and ``Drop`` say; the others are done here.
        """
        end.hold()
        self.start(self._ask(end, passage, carry_out))

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something that waits."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connect(self, host: str, port: int) -> None:
        try:
            await self._reachable.wait()
            if not self._over:
                await asyncio.get_running_loop().create_connection(lambda: self.far, host, port)
        except OSError as error:
            await self._reachable.wait()
            if not self._over:
                self.refused(error)
        else:
            if not self._over:
                self.connected()
        finally:
            self._connecting = False
            self._check_gone()

    async def _ask(self, end: End, passage: Passage, carry_out: Callable[[Action], None]) -> None:
        action = await self._decide(passage)
        while not (self._audible.is_set() and self._reachable.is_set()):
            await self._audible.wait()
            await self._reachable.wait()
        if not self._over:
            if isinstance(action, interception.End):
                self.end(action.reset)
            elif isinstance(action, Silence):
                await self._fall_silent(action.seconds, passage.domain, carry_out)
            else:
                carry_out(action)
        end.release()

    async def _decide(self, passage: Passage) -> Action:
        try:
            for interceptor in self.recording.interceptors:
                action = await interceptor.passes(passage)
                if not isinstance(action, Forward):
                    return action
        except Exception as error:  # a fault of the lab's must not look like one of libvirt's
            what = passage.procedure if passage.message is not None else passage.point
            self.recording.note_oddity(f"link {self.link}: an interceptor failed at {what} ({error!r})")
        return Forward()

    async def _fall_silent(self, seconds: Optional[float], domain: Optional[str], carry_out: Callable[[Action], None]) -> None:
        self._audible.clear()
        self._choose_silence()
        try:
            await self.recording.silences.last(domain, seconds)
            await self._reachable.wait()
            # What was held comes before all that waited, and before the end of a side that has gone meanwhile.
            if not self._over:
                carry_out(Forward())
        finally:
            self._audible.set()
            self._choose_silence()

    def _choose_silence(self) -> None:
        audible = self._audible.is_set() and self._reachable.is_set()
        for end in (self.near, self.far):
            if not audible:
                end.silence()
            elif not self._over:
                end.speak()

    def _check_gone(self) -> None:
        if self.near.lost and self.far.lost and not self._connecting:
            self._gone(self)
