# SPDX-License-Identifier: GPL-3.0-or-later
"""How outcomes of the suite ``recovery`` are shown: a letter, a colour and what the word means."""

from __future__ import annotations

from ..results.recovery import ERROR, NOT_OBTAINED, SEVERITY, SKIP
from ..suites.recovery.outcome import SEVERITY as OUTCOMES
from ..suites.recovery.outcome import Outcome
from .grid import Mark

# The names of the colours in style sheets.
_CODES = {
    Outcome.MOVED: "om", Outcome.INTACT: "oi", Outcome.KILLED: "ok", Outcome.MOVED_SOURCE_LEFT: "os", Outcome.TARGET_LEFT: "os",
    Outcome.PAUSED_ON_SOURCE: "op", Outcome.PAUSED_ON_TARGET: "op", Outcome.PAUSED_ON_BOTH: "op",
    Outcome.RUNNING_THOUGH_PAUSED: "or", Outcome.STUCK: "ox", Outcome.LOST: "ol", Outcome.RUNNING_TWICE: "o2",
}

# By word, the best first.
OUTCOME_MARKS = {
    mark.word: mark
    for mark in (
        *(Mark(outcome.value, outcome.letter, _CODES[outcome], outcome.text) for outcome in OUTCOMES if outcome in _CODES),
        Mark(ERROR, "E", "oe", "is not known: the lab's own fault, such as a fault that could not be injected"),
        Mark(SKIP, "-", "oz", "is not known: the case was not to be run"),
        Mark(NOT_OBTAINED, "?", "on", "was not seen in the end, or there is no result"),
    )
}
assert set(OUTCOME_MARKS) == set(SEVERITY)


def outcome_mark(outcome: str) -> Mark:
    """The mark of an outcome; that of an error, with the word itself, where this lab does not know it."""
    known = OUTCOME_MARKS.get(outcome)
    return known or Mark(outcome, "E", "oe", "is a word that this version of the lab does not know")
