# SPDX-License-Identifier: GPL-3.0-or-later
"""The page in a real Chromium: read, filtered, sorted, gone through by keys, light, dark, small, and without scripts."""

from __future__ import annotations

import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from browser import Browser, chromium
from lab import ROOT
from migration_lab.model.combination import COMBINATIONS
from migration_lab.report.page import page_text
from migration_lab.report.report import make_report
from migration_lab.results.run import read_run
from synthetic_page import COMPARISON, FAILED, LOG, every_verdict, history
from synthetic_run import CASES, SyntheticRun

TEMPLATES = ROOT / "roles/report/templates"
AXE = Path(sys.prefix) / "axe-core" / "axe.min.js"
CASE = f"ooo/{FAILED}"
LAST = f"nno/{CASES[95].id}"

# Cells that are seen; sections of cases that are seen.
CELLS = "return [...document.querySelectorAll('.matrix a')].filter(cell => cell.checkVisibility({visibilityProperty: true}))"
OPEN = "return [...document.querySelectorAll('.case')].filter(section => section.checkVisibility()).map(section => section.id)"
FOCUS = "return document.activeElement.id"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page with every kind of verdict, a comparison and a history."""
    folder = every_verdict(tmp_path_factory.mktemp("page") / "run").folder
    make_report(folder, TEMPLATES).write()
    index = folder / "index.html"
    index.write_text(page_text(read_run(folder), TEMPLATES, COMPARISON, history(12)))
    assert index.stat().st_size < 3_000_000
    return index


@pytest.fixture(scope="module")
def started() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def browser(started: Browser) -> Iterator[Browser]:
    """The browser, which at the end has written no error and asked for nothing but pages from the disk."""
    started.look()
    started.console()
    started.requests()
    yield started
    assert started.console() == []
    assert [url for url in started.requests() if not (url.startswith("file://") and url.endswith("/index.html"))] == []


def colours(png: bytes) -> int:
    """How many different bytes a picture's lines have: a blank one has a few."""
    data, place = b"", 8
    while place < len(png):
        length = int.from_bytes(png[place : place + 4], "big")
        if png[place + 4 : place + 8] == b"IDAT":
            data += png[place + 8 : place + 8 + length]
        place += length + 12
    return len(set(zlib.decompress(data)))


def violations(browser: Browser) -> list[str]:
    """What axe-core finds wrong with the page as it is, the contrast of single letters included, which it leaves to others."""
    assert AXE.is_file(), f"{AXE} is missing; `make integration` gets it"
    browser.ask(AXE.read_text())
    result = browser.driver.execute_async_script("axe.run(document).then(arguments[0])")
    assert len(result["passes"]) > 20
    found = [(rule, node) for rule in result["violations"] for node in rule["nodes"]]
    found += [
        (rule, node) for rule in result["incomplete"] if rule["id"] == "color-contrast" for node in rule["nodes"]
        if (node["any"][0]["data"].get("contrastRatio") or 21) < 4.5
    ]
    return [f"{rule['id']}: {rule['help']}: {node['html'][:120]}" for rule, node in found]


@pytest.mark.parametrize("width", [1265, 1440, 1920])
def test_matrix_is_shown(browser: Browser, page: Path, width: int) -> None:
    browser.look(width)
    browser.open(page)
    assert len(browser.ask(CELLS)) == 768
    assert browser.ask(OPEN) == []
    edges = "return [...document.querySelectorAll('.matrix a')].map(cell => cell.getBoundingClientRect().right)"
    tops = browser.ask("return [...document.querySelectorAll('.matrix table')].map(t => t.getBoundingClientRect().top)")
    assert max(browser.ask(edges)) <= width and len(set(tops)) == 1, "the methods are side by side"
    assert browser.requests() == [page.as_uri()], "one file is all"


def test_an_address_opens_its_case(browser: Browser, page: Path) -> None:
    browser.open(page, CASE)
    assert browser.ask(OPEN) == [CASE]
    text = browser.driver.find_element(By.ID, CASE).text
    assert "no <domain> & no 'x'" in text and LOG in text and "ansible-playbook playbooks/run.yml" in text
    place = f"const at = document.getElementById('at:{CASE}').getBoundingClientRect()"
    assert browser.ask(f"{place}; return document.elementFromPoint(at.x + 3, at.y + 3).id") == f"at:{CASE}", "it is in sight"


def test_a_click_opens_a_case_and_closing_gives_the_focus_back(browser: Browser, page: Path) -> None:
    browser.open(page)
    browser.driver.find_element(By.ID, f"at:{LAST}").click()
    assert browser.ask(OPEN) == [LAST] and browser.ask("return location.hash") == f"#{LAST}" and browser.ask(FOCUS) == LAST
    browser.driver.find_element(By.ID, LAST).find_element(By.CLASS_NAME, "close").click()
    assert browser.ask(OPEN) == [] and browser.ask(FOCUS) == f"at:{LAST}"


