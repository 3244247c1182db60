# SPDX-License-Identifier: GPL-3.0-or-later
"""What becomes of cases."""

from __future__ import annotations

from enum import Enum


class Verdict(str, Enum):
    """What became of a selected case."""

    PASS = "pass"
    FAIL = "fail"
    KNOWN = "known"  # a recorded deviation explains it
    FIXED = "fixed"  # a recorded deviation did not happen
    ERROR = "error"  # the lab's fault, not libvirt's
    SKIP = "skip"
    NOT_OBTAINED = "not obtained"  # there is no result; no case is judged so

    @property
    def key(self) -> str:
        """Under which counts have it: ``not_obtained``."""
        return self.value.replace(" ", "_")


JUDGED = tuple(verdict for verdict in Verdict if verdict is not Verdict.NOT_OBTAINED)
RED_VERDICTS = (Verdict.FAIL, Verdict.FIXED, Verdict.ERROR)
