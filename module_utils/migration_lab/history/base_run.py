# SPDX-License-Identifier: GPL-3.0-or-later
"""Chooses the run that a report is compared with."""

from __future__ import annotations

from typing import Optional

from ..model.errors import LabError
from ..results.run import Run
from ..results.run_folders import named_run, read_other_run
from .entry import record_of
from .update import HistoryUpdate

# In place of a run's name: the last comparable run before this one.
LAST = "last"


def base_run(run: Run, base: str, update: Optional[HistoryUpdate]) -> tuple[Optional[Run], list[str]]:
    """The run to compare with.

    :param base: name of a run beside this one, or ``last``: the last complete one that was started before this one with the
        same pair, profile, guest, combinations and cases; where none is complete, the last one that has any result.
    :param update: the history, which is needed for ``last``.
    :returns: the run, None when there is no last one, and remarks on the choice, a sentence each.
    :raises LabError: when the named run is not there, is this one, or cannot be read.
    """
    root = run.folder.parent
    if base != LAST:
        folder = named_run(root, base)
        if folder.name == run.folder.name:
            raise LabError(f"run {base} cannot be compared with itself; name another run, or base={LAST}")
        return read_other_run(folder), []
    if update is None:
        raise LabError(f"base={LAST} needs the history, and there is none; name a run, or give the history's file")
    notices: list[str] = []
    for name in update.history.comparable(record_of(run)):
        if not (root / name).exists():
            continue  # removed since; what the history has of it is too little to compare with
        try:
            return read_other_run(root / name), notices
        except LabError as error:
            notices.append(f"not compared with run {name}, because {error}")
    notices.append("compared with no other run: none before it has the same pair, profile, guest, combinations and cases")
    return None, notices
