# SPDX-License-Identifier: GPL-3.0-or-later
"""A journal that is read while it grows."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Optional

from ..journal.journal import Record, read_line
from ..model.errors import LabError


class GrowingJournal:
    """What the whole lines of a journal hold up to now, in ``record``."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.record = Record(path)
        self.complete: Optional[bool] = None  # whether the last start ran all cases; None before its end
        self._offset = 0
        self._lines = 0

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
                self.record.take(entry)
            if isinstance(entry, dict) and entry["type"] == "header":
                self.complete = None
            elif isinstance(entry, dict) and entry["event"] == "end":
                self.complete = bool(entry["complete"])
