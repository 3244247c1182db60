# SPDX-License-Identifier: GPL-3.0-or-later
"""The matrix as it is drawn: methods, their scenarios, the cases of each, and the mark of every result, for page and picture."""

from __future__ import annotations

from dataclasses import dataclass

from ..model.verdict import Verdict
from ..results.run import CombinationResult, Run


@dataclass(frozen=True)
class Mark:
    """How a result is shown: a letter in addition to the colour, so that the colour is not needed.

    ``code`` is the name of its colours in style sheets, ``meaning`` what the word stands for.
    """

    word: str
    letter: str
    code: str
    meaning: str


MARKS = {
    mark.word: mark
    for mark in (
        Mark(Verdict.PASS.value, "P", "p", "all ten checks, and the further ones"),
        Mark(Verdict.FAIL.value, "F", "f", "libvirt or QEMU did something else: red"),
        Mark(Verdict.KNOWN.value, "K", "k", "failed exactly as a recorded deviation says: not red"),
        Mark(Verdict.FIXED.value, "X", "x", "a recorded deviation did not come: red, so that the ledger stays true"),
        Mark(Verdict.ERROR.value, "E", "e", "the lab's own fault, which says nothing about libvirt: red"),
        Mark(Verdict.SKIP.value, "S", "s", "was not to be run"),
        Mark(Verdict.NOT_OBTAINED.value, "?", "n", "there is no result: red"),
    )
}

# What cases have, the worst first.
SEVERITY = (
    Verdict.FAIL, Verdict.FIXED, Verdict.ERROR, Verdict.NOT_OBTAINED, Verdict.KNOWN, Verdict.SKIP, Verdict.PASS,
)


def grid(run: Run) -> dict[str, dict[str, list[str]]]:
    """The cases that any combination selected, by table (``place``) and scenario, each in the profile's order.

    Empty when neither run.json nor a journal has them.
    """
    lists = sorted((combination.selected for combination in run.combinations), key=len, reverse=True)
    found: dict[str, dict[str, list[str]]] = {}
    for case in dict.fromkeys(case for selected in lists for case in selected):
        table, scenario = place(run, case)
        found.setdefault(table, {}).setdefault(scenario, []).append(case)
    return found


def place(run: Run, case: str) -> tuple[str, str]:
    """Which table a case is in, its method's (among several guests its guest's and method's), and its scenario there."""
    axes = run.axes[case]
    several = len(run.guests) > 1
    return "/".join(axes[: 1 + several]), axes[1 + several]


def rest(run: Run, case: str) -> str:
    """The axes of a case that are neither its table nor its scenario: its flags."""
    return "/".join(run.axes[case][2 + (len(run.guests) > 1):])


def mark_of(combination: CombinationResult, case: str) -> Mark:
    """The mark of a case's result; that of ``not obtained`` where there is none."""
    line = combination.results.get(case)
    return MARKS[line.verdict.value if line else Verdict.NOT_OBTAINED.value]


def address(combination: str, case: str) -> str:
    """The stable address of a case on the page, without the ``#``."""
    return f"{combination}/{case}"
