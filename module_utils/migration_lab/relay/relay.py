# SPDX-License-Identifier: GPL-3.0-or-later
"""One relayed connection: which of its messages are looked at, and what comes of that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable, Optional

from . import steps
from .ceiling import Ceiling
from .connection import Connection, Recording
from .end import End
from .framing import CALL, CONTINUE, ERROR, OK, REPLY, STREAM, Framer, Header, Message, payload_of
from .interception import Action, Answer, Drop, Forward, Passage
from .memory import STREAM as STREAM_PROCEDURE
from .memory import MemoryStreams
from .procedures import MIGRATION, PREPARES_WITH_URI, REMOTE_PROGRAM, TUNNELS, step_of
from .remote_error import error_text
from .splitter import Reached
from .steps import Step
from .stream_points import END, TunnelledStream, size_of


@dataclass(frozen=True)
class Link:
    """One relayed path.

    Attributes:
        name: ``client-source``, ``client-target`` or ``source-target``.
        host: numeric address of the daemon behind it.
        port: that daemon's TCP port.
        ceiling: set to present the daemon as an older one.
    """

    name: str
    host: str
    port: int
    ceiling: Optional[Ceiling] = None


@dataclass(frozen=True)
class _Call:
    """A migration call that passed; ``step`` is None when its domain is not known."""

    procedure: str
    domain: Optional[str]
    step: Optional[Step]

    def point(self, kind: str) -> str:
        """The point that its call or its reply is."""
        return f"{step_of(self.procedure)}-{kind}"


class Relay(Connection):
    """A connection to a link, and the one to its daemon."""

    def __init__(self, link: Link, recording: Recording, memory: MemoryStreams, gone: Callable[[Connection], None]) -> None:
        """
        :param memory: what becomes of the memory streams that its messages announce or carry.
        :param gone: called when both connections are over.
        """
        self._link = link
        self._memory = memory
        self._calls: dict[tuple[int, int], _Call] = {}  # by program and serial
        self._domain: Optional[str] = None  # the last one seen here
        self._stream: Optional[TunnelledStream] = None
        near, far = Framer(self._wants_call), Framer(self._wants_reply)
        super().__init__(link.name, frozenset(link.name.split("-")), recording, near, far, gone)

    # what the ends report

    def message_read(self, end: End, message: Message) -> None:
        """A message that was wanted is complete."""
        if end is self.far:
            self._reply_read(message)
        else:
            self._call_read(message)

    def point_reached(self, end: End, reached: Reached) -> None:
        """A tunnelled stream has no points between messages."""

    def framing_lost(self, end: End) -> None:
        """What an end's peer sends is not RPC: nothing on this connection is looked at any more."""
        side = "client" if end is self.near else "daemon"
        self.recording.note_oddity(f"link {self.link}: {end.framer.oddity} (sent by the {side}); passed on unseen")
        end.framer.oddity = ""
        end.other.give_up_framing()

    def end_ended(self, end: End) -> None:
        """An end's peer will send no more."""
        if end is self.far:
            self._calls.clear()
        elif self._stream is not None:
            self._pass_stream(self._stream.give_up())
            self._stream.count.ended = True

    def end_lost(self, end: End, error: Optional[Exception]) -> None:
        """An end has no connection any more: neither has the other for long, and in the same way."""
        self._calls.clear()
        if self._stream is not None:
            self._stream.count.ended = True
        super().end_lost(end, error)

    def connected(self) -> None:
        """The daemon is there."""
        self.near.release()

    def refused(self, error: OSError) -> None:
        """The daemon is not there."""
        self.recording.note_oddity(f"link {self.link}: no connection to its daemon ({error})")
        self.near.close()

    # inside

    def _wants_call(self, header: Header) -> bool:
        ceiling = self._link.ceiling
        return _is_migration_call(header) or (ceiling is not None and ceiling.concerns(header)) or self._is_stream(header)

    def _is_stream(self, header: Header) -> bool:
        """Whether it is a message of a tunnelled memory stream that is looked at."""
        return (
            self._memory.carried and header.type == STREAM and header.program == REMOTE_PROGRAM and header.procedure in TUNNELS
        )

    def _wants_reply(self, header: Header) -> bool:
        return header.type == REPLY and (header.program, header.serial) in self._calls

    def _call_read(self, message: Message) -> None:
        call = self._note_call(message) if _is_migration_call(message.header) else None
        action = self._link.ceiling.decide(message) if self._link.ceiling else Forward()
        if call and self.recording.interceptors and isinstance(action, Forward):
            self._ask_about(self.near, call, message, "call")
        elif isinstance(action, Forward) and self._is_stream(message.header):
            self._stream_read(message)
        else:
            self._carry_out(action, self.near, message)

    def _reply_read(self, message: Message) -> None:
        call = self._calls.get((message.header.program, message.header.serial))
        if call and call.step:
            self.recording.steps.note_answer(call.step, _result(message.header, message.data))
        if call and message.header.status == OK:
            message = self._follow_stream(call, message)
        if call and self.recording.interceptors:
            self._ask_about(self.far, call, message, "reply")
        else:
            self._carry_out(Forward(), self.far, message)

    def _ask_about(self, end: End, call: _Call, message: Message, kind: str) -> None:
        passage = Passage(self.link, call.procedure, call.domain, message, call.point(kind))
        self.ask(end, passage, lambda action: self._carry_out(action, end, message))

    def _carry_out(self, action: Action, end: End, message: Message) -> None:
        """Do what was decided about a message that an end has read."""
        if isinstance(action, Drop):
            self._calls.pop((message.header.program, message.header.serial), None)
            return
        if isinstance(action, Answer):
            self._note_reply(message.header, action.data)
            self.near.answer(action.data)
            return
        if end is self.far:
            self._note_reply(message.header, message.data)
        end.other.write(message.data)

    def _note_call(self, message: Message) -> _Call:
        """Begin a call's step. A call without a name in it, v1's prepare, is about the connection's last domain."""
        procedure = MIGRATION[message.header.procedure]
        self._domain = self.recording.names.find(message.payload) or self._domain
        step = self.recording.steps.begin(self._domain, self.link, procedure) if self._domain else None
        call = _Call(procedure, self._domain, step)
        self._calls[message.header.program, message.header.serial] = call
        return call

    def _note_reply(self, header: Header, data: bytes) -> None:
        """End a call's step before its caller gets the reply, so that whoever asks after a call finds its step whole."""
        call = self._calls.pop((header.program, header.serial), None)
        if call and call.step:
            self.recording.steps.end(call.step, _result(Header.decode(data), data))

    # the memory stream

    def _follow_stream(self, call: _Call, message: Message) -> Message:
        """Prepare for the stream that a successful reply announces; returns the reply for the caller."""
        if self._memory.carried and call.domain is not None:
            if call.procedure in PREPARES_WITH_URI:
                return self._memory.lead(message, call.procedure, call.domain)
            if message.header.procedure in TUNNELS:
                held = self.recording.wanted(call.domain, END)
                self._stream = TunnelledStream(call.domain, self._memory.count(call.domain), held)
        return message

    def _stream_read(self, message: Message) -> None:
        """A message of a tunnelled stream: ask at each point that is reached before it."""
        stream = self._stream
        if stream is None or not self.recording.interceptors or message.header.status == ERROR:
            self._pass_stream([*(stream.give_up() if stream is not None else ()), message])
            return
        point = END if message.header.status == OK else stream.count.due()
        if point is None:
            self._pass_stream(stream.take(message))
            return
        passage = Passage(self.link, STREAM_PROCEDURE, stream.domain, None, point)
        self.ask(self.near, passage, lambda action: self._carry_out_stream(action, message))

    def _carry_out_stream(self, action: Action, message: Message) -> None:
        if isinstance(action, Drop):
            if self._stream is not None:
                self._stream.give_up()
        elif message.header.status == CONTINUE and self._stream is not None:
            self._pass_stream(self._stream.take(message))
        else:
            self._pass_stream([*(self._stream.give_up() if self._stream is not None else ()), message])

    def _pass_stream(self, messages: list[Message]) -> None:
        for message in messages:
            if self._stream is not None:
                self._stream.count.add(size_of(message))
                self._stream.count.ended |= message.header.status != CONTINUE
            self.far.write(message.data)


def _is_migration_call(header: Header) -> bool:
    return header.type == CALL and header.program == REMOTE_PROGRAM and header.procedure in MIGRATION


def _result(header: Header, data: bytes) -> str:
    """A reply's result, as steps have it."""
    return f"error: {error_text(payload_of(data))}" if header.status == ERROR else steps.OK
