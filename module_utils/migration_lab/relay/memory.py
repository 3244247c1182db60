# SPDX-License-Identifier: GPL-3.0-or-later
"""The memory streams between two QEMUs: led through the relay by the migration URI, and counted."""

from __future__ import annotations

import asyncio
import socket
from typing import Callable, Optional

from .connection import Connection, Recording
from .end import End
from .framing import Framer, Message
from .interception import Action, Drop, Passage
from .migration_uri import MigrationUri, uri_out, with_uri_out
from .splitter import Reached
from .stream_points import END, StreamCount, StreamSplitter

LINK = "memory"
# In the place of a procedure's name, for points of the stream.
STREAM = "stream"


class MemoryStream(Connection):
    """A connection of the source's QEMU, and the one to the target's."""

    def __init__(self, domain: str, count: StreamCount, recording: Recording, gone: Callable[[Connection], None]) -> None:
        """
        :param domain: whose memory it is.
        :param gone: called when both connections are over.
        """
        self._domain = domain
        self._count = count
        passing = Framer(lambda header: False)
        passing.give_up()
        self._splitter = StreamSplitter(count, recording.wanted(domain, END))
        super().__init__(LINK, frozenset(("source", "target")), recording, self._splitter, passing, gone)

    async def take(self, sock: socket.socket, host: str, port: int) -> None:
        """Begin with a connection that came in, and one to the target's QEMU."""
        end = self.accepted(host, port)
        await asyncio.get_running_loop().connect_accepted_socket(lambda: end, sock)

    def connected(self) -> None:
        """Nothing has passed yet."""
        point = self._count.due()
        if point is not None and self.recording.interceptors:
            self.point_reached(self.near, Reached(point))
        else:
            self.near.release()

    def refused(self, error: OSError) -> None:
        """A closed port answers with a reset."""
        self.recording.note_oddity(f"link {LINK}: no connection to the QEMU on the target for {self._domain} ({error})")
        self.end(reset=True)

    def point_reached(self, end: End, reached: Reached) -> None:
        """Ask about it."""
        if self.recording.interceptors:
            self.ask(end, Passage(LINK, STREAM, self._domain, None, reached.point), self._carry_out)

    def message_read(self, end: End, message: Message) -> None:
        """A stream has no messages."""

    def framing_lost(self, end: End) -> None:
        """A stream has no frames."""

    def end_ended(self, end: End) -> None:
        """The source's side ends the stream; the target's has only the return path."""
        if end is self.near:
            self._count.ended = True

    def end_lost(self, end: End, error: Optional[Exception]) -> None:
        """The stream is over."""
        self._count.ended = True
        super().end_lost(end, error)

    def _carry_out(self, action: Action) -> None:
        if isinstance(action, Drop):
            self._splitter.give_up()


class _Record:
    """The stream of a domain's latest migration."""

    def __init__(self) -> None:
        self.count = StreamCount()
        self.stream: Optional[MemoryStream] = None
        self._listener: Optional[socket.socket] = None

    def listen(self, listener: socket.socket, accept: Callable[[socket.socket], None]) -> None:
        """Take one connection of a socket that listens, and no second."""
        self._listener = listener
        listener.setblocking(False)

        def ready() -> None:
            try:
                sock, _ = listener.accept()
            except (BlockingIOError, ConnectionAbortedError):  # it is gone already
                return
            self.close()
            accept(sock)

        asyncio.get_running_loop().add_reader(listener, ready)

    def close(self) -> None:
        """Take no connection any more."""
        listener, self._listener = self._listener, None
        if listener is not None:
            asyncio.get_running_loop().remove_reader(listener)
            listener.close()


class MemoryStreams:
    """The memory streams of a cell. In the relay's thread alone, but for ``passed``."""

    def __init__(self, recording: Recording, listen: str, host: str) -> None:
        """
        :param listen: numeric address to listen at; each stream gets a port of its own.
        :param host: numeric address of the target; the host in a migration URI may be a name that only machines know.
        """
        self.carried = False
        self.connections: set[Connection] = set()
        self._recording = recording
        self._listen = listen
        self._host = host
        self._records: dict[str, _Record] = {}

    def lead(self, message: Message, procedure: str, domain: str) -> Message:
        """Lead the stream that a successful reply to prepare announces through the relay.

        :returns: the reply for the caller; as it was where the stream cannot be led, which is noted.
        """
        try:
            text = uri_out(message.payload)
            uri = MigrationUri.parse(text or "")
            if uri is None:
                raise ValueError(f"the migration URI '{text}' cannot be led through it" if text else "it names no migration URI")
            port = self._open(domain, uri.port)
        except (ValueError, OSError) as error:
            self._recording.note_oddity(f"the memory stream of {domain} does not pass the relay, after {procedure}: {error}")
            return message
        return with_uri_out(message, uri.at(self._listen, port))

    def count(self, domain: str) -> StreamCount:
        """Begin to count a stream that passes in messages."""
        return self._begin(domain).count

    def passed(self, domain: str) -> Optional[tuple[int, Optional[float]]]:
        """As ``Relays.stream_bytes``. Safe in any thread."""
        record = self._records.get(domain)
        if record is None:
            return None
        over = record.count.ended and not (record.stream is not None and record.stream.far.unsent)
        return record.count.passed, record.count.last if over else None

    def forget(self, domain: str) -> None:
        """Take no connection for a domain any more, and forget what has passed; a stream that flows is not disturbed."""
        record = self._records.pop(domain, None)
        if record is not None:
            record.close()

    def abort(self) -> None:
        """End everything at once."""
        for domain in list(self._records):
            self.forget(domain)
        for connection in list(self.connections):
            connection.abort()

    def _begin(self, domain: str) -> _Record:
        self.forget(domain)
        record = self._records[domain] = _Record()
        return record

    def _open(self, domain: str, port: int) -> int:
        """Listen for a stream that is to go to a port of the target; returns the port."""
        family = socket.AF_INET6 if ":" in self._listen else socket.AF_INET
        listener = socket.create_server((self._listen, 0), family=family, backlog=1)
        record = self._begin(domain)

        def accept(sock: socket.socket) -> None:
            stream = record.stream = MemoryStream(domain, record.count, self._recording, self.connections.discard)
            self.connections.add(stream)
            stream.start(stream.take(sock, self._host, port))

        record.listen(listener, accept)
        return int(listener.getsockname()[1])
