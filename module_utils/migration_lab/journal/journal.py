# SPDX-License-Identifier: GPL-3.0-or-later
"""The journal of a combination: append-only, one JSON object a line.

A line is written with a single ``write`` on a descriptor opened for appending, so that a killed run leaves at most one
torn line, the last.  Types of line: ``header`` (first, and again at each resume), ``case`` (``CaseResult``) and ``event``
(a daemon's death, an agent's replacement, the end).
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Iterable, Optional, Union

from ..model.errors import LabError
from .case_result import HELD_DEATH, CaseResult
from .files import journal_paths

SCHEMA = 1

# What must be the same for a journal to be resumed.
IDENTITY = ("combination", "pair", "versions", "profile", "guests", "ledger", "tap", "guest_checks")


class Journal:
    """Writer of a journal. Safe for use from several threads: a line is one write."""

    def __init__(self, path: Path) -> None:
        """Open the journal for appending, making it and its folder when they are missing.

        :raises LabError: when the folder cannot be written.
        """
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            _close_torn_line(path)
            self._failed = ""
            self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise LabError(f"the journal {path} cannot be written: {error.strerror}; choose another results folder") from error

    def append(self, kind: str, **fields: Any) -> None:
        """Append one line of the given type, with the time (seconds since 1970) added."""
        line = json.dumps({"type": kind, "time": round(time.time(), 3), **fields}, separators=(",", ":")) + "\n"
        data = line.encode()
        try:
            if self._failed:
                raise OSError(self._failed)
            written = os.write(self._descriptor, data)
            if written != len(data):
                self._failed = "the disk is full"
                os.write(self._descriptor, _TORN + b"\n")
                raise OSError(self._failed)
        except OSError as error:
            self._failed = self._failed or error.strerror or str(error)
            raise LabError(
                f"the journal {self.path} cannot be written any more ({self._failed}); put that right and resume with resume=true"
            ) from error

    def add(self, result: CaseResult) -> None:
        """Append an attempt at a case."""
        self.append("case", **result.to_data())

    def close(self) -> None:
        """Bring the journal to the disk and close it."""
        os.fsync(self._descriptor)
        os.close(self._descriptor)


@dataclass(frozen=True)
class Death:
    """The death of one or more daemons: what is known of it, and the ids of the cases around it."""

    detail: str
    in_flight: tuple[str, ...]
    culprits: tuple[str, ...] = ()
    logs: tuple[str, ...] = ()
    machine: str = ""  # the role, or several with commas


@dataclass
class Record:
    """What was read of a journal, or of all journals of a combination: the final result of each case by case id, and the lines.

    ``headers`` has one entry for each start of a cell: the header, and those repeated at a resume. ``stretches`` are the times
    from each header to the last line before the next one of its journal, in seconds since 1970. ``path`` is the journal's, or
    the combination's folder.
    """

    path: Path
    header: Optional[dict[str, Any]] = None
    headers: list[dict[str, Any]] = field(default_factory=list)
    cases: dict[str, CaseResult] = field(default_factory=dict)
    attempts: list[CaseResult] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    stretches: list[tuple[float, float]] = field(default_factory=list)
    torn: bool = False

    def take(self, entry: Union[CaseResult, dict[str, Any]]) -> None:
        """Add what ``read_line`` read of the next line."""
        time = entry.time if isinstance(entry, CaseResult) else float(entry["time"])
        if isinstance(entry, CaseResult):
            self.attempts.append(entry)
            if entry.final:
                self.cases.setdefault(entry.case, entry)
        elif entry["type"] == "header":
            self.header = self.header or entry
            self.headers.append(entry)
            self.stretches.append((time, time))
        else:
            self.events.append(entry)
        if self.stretches:
            start, end = self.stretches[-1]
            self.stretches[-1] = start, max(end, time)

    @property
    def selected(self) -> tuple[str, ...]:
        """The case ids that any start selected; those of the longest list first, which is in the profile's order."""
        lists = sorted((header["selected"] for header in self.headers), key=len, reverse=True)
        return tuple(dict.fromkeys(case for selected in lists for case in selected))

    @property
    def seconds(self) -> float:
        """Wall time spent running: pauses before a resume are left out, and time in which several cells ran counts once."""
        return round(wall_seconds(self.stretches), 3)

    @property
    def last(self) -> float:
        """Time of the last line, seconds since 1970; 0 without any."""
        return max((end for _, end in self.stretches), default=0.0)

    @property
    def unexplained_deaths(self) -> list[Death]:
        """Deaths of a daemon that no case is to blame for: a run with one is not green.

        Attempts that a death interrupted, of which a killed run could not journal the death, count as one.
        """
        deaths = [
            Death(
                event["detail"], tuple(event["in_flight"]), tuple(event["culprits"]), tuple(event["logs"]), event["machine"],
            )
            for event in self.events
            if event["event"] == "daemon-death"
        ]
        explained = {case for death in deaths for case in death.in_flight}
        held = [attempt.case for attempt in self.attempts if not attempt.final and attempt.held == HELD_DEATH]
        unreported = tuple(case for case in held if case not in explained)
        unexplained = [death for death in deaths if not death.culprits]
        if unreported:
            unexplained.append(Death("a daemon died, and the run was interrupted before the cause was found", unreported))
        return unexplained


def wall_seconds(stretches: Iterable[tuple[float, float]]) -> float:
    """The time that stretches from start to end cover, overlaps counted once."""
    total, reached = 0.0, 0.0
    for start, end in sorted(stretches):
        total += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return total


