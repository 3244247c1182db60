# SPDX-License-Identifier: GPL-3.0-or-later
"""The memory stream as it passes: how much of it has, and the points that it reaches. No I/O is done here."""

from __future__ import annotations

import re
import time
from typing import Iterator, Optional

from .framing import HEADER_SIZE, Message
from .splitter import Piece, Reached

MIB = 1024 * 1024
OPENED = "stream-opened"
END = "stream-end"

# Bytes that have passed at each point. Most of a stream has passed at 6 MiB: the guest's pattern of 8 MiB is sent as it is.
POINTS = ((OPENED, 0), ("stream-1mib", MIB), ("stream-most", 6 * MIB))

# Bytes. They must hold some of the state of devices, without which the target has no guest, and its whole description: of that,
# QEMU 7.2 sends 28 KiB for the lab's smallest x86_64 guest.
HELD_BACK = 256 * 1024

# How QEMU ends a stream since 2.3 (migration/savevm.c): QEMU_VM_EOF, QEMU_VM_VMDESCRIPTION, a length, and that much of JSON.
_DESCRIPTION = re.compile(rb"\x00\x06(?=(....)\{)", re.DOTALL)


class StreamCount:
    """How much of a stream has passed. One thread changes it, any may read it.

    Attributes:
        passed: bytes.
        last: monotonic time at which the latest byte was passed on.
        ended: whether no more will come.
    """

    def __init__(self) -> None:
        self.passed = 0
        self.last = time.monotonic()
        self.ended = False
        self._points = list(POINTS)

    def add(self, size: int) -> None:
        """So many bytes were passed on."""
        self.passed += size
        self.last = time.monotonic()

    def due(self) -> Optional[str]:
        """The point that is reached by what has passed, None when there is none; each is given out once."""
        return self._points.pop(0)[0] if self._points and self.passed >= self._points[0][1] else None

    def room(self, size: int) -> int:
        """Of so many bytes, how many pass before the next point."""
        return min(size, self._points[0][1] - self.passed) if self._points else size


class StreamSplitter:
    """Splits what the source's QEMU sends at the points. With ``hold_back`` the newest bytes are kept until its end.

    The end is where the source closes the stream, or where QEMU says that nothing follows: with a return path it closes only
    when the target has loaded the guest.
    """

    def __init__(self, count: StreamCount, hold_back: bool) -> None:
        self.oddity = ""
        self._count = count
        self._holding = hold_back
        self._kept = bytearray()

    @property
    def at_boundary(self) -> bool:
        """The relay has nothing of its own to say on this stream."""
        return False

    def split(self, data: bytes) -> Iterator[Piece]:
        """Give out what passes, cut at the points."""
        if not self._holding:
            yield from self._cut(data)
            return
        self._kept += data
        surplus = len(self._kept) - HELD_BACK
        if surplus > 0:
            passing = bytes(self._kept[:surplus])
            del self._kept[:surplus]
            yield from self._cut(passing)
        if is_end(self._kept):
            yield from self.end()

    def end(self) -> Iterator[Piece]:
        """Nothing more comes."""
        if self._holding:
            self._holding = False
            yield Reached(END)
            yield from self._cut(self.give_up())

    def give_up(self) -> bytes:
        """What was held back."""
        kept = bytes(self._kept)
        self._kept.clear()
        return kept

    def _cut(self, data: bytes) -> Iterator[Piece]:
        rest = memoryview(data)
        while len(rest):
            point = self._count.due()
            if point is not None:
                yield Reached(point)
                continue
            piece = rest[:self._count.room(len(rest))]
            self._count.add(len(piece))
            yield piece
            rest = rest[len(piece):]


class TunnelledStream:
    """The stream as messages: what waits of them, and how much has passed."""

    def __init__(self, domain: str, count: StreamCount, hold_back: bool) -> None:
        self.domain = domain
        self.count = count
        self._holding = hold_back
        self._kept: list[Message] = []
        self._size = 0

    def take(self, message: Message) -> list[Message]:
        """Add a message with data; gives out those that pass now."""
        self._kept.append(message)
        self._size += size_of(message)
        passing = []
        while self._kept and (not self._holding or self._size - size_of(self._kept[0]) >= HELD_BACK):
            passing.append(self._kept.pop(0))
            self._size -= size_of(passing[-1])
        return passing

    def give_up(self) -> list[Message]:
        """What was held back."""
        kept, self._kept, self._size = self._kept, [], 0
        return kept


def size_of(message: Message) -> int:
    """Bytes of the stream in a message."""
    return message.header.length - HEADER_SIZE


def is_end(data: bytearray) -> bool:
    """Whether the bytes end as a stream of QEMU's ends."""
    if not data.endswith(b"}"):
        return False
    return any(match.end() + 4 + int.from_bytes(match[1], "big") == len(data) for match in _DESCRIPTION.finditer(data))
