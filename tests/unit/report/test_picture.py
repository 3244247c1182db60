# SPDX-License-Identifier: GPL-3.0-or-later
"""The picture of the matrix: what it draws, that it stands alone, and that it can be read without eyes."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from migration_lab.model.combination import COMBINATIONS
from migration_lab.report.grid import MARKS
from migration_lab.report.picture import picture_text
from migration_lab.results.run import read_run
from synthetic_page import every_verdict
from synthetic_run import SyntheticRun

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> ElementTree.Element:
    lab = every_verdict(tmp_path_factory.mktemp("picture") / "run")
    return ElementTree.fromstring(picture_text(read_run(lab.folder)))


def texts(picture: ElementTree.Element) -> list[str]:
    return [element.text or "" for element in picture.iter(f"{SVG}text")]


def test_every_result_is_a_cell_with_its_letter(picture: ElementTree.Element) -> None:
    letters = {mark.code: mark.letter for mark in MARKS.values()}
    cells: dict[str, int] = {}
    for path in picture.iter(f"{SVG}path"):
        cells[path.attrib["class"]] = cells.get(path.attrib["class"], 0) + path.attrib["d"].count("M")
    assert cells == {"p": 614, "f": 5, "k": 15, "x": 1, "e": 1, "s": 1, "n": 131} and sum(cells.values()) == 768
    for code, number in cells.items():
        drawn = [text for text in texts(picture) if re.fullmatch(re.escape(letters[code]) + "+", text)]
        assert sum(map(len, drawn)) == number + 1, "each cell's letter and the legend's"
    for element in picture.iter(f"{SVG}text"):
        assert len(element.attrib["x"].split()) in (1, len(element.text or "")), "a place for each letter"


def test_cells_are_inside_and_apart(picture: ElementTree.Element) -> None:
    width, height = (float(picture.attrib[name]) for name in ("width", "height"))
    places = [
        (float(x), float(y)) for path in picture.iter(f"{SVG}path") for x, y in re.findall(r"M(\S+) (\S+?)h", path.attrib["d"])
    ]
    assert len(set(places)) == 768 and len({x for x, _ in places}) == 96 and len({y for _, y in places}) == 8
    assert all(0 < x < width - 11 and 0 < y < height - 20 for x, y in places)
    columns = sorted({x for x, _ in places})
    assert min(right - left for left, right in zip(columns, columns[1:])) >= 11


def test_picture_says_what_it_is_of(picture: ElementTree.Element) -> None:
    found = texts(picture)
    assert "Live migration between bookworm and trixie" in found
    assert "pair debian: old is libvirt 9.0.0, new is libvirt 11.3.0; run run, profile canonical" in found
    assert any(text.startswith("NOT green: 7 of 8 combinations") for text in found)
    assert [text for text in found if text in COMBINATIONS] == list(COMBINATIONS)
    assert {"normal", "p2p", "tunnelled", "614 pass", "131 not obtained"} <= set(found)


def test_picture_has_words_for_who_does_not_see_it(picture: ElementTree.Element) -> None:
    named = {element.attrib["id"]: element.text or "" for element in picture if "id" in element.attrib}
    assert picture.attrib["role"] == "img" and picture.attrib["aria-labelledby"].split() == list(named)
    assert "noo (new client, old source, old target): 96 not obtained" in named["desc"]
    assert "ooo (old client, old source, old target): 77 pass, 1 fail, 15 known, 1 fixed, 1 error, 1 skip" in named["desc"]


def test_picture_stands_alone_on_its_own_ground(picture: ElementTree.Element) -> None:
    tags = {element.tag.removeprefix(SVG) for element in picture.iter()}
    assert tags <= {"svg", "title", "desc", "defs", "pattern", "rect", "text", "path"}
    references = [value for element in picture.iter() for value in element.attrib.values() if "url(" in value or "http" in value]
    assert set(references) == {"url(#stripes)"}
    ground = next(element for element in picture if element.tag == f"{SVG}rect")
    assert ground.attrib == {"width": "100%", "height": "100%", "fill": "#ffffff"}


def test_picture_of_a_run_without_any_journal(tmp_path: Path) -> None:
    lab = SyntheticRun(tmp_path / "run", ["noo"], pair={"name": "a", "old": "<b>", "new": "&c", "boundary": "1.0.0"})
    picture = ElementTree.fromstring(picture_text(read_run(lab.folder)))
    assert "no combination was obtained, so not even the cases are known" in texts(picture)
    assert "Live migration between <b> and &c" in texts(picture)
