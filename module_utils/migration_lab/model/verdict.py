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
