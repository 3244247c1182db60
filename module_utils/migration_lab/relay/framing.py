# SPDX-License-Identifier: GPL-3.0-or-later
"""libvirt's RPC framing: headers, whole messages, and the splitting of a byte stream into what is looked at and what not.

A message is its length (4 bytes, big endian, counting itself), six more such words, and the payload.  The layout is the
same in all versions: src/remote/remote_protocol.x up to 0.9.2, src/rpc/virnetprotocol.x since 0.9.3.  No I/O is done here.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from typing import Callable, Iterator, NamedTuple, Union

# Message types. CALL_WITH_FDS (4) and REPLY_WITH_FDS (5) exist on UNIX sockets alone.
CALL = 0
REPLY = 1
EVENT = 2
STREAM = 3

# Status of a message; CONTINUE is a stream's alone.
OK = 0
ERROR = 1
CONTINUE = 2

_WORDS = struct.Struct(">IIIiiIi")
HEADER_SIZE = _WORDS.size

# Bytes. Versions allow 256 KiB (0.9.1), 4 MiB (1.0.0), 16 MiB (1.1.0) and more later; what claims to be longer than this
# is not libvirt's RPC, but TLS for example, whose first bytes read as some 350 MiB.
MESSAGE_MAX = 64 * 1024 * 1024


class Header(NamedTuple):
    """What each message starts with. ``length`` counts the whole message, in bytes; ``type`` may be one unknown here."""

    length: int
    program: int
    version: int
    procedure: int
    type: int
    serial: int
    status: int

    @classmethod
    def decode(cls, data: Union[bytes, bytearray, memoryview], position: int = 0) -> Header:
        """Read a header; ``data`` must have 28 bytes from ``position`` on."""
        return cls(*_WORDS.unpack_from(data, position))

    def encode(self) -> bytes:
        """The header's 28 bytes."""
        return _WORDS.pack(*self)


@dataclass(frozen=True)
class Message:
    """A message that was assembled. ``data`` is all of it, header included."""

    header: Header
    data: bytes

    @property
    def payload(self) -> memoryview:
        """What follows the header."""
        return payload_of(self.data)


def payload_of(message: bytes) -> memoryview:
    """What follows the header of a whole message."""
    return memoryview(message)[HEADER_SIZE:]


def reply_to(call: Header, status: int, payload: bytes) -> bytes:
    """The bytes of a daemon's reply. An error on stream data goes back as stream data (v0.9.1, daemon/dispatch.c)."""
    kind = STREAM if call.type == STREAM else REPLY
    return call._replace(length=HEADER_SIZE + len(payload), type=kind, status=status).encode() + payload


class Framer:
    """Splits one direction of a connection.

    Messages that are wanted come out whole; everything else comes out as it came in, in pieces as large as they came,
    without waiting for the end of a message. What does not look like RPC ends the splitting for good: ``oddity`` says
    why, and all further bytes come out as they are.
    """

    def __init__(self, wanted: Callable[[Header], bool]) -> None:
        """
        :param wanted: decides from its header whether a message is to be assembled; must not have effects.
        """
        self.oddity = ""
        self._wanted = wanted
        self._kept = bytearray()  # the start of a header, or of a wanted message
        self._goal = HEADER_SIZE  # bytes that ``_kept`` is to have
        self._to_pass: float = 0  # bytes that are still to come of a message that is not wanted

    @property
    def at_boundary(self) -> bool:
        """Whether what came out so far ends with the end of a message."""
        return self._to_pass == 0

    def split(self, data: bytes) -> Iterator[Union[bytes, memoryview, Message]]:
        """Give out what ``data`` holds or completes, in order. Must be used up before the next call."""
        view = memoryview(data)
        size = len(view)
        passed = position = 0  # between the two: bytes that come out as they are
        while position < size:
            if self._to_pass:
                taken = int(min(self._to_pass, size - position))
                self._to_pass -= taken
                position += taken
                continue
            if not self._kept and size - position >= HEADER_SIZE:
                header = Header.decode(view, position)
                if HEADER_SIZE <= header.length <= MESSAGE_MAX and not self._wanted(header):
                    self._to_pass = header.length
                    continue
            if passed < position:
                yield view[passed:position]
            piece = view[position:position + self._goal - len(self._kept)]
            self._kept += piece
            position = passed = position + len(piece)
            yield from self._look_at_kept()
        if passed < position:
            yield view[passed:position]

    def end(self) -> Iterator[Union[bytes, memoryview, Message]]:
        """No more will come: nothing more is whole, and ``give_up`` has what was kept back."""
        return iter(())

    def give_up(self) -> bytes:
        """Stop splitting for good.

        :returns: the bytes that were kept back so far.
        """
        self._to_pass = math.inf
        return self._take_kept()

    def _look_at_kept(self) -> Iterator[Union[bytes, Message]]:
        """Release what was held back as soon as it is clear what it is."""
        if len(self._kept) >= 4:
            length = int.from_bytes(self._kept[:4], "big")
            if not HEADER_SIZE <= length <= MESSAGE_MAX:
                self.oddity = f"a message of {length} bytes is not libvirt's RPC"
                yield self.give_up()
                return
        if len(self._kept) < self._goal:
            return
        header = Header.decode(self._kept)
        if not self._wanted(header):
            self._to_pass = header.length - HEADER_SIZE
            yield self._take_kept()
        elif len(self._kept) == header.length:
            self._goal = HEADER_SIZE
            yield Message(header, self._take_kept())
        else:
            self._goal = header.length

    def _take_kept(self) -> bytes:
        kept = bytes(self._kept)
        self._kept.clear()
        return kept