def read_journal(path: Path) -> Record:
    """Read a journal. A torn last line, left by a killed run, is skipped and noted in ``torn``.

    :raises LabError: when the file cannot be read, a line in the middle is broken, or the schema differs.
    """
    record = Record(path)
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise LabError(f"the journal {path} cannot be read: {error.strerror}") from error
    for number, line in enumerate(lines, start=1):
        if not line:
            continue
        if number == len(lines):  # what does not end in a line break was interrupted, even where it reads well
            record.torn = True
            continue
        entry = read_line(path, number, line)
        if entry is None:
            record.torn = True
        else:
            record.take(entry)
    return record


def read_journals(folder: Path) -> Record:
    """The merged record of a combination, from the journals of all cells that worked on it.

    :param folder: of the combination, ``results/<run>/<combination>``; without a journal in it the record is empty.
    :raises LabError: as ``read_journal``.
    """
    return merge_records(folder, map(read_journal, journal_paths(folder)))


def merge_records(folder: Path, records: Iterable[Record]) -> Record:
    """The record of a combination from those of its journals.

    Of two final results of a case the earliest counts: what one cell had finished, another may have run again unknowingly.
    """
    merged = Record(folder)
    for record in records:
        merged.headers += record.headers
        merged.attempts += record.attempts
        merged.events += record.events
        merged.stretches += record.stretches
        merged.torn |= record.torn
    merged.headers.sort(key=lambda header: float(header["time"]))
    merged.attempts.sort(key=lambda attempt: attempt.time)
    merged.events.sort(key=lambda event: float(event["time"]))
    merged.header = merged.headers[0] if merged.headers else None
    for attempt in merged.attempts:
        if attempt.final:
            merged.cases.setdefault(attempt.case, attempt)
    return merged


# Marks a line that a killed run left torn and after which a resumed run continued.
_TORN = b"#torn"


def _close_torn_line(path: Path) -> None:
    """Mark the torn last line of an existing journal, so that the next line starts on its own and readers know."""
    if path.exists() and path.stat().st_size:
        with path.open("r+b") as stream:
            stream.seek(-1, os.SEEK_END)
            if stream.read(1) != b"\n":
                stream.write(_TORN + b"\n")


def read_line(path: Path, number: int, line: bytes) -> Optional[Union[CaseResult, dict[str, Any]]]:
    """What a whole line of a journal says: a case's result, or the data of a header or event; None for one that is marked torn.

    :param path: of the journal, and ``number`` of the line in it, for the error.
    :param line: without its line break.
    :raises LabError: when the line is broken, or the schema differs.
    """
    try:
        entry = json.loads(line)
    except ValueError as error:
        if line.endswith(_TORN):
            return None
        raise LabError(f"line {number} of the journal {path} is not JSON; restore the file or remove it") from error
    kind = entry.get("type") if isinstance(entry, dict) else None
    needed = {"header": {"schema", "time"}, "case": set(), "event": {"event", "time"}}
    if kind not in needed:
        raise LabError(f"line {number} of the journal {path} has the unknown type '{kind}'; restore the file or remove it")
    if kind == "case":
        try:
            return CaseResult.from_data(entry)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise LabError(
                f"line {number} of the journal {path} is not a case as the lab writes it ({error!r}); restore the file"
            ) from error
    if not needed[kind] <= set(entry):
        raise LabError(f"line {number} of the journal {path} is a {kind} without all of its fields; restore the file")
    if kind == "header" and entry["schema"] != SCHEMA:
        raise LabError(
            f"the journal {path} has schema {entry['schema']}, this lab reads schema {SCHEMA}; "
            "use the lab's version that wrote it"
        )
    read: dict[str, Any] = entry
    return read


def check_combination(record: Record, name: str) -> None:
    """Refuse a journal that is in the folder of another combination.

    :raises LabError: naming both.
    """
    for header in record.headers:
        if header["combination"] != name:
            raise LabError(
                f"a journal's header in {record.path} is of combination '{header['combination']}', not '{name}'; "
                "put the journal back into its own folder"
            )


def check_same(record: Record, header: dict[str, Any]) -> None:
    """Refuse to resume a journal that another setting made. In another cell's, facts of its machines and lab host may differ.

    :raises LabError: naming each field that differs.
    """
    if record.header is None:
        return
    before, now = record.header, header
    if before.get("cell") != now.get("cell"):
        before, now = _of_any_cell(before), _of_any_cell(now)
    differing = [_difference(name, before.get(name), now.get(name)) for name in IDENTITY if before.get(name) != now.get(name)]
    if differing:
        raise LabError(
            f"the journal {record.path} cannot be resumed: {'; '.join(differing)}; "
            "start a new run, or put back what the journal was made with"
        )


def _difference(name: str, before: Any, now: Any) -> str:
    """What differs; what is as long as a guest's XML is only named."""
    text = f"{name} was {before!r} and is now {now!r}"
    return text if len(text) < 1000 else f"{name} differs"


def _of_any_cell(header: dict[str, Any]) -> dict[str, Any]:
    """A header without what each cell has of its own: its machines' names, and its lab host's kernel and acceleration."""
    versions = {
        role: {name: value for name, value in facts.items() if name not in ("hostname", "kernel")}
        for role, facts in header["versions"].items()
    }
    guests = {name: {**guest, "accel": ""} for name, guest in header["guests"].items()}
    return {**header, "versions": versions, "guests": guests}
