# SPDX-License-Identifier: GPL-3.0-or-later
"""Chooses how a run in progress is shown: a table that stays in its place on a terminal, lines where there is none."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Callable, Mapping, TextIO, Union

from .lines import Lines

if TYPE_CHECKING:
    from .table import LiveTable


def table_wanted(stream: TextIO, environment: Mapping[str, str]) -> bool:
    """Whether the stream can bear a table that stays in its place: a terminal that is not dumb, and no CI."""
    return stream.isatty() and environment.get("TERM", "").lower() not in ("", "dumb", "unknown") and not environment.get("CI")


def choose_face(write: Callable[[str], object]) -> Union[Lines, LiveTable]:
    """The table where standard output can bear one, else lines.

    :param write: prints a line.
    """
    if not table_wanted(sys.stdout, os.environ):
        return Lines(write)
    from .table import LiveTable  # what draws it takes a moment to load

    return LiveTable()
