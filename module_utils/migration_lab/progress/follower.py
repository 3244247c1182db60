# SPDX-License-Identifier: GPL-3.0-or-later
"""Follows run.json and the journals of a run's folder while they grow.

It reads and never writes, so that any number of followers may look at a run, from its beginning or later.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Iterable, Optional

from ..journal.files import RUN_FILE, journal_paths, not_obtained_paths
from ..journal.journal import check_combination, merge_records, wall_seconds
from ..journal.run_file import read_run_file
from ..model.combination import check_combinations, shown_order
from ..model.errors import LabError
from ..model.pair import classes_of, pair_text
from ..model.verdict import Verdict
from ..results.wording import one_line
from .growing_journal import GrowingJournal
from .run_progress import WINDOW, CombinationProgress, Phase, RunProgress


class RunFollower:
    """Follows a run's folder. Each look reads only what has been added since the one before."""

    def __init__(self, folder: Path, since: float = 0.0) -> None:
        """:param folder: ``results/<run>/``.
        :param since: seconds since 1970; what was left by a start of the run before that counts as waiting for this one.
        :raises LabError: when run.json is missing, broken or of another schema.
        """
        self.folder = folder
        data = read_run_file(folder / RUN_FILE)
        self._run, self._pair = str(data["run"]), pair_text(data["pair"])
        names = sorted(check_combinations(data["combinations"], classes_of(data["pair"])), key=shown_order)
        planned = data.get("selected", {})  # runs of older labs have it in their journals alone
        self._combinations = [_Combination(folder / name, since, planned.get(name, ())) for name in names]

    def look(self, now: float) -> RunProgress:
        """How far the run is.

        :param now: seconds since 1970.
        :raises LabError: when a journal is broken or another combination's, or the folder is gone.
        """
        if not self.folder.is_dir():
            raise LabError(f"the folder {self.folder} is gone; name a run that is there")
        for combination in self._combinations:
            combination.read_on()
        others = max((len(combination.selected) for combination in self._combinations), default=0)
        return RunProgress(self._run, self._pair, now, tuple(one.progress(now, others) for one in self._combinations))


class _Combination:
    """A combination's folder: a journal, and perhaps a note that it was not obtained, for each cell that worked on it."""

    def __init__(self, folder: Path, since: float, planned: Iterable[str]) -> None:
        self._folder = folder
        self._since = since
        self._planned = set(planned)
        self._journals: dict[Path, GrowingJournal] = {}

    def read_on(self) -> None:
        """Take what was added."""
        for path in journal_paths(self._folder):
            journal = self._journals.setdefault(path, GrowingJournal(path))
            journal.read_on()
            check_combination(journal.record, self._folder.name)

    @property
    def selected(self) -> set[str]:
        """The ids of its cases; empty when neither run.json nor a journal has them."""
        return self._planned or {case for journal in self._journals.values() for case in journal.record.selected}

    def progress(self, now: float, others: int) -> CombinationProgress:
        """:param others: cases of the combination with the most, taken for one whose cases are not known."""
        journals = [journal for journal in self._journals.values() if journal.record.stretches]
        notes = {_cell(path): path for path in not_obtained_paths(self._folder) if _modified(path) >= self._since}
        begun = {_cell(journal.path): self._phase(journal, notes.get(_cell(journal.path))) for journal in journals}
        whole, selected = merge_records(self._folder, [journal.record for journal in journals]), self.selected
        counts = Counter(line.verdict for line in whole.cases.values())
        phases = {**dict.fromkeys(notes, Phase.NOT_OBTAINED), **begun}  # a cell that never began has a note alone
        order = (Phase.RUNNING, Phase.INTERRUPTED, Phase.NOT_OBTAINED)
        phase = next((one for one in order if one in phases.values()), Phase.WAITING)
        if selected and selected <= set(whole.cases):
            phase = Phase.DONE
        running = [journal for journal in journals if phases[_cell(journal.path)] is Phase.RUNNING and phase is Phase.RUNNING]
        starts = [journal.record.stretches[-1][0] for journal in running]
        seconds, rate = wall_seconds([*whole.stretches, *((start, now) for start in starts)]), None
        if running:
            since = max(min(starts), now - WINDOW)
            recent = sum(line.time > since for journal in journals for line in journal.record.cases.values())
            rate = recent / max(now - since, 1.0)
        elif phase is Phase.DONE:
            rate = len(whole.cases) / max(seconds, 1.0)
        reasons = dict.fromkeys(_reason(notes[cell]) for cell in phases if phases[cell] is Phase.NOT_OBTAINED)
        return CombinationProgress(
            self._folder.name, phase, len(selected) or others,
            {verdict: counts[verdict] for verdict in Verdict if counts[verdict]}, seconds, rate,
            min((start for start, _ in whole.stretches), default=None), whole.last if journals else None,
            "; ".join(filter(None, reasons)) if phase is Phase.NOT_OBTAINED else "",
        )

    def _phase(self, journal: GrowingJournal, note: Optional[Path]) -> Phase:
        """How far a cell is with its share."""
        if journal.complete:
            return Phase.DONE
        # A note that is older than the journal's last line is of a start of the run that this one resumes.
        if note and _modified(note) >= journal.record.last:
            return Phase.NOT_OBTAINED
        if journal.record.stretches[-1][0] < self._since:
            return Phase.WAITING
        return Phase.INTERRUPTED if journal.complete is False else Phase.RUNNING


def _cell(path: Path) -> str:
    """The cell's part of the name of a journal or note: ``-a``, or nothing where there was one cell for a combination."""
    return path.stem.removeprefix("journal").removeprefix("not-obtained")


def _modified(path: Path) -> float:
    """When a file was written last, seconds since 1970; 0 when it is gone."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _reason(note: Path) -> str:
    """Why a combination was not obtained; empty while the note is being written."""
    try:
        return one_line(json.loads(note.read_bytes())["reason"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""
