# SPDX-License-Identifier: GPL-3.0-or-later
"""The process that a run belongs to."""

from __future__ import annotations

import os
import select
from typing import Optional


class Owner:
    """When it is gone, nobody waits for the result, and the run ends early."""

    def __init__(self, pid: Optional[int]) -> None:
        """:param pid: process number, or None for a run that belongs to no process."""
        self._descriptor: Optional[int] = None
        self._gone = False
        if pid is not None:
            try:
                self._descriptor = os.pidfd_open(pid)
            except ProcessLookupError:
                self._gone = True

    def gone(self) -> bool:
        """Whether the process has ended."""
        if self._descriptor is not None and not self._gone:
            self._gone = bool(select.select([self._descriptor], [], [], 0)[0])
        return self._gone
