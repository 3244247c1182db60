# SPDX-License-Identifier: GPL-3.0-or-later
"""The runs in a folder of results: ``results/<run>/``, each with a run.json."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import Iterator, Optional

from ..journal.files import RUN_FILE, journal_paths, not_obtained_paths
from ..journal.run_file import read_run_file
from ..model.errors import LabError
from ..model.pair import releases_of
from .comparison import compare
from .run import Run, read_run

# How many runs a sentence names.
_NAMED = 5


def run_folders(root: Path) -> list[Path]:
    """The folders of all runs, by name. A link to a run is not a run of its own."""
    return sorted(path.parent for path in root.glob(f"*/{RUN_FILE}") if not path.parent.is_symlink())


def newest_first(root: Path) -> list[Path]:
    """The folders of the runs whose run.json can be read, that which was started last first."""
    started = {folder: when for folder in run_folders(root) if (when := _started(folder)) is not None}
    return sorted(started, key=lambda folder: (started[folder], folder.name), reverse=True)


def run_of(folder: Path) -> Path:
    """The folder itself where it is a run's, else that of the run in it that was started last.

    :raises LabError: when it is neither a run's nor has one in it whose run.json can be read.
    """
    if (folder / RUN_FILE).exists():
        return folder
    if not folder.exists():
        return named_run(folder.parent, folder.name)
    runs = newest_first(folder)
    if runs:
        return runs[0]
    if run_folders(folder):
        raise LabError(f"no run in {folder} has a run.json that can be read; name one, to see what is wrong with it")
    raise LabError(f"there is no run in {folder}; run the matrix first, or set results_root")


def named_run(root: Path, name: str) -> Path:
    """The folder of a run.

    :raises LabError: when there is none of that name, with the names of the newest ones.
    """
    folder = root / name
    if folder.parent == root and (folder / RUN_FILE).is_file():
        return folder
    names = [run.name for run in newest_first(root)]
    there = f"the newest are {', '.join(names[:_NAMED])}" if names[_NAMED:] else f"there are {', '.join(names)}"
    raise LabError(f"there is no run '{name}' in {root}; {there if names else 'there is none at all'}")


def read_other_run(folder: Path) -> Run:
    """Read a run that is not the one that a report is made of.

    :raises LabError: when its run.json or a journal cannot be used, also where something in them is missing or of another kind
        than the lab writes it.
    """
    with readable_damage(folder):
        run = read_run(folder)
        run.summary  # noqa: B018 - it is made from every line of every journal
        compare(run, run)  # whatever is needed to compare another run with it
        run.data["pair"]["name"]
        releases_of(run.data["pair"])
    return run


@contextmanager
def readable_damage(folder: Path) -> Iterator[None]:
    """Turn the errors that a damaged run folder causes into one readable error.

    :param folder: of the run that is read inside.
    :raises LabError: in place of the error that the damage leads to.
    """
    try:
        yield
    except (AttributeError, IndexError, KeyError, TypeError, ValueError, OSError) as error:
        raise LabError(f"{RUN_FILE} or a journal in {folder} is not as the lab writes it ({error!r}); restore it") from error


def journal_bytes(folder: Path) -> int:
    """Size of what a run's results are made from, in bytes; a journal only grows, so another size means another content."""
    return sum(
        path.stat().st_size
        for combination in folder.iterdir()
        for path in [*journal_paths(combination), *not_obtained_paths(combination)]
    )


def _started(folder: Path) -> Optional[str]:
    try:
        return str(read_run_file(folder / RUN_FILE)["started"])
    except LabError:
        return None
