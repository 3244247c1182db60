# SPDX-License-Identifier: GPL-3.0-or-later
"""Brings the history up to the run folders: reads the journals of runs that it lacks or that have grown since."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from ..journal.files import HISTORY_FILE
from ..model.errors import LabError
from ..results.run import Run
from ..results.run_folders import journal_bytes, read_other_run, readable_damage, run_folders
from ..results.wording import count
from .entry import RunRecord, record_of
from .file import aside, read_history, write_history
from .history import History


@dataclass(frozen=True)
class HistoryUpdate:
    """The history as it will be, in memory, and what makes the file so; nothing is written until ``write``.

    ``notices`` says in a sentence each what was wrong: the file, or a run folder that cannot be read. ``added`` are the
    records that the file lacks. ``place`` is where a file that cannot be trusted goes.
    """

    path: Path
    history: History
    added: list[RunRecord]
    notices: list[str]
    outdated: bool
    place: Path

    def outdated_files(self) -> list[Path]:
        """What ``write`` would change."""
        return [self.path] if self.outdated else []

    def write(self) -> list[Path]:
        """Bring the file to the same state.

        :returns: the files that were made or changed.
        :raises LabError: when it cannot be written.
        """
        return write_history(self.path, self.added, self.place) if self.outdated else []


def plan_update(root: Path, run: Optional[Run] = None, again: bool = False) -> HistoryUpdate:
    """Read the history of the runs in a folder, and the journals of those that it lacks.

    :param root: the folder of the runs, ``results``; the history is in it.
    :param run: a run that is read already, so that it need not be read again.
    :param again: read the journals of all runs. What the history has of runs whose folders are gone stays.
    :raises LabError: when there is no such folder, or the history's file cannot be read.
    """
    if not root.is_dir():
        raise LabError(f"there is no folder {root}; run the matrix first, or set results_root")
    path = root / HISTORY_FILE
    history, problem, old = read_history(path)
    place = aside(path)
    notices = []
    if problem:
        notices.append(
            f"the history {path} cannot be trusted ({problem}): it is set aside as {place.name} and made again from the journals"
        )
    kept, folders, known = history.journal_bytes(), run_folders(root), {run.folder.name: run} if run else {}
    added = []
    for folder in folders:
        try:
            with readable_damage(folder):
                if folder.name not in known and not again and kept.get(folder.name) == journal_bytes(folder):
                    continue
                record = record_of(known.get(folder.name) or read_other_run(folder))
        except LabError as error:
            notices.append(f"run {folder.name} is left out of the history, because {error}")
            continue
        if history.put(record):
            added.append(record)
    gone = sorted(set(kept) - {folder.name for folder in folders})
    if again and gone:
        notices.append(f"what the history has of {count(len(gone), 'run')} without a folder was kept: {', '.join(gone)}")
    return HistoryUpdate(path, history, added, notices, old or bool(problem or added), place)