def test_filter(browser: Browser, page: Path) -> None:
    browser.open(page)
    words, shown = browser.driver.find_element(By.ID, "words"), browser.driver.find_element(By.ID, "shown")
    words.send_keys("nno P2P paused")
    names = browser.ask(f"return (() => {{{CELLS}}})().map(cell => cell.hash.slice(1))")
    assert names == [f"nno/{case.id}" for case in CASES if case.method.value == "p2p" and "paused" in case.id]
    assert shown.text == "16 of 768 cases"
    listed = "return [...document.querySelectorAll('#cases tbody tr')].filter(row => row.checkVisibility()).length"
    assert browser.ask(listed) == 16, "the list shows the same"
    words.clear()
    words.send_keys(" ")
    assert len(browser.ask(CELLS)) == 768 and shown.text == ""
    for code, number in (("f", 5), ("e", 6), ("fl", 1)):
        browser.driver.find_element(By.CSS_SELECTOR, f".legend [data-code={code}] button").click()
        assert len(browser.ask(CELLS)) == number, f"{code} is pressed as well"
    pressed = browser.driver.find_elements(By.CSS_SELECTOR, ".legend [aria-pressed=true]")
    for button in pressed:
        button.click()
    assert len(pressed) == 3 and len(browser.ask(CELLS)) == 768
    browser.driver.find_element(By.CSS_SELECTOR, ".legend [data-code=ch] button").click()
    assert len(browser.ask(CELLS)) == 2, "the cases that changed"


def test_sort(browser: Browser, page: Path) -> None:
    browser.open(page)
    heads = "return [...document.querySelectorAll('[aria-labelledby=combinations] tbody th')]"
    rows = f"{heads}.map(head => head.textContent.slice(2))"
    head = browser.driver.find_element(By.XPATH, "//section[@aria-labelledby='combinations']//th[normalize-space()='fail']")
    assert browser.ask(rows) == list(COMBINATIONS)
    head.find_element(By.TAG_NAME, "button").click()
    assert head.get_attribute("aria-sort") == "ascending" and browser.ask(rows)[-1] == "nno"
    head.find_element(By.TAG_NAME, "button").click()
    assert head.get_attribute("aria-sort") == "descending" and browser.ask(rows)[:3] == ["nno", "ooo", "onn"]


def test_keys(browser: Browser, page: Path) -> None:
    browser.open(page)
    stops = browser.ask("return [...document.querySelectorAll('.matrix a')].filter(cell => cell.tabIndex === 0).length")
    assert stops == 1, "the matrix is one stop of the tabulator"
    browser.ask("document.querySelector('.matrix a').focus()")

    def press(*keys: str) -> Any:
        for key in keys:
            browser.driver.switch_to.active_element.send_keys(key)
        return browser.ask(FOCUS)

    assert press(Keys.ARROW_RIGHT, Keys.ARROW_DOWN) == f"at:noo/{CASES[1].id}"
    assert press(Keys.ARROW_LEFT, Keys.ARROW_LEFT, Keys.ARROW_UP, Keys.ARROW_UP) == f"at:ooo/{CASES[0].id}", "edges hold"
    assert press(*[Keys.ARROW_RIGHT] * 32) == f"at:ooo/{CASES[32].id}", "from one method into the next"
    assert press(Keys.ENTER) == f"ooo/{CASES[32].id}" and browser.ask(OPEN) == [f"ooo/{CASES[32].id}"]
    assert press(Keys.ESCAPE) == f"at:ooo/{CASES[32].id}" and browser.ask(OPEN) == []


def test_reading_needs_no_script(browser: Browser, page: Path) -> None:
    browser.look(scripts=False)
    browser.open(page)
    assert len(browser.ask(CELLS)) == 768 and browser.ask(OPEN) == []
    assert not browser.driver.find_element(By.ID, "filter").is_displayed(), "what would do nothing is not there"
    assert browser.driver.find_elements(By.CSS_SELECTOR, "button") == []
    browser.driver.find_element(By.ID, f"at:{LAST}").click()
    assert browser.ask(OPEN) == [LAST]
    browser.driver.find_element(By.ID, LAST).find_element(By.CLASS_NAME, "close").click()
    assert browser.ask(OPEN) == []


@pytest.mark.parametrize(
    ("width", "dark", "paper"),
    [(1440, False, "rgb(255, 255, 255)"), (1440, True, "rgb(14, 19, 24)"), (360, False, None), (360, True, None)],
)
def test_it_looks_like_something(browser: Browser, page: Path, tmp_path: Path, width: int, dark: bool, paper: str | None) -> None:
    browser.look(width, 800, dark)
    for address in ("", CASE):
        browser.open(page, address)
        assert browser.ask("return document.documentElement.scrollWidth") <= width, "nothing stands out at the side"
        if paper:
            assert browser.ask("return getComputedStyle(document.body).backgroundColor") == paper
        picture = tmp_path / "page.png"
        assert browser.driver.save_screenshot(str(picture))
        assert colours(picture.read_bytes()) > 100, "the picture is not blank"
    inside = "const s = document.querySelector('.case:target'); return s.scrollWidth <= s.clientWidth"
    assert browser.ask(inside), "nor in the case"
    cells = "return [...document.querySelectorAll('.matrix a')].every(c => c.getBoundingClientRect().right <= innerWidth)"
    assert browser.ask(cells), "the whole matrix is there without scrolling sideways"


# The page with a case open has all that it has without; on a phone nothing but the places of things differs.
@pytest.mark.parametrize(("width", "address", "dark"), [(1440, CASE, False), (1440, CASE, True), (360, "", False)])
def test_accessibility(browser: Browser, page: Path, width: int, address: str, dark: bool) -> None:
    browser.look(width, dark=dark)
    browser.open(page, address)
    browser.ask("for (const one of document.querySelectorAll('details')) one.open = !one.querySelector('#cases')")
    assert violations(browser) == []


def test_a_green_page_is_clean_too(browser: Browser, tmp_path: Path) -> None:
    """Without failures, comparison and history the page has other parts."""

    lab = SyntheticRun(tmp_path / "run", ["nnn"])
    lab.complete("nnn")
    make_report(lab.folder, TEMPLATES).write()
    browser.open(lab.folder / "index.html")
    assert len(browser.ask(CELLS)) == 96
    assert violations(browser) == []
