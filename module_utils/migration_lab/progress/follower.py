# SPDX-License-Identifier: GPL-3.0-or-later
"""How far a run is: follows run.json and the journals of its folder while they grow, and estimates speed and time left.

It reads and never writes, so that any number of followers may look at a run, from its beginning or later.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from statistics import mean, median_low
from typing import Any, Optional, Sequence, Union

from ..journal.case_result import CaseResult
from ..journal.files import JOURNAL_FILE, NOT_OBTAINED_FILE, RUN_FILE
from ..journal.journal import read_line
from ..model.combination import COMBINATIONS, check_combinations
from ..model.errors import LabError
from ..model.verdict import Verdict
from ..results.run import read_run_file
from ..results.wording import one_line

# Seconds that the speed is taken over.
WINDOW = 30.0

# Seconds within which a playbook notes that an interrupted combination was not obtained; after them it is gone.
PATIENCE = 15.0

# Seconds without a new line after which the faces say so.
QUIET = 30.0


class Phase(str, Enum):
    """How far a combination is."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    NOT_OBTAINED = "not obtained"
    INTERRUPTED = "interrupted"  # its playbook was gone before all cases had run


# Nothing more comes of these.
ENDED = (Phase.DONE, Phase.NOT_OBTAINED)


@dataclass(frozen=True)
class CombinationProgress:
    """How far one combination is. Times are in seconds since 1970, durations in seconds."""

    name: str
    phase: Phase
    selected: int  # 0 as long as no journal tells
    counts: dict[Verdict, int]  # final results by verdict, in the order of the verdicts
    seconds: float  # spent running, pauses before a resume left out
    rate: Optional[float]  # cases a second over the last WINDOW, or over all of it when it is done; None when not running
    begun: Optional[float]  # time of the first line
    last: Optional[float]  # time of the last line
    reason: str  # why it was not obtained

    @property
    def number(self) -> int:
        """1 to 8."""
        return COMBINATIONS.index(self.name) + 1

    @property
    def done(self) -> int:
        """Cases with a final result."""
        return sum(self.counts.values())

    @property
    def share_left(self) -> float:
        """The part of its cases that has no final result, from 1 down to 0."""
        return (self.selected - self.done) / self.selected if self.selected else 1.0

    @property
    def left(self) -> Optional[float]:
        """Seconds that the rest will take at this speed; None when it is not running, or no case has ended of late."""
        if self.phase is not Phase.RUNNING or not self.rate:
            return None
        return (self.selected - self.done) / self.rate


