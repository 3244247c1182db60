# SPDX-License-Identifier: GPL-3.0-or-later
"""Counts of a run in progress."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass
class Tally:
    """Cases by verdict, and the seconds that their migrations took."""

    total: int
    verdicts: Counter[str] = field(default_factory=Counter)
    call_seconds: float = 0.0

    @property
    def done(self) -> int:
        return sum(self.verdicts.values())
