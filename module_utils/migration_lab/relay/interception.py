# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be done with a message that passes the relay, and the place from which it is decided: the place for faults.

An interceptor is asked for each migration call and each reply to one before it is passed on.  The method is a coroutine and
its direction of its connection waits for it, so an interceptor that delays sleeps, and one that kills a daemon does so
and waits for it.  A further thing that can happen to a message (not to be passed on, its connection to be closed) is a
further action here and a further branch in ``relay.Relay._carry_out``.
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


Action = Union[Forward, Answer]


@dataclass(frozen=True)
class Passage:
    """A migration message on its way.

    Attributes:
        link: name of the link.
        procedure: its name in ``procedures.MIGRATION``; a reply's is its call's.
        domain: name of the lab's domain that it is about, None when that is not known.
        message: the whole message; its header has the serial by which calls and replies belong together.
    """

    link: str
    procedure: str
    domain: Optional[str]
    message: Message

    @property
    def to_daemon(self) -> bool:
        """The direction: calls go to the daemon, replies come from it."""
        return self.message.header.type != REPLY


class Interceptor(ABC):
    """Decides about migration messages. Runs in the relay's thread: it must not block."""

    @abstractmethod
    async def passes(self, passage: Passage) -> Action:
        """Say what becomes of a message. Of several interceptors the first that does not say ``Forward`` decides."""
