# SPDX-License-Identifier: GPL-3.0-or-later
"""Shows how far a run is: a table that stays in its place on a terminal, a line now and then where there is none."""

from __future__ import annotations

import sys
import time
from contextlib import AbstractContextManager
from typing import Any, Mapping, TextIO

from rich.ansi import AnsiDecoder
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from ..model.verdict import Verdict
from ..results.wording import count
from .follower import ENDED, CombinationProgress, Phase, RunProgress

VERDICT_STYLES = {
    Verdict.PASS: "green", Verdict.KNOWN: "cyan", Verdict.FAIL: "bold red", Verdict.FIXED: "bold yellow",
    Verdict.ERROR: "bold magenta", Verdict.SKIP: "dim",
}
PHASE_STYLES = {
    Phase.WAITING: "dim", Phase.RUNNING: "bold", Phase.DONE: "green", Phase.NOT_OBTAINED: "bold red", Phase.CUT_OFF: "bold red",
}

# Verdicts that have a column even when no case came to them.
_ALWAYS = (Verdict.PASS, Verdict.FAIL, Verdict.ERROR)

# Seconds without a new line after which that is said.
_QUIET = 30.0

_UNKNOWN = "-"


def table_wanted(stream: TextIO, environment: Mapping[str, str]) -> bool:
    """Whether the stream can bear a table that stays in its place: a terminal that is not dumb, and no CI."""
    return stream.isatty() and environment.get("TERM", "").lower() not in ("", "dumb", "unknown") and not environment.get("CI")


def progress_table(progress: RunProgress) -> RenderableType:
    """The run as a table: a row for each combination and one for their sum, and below why some were not obtained.

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
        table.add_row(f"{one.number} {one.name}", phase, *_cells(one, verdicts))
    title = Text(f"run {progress.run}, pair {progress.pair}", style="bold", no_wrap=True, overflow="ellipsis")
    return Group(title, table, *_notes(progress))


def progress_line(progress: RunProgress) -> str:
    """The run in a line, with the time of day: ``15:51:28 20261123T154200Z 160/768 cases, 160 pass, 1.6 cases/s, ...``."""
    parts = [f"{progress.done}/{progress.selected or '?'} cases"]
    parts += [f"{number} {verdict.value}" for verdict, number in progress.counts.items()]
    parts.append(f"{len(progress.in_phase(*ENDED))} of {count(len(progress.combinations), 'combination')} ended")
    parts += [f"{one.name} {one.phase.value}" for one in progress.in_phase(Phase.RUNNING, Phase.CUT_OFF, Phase.NOT_OBTAINED)]
    if not progress.over:
        if progress.rate is not None:
            parts.append(f"{progress.rate:.1f} cases/s")
        parts.append("time left unknown" if progress.left is None else f"{duration(progress.left)} left")
        if progress.quiet > _QUIET:
            parts.append(f"nothing new for {duration(progress.quiet)}")
    return f"{time.strftime('%H:%M:%S', time.localtime(progress.now))} {progress.run} {', '.join(parts)}"


def duration(seconds: float) -> str:
    """Seconds in words that are as exact as an estimate deserves: ``48 s``, ``9 min 20 s``, ``2 h 05 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def _clock(seconds: float) -> str:
    """The same for a narrow column: ``0:48``, ``9:20``, ``2:05:00``."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}" if minutes < 60 else f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"


def _cells(row: CombinationProgress | RunProgress, verdicts: list[Verdict]) -> list[RenderableType]:
    """What a combination's row and the last one have alike: bar, cases, verdicts, speed and time left."""
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
    """What is to be said below the table, each on a line that is cut off where the terminal ends."""
    notes = [f"{one.name} not obtained: {one.reason}" for one in progress.in_phase(Phase.NOT_OBTAINED)]
    if progress.in_phase(Phase.CUT_OFF):
        notes.append("cut off: the playbook is gone; -e resume=true goes on with the run")
    elif not progress.over and progress.quiet > _QUIET:
        notes.append(f"nothing new for {duration(progress.quiet)}")
    return [Text(note, no_wrap=True, overflow="ellipsis") for note in notes]


class LiveTable:
    """A table at the end of a terminal. What others write to standard output and error meanwhile appears above it.

    Drawing and writing exclude each other by a lock, which the caller gives when it writes under one of its own.
    """

    def __init__(self, lock: AbstractContextManager[Any]) -> None:
        """:param lock: reentrant; nothing is drawn while somebody else has it."""
        self._lock = lock
        self._console = Console(file=sys.stdout, highlight=False)
        self._table: RenderableType = ""
        self._live = Live(
            console=self._console, auto_refresh=False, redirect_stdout=False, redirect_stderr=False, vertical_overflow="ellipsis",
        )
        self._streams = (sys.stdout, sys.stderr)

    def start(self, progress: RunProgress) -> None:
        """Draw the table for the first time, and have everything that is written go above it."""
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
        """Draw the table anew."""
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

    def __init__(self, console: Console, stream: TextIO, lock: AbstractContextManager[Any]) -> None:
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
        """Whole lines are shown at once; one that is begun cannot stand before the table."""

    def end(self) -> None:
        """Show the line that was begun."""
        if self._begun:
            self._print(self._begun)

    def _print(self, lines: str) -> None:
        self._console.print(Text("\n").join(map(self._decoder.decode_line, lines.split("\n"))), soft_wrap=True)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
