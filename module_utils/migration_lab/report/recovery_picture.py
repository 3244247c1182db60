# SPDX-License-Identifier: GPL-3.0-or-later
"""Draws a recovery run as one SVG file: points by faults, for each method, the worst of all combinations in each cell."""

from __future__ import annotations

from typing import Optional
from xml.etree import ElementTree

from ..results.recovery import Grid, Recovery, severity
from ..results.wording import count, one_line
from .drawing import MONO, QUIET, draw_text, start
from .outcome_marks import OUTCOME_MARKS, outcome_mark

# Colours of an outcome's cell and letter, by the mark's code.
_COLOURS = {
    "oi": ("#d5efdb", "#12522a"), "om": ("#d3e6fb", "#0b3d6e"), "os": ("#fdf0b5", "#4d3a00"), "op": ("#f6c26b", "#452800"),
    "or": ("#f2a35c", "#3a1b00"), "o2": ("#7a1fa2", "#ffffff"), "ol": ("#b42318", "#ffffff"), "ok": ("#c9ced6", "#2d353e"),
    "ox": ("#5b3a1e", "#ffffff"), "oe": ("#24292f", "#ffffff"), "oz": ("#e3e6ea", "#3b4550"), "on": ("url(#stripes)", "#24292f"),
}

# In user units, which are pixels at the picture's own size.
_CELL, _ROW = 17, 17
_MARGIN, _LEFT, _HEADS, _TOP = 16, 128, 210, 76
_GROUP_GAP, _STAGE_GAP, _GRID_GAP = 5, 3, 34
_LEAST_WIDTH = 900

# The worst outcome of a place, and how many of its cases are red.
_Worst = dict[tuple[str, str, str], tuple[str, int]]


def recovery_picture(recovery: Recovery) -> str:
    """The grids as SVG: title with the pair, a grid for each method with a row for each point, and a legend."""
    run = recovery.run
    grids = _grids(recovery)
    columns, width = _columns(recovery)
    height = _TOP + _HEADS + sum(_height(grid) + _GRID_GAP for grid in grids) + 48
    title = f"Recovery from failed migrations between {run.data['pair']['old']} and {run.data['pair']['new']}"
    names = ", ".join(combination.name for combination in recovery.combinations)
    counts = ", ".join(f"{number} {word}" for word, number in recovery.counts.items()) or "nothing was obtained"
    svg = start(width, height, title, f"{run.summary}. Cases by outcome: {counts}.")
    draw_text(svg, _MARGIN, 28, title, size=18, weight="bold")
    worst = f"run {run.data['run']}; in each cell the worst of {count(len(recovery.combinations), 'combination')} ({names})"
    draw_text(svg, _MARGIN, 48, worst, fill=QUIET)
    draw_text(svg, _MARGIN, 66, run.summary)
    for name, x in columns.items():
        head = draw_text(svg, 0, 0, name, size=10)
        head.set("transform", f"translate({x + _CELL / 2 + 3:g} {_TOP + _HEADS - 8}) rotate(-90)")
    found, y = _worst(recovery), float(_TOP + _HEADS)
    for grid in grids:
        y = _grid(svg, grid, columns, found, y)
    _legend(svg, recovery, y + 4, width)
    ElementTree.indent(svg, "")
    return ElementTree.tostring(svg, encoding="unicode") + "\n"


def _grids(recovery: Recovery) -> list[Grid]:
    """For each table the grid with the most points: v3 has all that v2 has."""
    found: dict[str, Grid] = {}
    for combination in recovery.combinations:
        for grid in combination.grids:
            if len(grid.rows) > len(found[grid.table].rows if grid.table in found else ()):
                found[grid.table] = grid
    return list(found.values())


def _height(grid: Grid) -> int:
    return _ROW * len(grid.rows) + _STAGE_GAP * (len(grid.stages) - 1)


def _columns(recovery: Recovery) -> tuple[dict[str, float], int]:
    """Where each fault's column begins, and the picture's width."""
    places: dict[str, float] = {}
    x: float = _LEFT
    for faults in recovery.groups.values():
        for fault in faults:
            places[fault.name] = x
            x += _CELL
        x += _GROUP_GAP
    return places, max(_LEAST_WIDTH, int(x) + _MARGIN)


def _worst(recovery: Recovery) -> _Worst:
    found: _Worst = {}
    for combination in recovery.combinations:
        for cell in combination.cells:
            key = (cell.table, cell.point, cell.fault)
            word, red = found.get(key, (cell.worst, 0))
            found[key] = min(word, cell.worst, key=severity), red + cell.red
    return found


def _grid(svg: ElementTree.Element, grid: Grid, columns: dict[str, float], found: _Worst, y: float) -> float:
    """A method's rows from ``y`` on; returns where the next method's begin. A red frame has what has red cases."""
    draw_text(svg, _MARGIN, y - 6, grid.table, size=13, weight="bold")
    stage: Optional[int] = None
    for row in grid.rows:
        if stage not in (None, row.stage):
            y += _STAGE_GAP
        stage = row.stage
        draw_text(svg, _LEFT - 8, y + 12, row.point, size=10, anchor="end")
        for fault, x in columns.items():
            if (grid.table, row.point, fault) in found:
                word, red = found[grid.table, row.point, fault]
                _cell(svg, x, y, word, bool(red))
        y += _ROW
    return y + _GRID_GAP


def _cell(svg: ElementTree.Element, x: float, y: float, word: str, red: bool) -> None:
    mark = outcome_mark(word)
    paper, ink = _COLOURS[mark.code]
    size = {"width": f"{_CELL - 1}", "height": f"{_ROW - 1}"}
    ElementTree.SubElement(svg, "rect", {"x": f"{x:g}", "y": f"{y:g}", **size, "fill": paper, "class": mark.code})
    if red:
        inside = {"x": f"{x + 1:g}", "y": f"{y + 1:g}", "width": f"{_CELL - 3}", "height": f"{_ROW - 3}"}
        ElementTree.SubElement(svg, "rect", {**inside, "fill": "none", "stroke": "#b42318", "stroke-width": "2", "class": "red"})
    draw_text(svg, x + (_CELL - 1) / 2, y + 12, mark.letter, size=10, fill=ink, family=MONO, anchor="middle")


def _legend(svg: ElementTree.Element, recovery: Recovery, y: float, width: int) -> None:
    x: float = _MARGIN
    for word, number in recovery.counts.items():
        words = one_line(f"{number} {word}")
        if x + 46 + 7 * len(words) > width:
            x, y = _MARGIN, y + 22
        _cell(svg, x, y - 12, word, False)
        draw_text(svg, x + 22, y, words)
        x += 46 + 7 * len(words)


assert {mark.code for mark in OUTCOME_MARKS.values()} == set(_COLOURS)