@dataclass(frozen=True)
class RunProgress:
    """How far a run is at one moment; combinations in numbering order."""

    run: str
    pair: str
    now: float
    combinations: tuple[CombinationProgress, ...]

    def in_phase(self, *phases: Phase) -> list[CombinationProgress]:
        """The combinations that are that far."""
        return [one for one in self.combinations if one.phase in phases]

    @property
    def selected(self) -> int:
        """Cases to run. One that has not begun is taken to have as many as the others; 0 as long as none tells."""
        return sum(one.selected for one in self.combinations)

    @property
    def counts(self) -> dict[Verdict, int]:
        """Final results by verdict, in the order of the verdicts."""
        total: Counter[Verdict] = Counter()
        for one in self.combinations:
            total.update(one.counts)
        return {verdict: total[verdict] for verdict in Verdict if total[verdict]}

    @property
    def done(self) -> int:
        """Cases with a final result."""
        return sum(self.counts.values())

    @property
    def rate(self) -> Optional[float]:
        """Cases a second of all that is running; None when nothing is."""
        rates = [one.rate for one in self.in_phase(Phase.RUNNING) if one.rate is not None]
        return sum(rates) if rates else None

    @property
    def left(self) -> Optional[float]:
        """Seconds until the end; None at the end, and where nothing tells.

        A combination that has not begun is taken to last as long as those that are done did on average, and its machines as
        long as they did before; as many run at a time as do now.
        """
        running, waiting = self.in_phase(Phase.RUNNING), self.in_phase(Phase.WAITING)
        done = self.in_phase(Phase.DONE)
        # The speed of those that run does, until one is done.
        whole = [one.seconds / one.done * one.selected for one in done or running if one.done]
        rests = [one.left for one in running]
        if done and whole:  # does for one that has only begun, too
            rests = [
                one.share_left * mean(whole) if left is None and one.seconds < WINDOW else left
                for one, left in zip(running, rests)
            ]
        if whole:
            pause = _pause(self.combinations)
            rests += [one.share_left * mean(whole) + pause for one in waiting]
        if not rests or (waiting and not whole) or None in rests:
            return None
        return sum(rest for rest in rests if rest is not None) / max(len(running), 1)

    @property
    def over(self) -> bool:
        """Whether nothing more comes: every combination is done or not obtained."""
        return len(self.in_phase(*ENDED)) == len(self.combinations)

    @property
    def interrupted(self) -> bool:
        """Whether the run stopped before its end: the playbook that it belonged to is gone."""
        stopped = self.in_phase(Phase.INTERRUPTED)
        return bool(stopped) and not self.in_phase(Phase.RUNNING) and self.quiet > PATIENCE

    @property
    def quiet(self) -> float:
        """Seconds since the last line of any journal; 0 when there is none yet."""
        return max(self.now - max((one.last for one in self.combinations if one.last), default=self.now), 0.0)


def _pause(combinations: Sequence[CombinationProgress]) -> float:
    """Seconds that usually pass between the end of a combination and the beginning of the next, in which machines are made."""
    ends = [one.last for one in combinations if one.phase is Phase.DONE and one.last]
    pauses = []
    for begun in (one.begun for one in combinations if one.begun):
        before = [end for end in ends if end <= begun]
        if before:
            pauses.append(begun - max(before))
    return median_low(pauses) if pauses else 0.0


class RunFollower:
    """Follows a run's folder. Each look reads only what has been added since the one before."""

    def __init__(self, folder: Path, since: float = 0.0) -> None:
        """:param folder: ``results/<run>/``.
        :param since: seconds since 1970; what was left by a start of the run before that counts as waiting for this one.
        :raises LabError: when run.json is missing, broken or of another schema.
        """
        self.folder = folder
        self._since = since
        data = read_run_file(folder / RUN_FILE)
        self._run, self._pair = str(data["run"]), str(data["pair"]["name"])
        names = sorted(check_combinations(data["combinations"]), key=COMBINATIONS.index)
        self._journals = {name: _Growing(folder / name / JOURNAL_FILE) for name in names}

    def look(self, now: float) -> RunProgress:
        """How far the run is.

        :param now: seconds since 1970.
        :raises LabError: when a journal is broken or another combination's, or the folder is gone.
        """
        if not self.folder.is_dir():
            raise LabError(f"the folder {self.folder} is gone; name a run that is there")
        for name, journal in self._journals.items():
            journal.read_on()
            if journal.combination not in ("", name):
                raise LabError(
                    f"the journal {journal.path} is of combination '{journal.combination}', not '{name}'; "
                    "put it back into its own folder"
                )
        others = max((len(journal.selected) for journal in self._journals.values()), default=0)
        return RunProgress(self._run, self._pair, now, tuple(
            self._progress(name, journal, now, others) for name, journal in self._journals.items()
        ))

    def _progress(self, name: str, journal: _Growing, now: float, others: int) -> CombinationProgress:
        note = self._note(name)
        counts = Counter(journal.verdicts.values())
        phase = self._phase(journal, note)
        seconds, rate = journal.seconds, None
        if phase is Phase.RUNNING:
            seconds += max(now - journal.last, 0.0)
            since = max(journal.starts[-1], now - WINDOW)
            rate = sum(time > since for time in journal.ended.values()) / max(now - since, 1.0)
        elif phase is Phase.DONE:
            rate = sum(counts.values()) / max(seconds, 1.0)
        return CombinationProgress(
            name, phase, len(journal.selected) or others, {verdict: counts[verdict] for verdict in Verdict if counts[verdict]},
            seconds, rate, journal.starts[0] if journal.starts else None, journal.last or None,
            _reason(note) if note and phase is Phase.NOT_OBTAINED else "",
        )

    def _phase(self, journal: _Growing, note: Optional[Path]) -> Phase:
        if not journal.starts:
            return Phase.NOT_OBTAINED if note else Phase.WAITING
        if journal.complete or set(journal.selected) <= set(journal.verdicts):
            return Phase.DONE
        # A note that is older than the journal's last line is of a start of the run that this one goes on with.
        if note and (_modified(note) or 0.0) >= journal.last:
            return Phase.NOT_OBTAINED
        if journal.starts[-1] < self._since:
            return Phase.WAITING
        return Phase.INTERRUPTED if journal.complete is False else Phase.RUNNING

    def _note(self, name: str) -> Optional[Path]:
        """The note that a combination was not obtained, unless it was left before the time to follow since."""
        path = self.folder / name / NOT_OBTAINED_FILE
        modified = _modified(path)
        return path if modified is not None and modified >= self._since else None


