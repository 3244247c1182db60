# SPDX-License-Identifier: GPL-3.0-or-later
"""Shows how far a run is where there is no terminal: a line every few seconds."""

from __future__ import annotations

import time
from typing import Callable, Optional

from ..results.wording import count, duration_text
from .run_progress import ENDED, QUIET, Phase, RunProgress

INTERVAL = 5.0  # seconds between two lines


def progress_line(progress: RunProgress) -> str:
    """The run in a line, with the time of day: ``15:51:28 20261123T154200Z 160/768 cases, 160 pass, 1.6 cases/s, ...``."""
    parts = [f"{progress.done}/{progress.selected or '?'} cases"]
    parts += [f"{number} {verdict.value}" for verdict, number in progress.counts.items()]
    parts.append(f"{len(progress.in_phase(*ENDED))} of {count(len(progress.combinations), 'combination')} ended")
    parts += [f"{one.name} {one.phase.value}" for one in progress.in_phase(Phase.RUNNING, Phase.INTERRUPTED, Phase.NOT_OBTAINED)]
    if not progress.over:
        if progress.rate is not None:
            parts.append(f"{progress.rate:.1f} cases/s")
        parts.append("time left unknown" if progress.left is None else f"{duration_text(progress.left)} left")
        if progress.quiet > QUIET:
            parts.append(f"nothing new for {duration_text(progress.quiet)}")
    return f"{time.strftime('%H:%M:%S', time.localtime(progress.now))} {progress.run} {', '.join(parts)}"


class Lines:
    """Prints the first look at a run, one every few seconds, and the last one."""

    def __init__(self, write: Callable[[str], object]) -> None:
        self._write = write
        self._seen: Optional[RunProgress] = None  # not printed yet
        self._due = 0.0

    def start(self, progress: RunProgress) -> None:
        """Print the first line."""
        self._print(progress)

    def update(self, progress: RunProgress) -> None:
        """Print a line if it is time."""
        if time.monotonic() >= self._due:
            self._print(progress)
        else:
            self._seen = progress

    def stop(self) -> None:
        """Print what was seen last."""
        if self._seen:
            self._print(self._seen)

    def _print(self, progress: RunProgress) -> None:
        self._write(progress_line(progress))
        self._seen, self._due = None, time.monotonic() + INTERVAL
