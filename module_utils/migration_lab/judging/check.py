# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks and judgements: what is thought of what was seen."""

from __future__ import annotations

from dataclasses import dataclass

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

    ``rule`` says what judged a case that did not pass, ``deviation`` names the ledger's entry that explains it.
    """

    checks: list[Check]
    further: list[Check]
    verdict: Verdict
    reason: str = ""
    rule: str = ""
    deviation: str = ""
