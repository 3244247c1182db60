# SPDX-License-Identifier: GPL-3.0-or-later
"""Draws a run's matrix as one SVG file for a mail or a README: no script, no style sheet, no font of its own."""

from __future__ import annotations

from xml.etree import ElementTree

from ..model.case import ROLES
from ..model.combination import classes
from ..model.pair import between, pair_text
from ..model.verdict import Verdict
from ..results.run import CombinationResult, Run
from ..results.wording import one_line
from .drawing import INK, MONO, QUIET, draw_text, start
from .grid import MARKS, grid, mark_of

# Colours of a result's cell and letter, by the mark's code. On white, whatever the picture is shown on.
COLOURS = {
    "p": ("#d5efdb", "#12522a"), "f": ("#b42318", "#ffffff"), "k": ("#fbdf83", "#4d3300"), "x": ("#6d28d9", "#ffffff"),
    "e": ("#24292f", "#ffffff"), "s": ("#e3e6ea", "#3b4550"), "n": ("url(#stripes)", "#24292f"),
}

# In user units, which are pixels at the picture's own size.
_CELL, _HIGH, _ROW = 12, 20, 22
_MARGIN, _LEFT, _TOP = 16, 56, 132
_SCENARIO_GAP, _METHOD_GAP = 3, 16
_LEAST_WIDTH = 640

Methods = dict[str, dict[str, list[str]]]  # cases by method and scenario
Place = tuple[str, float]  # a case and where its column begins


def picture_text(run: Run) -> str:
    """The matrix as SVG: title with pair and versions, a row for each combination, a column for each case, a legend."""
    methods = grid(run)
    places, width = _columns(methods)
    height = _TOP + _ROW * len(run.combinations) + 48
    svg = start(width, height, _title(run), _description(run))
    draw_text(svg, _MARGIN, 28, _title(run), size=18, weight="bold")
    for line, text in enumerate((_versions(run), run.summary)):
        draw_text(svg, _MARGIN, 48 + 18 * line, text, fill=INK if line else QUIET)
    _heads(svg, methods, dict(places))
    for row, combination in enumerate(run.combinations):
        _row(svg, combination, places, _TOP + _ROW * row)
    if not methods:
        draw_text(svg, _LEFT + 12, _TOP + 15, "no combination was obtained, so not even the cases are known")
    draw_legend(svg, run, _TOP + _ROW * len(run.combinations) + 26)
    ElementTree.indent(svg, "")
    return ElementTree.tostring(svg, encoding="unicode") + "\n"


def _title(run: Run) -> str:
    return f"Live migration between {between(run.data['pair'])}"


def _versions(run: Run) -> str:
    ages = ", ".join(f"{age} is libvirt {', '.join(found) or 'not obtained'}" for age, found in run.class_versions.items())
    return one_line(f"{pair_text(run.data['pair'])}: {ages}; run {run.data['run']}, profile {run.data['profile']}")


def _description(run: Run) -> str:
    """The picture in words, for who cannot see it."""
    rows = []
    for combination in run.combinations:
        ages = classes(combination.name)
        roles = ", ".join(f"{ages[role]} {role}" for role in ROLES)
        counts = combination.counts
        found = ", ".join(f"{counts[verdict.key]} {verdict.value}" for verdict in Verdict if counts[verdict.key])
        rows.append(f"{combination.name} ({roles}): {found or 'not obtained'}")
    return f"{run.summary}. Cases by combination: {'; '.join(rows)}."


def _columns(methods: Methods) -> tuple[list[Place], int]:
    """Where each case's column begins, and the picture's width."""
    places: list[Place] = []
    x: float = _LEFT
    for scenarios in methods.values():
        for cases in scenarios.values():
            for case in cases:
                places.append((case, x))
                x += _CELL
            x += _SCENARIO_GAP
        x += _METHOD_GAP - _SCENARIO_GAP
    return places, max(_LEAST_WIDTH, int(x) - _METHOD_GAP + _MARGIN)


def _heads(svg: ElementTree.Element, methods: Methods, begins: dict[str, float]) -> None:
    """Methods and scenarios above their columns; a scenario's words stand one below the other."""
    for method, scenarios in methods.items():
        first, *_ = scenarios.values()
        draw_text(svg, begins[first[0]], 88, method, size=13, weight="bold")
        for scenario, cases in scenarios.items():
            words = scenario.split("-")
            for line, word in enumerate(words):
                draw_text(svg, begins[cases[0]], _TOP - 5 - 10 * (len(words) - 1 - line), word, size=9, fill=QUIET)


def _row(svg: ElementTree.Element, combination: CombinationResult, places: list[Place], y: float) -> None:
    """A combination: its name, and for each mark a path of its cells and a text of its letters."""
    draw_text(svg, _LEFT - 10, y + 14, combination.name, family=MONO, anchor="end")
    for mark in MARKS.values():
        xs = [x for case, x in places if case in combination.selected and mark_of(combination, case) is mark]
        if xs:
            paper, ink = COLOURS[mark.code]
            cells = "".join(f"M{x:g} {y:g}h{_CELL - 1}v{_HIGH}h-{_CELL - 1}z" for x in xs)
            ElementTree.SubElement(svg, "path", {"d": cells, "fill": paper, "class": mark.code})
            letters = draw_text(svg, 0, y + 14, mark.letter * len(xs), size=10, fill=ink, family=MONO, anchor="middle")
            letters.set("x", " ".join(f"{x + (_CELL - 1) / 2:g}" for x in xs))


def draw_legend(svg: ElementTree.Element, run: Run, y: float) -> None:
    """What the letters mean, and how many cases of the run have each.

    :param y: the line's base.
    """
    x: float = _MARGIN
    for verdict in Verdict:
        mark, number = MARKS[verdict.value], run.counts[verdict.key]
        if number:
            paper, ink = COLOURS[mark.code]
            ElementTree.SubElement(svg, "rect", {"x": f"{x:g}", "y": f"{y - 12:g}", "width": "16", "height": "16", "fill": paper})
            draw_text(svg, x + 8, y, mark.letter, size=10, fill=ink, family=MONO, anchor="middle")
            words = f"{number} {mark.word}"
            draw_text(svg, x + 22, y, words)
            x += 46 + 7 * len(words)
