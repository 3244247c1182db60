# SPDX-License-Identifier: GPL-3.0-or-later
"""Verdicts of cases."""

from __future__ import annotations

from enum import Enum


class Verdict(str, Enum):
    """The result of a case."""

    PASS = "pass"
    FAIL = "fail"
    KNOWN = "known"  # a recorded deviation explains it
    FIXED = "fixed"  # a recorded deviation did not happen
    ERROR = "error"  # the lab's fault, not libvirt's
    SKIP = "skip"


RED_VERDICTS = (Verdict.FAIL, Verdict.FIXED, Verdict.ERROR)


class Outcome(str, Enum):
    """What became of a selected case: its verdict, or no result."""

    PASS = Verdict.PASS.value
    FAIL = Verdict.FAIL.value
    KNOWN = Verdict.KNOWN.value
    FIXED = Verdict.FIXED.value
    ERROR = Verdict.ERROR.value
    SKIP = Verdict.SKIP.value
    NOT_OBTAINED = "not obtained"

    @property
    def key(self) -> str:
        """Under which counts have it: ``not_obtained``."""
        return self.value.replace(" ", "_")
