# SPDX-License-Identifier: GPL-3.0-or-later
"""What the lab changed in a user's XML."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from .element import Element


@dataclass(frozen=True)
class Change:
    """One change: the line of the user's file (0: a line that the lab added), what became of it, and why."""

    line: int
    what: str
    why: str

    def to_data(self) -> dict[str, Any]:
        return asdict(self)


class Changes:
    """The changes of one file, in the order of its lines."""

    def __init__(self) -> None:
        self._changes: list[Change] = []

    def add(self, element: Element, what: str, why: str) -> None:
        """Record what became of an element."""
        self._changes.append(Change(element.line, what, why))

    def in_order(self) -> list[Change]:
        return sorted(self._changes, key=lambda change: change.line)
