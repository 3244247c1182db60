# SPDX-License-Identifier: GPL-3.0-or-later
"""One relayed connection: which of its messages are looked at, and what comes of that."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, Callable, Coroutine, Optional, Sequence

from . import steps
from .ceiling import Ceiling
from .domain_names import DomainNames
from .end import End
from .framing import CALL, ERROR, REPLY, Header, Message, payload_of
from .interception import Action, Answer, Forward, Interceptor, Passage
from .procedures import MIGRATION, REMOTE_PROGRAM
from .remote_error import error_text
from .steps import Step, StepLog


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
class Recording:
    """What all relays of a cell share: how they know domains, whom they ask, and where they note what they saw."""

    names: DomainNames
    steps: StepLog
    interceptors: Sequence[Interceptor]
    note_oddity: Callable[[str], None]


@dataclass(frozen=True)
class _Call:
    """A migration call that passed; ``step`` is None when its domain is not known."""

    procedure: str
    domain: Optional[str]
    step: Optional[Step]


class Relay:
    """A connection to a link, and the one to its daemon."""

    def __init__(self, link: Link, recording: Recording, gone: Callable[[Relay], None]) -> None:
        """
        :param gone: called when both connections are over.
        """
        self._link = link
        self._recording = recording
        self._gone = gone
        self._calls: dict[tuple[int, int], _Call] = {}  # by program and serial
        self._domain: Optional[str] = None  # the last one seen here
        self._tasks: set[asyncio.Task[None]] = set()
        self._connecting = True
        self.client = End(self, self._wants_call)
        self.daemon = End(self, self._wants_reply)
        self.client.other, self.daemon.other = self.daemon, self.client

    def accepted(self) -> End:
        """A connection came in: what it sends waits until the one to the daemon is there."""
        self.client.hold()
        self._start(self._connect())
        return self.client

    def abort(self) -> None:
        """End everything at once."""
        for task in self._tasks:
            task.cancel()
        self.client.reset()
        self.daemon.reset()

    # what the ends report

    def message_read(self, end: End, message: Message) -> None:
        """A message that was wanted is complete."""
        if end is self.client:
            self._call_read(message)
        else:
            self._reply_read(message)

    def framing_lost(self, end: End) -> None:
        """What an end's peer sends is not RPC: nothing on this connection is looked at any more."""
        side = "client" if end is self.client else "daemon"
        self._recording.note_oddity(f"link {self._link.name}: {end.framer.oddity} (sent by the {side}); passed on unseen")
        end.framer.oddity = ""
        end.other.give_up_framing()

    def end_ended(self, end: End) -> None:
        """An end's peer will send no more."""
        if end is self.daemon:
            self._calls.clear()

    def end_lost(self, end: End, error: Optional[Exception]) -> None:
        """An end has no connection any more: neither has the other for long, and in the same way."""
        self._calls.clear()
        if error is None:
            end.other.close()
        else:
            end.other.reset()
        self._check_gone()

    # inside

    async def _connect(self) -> None:
        try:
            await asyncio.get_running_loop().create_connection(lambda: self.daemon, self._link.host, self._link.port)
        except OSError as error:
            self._recording.note_oddity(f"link {self._link.name}: no connection to its daemon ({error})")
            self.client.close()
        else:
            self.client.release()
        finally:
            self._connecting = False
            self._check_gone()

    def _check_gone(self) -> None:
        if self.client.lost and self.daemon.lost and not self._connecting:
            self._gone(self)

    def _wants_call(self, header: Header) -> bool:
        ceiling = self._link.ceiling
        return _is_migration_call(header) or (ceiling is not None and ceiling.concerns(header))

    def _wants_reply(self, header: Header) -> bool:
        return header.type == REPLY and (header.program, header.serial) in self._calls

    def _call_read(self, message: Message) -> None:
        call = self._note_call(message) if _is_migration_call(message.header) else None
        action = self._link.ceiling.decide(message) if self._link.ceiling else Forward()
        if call and self._recording.interceptors and isinstance(action, Forward):
            self._intercept(self.client, call, message)
        else:
            self._carry_out(action, self.client, message)

    def _reply_read(self, message: Message) -> None:
        call = self._calls.get((message.header.program, message.header.serial))
        if call and self._recording.interceptors:
            self._intercept(self.daemon, call, message)
        else:
            self._carry_out(Forward(), self.daemon, message)

    def _intercept(self, end: End, call: _Call, message: Message) -> None:
        """Hold a direction until the interceptors have decided what becomes of a message."""
        end.hold()
        self._start(self._ask(end, Passage(self._link.name, call.procedure, call.domain, message), message))

    async def _ask(self, end: End, passage: Passage, message: Message) -> None:
        action: Action = Forward()
        try:
            for interceptor in self._recording.interceptors:
                action = await interceptor.passes(passage)
                if not isinstance(action, Forward):
                    break
        except Exception as error:  # a fault of the lab's must not look like one of libvirt's
            self._recording.note_oddity(f"link {self._link.name}: an interceptor failed at {passage.procedure} ({error!r})")
        self._carry_out(action, end, message)
        end.release()

    def _carry_out(self, action: Action, end: End, message: Message) -> None:
        """Do what was decided about a message that an end has read."""
        if isinstance(action, Answer):
            self._note_reply(message.header, action.data)
            self.client.answer(action.data)
            return
        if end is self.daemon:
            self._note_reply(message.header, message.data)
        end.other.write(message.data)

    def _note_call(self, message: Message) -> _Call:
        """Begin a call's step. A call without a name in it, v1's prepare, is about the connection's last domain."""
        procedure = MIGRATION[message.header.procedure]
        self._domain = self._recording.names.find(message.payload) or self._domain
        step = self._recording.steps.begin(self._domain, self._link.name, procedure) if self._domain else None
        call = _Call(procedure, self._domain, step)
        self._calls[message.header.program, message.header.serial] = call
        return call

    def _note_reply(self, header: Header, data: bytes) -> None:
        """End a call's step before its caller gets the reply, so that whoever asks after a call finds its step whole."""
        call = self._calls.pop((header.program, header.serial), None)
        if call and call.step:
            failed = Header.decode(data).status == ERROR
            self._recording.steps.end(call.step, f"error: {error_text(payload_of(data))}" if failed else steps.OK)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _is_migration_call(header: Header) -> bool:
    return header.type == CALL and header.program == REMOTE_PROGRAM and header.procedure in MIGRATION
