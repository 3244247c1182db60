# SPDX-License-Identifier: GPL-3.0-or-later
"""What looks at one direction of a connection: it gives out the bytes that pass, and what is decided about between them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Iterator, Protocol, Union

from .framing import Message


@dataclass(frozen=True)
class Reached:
    """A point of the memory stream: what was given out before it has passed, what is given out after it has not."""

    point: str


Piece = Union[bytes, memoryview, Message, Reached]


class Splitter(Protocol):
    """Splits what comes from one side."""

    oddity: str

    @property
    def at_boundary(self) -> bool:
        """Whether a message of the relay's own can be put behind what came out so far."""

    def split(self, data: bytes) -> Iterator[Piece]:
        """Give out what ``data`` holds or completes, in order. Must be used up before the next call."""

    def end(self) -> Iterator[Piece]:
        """No more will come: give out what was kept back."""

    def give_up(self) -> bytes:
        """Stop looking for good, and give out what was kept back."""
