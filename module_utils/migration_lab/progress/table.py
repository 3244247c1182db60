# SPDX-License-Identifier: GPL-3.0-or-later
"""Shows how far a run is on a terminal: a table that stays in its place."""

from __future__ import annotations

import os
import sys
import threading
from typing import Any, TextIO

from rich.ansi import AnsiDecoder
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from ..model.combination import label
from ..model.verdict import Verdict
from ..results.wording import duration_text
from .run_progress import ENDED, QUIET, CombinationProgress, Phase, RunProgress

VERDICT_STYLES = {
    Verdict.PASS: "green", Verdict.KNOWN: "cyan", Verdict.FAIL: "bold red", Verdict.FIXED: "bold yellow",
    Verdict.ERROR: "bold magenta", Verdict.SKIP: "dim",
}
PHASE_STYLES = {
    Phase.WAITING: "dim", Phase.RUNNING: "bold", Phase.DONE: "green", Phase.NOT_OBTAINED: "bold red",
    Phase.INTERRUPTED: "bold red",
}

# Verdicts that have a column even when no case has them.
_ALWAYS = (Verdict.PASS, Verdict.FAIL, Verdict.ERROR)

_UNKNOWN = "-"


def progress_table(progress: RunProgress) -> RenderableType:
    """The run as a table: a row for each combination and one for their sum, then why some were not obtained.

    Colours only repeat what words and numbers say.
    """
    seen = progress.counts
    verdicts = [verdict for verdict in Verdict if verdict in _ALWAYS or verdict in seen]
    # All verdicts at once fit into 80 columns only with less space between them.
    space = 2 if len(verdicts) <= 4 else 1
    table = Table(box=None, padding=(0, space, 0, 0), pad_edge=False, expand=True, show_footer=True)
    ended = f"{len(progress.in_phase(*ENDED))}/{len(progress.combinations)} ended"
    total = ["all", ended, *_cells(progress, verdicts)]
    headings = ["", "", "", "cases", *(verdict.value for verdict in verdicts), "cases/s", "left"]
    for number, (heading, footer) in enumerate(zip(headings, total)):
        if number == 2:
            table.add_column(heading, footer=footer, ratio=1, min_width=6)
        else:
            table.add_column(heading, footer=footer, no_wrap=True, justify="left" if number < 2 else "right")
    for one in progress.combinations:
        phase = Text(one.phase.value, PHASE_STYLES[one.phase])
        table.add_row(label(one.name), phase, *_cells(one, verdicts))
    title = Text(f"run {progress.run}, {progress.pair}", style="bold", no_wrap=True, overflow="ellipsis")
    return Group(title, table, *_notes(progress))


def _clock(seconds: float) -> str:
    """Seconds for a narrow column: ``0:48``, ``9:20``, ``2:05:00``."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}" if minutes < 60 else f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"


def _cells(row: CombinationProgress | RunProgress, verdicts: list[Verdict]) -> list[RenderableType]:
    """The columns that a combination's row shares with the last one: bar, cases, verdicts, speed and time left."""
    rate, left = row.rate, row.left
    cells: list[RenderableType] = [
        ProgressBar(total=max(row.selected, 1), completed=row.done, complete_style="cyan", finished_style="green"),
        f"{row.done}/{row.selected or '?'}",
    ]
    for verdict in verdicts:
        number = row.counts.get(verdict, 0)
        cells.append(Text(str(number), VERDICT_STYLES[verdict] if number else "dim"))
    cells.append(_UNKNOWN if rate is None else f"{rate:.1f}")
    cells.append(_UNKNOWN if left is None else _clock(left))
    return cells


def _notes(progress: RunProgress) -> list[Text]:
    """Remarks below the table, each cut where the terminal ends."""
    notes = [f"{one.name} not obtained: {one.reason}" for one in progress.in_phase(Phase.NOT_OBTAINED)]
    if progress.in_phase(Phase.INTERRUPTED):
        notes.append("interrupted: the playbook is gone; -e resume=true resumes the run")
    elif not progress.over and progress.quiet > QUIET:
        notes.append(f"nothing new for {duration_text(progress.quiet)}")
    return [Text(note, no_wrap=True, overflow="ellipsis") for note in notes]


class LiveTable:
    """A table at the end of a terminal. What others write to standard output and error meanwhile appears above it.

    Drawing and writing take turns, and a process forks in between: a child that inherited the lock, or that of the stream, from
    a thread that does not exist in it would hang at its first word.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        os.register_at_fork(
            before=self._lock.acquire, after_in_parent=self._lock.release, after_in_child=self._lock.release,
        )
        self._console = Console(file=sys.stdout, highlight=False)
        self._table: RenderableType = ""
        self._live = Live(
            console=self._console, auto_refresh=False, redirect_stdout=False, redirect_stderr=False, vertical_overflow="ellipsis",
        )
        self._streams = (sys.stdout, sys.stderr)

    def start(self, progress: RunProgress) -> None:
        """Draw the table, and have everything that is written from now on go above it."""
        with self._lock:
            self._draw(progress, refresh=False)
            self._live.start(refresh=True)
            # A process that is killed would leave a hidden cursor.
            self._console.show_cursor(True)
            stdout, stderr = self._streams
            sys.stdout = _Above(self._console, stdout, self._lock)
            if stderr.isatty():
                sys.stderr = _Above(self._console, stderr, self._lock)

    def update(self, progress: RunProgress) -> None:
        """Draw the table again."""
        with self._lock:
            self._draw(progress, refresh=True)

    def stop(self) -> None:
        """Leave the table as it is; what is written from now on follows it."""
        with self._lock:
            for stream in (sys.stdout, sys.stderr):
                if isinstance(stream, _Above):
                    stream.end()
            sys.stdout, sys.stderr = self._streams
            self._live.update(self._table)
            self._live.stop()

    def _draw(self, progress: RunProgress, refresh: bool) -> None:
        self._table = progress_table(progress)
        # The terminal shows a Ctrl-C where the cursor is; at the end of a full line it would move the table.
        self._live.update(Group(self._table, ""), refresh=refresh)


class _Above:
    """A stream whose whole lines appear above the table, as long as they are: rich's own proxy would break them into several."""

    def __init__(self, console: Console, stream: TextIO, lock: threading.RLock) -> None:
        self._console = console
        self._stream = stream
        self._lock = lock
        self._decoder = AnsiDecoder()
        self._begun = ""

    def write(self, text: str) -> int:
        with self._lock:
            whole, newline, self._begun = (self._begun + text).rpartition("\n")
            if newline:
                self._print(whole)
        return len(text)

    def flush(self) -> None:
        """Whole lines are shown at once; an unfinished one cannot stand before the table."""

    def end(self) -> None:
        """Show the unfinished line."""
        if self._begun:
            self._print(self._begun)

    def _print(self, lines: str) -> None:
        self._console.print(Text("\n").join(map(self._decoder.decode_line, lines.split("\n"))), soft_wrap=True)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
