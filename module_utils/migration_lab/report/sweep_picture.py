# SPDX-License-Identifier: GPL-3.0-or-later
"""Draws a sweep as one SVG file: a cell for each direction, sources below each other, targets side by side."""

from __future__ import annotations

from xml.etree import ElementTree

from ..model.pair import between
from ..results.run import Run
from .drawing import MONO, QUIET, draw_text, start
from .picture import COLOURS, draw_legend
from .sweep import Sweep

# In user units, which are pixels at the picture's own size.
_MARGIN, _LEFT, _TOP, _WIDE, _HIGH = 16, 190, 124, 150, 44


def sweep_picture(run: Run, sweep: Sweep) -> str:
    """The sweep as SVG: title, result, the table with versions on its margins, a legend."""
    wide, high = _WIDE * len(sweep.releases), _HIGH * len(sweep.releases)
    title = f"Live migration between {between(run.data['pair'])}"
    svg = start(max(640, _LEFT + wide + _MARGIN), _TOP + high + 48, title, _description(run, sweep))
    draw_text(svg, _MARGIN, 28, title, size=18, weight="bold")
    draw_text(svg, _MARGIN, 48, f"from row to column, the worst of any client and case; run {run.data['run']}", fill=QUIET)
    draw_text(svg, _MARGIN, 66, run.summary)
    for place, (kind, release) in enumerate(sweep.releases.items()):
        versions = ", ".join(fact for fact in sweep.margins[kind] if fact.startswith(("libvirt", "QEMU")))
        for x, y in ((_MARGIN, _TOP + _HIGH * place + 18), (_LEFT + _WIDE * place, _TOP - 22)):
            draw_text(svg, x, y, f"{kind} {release}", weight="bold")
            draw_text(svg, x, y + 14, versions, size=10, fill=QUIET)
    for row, directions in enumerate(sweep.rows.values()):
        for column, direction in enumerate(directions):
            if direction.worst:
                mark, x, y = direction.worst.mark, _LEFT + _WIDE * column, _TOP + _HIGH * row
                paper, ink = COLOURS[mark.code]
                size = {"x": str(x), "y": str(y), "width": str(_WIDE - 3), "height": str(_HIGH - 3)}
                ElementTree.SubElement(svg, "rect", {**size, "fill": paper, "class": mark.code})
                draw_text(svg, x + 12, y + 26, mark.letter, size=16, weight="bold", fill=ink, family=MONO)
                draw_text(svg, x + 34, y + 25, direction.tally, size=11, fill=ink)
    draw_legend(svg, run, _TOP + high + 26)
    ElementTree.indent(svg, "")
    return ElementTree.tostring(svg, encoding="unicode") + "\n"


def _description(run: Run, sweep: Sweep) -> str:
    """The picture in words, for who cannot see it."""
    found = [
        f"{sweep.words(one)}: {one.tally} {one.worst.mark.word}" for row in sweep.rows.values() for one in row if one.worst
    ]
    return f"{run.summary}. From release to release: {'; '.join(found)}."
