# SPDX-License-Identifier: GPL-3.0-or-later
"""Which runs of a results folder are kept, and the removal of the others.

Kept are the runs of the last days, every run that changed something, the last green one of each kind and the newest. A run
changed something when its outcome differs from that of the comparable run before it, when its report's comparison has a change,
when its night built images of newer packages, and when there is no comparable run before it, because later ones were compared
with it. So a removed run had the outcome of the run before it, and the kept ones show when each outcome began, however often
runs are removed. What cannot be judged is kept: a run without results, of another schema, or with a damaged run.json.
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional, Sequence

from ..journal.files import RUN_FILE
from ..journal.journal import SCHEMA
from ..model.errors import LabError
from ..results.comparable import question
from .night import CHANGES, NIGHT_FILE

DAY = 86400.0  # seconds


@dataclass(frozen=True)
class KeptRun:
    """A run, as far as retention needs it."""

    name: str
    started: str  # ISO 8601 in UTC
    touched: float  # seconds since 1970: when something was last written to it
    kind: str  # equal for comparable runs
    outcome: Optional[str]  # equal for runs with the same results; None while there are none
    green: bool
    newer_images: bool
    compared_changed: bool = False  # whether its report's comparison has a change


def choose(runs: Sequence[KeptRun], now: float, days: float, running: str = "") -> tuple[dict[str, str], list[str]]:
    """Choose the runs to keep.

    :param now: seconds since 1970.
    :param days: runs that something was written to within so many days are kept.
    :param running: a run that is being written, or the night's own.
    :returns: the runs to keep, by name the reason, and the names of those to remove.
    """
    ordered = sorted(runs, key=lambda run: (run.started, run.name))
    green = {run.kind: run.name for run in ordered if run.green}
    keep, remove = {}, []
    before: dict[str, Optional[str]] = {}
    for run in ordered:
        changed = run.outcome is not None and (
            run.newer_images or run.compared_changed or before.get(run.kind) != run.outcome
        )
        if run.outcome is not None:
            before[run.kind] = run.outcome
        if run.name == running:
            keep[run.name] = "it is in progress, or the night's own"
        elif run is ordered[-1]:
            keep[run.name] = "it is the newest"
        elif now - run.touched < days * DAY:
            keep[run.name] = f"it is younger than {days:g} days"
        elif green.get(run.kind) == run.name:
            keep[run.name] = "it is the last green one"
        elif run.outcome is None:
            keep[run.name] = "it has no results to judge it by"
        elif changed:
            keep[run.name] = "it changed something"
        else:
            remove.append(run.name)
    return keep, remove


def find_runs(root: Path) -> list[KeptRun]:
    """The runs in a results folder, without links, other people's folders and runs that this lab cannot read.

    :raises LabError: when the folder cannot be read.
    """
    try:
        folders = sorted(root.iterdir()) if root.is_dir() else []
    except OSError as error:
        raise LabError(f"the results folder {root} cannot be read: {error.strerror}") from error
    return [run for folder in folders if (run := _read(folder))]


def remove_run(root: Path, name: str) -> None:
    """Remove a run, its run.json last, so that what a kill leaves of it is still a run and goes the next time.

    :raises LabError: when it is not a run of the lab, or part of it cannot be removed.
    """
    folder = root / name
    if folder.parent != root or _read(folder) is None:
        raise LabError(f"{folder} is not the folder of a run; nothing of it was removed")
    try:
        for entry in folder.iterdir():
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            elif entry.name != RUN_FILE:
                entry.unlink()
        (folder / RUN_FILE).unlink()
        folder.rmdir()
    except OSError as error:
        raise LabError(f"run {name} could not be removed: {error}; what is left of it goes the next time") from error


def _read(folder: Path) -> Optional[KeptRun]:
    try:
        return _judged(folder)
    except (OSError, AttributeError, KeyError, TypeError):  # it is gone, cannot be read, or its run.json is damaged
        return None


def _judged(folder: Path) -> Optional[KeptRun]:
    path = folder / RUN_FILE
    if folder.is_symlink() or not folder.is_dir() or path.is_symlink() or not path.is_file():
        return None
    data = _object(path)
    if data.get("schema") != SCHEMA or data.get("run") != folder.name or not isinstance(data.get("started"), str):
        return None
    results = data.get("results")
    results = results if isinstance(results, dict) else None
    return KeptRun(
        name=folder.name,
        started=data["started"],
        touched=_touched(folder),
        kind=json.dumps(question(data), sort_keys=True),
        outcome=_outcome(results) if results else None,
        green=bool(results and results.get("green") is True),
        newer_images=bool(_object(folder / NIGHT_FILE).get("packages")),
        compared_changed=bool(results and any((results.get("comparison") or {}).get(kind) for kind in CHANGES)),
    )


def _touched(folder: Path) -> float:
    """When something was last written to a folder. Files that vanish meanwhile are ignored."""
    times = [folder.lstat().st_mtime]
    for path, folders, files in os.walk(folder, onerror=_unless_gone):
        for name in (*folders, *files):
            try:
                times.append(os.lstat(os.path.join(path, name)).st_mtime)
            except FileNotFoundError:
                continue
    return max(times)


def _unless_gone(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error


def _object(path: Path) -> dict[str, Any]:
    """The JSON object in a file; empty when there is none."""
    try:
        data = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}


def _outcome(results: dict[str, Any]) -> str:
    """Verdicts by combination, deviations, and each failure with its reason."""
    counts = {name: data.get("counts") for name, data in results.get("combinations", {}).items()}
    failures = [
        [failure.get(field) for field in ("kind", "combination", "case", "verdict", "reason")]
        for failure in results.get("failures", [])
    ]
    deviations = {str(entry.get("id")): [entry.get("known"), entry.get("fixed")] for entry in results.get("deviations", [])}
    return json.dumps([counts, failures, deviations], sort_keys=True)
