# SPDX-License-Identifier: GPL-3.0-or-later
"""Chooses how a run in progress is shown: a table that stays in its place on a terminal, lines where there is none."""

from __future__ import annotations

import os
import sys
from typing import Callable, Mapping, Protocol, TextIO

from .lines import Lines
from .run_progress import RunProgress


class Face(Protocol):
    """Shows a run from ``start`` to ``stop``."""

    def start(self, progress: RunProgress) -> None: ...

    def update(self, progress: RunProgress) -> None: ...

    def stop(self) -> None: ...


def table_wanted(stream: TextIO, environment: Mapping[str, str]) -> bool:
    """Whether the stream can bear a table that stays in its place: a terminal that is not dumb, and no CI."""
    return stream.isatty() and environment.get("TERM", "").lower() not in ("", "dumb", "unknown") and not environment.get("CI")


def choose_face(write: Callable[[str], object]) -> Face:
    """The table where standard output can bear one, else lines.

    :param write: prints a line.
    """
    if not table_wanted(sys.stdout, os.environ):
        return Lines(write)
    from .table import LiveTable  # what draws it takes a moment to load

    return LiveTable()
