# SPDX-License-Identifier: GPL-3.0-or-later
"""One end of a relayed connection: a socket, what is read from it, and how its end and its slowness are passed on."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Iterator, Optional, Union, cast

from .framing import Message
from .splitter import Piece, Reached, Splitter

if TYPE_CHECKING:
    from .connection import Connection


class End(asyncio.Protocol):
    """One of the two sockets of a connection. Passes on what it reads to the other end.

    It stops reading while the other end does not take what it gets, while a message is being decided about, while its
    connection is silent, and while an answer to its peer waits; so at most one chunk (asyncio reads 256 KiB at most) waits in
    each direction, on top of what a transport takes before it says that it is full. asyncio sets TCP_NODELAY on both sockets
    by itself.
    """

    other: End

    def __init__(self, connection: Connection, framer: Splitter) -> None:
        self.framer = framer
        self._connection = connection
        self._transport: Optional[asyncio.Transport] = None
        self._pieces: Iterator[Piece] = iter(())
        self._unread: deque[bytes] = deque()  # chunks that came while this end was held
        self._answers: deque[bytes] = deque()  # for this end's peer, waiting for their turn
        self._held = False
        self._silent = False
        self._discarding = False
        self._draining = False
        self._loss: Optional[tuple[Optional[Exception]]] = None  # that of the connection, when nobody may see it yet
        self._full = False
        self._reading = True
        self._end_seen = False
        self._end_split = False
        self._end_passed = False
        self._finished = False  # nothing can be written to this end any more

    @property
    def lost(self) -> bool:
        """Whether this end has no connection, or none any more."""
        return self._transport is None

    @property
    def unsent(self) -> int:
        """Bytes that were written to this end and that the kernel has not taken yet."""
        return self._transport.get_write_buffer_size() if self._transport is not None else 0

    def hold(self) -> None:
        """Pass nothing on from here until ``release``."""
        self._held = True

    def release(self) -> None:
        """Resume after ``hold``."""
        self._held = False
        self._advance()

    def silence(self) -> None:
        """Pass nothing on from here, not even that the peer is gone, until ``speak``."""
        self._silent = True
        self._choose_reading()

    def speak(self) -> None:
        """Resume after ``silence``."""
        self._silent = False
        self._advance()
        if self._loss is not None:
            (error,), self._loss = self._loss, None
            self._report_loss(error)

    def discard(self) -> None:
        """Pass nothing on any more: what came and what will come is lost."""
        self._discarding = True
        self._silent = False
        self._unread.clear()
        self._answers.clear()
        self._pieces = iter(())
        if self._loss is not None:
            (error,), self._loss = self._loss, None
            self._report_loss(error)

    def write(self, data: Union[bytes, memoryview]) -> None:
        """Send to this end's peer; after its end, what is sent to it is dropped, as a closed socket drops it."""
        if self._transport is not None and not self._finished:
            self._transport.write(data)

    def answer(self, data: bytes) -> None:
        """Send a message of the relay's own to this end's peer as soon as no other message is half sent.

        Whoever calls this is reading from one of the two ends, and what waits is sent when that is done.
        """
        if not self._finished:
            self._answers.append(data)

    def close(self, drain: bool = False) -> None:
        """Send what is still to be sent, then close.

        :param drain: throw away what the peer has sent; else the peer sees a reset where something of it was not read.
        """
        self._finished = True
        self._draining = drain
        if self._transport is not None:
            self._transport.close()

    def reset(self) -> None:
        """End the connection at once, in the way that its peer sees it reset."""
        self._finished = True
        if self._transport is not None:
            sock = self._transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._transport.abort()

    def give_up_framing(self) -> None:
        """Pass bytes on as they are from now on, those that were kept back first.

        Where the next message would begin is not known any more, so the relay puts no answers of its own between them.
        """
        self.other._send_answers()
        self.other._answers.clear()
        self.other.write(self.framer.give_up())

    # asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A socket is there."""
        self._transport = cast(asyncio.Transport, transport)
        if self._finished:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """The peer sent something."""
        self._unread.append(data)
        self._advance()

    def eof_received(self) -> bool:
        """The peer will send no more; it may still be sent to."""
        self._end_seen = True
        self._advance()
        return True

    def pause_writing(self) -> None:
        """The peer takes less than it gets."""
        self._full = True
        self.other._choose_reading()

    def resume_writing(self) -> None:
        """The peer takes more again."""
        self._full = False
        self._send_answers()
        self.other._choose_reading()

    def connection_lost(self, error: Optional[Exception]) -> None:
        """The socket is gone: closed by us, or (with an error) reset or dead."""
        if self._draining and self._transport is not None:
            _drain(self._transport.get_extra_info("socket").fileno())
        self._transport = None
        self._finished = True
        if self._silent:
            self._loss = (error,)
        else:
            self._report_loss(error)

    # inside

    def _report_loss(self, error: Optional[Exception]) -> None:
        if error is not None and not self._discarding:
            self.give_up_framing()
        self._connection.end_lost(self, error)

    def _advance(self) -> None:
        """Pass on what there is, as far as nothing holds it up."""
        if self._discarding:
            self._unread.clear()
            return
        while not (self._held or self._silent):
            piece = next(self._pieces, None)
            if piece is not None:
                self._pass_on(piece)
            elif self._unread:
                self._pieces = self.framer.split(self._unread.popleft())
            elif self._end_seen and not self._end_split:
                self._end_split = True
                self._pieces = self.framer.end()
            else:
                break
        if self._end_split and not (self._held or self._silent or self._end_passed or self._discarding):
            self._pass_end()
        self._send_answers()
        self.other._send_answers()
        self._choose_reading()

    def _pass_on(self, piece: Piece) -> None:
        if isinstance(piece, Message):
            self._connection.message_read(self, piece)
            return
        if isinstance(piece, Reached):
            self._connection.point_reached(self, piece)
            return
        if self.framer.oddity:
            self._connection.framing_lost(self)
        self.other.write(piece)

    def _pass_end(self) -> None:
        """Half-close the other side, and all when both have ended."""
        self._end_passed = True
        self.give_up_framing()
        self._connection.end_ended(self)
        if self.other._end_passed:
            self.close()
            self.other.close()
        elif self.other._transport is not None and not self.other._finished:
            self.other._finished = True
            self.other._transport.write_eof()

    def _send_answers(self) -> None:
        if self._answers and self.other.framer.at_boundary and not (self._full or self._silent):
            self.write(b"".join(self._answers))
            self._answers.clear()
            self._choose_reading()

    def _choose_reading(self) -> None:
        """Read from the peer exactly when what it sends can be passed on."""
        if self._transport is None or self._end_seen:
            return
        reading = not (self._held or self._silent or self.other._full or self._answers)
        if reading != self._reading:
            self._reading = reading
            if reading:
                self._transport.resume_reading()
            else:
                self._transport.pause_reading()


def _drain(descriptor: int) -> None:
    """Throw away what a socket has received: closed with something unread, it would send a reset in place of its end."""
    with suppress(OSError):
        while os.read(descriptor, 1 << 16):
            pass
