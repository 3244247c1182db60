# SPDX-License-Identifier: GPL-3.0-or-later
"""Keeps what the daemons and the kernel logged during an attempt."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Iterable, Mapping

from ..cell.cell import Cell
from ..cell.machine import Machine
from ..cell.processes import GUEST_DAEMONS
from ..model.errors import LabError
from ..suites.attempt import Attempt


class DaemonLog:
    """A daemon's log, of which the part that belongs to an attempt can be kept."""

    def __init__(self, machine: Machine, daemon: str) -> None:
        self._machine = machine
        self._daemon = daemon
        self._marks = [(0.0, machine.log_size(daemon))]

    def since(self, started: float) -> str:
        """What the daemon has logged since the last mark before ``started`` (monotonic seconds)."""
        offset = max(offset for when, offset in self._marks if when <= started)
        now = time.monotonic()
        data = self._machine.log_since(self._daemon, offset)
        self._marks.append((now, offset + len(data)))
        return data.decode(errors="replace")


class AttemptLog:
    """Writes logs below a combination's folder."""

    def __init__(self, cell: Cell, folder: Path, daemons: Mapping[str, Iterable[str]]) -> None:
        """Begin to follow the logs.

        :param daemons: by side the names of the daemons.
        """
        self._cell = cell
        self._folder = folder
        self._logs = {
            (side, name): DaemonLog(machine, name) for side, machine in cell.daemons.items() for name in daemons[side]
        }

    def keep(self, attempt: Attempt, label: str = "") -> list[str]:
        """Keep what the daemons logged during an attempt, and where one crashed the kernel's word on it.

        Of daemons beside those that run guests there is a log only where they have logged something.

        :param label: put before the case's number in the files' names.
        :returns: paths relative to the combination's folder.
        """
        folder = self._folder / "logs"
        folder.mkdir(exist_ok=True)
        stem = folder / f"{label}{attempt.case.number:03d}"
        texts = {}
        for (side, name), log in self._logs.items():
            text = _since(log, attempt.started)
            if name in GUEST_DAEMONS:
                texts[side] = text
            elif text:
                texts[f"{side}-{name}"] = text
        if attempt.seen.daemon_deaths and (crash := self._crash(time.monotonic() - attempt.started)):
            texts["kernel"] = crash
        kept = []
        for origin, text in texts.items():
            path = stem.with_name(f"{stem.name}-{origin}.log")
            with path.open("a") as stream:
                stream.write(text)
            kept.append(str(path.relative_to(self._folder)))
        return kept

    def _crash(self, seconds: float) -> str:
        """What the kernel says of a crash: the machines of a lab host share its kernel, and its log."""
        try:
            return self._cell.source.crash_since(seconds + 1) or self._cell.target.crash_since(seconds + 1)
        except LabError as error:
            return f"not obtained: {error}\n"


def _since(log: DaemonLog, started: float) -> str:
    try:
        return log.since(started)
    except LabError as error:
        return f"not obtained: {error}\n"
