# SPDX-License-Identifier: GPL-3.0-or-later
"""The picture of a sweep: a cell for each direction that the run has."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

from migration_lab.report.report import PICTURE_FILE, make_report
from synthetic_run import CASES, ROOT, SWEEP, SyntheticRun, wrong_state

SVG = "{http://www.w3.org/2000/svg}"


def test_each_direction_has_a_cell_and_its_words(tmp_path: Path) -> None:
    lab = SyntheticRun(tmp_path / "run", ["aab", "bab", "bba"], CASES[:2], pair=SWEEP)
    lab.complete("aab")
    lab.complete("bab", {CASES[1].id: wrong_state})
    lab.complete("bba")
    text = make_report(lab.folder, ROOT / "roles/report/templates").files[lab.folder / PICTURE_FILE]
    svg = ElementTree.fromstring(text)
    cells = [element.get("class") for element in svg.iter(f"{SVG}rect") if element.get("class")]
    assert cells == ["f", "p"], "row by row"
    words = [element.text for element in svg.iter(f"{SVG}text")]
    assert "Live migration between debian-11, debian-12 and debian-13" in words and "1 of 4 cases" in words
    assert words.count("b debian-12") == 2 and words.count("libvirt 9.0.0, QEMU 7.2.22") == 2
    description = svg.find(f"{SVG}desc")
    assert description is not None and "debian-11 -> debian-12: 1 of 4 cases fail; " in str(description.text)
