# SPDX-License-Identifier: GPL-3.0-or-later
"""How outcomes of the suite ``recovery`` are shown: a letter, a colour and what the word means."""

from __future__ import annotations

from ..results.recovery import ERROR, NOT_OBTAINED, SEVERITY, SKIP
from .grid import Mark

OUTCOME_MARKS = {
    mark.word: mark
    for mark in (
        Mark("moved", "M", "om", "is on the target as after a good migration"),
        Mark("intact", "I", "oi", "is on the source exactly as before, the target has nothing of it but the config that it had"),
        Mark("killed", "K", "ok", "has no copy because the fault killed the only one"),
        Mark("moved-source-left", "S", "os", "runs on the target, the source's copy is still there, paused"),
        Mark("target-left", "T", "os", "is on the source as before, a copy that does not run stays on the target"),
        Mark("paused-on-source", "P", "op", "has one copy, on the source, paused by the migration though it ran before"),
        Mark("paused-on-target", "Q", "op", "has one copy, on the target, paused by the migration though it ran before"),
        Mark("paused-on-both", "B", "op", "has a copy on each side, neither runs though it ran before"),
        Mark("running-though-paused", "R", "or", "has one running copy though its owner had paused it"),
        Mark("stuck", "X", "ox", "cannot be used within the limit: a job or a daemon does not come back"),
        Mark("lost", "L", "ol", "has no copy left though the fault itself killed none that held it"),
        Mark("running-twice", "2", "o2", "ran in two copies at a time: data loss for anything with a disk"),
        Mark(ERROR, "E", "oe", "the lab's own fault, such as a fault that could not be injected"),
        Mark(SKIP, "-", "oz", "was not to be run"),
        Mark(NOT_OBTAINED, "?", "on", "was not seen in the end, or there is no result"),
    )
}
assert set(OUTCOME_MARKS) == set(SEVERITY)


def outcome_mark(outcome: str) -> Mark:
    """The mark of an outcome; that of an error, with the word itself, where this lab does not know it."""
    known = OUTCOME_MARKS.get(outcome)
    return known or Mark(outcome, "E", "oe", "is a word that this version of the lab does not know")
