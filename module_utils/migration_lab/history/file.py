# SPDX-License-Identifier: GPL-3.0-or-later
"""The file of the history, results/history.sqlite.

Nobody works on the file but for a moment. A report reads a copy of it in memory, adds there what is missing, and only when
everything else is right brings the file to the same state. A file that cannot be trusted is set aside, and made again.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import time
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Iterable, Iterator, Optional
from urllib.parse import quote

from ..model.errors import LabError
from .entry import RunRecord
from .history import History
from .schema import VERSION, fault, migrate, version

# Seconds to wait for another writer; a run takes milliseconds to write.
_PATIENCE = 30.0

# SQLite's primary result codes for a file that is not, or not any more, a database; other errors are not the file's fault.
_BROKEN = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT)

# What SQLite keeps beside a database in WAL mode.
_BESIDE = ("-wal", "-shm")

_ADVICE = "put that right and make the report again: the journals are whole"


class _BrokenHistoryError(Exception):
    """SQLite cannot read the file as a database."""


def read_history(path: Path) -> tuple[History, str, bool]:
    """A copy of the history in memory, of the current version; the file is not changed.

    :returns: the copy, which is empty when there is no file or it cannot be trusted; in words why it cannot; and whether
        the file is missing, or of an older version.
    :raises LabError: when the file cannot be read.
    """
    memory, problem = _memory(), ""
    if path.exists():
        try:
            with _readable_errors(path), closing(_open(path, "rw")) as disk:
                disk.backup(memory)
                problem = fault(memory)
        except _BrokenHistoryError as error:
            problem = str(error)
    if problem:
        memory.close()
        memory = _memory()
    outdated = version(memory) < VERSION
    migrate(memory)
    return History(memory), problem, outdated


def write_history(path: Path, records: Iterable[RunRecord], place: Optional[Path] = None) -> list[Path]:
    """Keep runs in the history's file. Writers wait for each other; a file that cannot be trusted is set aside first.

    :param place: where a file that cannot be trusted goes; None, or when there is something already: ``aside``.
    :returns: the files that were made or changed: one set aside, and the history.
    :raises LabError: when the file cannot be written.
    """
    changed: list[Path] = []
    try:
        with _readable_errors(path), _alone(path):
            if read_history(path)[1]:
                changed.append(_set_aside(path, place if place and not place.exists() else aside(path)))
            with closing(_open(path, "rwc")) as disk:
                outdated = version(disk) < VERSION
                disk.execute("PRAGMA journal_mode = WAL")
                migrate(disk)
                history = History(disk)
                put = [history.put(record) for record in records]
    except _BrokenHistoryError as error:
        raise LabError(f"the history {path} broke while it was written ({error}); make the report again") from error
    if outdated or any(put):
        changed.append(path)
    return changed


def aside(path: Path) -> Path:
    """Where a broken history is kept from now on: ``history.sqlite.broken-<UTC time>``."""
    stem = f"{path.name}.broken-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}"
    place, number = path.with_name(stem), 1
    while place.exists():
        number += 1
        place = path.with_name(f"{stem}-{number}")
    return place


def _set_aside(path: Path, place: Path) -> Path:
    """Move the file, with what SQLite keeps beside it, which belongs to this file alone."""
    for end in _BESIDE:
        beside = path.with_name(path.name + end)
        if beside.exists():
            beside.rename(place.with_name(place.name + end))
    return path.rename(place)


def _memory() -> sqlite3.Connection:
    return sqlite3.connect(":memory:", isolation_level=None)


def _open(path: Path, mode: str) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{quote(str(path))}?mode={mode}", uri=True, timeout=_PATIENCE, isolation_level=None)


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Be the only one who sets aside, migrates or writes: the folder is locked, for there may be no file yet, or a broken one."""
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


@contextmanager
def _readable_errors(path: Path) -> Iterator[None]:
    """Turn the errors of SQLite and the system into one for a broken file, and a readable one for everything else."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        code = getattr(error, "sqlite_errorcode", 0)
        if code & 0xFF in _BROKEN or code == sqlite3.SQLITE_IOERR_SHORT_READ:
            raise _BrokenHistoryError(str(error)) from error
        raise LabError(f"the history {path} cannot be read or written ({error}); {_ADVICE}") from error
    except OSError as error:
        raise LabError(f"the history {path} cannot be written ({error.strerror}); {_ADVICE}") from error
