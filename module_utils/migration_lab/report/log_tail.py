# SPDX-License-Identifier: GPL-3.0-or-later
"""The last lines of a daemon's log, of a size that a page can bear."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from markupsafe import escape

LINES = 40
SIZE = 4096


@dataclass(frozen=True)
class LogTail:
    """The end of a log.

    ``path`` is relative to the run's folder, ``left_out`` whether there is more of it before, ``problem`` why it could not be
    read; it is empty when it could.
    """

    path: str
    text: str = ""
    left_out: bool = False
    problem: str = ""


def log_tail(folder: Path, path: str, size: int = SIZE) -> LogTail:
    """Read the end of a log: at most ``LINES`` lines, and as many whole ones as fit.

    :param folder: that of the run.
    :param path: of the log, relative to it.
    :param size: of the text in characters once it stands in HTML, where a quotation mark takes five.
    """
    try:
        with (folder / path).open("rb") as stream:
            length = stream.seek(0, 2)
            stream.seek(max(0, length - SIZE))
            data = stream.read()
    except OSError as error:
        return LogTail(path, problem=error.strerror or str(error))
    lines = data.decode(errors="replace").splitlines()
    whole = length <= SIZE
    if not whole:
        lines = lines[1:]  # the first is the rest of a line
    kept: list[str] = []
    room = size
    for line in reversed(lines[-LINES:]):
        room -= len(escape(line)) + 1
        if room < 0:
            break
        kept.append(line)
    return LogTail(path, "\n".join(reversed(kept)), left_out=not whole or len(kept) < len(lines))
