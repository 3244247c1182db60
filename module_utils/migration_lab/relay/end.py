# SPDX-License-Identifier: GPL-3.0-or-later
"""One end of a relayed connection: a socket, what is read from it, and how its end and its slowness are passed on."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import deque
from typing import TYPE_CHECKING, Callable, Iterator, Optional, Union, cast

from .framing import Framer, Header, Message

if TYPE_CHECKING:
    from .relay import Relay


class End(asyncio.Protocol):
    """One of the two sockets of a connection. Passes on what it reads to the other end.

    It stops reading while the other end does not take what it gets, while a message is being decided about, and while
    an answer to its peer waits; so at most one chunk (asyncio reads 256 KiB at most) waits in each direction, on
    top of what a transport takes before it says that it is full. asyncio sets TCP_NODELAY on both sockets by itself.
    """

    other: End

    def __init__(self, relay: Relay, wanted: Callable[[Header], bool]) -> None:
        self.framer = Framer(wanted)
        self._relay = relay
        self._transport: Optional[asyncio.Transport] = None
        self._pieces: Iterator[Union[bytes, memoryview, Message]] = iter(())
        self._unread: deque[bytes] = deque()  # chunks that came while this end was held
        self._answers: deque[bytes] = deque()  # for this end's peer, waiting for their turn
        self._held = False
        self._full = False
        self._reading = True
        self._end_seen = False
        self._end_passed = False
        self._finished = False  # nothing can be written to this end any more

    @property
    def lost(self) -> bool:
        """Whether this end has no connection, or none any more."""
        return self._transport is None

    def hold(self) -> None:
        """Pass nothing on from here until ``release``."""
        self._held = True

    def release(self) -> None:
        """Resume after ``hold``."""
        self._held = False
        self._advance()

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

    def close(self) -> None:
        """Send what is still to be sent, then close."""
        self._finished = True
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
        self._transport = None
        self._finished = True
        if error is not None:
            self.give_up_framing()
        self._relay.end_lost(self, error)

    # inside

    def _advance(self) -> None:
        """Pass on what there is, as far as nothing holds it up."""
        while not self._held:
            piece = next(self._pieces, None)
            if piece is not None:
                self._pass_on(piece)
            elif self._unread:
                self._pieces = self.framer.split(self._unread.popleft())
            else:
                break
        if self._end_seen and not self._held and not self._end_passed:
            self._pass_end()
        self._send_answers()
        self.other._send_answers()
        self._choose_reading()

    def _pass_on(self, piece: Union[bytes, memoryview, Message]) -> None:
        if isinstance(piece, Message):
            self._relay.message_read(self, piece)
            return
        if self.framer.oddity:
            self._relay.framing_lost(self)
        self.other.write(piece)

    def _pass_end(self) -> None:
        """Half-close the other side, and all when both have ended."""
        self._end_passed = True
        self.give_up_framing()
        self._relay.end_ended(self)
        if self.other._end_passed:
            self.close()
            self.other.close()
        elif self.other._transport is not None and not self.other._finished:
            self.other._finished = True
            self.other._transport.write_eof()

    def _send_answers(self) -> None:
        if self._answers and self.other.framer.at_boundary and not self._full:
            self.write(b"".join(self._answers))
            self._answers.clear()
            self._choose_reading()

    def _choose_reading(self) -> None:
        """Read from the peer exactly when what it sends can be passed on."""
        if self._transport is None or self._end_seen:
            return
        reading = not (self._held or self.other._full or self._answers)
        if reading != self._reading:
            self._reading = reading
            if reading:
                self._transport.resume_reading()
            else:
                self._transport.pause_reading()
