# SPDX-License-Identifier: GPL-3.0-or-later
"""The pages of a recovery run in a real Chromium: grids by keys, the way to a case, light, dark, small, and without scripts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from browser import Browser, chromium
from migration_lab.report.aftermath import write_aftermath
from migration_lab.report.report import make_report
from migration_lab.results.aftermath import read_aftermath
from synthetic_recovery import SyntheticRecovery
from test_page import TEMPLATES, violations

SHOWN = "return [...document.querySelectorAll('.combination')].filter(one => one.checkVisibility()).map(one => one.id)"
FOCUS = "return document.activeElement.getAttribute('href') || document.activeElement.id"
WIDE = "return document.documentElement.scrollWidth"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two combinations, one of them v2, beside the page of its aftermath."""
    lab = SyntheticRecovery(tmp_path_factory.mktemp("recovery") / "run", ["nnn", "ooo"], "pairwise")
    for combination in ("nnn", "ooo"):
        lab.carry_out(combination)
    make_report(lab.folder, TEMPLATES).write()
    write_aftermath(read_aftermath([lab.folder]), lab.folder.parent, TEMPLATES)
    return lab.folder


@pytest.fixture(scope="module")
def started() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def browser(started: Browser, folder: Path) -> Iterator[Browser]:
    """The browser, which at the end has written no error and asked for nothing but the run's pages."""
    started.look()
    started.console()
    started.requests()
    yield started
    assert started.console() == []
    assert [url for url in started.requests() if not url.startswith((folder.parent.as_uri(), "about:"))] == []


def test_one_combination_at_a_time(browser: Browser, folder: Path) -> None:
    browser.open(folder / "index.html")
    assert browser.ask(SHOWN) == ["ooo"]
    browser.driver.find_element(By.CSS_SELECTOR, ".choose a[href='#nnn']").click()
    assert browser.ask(SHOWN) == ["nnn"]
    browser.driver.find_element(By.CSS_SELECTOR, ".choose a[href='#all']").click()
    assert browser.ask(SHOWN) == ["ooo", "nnn"]


def test_keys_and_the_way_to_a_case(browser: Browser, folder: Path) -> None:
    browser.open(folder / "index.html", "nnn")
    table = "[...document.querySelectorAll('#nnn .points')][0]"
    assert browser.ask(f"return [...{table}.querySelectorAll('td a')].filter(cell => cell.tabIndex === 0).length") == 1
    browser.ask(f"{table}.querySelector('td a').focus()")
    first = browser.ask(FOCUS)
    browser.driver.switch_to.active_element.send_keys(Keys.ARROW_RIGHT)
    second = browser.ask(FOCUS)
    browser.driver.switch_to.active_element.send_keys(Keys.ARROW_LEFT)
    assert (first, second) == (
        "nnn/cases-normal.html#begin-call/agent-killed", "nnn/cases-normal.html#begin-call/agent-frozen",
    ) and browser.ask(FOCUS) == first
    browser.driver.switch_to.active_element.send_keys(Keys.ENTER)
    assert browser.ask("return location.pathname + location.hash").endswith(first)
    assert browser.ask(FOCUS) == "begin-call/agent-killed"


def test_the_address_of_a_case_leads_to_it(browser: Browser, folder: Path) -> None:
    browser.open(folder / "nnn/cases-p2p.html")
    case = browser.ask("return document.querySelector('.one').id")
    for page, address in ((folder / "nnn/cases-p2p.html", case), (folder / "index.html", f"nnn/{case}")):
        browser.open(page, address)
        one = browser.driver.find_element(By.ID, case)
        assert one.is_displayed() and "playbooks/recovery.yml" in one.text


def test_reading_needs_no_script(browser: Browser, folder: Path) -> None:
    browser.look(scripts=False)
    browser.open(folder / "index.html")
    assert browser.ask(SHOWN) == ["ooo", "nnn"]
    browser.driver.find_element(By.CSS_SELECTOR, "#nnn .points td a").click()
    assert browser.driver.find_element(By.CSS_SELECTOR, ".cell:target summary").is_displayed()


@pytest.mark.parametrize(("width", "dark"), [(1440, False), (1440, True), (360, False)])
@pytest.mark.parametrize("page", ["run/index.html", "run/nnn/cases-normal.html", "aftermath.html"])
def test_accessibility(browser: Browser, folder: Path, page: str, width: int, dark: bool) -> None:
    browser.look(width, dark=dark)
    browser.open(folder.parent / page)
    assert browser.ask(WIDE) <= width, "nothing stands out at the side"
    browser.ask("for (const one of [...document.querySelectorAll('details')].slice(0, 20)) one.open = true")
    assert violations(browser) == []
