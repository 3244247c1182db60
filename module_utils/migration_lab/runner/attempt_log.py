# SPDX-License-Identifier: GPL-3.0-or-later
"""Keeps what daemons and kernel logged during an attempt."""

from __future__ import annotations

import time

from ..cell.machine import Machine


class DaemonLog:
    """A daemon's log, so that the part that belongs to an attempt can be kept."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._marks = [(0.0, machine.log_size())]

    def since(self, started: float) -> str:
        """What the daemon has logged since the last mark before ``started`` (monotonic seconds)."""
        offset = max(offset for when, offset in self._marks if when <= started)
        now = time.monotonic()
        data = self._machine.log_since(offset)
        self._marks.append((now, offset + len(data)))
        return data.decode(errors="replace")
