# SPDX-License-Identifier: GPL-3.0-or-later
"""Counts of a run in progress."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field


@dataclass
class Tally:
    """Counts of a run while it goes on."""

    total: int
    started: float = field(default_factory=time.monotonic)
    verdicts: Counter[str] = field(default_factory=Counter)
    call_seconds: float = 0.0

    @property
    def done(self) -> int:
        return sum(self.verdicts.values())

    def line(self) -> str:
        """Progress in a line: cases done, verdicts, speed, time left."""
        elapsed = max(time.monotonic() - self.started, 0.001)
        counts = ", ".join(f"{count} {verdict}" for verdict, count in sorted(self.verdicts.items())) or "none yet"
        speed = self.done / elapsed
        left = f"{(self.total - self.done) / speed:.0f} s left" if speed else "time left unknown"
        return f"{self.done}/{self.total} cases, {counts}, {speed:.1f} cases/s, {left}"
