# SPDX-License-Identifier: GPL-3.0-or-later
"""A journal that is read while it grows."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Optional, Union

from ..journal.case_result import CaseResult
from ..journal.journal import read_line
from ..model.errors import LabError
from ..model.verdict import Verdict


@dataclass
class GrowingJournal:
    """What the whole lines of a journal hold up to now."""

    path: Path
    combination: str = ""
    selected: list[str] = field(default_factory=list)  # by any start of the run
    verdicts: dict[str, Verdict] = field(default_factory=dict)  # of the final results, by case id
    ended: dict[str, float] = field(default_factory=dict)  # when they came
    complete: Optional[bool] = None  # whether the last start ran all cases; None before its end
    last: float = 0.0  # time of the last line
    stretches: list[tuple[float, float]] = field(default_factory=list)  # from each header to the last line before the next
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
            self.stretches.append((time, time))
            self.complete = None
        elif self.stretches:
            start, end = self.stretches[-1]
            self.stretches[-1] = start, max(end, time)
        if isinstance(entry, CaseResult):
            if entry.final:
                self.verdicts.setdefault(entry.case, entry.verdict)
                self.ended.setdefault(entry.case, time)
        elif entry.get("event") == "end":
            self.complete = bool(entry["complete"])
        self.last = max(self.last, time)
