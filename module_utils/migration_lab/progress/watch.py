# SPDX-License-Identifier: GPL-3.0-or-later
"""Follows a run from another terminal by reading its journals: what ``make watch`` starts.

Exit status: 0 when the run has ended, 1 when it was cut off, 2 when there is no such run or it cannot be read, 130 after Ctrl-C.
"""

from __future__ import annotations

import argparse
import os
import sys
import threading
import time
from pathlib import Path
from typing import Optional, Sequence

from ..model.errors import LabError
from ..results.run_folders import named_run, run_of
from .follower import RunFollower, RunProgress
from .live import LiveTable, progress_line, table_wanted

# Seconds between two looks, and between two lines where there is no terminal.
LOOK_INTERVAL = 1.0
LINE_INTERVAL = 5.0


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """Watch the run that the command line names; returns the exit status."""
    parser = argparse.ArgumentParser(prog="watch", description="Follow a run by its journals; nothing is written.")
    parser.add_argument("--results", type=Path, default=Path("results"), help="folder with the runs (default: %(default)s)")
    parser.add_argument("--run", default="", help="name of the run (default: the one that was started last)")
    given = parser.parse_args(arguments)
    try:
        follower = RunFollower(_folder(given.results, given.run))
        progress = _watch_table(follower) if table_wanted(sys.stdout, os.environ) else _watch_lines(follower)
    except LabError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    if not progress.over:
        print(f"run {progress.run} was cut off; -e run={progress.run} -e resume=true goes on with it", file=sys.stderr)
        return 1
    return 0


def _folder(results: Path, run: str) -> Path:
    """The folder of the named run, or of the newest.

    :raises LabError: when there is none.
    """
    if not results.is_dir():
        raise LabError(f"there is no results folder {results}; start a run, or name the folder that has them")
    return named_run(results, run) if run else run_of(results)


def _ended(progress: RunProgress) -> bool:
    return progress.over or progress.cut_off


def _watch_table(follower: RunFollower) -> RunProgress:
    table = LiveTable(threading.RLock())
    progress = follower.look(time.time())
    table.start(progress)
    try:
        while not _ended(progress):
            time.sleep(LOOK_INTERVAL)
            progress = follower.look(time.time())
            table.update(progress)
    finally:
        table.stop()
    return progress


def _watch_lines(follower: RunFollower) -> RunProgress:
    told = 0.0
    while True:
        progress = follower.look(time.time())
        if _ended(progress) or time.monotonic() - told >= LINE_INTERVAL:
            print(progress_line(progress), flush=True)
            told = time.monotonic()
        if _ended(progress):
            return progress
        time.sleep(LOOK_INTERVAL)


if __name__ == "__main__":
    sys.exit(main())