@dataclass
class _Growing:
    """A journal that may not be there yet and grows: what its whole lines have said up to now."""

    path: Path
    combination: str = ""
    selected: list[str] = field(default_factory=list)  # by any start of the run
    verdicts: dict[str, Verdict] = field(default_factory=dict)  # of the final results, by case id
    ended: dict[str, float] = field(default_factory=dict)  # when they came
    starts: list[float] = field(default_factory=list)  # the time of each header
    complete: Optional[bool] = None  # what the last start has said at its end; None before it
    last: float = 0.0  # time of the last line
    seconds: float = 0.0  # from each header to the last line before the next
    _offset: int = 0
    _lines: int = 0

    def read_on(self) -> None:
        """Take the whole lines that were added; a torn one at the end waits for its end.

        :raises LabError: when the journal cannot be read, a line of it is broken, or it has become shorter.
        """
        try:
            with self.path.open("rb") as stream:
                size = os.fstat(stream.fileno()).st_size
                if size < self._offset:
                    raise LabError(f"the journal {self.path} has become shorter while it was followed; begin again")
                stream.seek(self._offset)
                added = stream.read(size - self._offset)
        except FileNotFoundError:
            return
        except OSError as error:
            raise LabError(f"the journal {self.path} cannot be read: {error.strerror}") from error
        whole = added[: added.rfind(b"\n") + 1]
        self._offset += len(whole)
        for line in whole.split(b"\n")[:-1]:
            self._lines += 1
            entry = read_line(self.path, self._lines, line) if line else None
            if entry:
                self._take(entry)

    def _take(self, entry: Union[CaseResult, dict[str, Any]]) -> None:
        time = entry.time if isinstance(entry, CaseResult) else float(entry["time"])
        if not isinstance(entry, CaseResult) and entry["type"] == "header":
            self.combination = str(entry["combination"])
            self.selected = list(dict.fromkeys([*self.selected, *entry["selected"]]))
            self.starts.append(time)
            self.complete = None
        else:
            self.seconds += max(time - self.last, 0.0)
        if isinstance(entry, CaseResult):
            if entry.final:
                self.verdicts[entry.case] = entry.verdict
                self.ended.setdefault(entry.case, time)
        elif entry.get("event") == "end":
            self.complete = bool(entry["complete"])
        self.last = max(self.last, time)


def _modified(path: Path) -> Optional[float]:
    """When a file was written last, seconds since 1970; None when it is not there."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return None


def _reason(note: Path) -> str:
    """Why a combination was not obtained; empty while the note is being written."""
    try:
        return one_line(json.loads(note.read_bytes())["reason"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""
