# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs in progress as rows, and a stream that is a terminal or not."""

from __future__ import annotations

import io
from typing import Optional

from migration_lab.model.combination import COMBINATIONS
from migration_lab.model.verdict import Verdict
from migration_lab.progress.run_progress import CombinationProgress, Phase, RunProgress

NOW = 1_764_000_000.0


def row(
    name: str, phase: Phase, counts: Optional[dict[Verdict, int]] = None, rate: Optional[float] = None, reason: str = "",
    last: Optional[float] = None, seconds: float = 60.0,
) -> CombinationProgress:
    return CombinationProgress(name, phase, 96, counts or {}, seconds, rate, None, last, reason)


def run_of(*rows: CombinationProgress) -> RunProgress:
    return RunProgress("20261123T154200Z", "pair debian", NOW, rows)


CALM = run_of(
    row("ooo", Phase.DONE, {Verdict.PASS: 96}, 1.6, last=NOW - 70),
    row("noo", Phase.RUNNING, {Verdict.PASS: 24}, 1.2, last=NOW - 1),
    *(row(name, Phase.WAITING) for name in COMBINATIONS[2:]),
)


class Stream(io.StringIO):
    """A stream that is a terminal or not."""

    def __init__(self, terminal: bool) -> None:
        super().__init__()
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal
