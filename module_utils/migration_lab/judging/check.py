# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks and judgements: what is thought of what was seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..model.verdict import Verdict

PASS, FAIL, NOT_RUN = "pass", "fail", "not-run"


@dataclass(frozen=True)
class Check:
    """One assertion of a case: its result with what was expected and what was got, in words."""

    name: str
    result: str
    expected: str
    got: str


@dataclass(frozen=True)
class Judgement:
    """The ten canonical checks, further ones, the verdict, and in a sentence why it is not a pass.

    ``rule`` says what judged a case that is no pass, ``deviation`` names the ledger's entry that explains it.
    """

    checks: list[Check]
    further: list[Check]
    verdict: Verdict
    reason: str = ""
    rule: str = ""
    deviation: str = ""

    def to_data(self) -> dict[str, Any]:
        """The judgement as the journal keeps it; checks are numbered from 1."""

        def rows(checks: list[Check], start: int) -> list[dict[str, Any]]:
            return [
                {"number": n, "name": c.name, "result": c.result, "expected": c.expected, "got": c.got}
                for n, c in enumerate(checks, start=start)
            ]

        return {
            "verdict": self.verdict.value,
            "reason": self.reason,
            "rule": self.rule,
            "deviation": self.deviation,
            "checks": rows(self.checks, 1),
            "further": rows(self.further, len(self.checks) + 1),
        }
