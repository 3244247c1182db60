# SPDX-License-Identifier: GPL-3.0-or-later
"""Follows a run from another terminal by reading its journals: what ``make watch`` starts.

Exit status: 0 when the run has ended, 1 when it was interrupted, 2 when there is no such run or it cannot be read, 130 after
Ctrl-C.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from pathlib import Path
from typing import Optional, Sequence

from ..model.errors import LabError
from ..results.run_folders import named_run, run_of
from .face import choose_face
from .follower import RunFollower
from .run_progress import RunProgress

INTERVAL = 1.0  # seconds between two looks


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """Watch the run that the command line names; returns the exit status."""
    parser = argparse.ArgumentParser(prog="watch", description="Follow a run by its journals; nothing is written.")
    parser.add_argument("--results", type=Path, default=Path("results"), help="folder with the runs (default: %(default)s)")
    parser.add_argument("--run", default="", help="name of the run (default: the one that was started last)")
    given = parser.parse_args(arguments)
    # A shell starts what it puts into the background of a script with SIGINT ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        progress = _watch(RunFollower(_folder(given.results, given.run)))
    except LabError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    if not progress.over:
        print(f"run {progress.run} was interrupted; -e run={progress.run} -e resume=true resumes it", file=sys.stderr)
        return 1
    return 0


def _folder(results: Path, run: str) -> Path:
    """The folder of the named run, or of the newest.

    :raises LabError: when there is none.
    """
    if not results.is_dir():
        raise LabError(f"there is no results folder {results}; start a run, or name the folder that has them")
    return named_run(results, run) if run else run_of(results)


def _watch(follower: RunFollower) -> RunProgress:
    face = choose_face(lambda line: print(line, flush=True))
    progress = follower.look(time.time())
    face.start(progress)
    try:
        while not (progress.over or progress.interrupted):
            time.sleep(INTERVAL)
            progress = follower.look(time.time())
            face.update(progress)
    finally:
        face.stop()
    return progress


if __name__ == "__main__":
    sys.exit(main())
