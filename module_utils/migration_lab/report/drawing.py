# SPDX-License-Identifier: GPL-3.0-or-later
"""What the pictures of a run share: SVG without script, style sheet and fonts of its own, on white whatever it is shown on."""

from __future__ import annotations

from xml.etree import ElementTree

from ..results.wording import one_line

PAPER, INK, QUIET = "#ffffff", "#1b1f24", "#57606a"
SANS, MONO = "system-ui, 'DejaVu Sans', sans-serif", "ui-monospace, 'DejaVu Sans Mono', monospace"


def start(width: int, height: int, title: str, description: str) -> ElementTree.Element:
    """An empty picture with its words for who cannot see it. Sizes are in user units, pixels at the picture's own size."""
    svg = ElementTree.Element("svg", {
        "xmlns": "http://www.w3.org/2000/svg", "viewBox": f"0 0 {width} {height}", "width": str(width), "height": str(height),
        "role": "img", "aria-labelledby": "title desc", "font-family": SANS, "font-size": "12", "fill": INK,
    })
    ElementTree.SubElement(svg, "title", {"id": "title"}).text = one_line(title)
    ElementTree.SubElement(svg, "desc", {"id": "desc"}).text = one_line(description)
    draw_stripes(svg)
    ElementTree.SubElement(svg, "rect", {"width": "100%", "height": "100%", "fill": PAPER})
    return svg


def draw_stripes(svg: ElementTree.Element) -> None:
    """The pattern of what was not obtained: it must not look like any result."""
    definitions = ElementTree.SubElement(svg, "defs")
    pattern = ElementTree.SubElement(definitions, "pattern", {
        "id": "stripes", "width": "5", "height": "5", "patternUnits": "userSpaceOnUse", "patternTransform": "rotate(45)",
    })
    ElementTree.SubElement(pattern, "rect", {"width": "2", "height": "5", "fill": "#c9d0d8"})


def draw_text(
    svg: ElementTree.Element, x: float, y: float, text: str, size: int = 12, fill: str = INK, weight: str = "normal",
    family: str = SANS, anchor: str = "start",
) -> ElementTree.Element:
    """Add a line of text."""
    element = ElementTree.SubElement(svg, "text", {
        "x": f"{x:g}", "y": f"{y:g}", "font-size": str(size), "fill": fill, "font-weight": weight, "font-family": family,
        "text-anchor": anchor,
    })
    element.text = one_line(text)
    return element
