# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be done with a message that passes the relay, and the place from which it is decided: the place for faults.

An interceptor is asked for each migration call and each reply to one before it is passed on.  The method is a coroutine and
its direction of its connection waits for it, so an interceptor that delays sleeps, and one that kills a daemon does so
and waits for it.

The points of the memory stream are decided about in the same way.  There, ``Drop`` loses what is held back at the point: the last
bytes at ``stream-end``, and of a tunnelled stream the message that reached the point; ``Answer`` does what ``Forward`` does.
Neither side of a stream notices a loss by itself: with a return path, source and target then wait for each other.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Optional, Union

from .framing import REPLY, Message


@dataclass(frozen=True)
class Forward:
    """The message is passed on as it is."""


@dataclass(frozen=True)
class Answer:
    """The message is not passed on; the caller gets these bytes, a whole reply, in its place."""

    data: bytes


@dataclass(frozen=True)
class Drop:
    """The message is not passed on, and nothing comes in its place."""


@dataclass(frozen=True)
class End:
    """The connection ends on both sides, in order or by a reset, and the message is lost with it."""

    reset: bool = False


@dataclass(frozen=True)
class Silence:
    """The connection passes nothing in either direction, not even its end: for some seconds, or until ``Relays.heal``.

    After it, what waited is passed on, the message first; where a side has gone meanwhile, the other side sees that then.
    """

    seconds: Optional[float] = None


Action = Union[Forward, Answer, Drop, End, Silence]


@dataclass(frozen=True)
class Passage:
    """A migration message on its way.

    Attributes:
        link: name of the link.
        procedure: its name in ``procedures.MIGRATION``; a reply's is its call's.
        domain: name of the lab's domain that it is about, None when that is not known.
        message: the whole message; its header has the serial by which calls and replies belong together. None: a point of
            the memory stream is reached.
        point: ``<step>-call`` or ``<step>-reply`` with the step that the procedure is in every protocol, or the stream's point.
    """

    link: str
    procedure: str
    domain: Optional[str]
    message: Optional[Message]
    point: str = ""

    @property
    def to_daemon(self) -> bool:
        """The direction: calls go to the daemon, replies come from it."""
        return self.message is None or self.message.header.type != REPLY


class Interceptor(ABC):
    """Decides about migration messages. Runs in the relay's thread: it must not block."""

    @abstractmethod
    async def passes(self, passage: Passage) -> Action:
        """Say what becomes of a message. Of several interceptors the first that does not say ``Forward`` decides."""

    def wants(self, domain: str) -> Optional[str]:
        """The point for which a domain's memory stream is to be prepared when it begins, None for none.

        ``stream-end`` alone needs that: until then the stream's newest bytes are held back, which other streams are spared.
        """
        return None
