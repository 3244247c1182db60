# SPDX-License-Identifier: GPL-3.0-or-later
"""The page: what is on it, that every address leads somewhere, and that it stands alone and stays small."""

from __future__ import annotations

import os
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest

from migration_lab.model.combination import COMBINATIONS
from migration_lab.model.errors import LabError
from migration_lab.report.case_view import LOGS_SIZE
from migration_lab.report.grid import MARKS, grid, mark_of
from migration_lab.report.log_tail import LINES, SIZE, log_tail
from migration_lab.report.page import most_serious, page_text
from migration_lab.report.report import make_report
from migration_lab.results.machine_versions import VersionRow, machine_versions
from migration_lab.results.run import Run, read_run
from migration_lab.results.wording import duration_text
from synthetic_page import COMPARISON, ERROR, FAILED, FIXED, KNOWN, LAB, LEFT_OVER, LOG, every_verdict, history
from synthetic_run import CASES, DEVIATION, EMULATED, LEDGER, ROOT, STEPS, SyntheticRun, refused, wrong_state

TEMPLATES = ROOT / "roles/report/templates"

NOTHING = "\N{EN DASH}"

# End tags that HTML does not need, or does not have.
NOT_CLOSED = {"p", "li", "tr", "td", "th", "thead", "tbody", "meta", "input", "br", "wbr"}


class Page(HTMLParser):
    """A page's words by the section of the case that they are in (else ``""``), its cells, addresses and links."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.html = html
        self.open: list[str] = []
        self.rows: list[list[str]] = []
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.addresses: list[str] = []
        self.cells: dict[str, str] = {}
        self.texts: dict[str, str] = {}
        self._case = self._cell = ""
        self.feed(html)
        self.close()
        self.rows = [[" ".join(cell.split()) for cell in row] for row in self.rows]
        assert self.open == [], "every element is closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag not in NOT_CLOSED:
            self.open.append(tag)
        if "id" in given:
            self.addresses.append(given["id"])
        if given.get("class") == "case":
            self._case = given["id"]
        self.loaded += [given[name] for name in ("src", "srcset", "data", "poster") if name in given]
        if tag in ("link", "img", "iframe", "object", "base"):
            self.loaded.append(tag)
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")
            self.texts[self._case] = self.texts.get(self._case, "") + " "
        elif tag == "a":
            self.links.append(given["href"])
            self._cell = given["href"] if given.get("id", "").startswith("at:") else ""

    def handle_endtag(self, tag: str) -> None:
        if tag not in NOT_CLOSED:
            assert self.open.pop() == tag
        if tag == "section":
            self._case = ""
        elif tag == "a":
            self._cell = ""

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("style", "script"):
            return
        self.texts[self._case] = self.texts.get(self._case, "") + data
        if self._cell:
            self.cells[self._cell] = data
        if "table" in self.open and self.rows and self.rows[-1]:
            self.rows[-1][-1] += data

    def text(self, case: str = "") -> str:
        """The words of a case, or of the page without its cases, with single spaces."""
        return " ".join(self.texts[case].split())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with every kind of verdict, reported on."""
    lab = every_verdict(tmp_path_factory.mktemp("page") / "run")
    make_report(lab.folder, TEMPLATES).write()
    return lab.folder


@pytest.fixture(scope="module")
def run(folder: Path) -> Run:
    return read_run(folder)


@pytest.fixture(scope="module")
def page(folder: Path) -> Page:
    return Page((folder / "index.html").read_text())


@pytest.fixture(scope="module")
def full_page(run: Run) -> Page:
    """The page with a comparison and a history."""
    return Page(page_text(run, TEMPLATES, COMPARISON, history(25)))


def test_page_stands_alone(full_page: Page) -> None:
    html = full_page.html
    assert html.startswith("<!DOCTYPE html>") and '<html lang="en">' in html
    # The ledger's references lead to libvirt's commits; nothing else of the page does, and nothing is loaded.
    without = re.sub(r'<a href="(https://[^"]+)" rel="noopener">\1</a>', "", html)
    assert without != html and full_page.loaded == [] and not re.search(r"https?://|@import|url\(", without)
    assert "<domain>" not in html


def test_result_pair_and_versions_are_at_the_top(run: Run, page: Page) -> None:
    top = page.text().partition("Matrix")[0]
    assert "Live migration between bookworm and trixie" in top and run.summary in top
    assert top.index(run.summary) < top.index("Versions as read from the machines")
    rows = {row[0]: row[1:] for row in page.rows if len(row) == 3}
    assert rows[""] == ["old: bookworm", "new: trixie"]
    assert rows["libvirt daemon"] == rows["libvirt client library"] == ["9.0.0", "11.3.0"]
    assert rows["QEMU"] == ["7.2.22", "10.0.6"]
    assert "boundary between old and new is libvirt 10.0.0" in top


def test_matrix_has_a_cell_for_every_case_in_order(run: Run, page: Page) -> None:
    by_method = [
        f"#{combination}/{case.id}"
        for method in ("normal", "p2p", "tunnelled") for combination in COMBINATIONS
        for case in CASES if case.method.value == method
    ]
    assert list(page.cells) == by_method and len(page.cells) == 768
    for combination in run.combinations:
        for case in CASES:
            assert page.cells[f"#{combination.name}/{case.id}"] == mark_of(combination, case.id).letter
    assert "".join(page.cells.values()).count("?") == 131
    assert {page.cells[f"#ooo/{case}"] for case in (FAILED, KNOWN, FIXED, LAB, CASES[0].id)} == set("FKXES")


def test_marks_tell_all_verdicts_apart() -> None:
    assert len({mark.letter for mark in MARKS.values()}) == len({mark.code for mark in MARKS.values()}) == len(MARKS) == 7


def test_every_address_leads_somewhere(folder: Path, page: Page, full_page: Page) -> None:
    assert len(set(page.addresses)) == len(page.addresses)
    for link in full_page.links:
        path, _, address = link.partition("#")
        if not path:
            assert address in full_page.addresses, link
        elif not path.startswith(("../", "https://")) and not path.endswith(".log"):
            assert (folder / unquote(path)).is_file(), link
    assert {"run.json", "matrix.svg", "ooo/results.tap", "ooo/junit.xml", "ooo/journal.jsonl"} <= set(page.links)
    assert "noo/journal.jsonl" not in page.links


def test_a_failed_case_says_all_that_is_known_of_it(page: Page) -> None:
    address = f"ooo/{FAILED}"
    text = page.text(address)
    assert "1 ooo: old client, old source, old target; 1.20 s; protocol v2" in text
    assert f"libvirt's error:{' '.join(ERROR.split())}" in text and "failed beside 3 others; alone: fail" in text
    assert ["4", "migrated FAIL", "success", " ".join(ERROR.split())] in page.rows
    assert "10 target-state running not run: migrated failed" in text
    assert "virDomainMigrateToURI to qemu+tcp://10.0.0.3/system, flags undefine-source (2), 0.510 s" in text
    assert "seconds from 2025-11-24T16:00:00Z +0.000 client-target: prepare2, 0.210 s, ok" in text
    assert "+0.300 client-source: perform, no reply" in text
    assert f"{LOG} … 60: error : qemuMigrationSrcRun : no <domain> \"x\" 61: error" in text and "99: error" in text
    assert text.endswith(
        "Run this case againansible-playbook playbooks/run.yml -e pair=debian -e profile=canonical -e guest=x86_64 "
        f"-e combination=ooo -e 'cases={FAILED}'"
    )


def test_a_passed_case_has_its_checks_too(page: Page) -> None:
    text = page.text(f"nno/{CASES[0].id}")
    assert "P pass" in text and "10 target-state running running" in text and "judged by" not in text
    assert f"-e combination=nno -e 'cases={CASES[0].id}'" in text


@pytest.mark.parametrize(
    ("case", "words"),
    [
        (f"ooo/{KNOWN}", f"deviation {DEVIATION.id}: {LEDGER[0]['title']}"),
        (f"ooo/{FIXED}", f"judged by: deviation {DEVIATION.id}: expected target-state got running; every check passed"),
        (f"ooo/{LAB}", "the lab's error:the agent hung"),
        (f"ooo/{LAB}", "Migration not called"),
        (f"ooo/{KNOWN}", "cannot be read: No such file or directory"),
        (f"onn/{LEFT_OVER}", "no-leftovers FAIL none lab-guest on the target: transient, running"),
        (f"noo/{CASES[0].id}", "not obtained: the mirror cannot be reached"),
        (f"nnn/{CASES[61].id}", "the run was interrupted before their final result"),
    ],
)
def test_a_case_says_what_it_came_to(page: Page, case: str, words: str) -> None:
    assert words in page.text(case)


def test_combinations(page: Page) -> None:
    start = next(index for index, row in enumerate(page.rows) if row[:2] == ["Combination", "Client"])
    assert page.rows[start][6:13] == ["pass", "fail", "known", "fixed", "error", "skip", "not obtained"]
    rows = page.rows[start + 1 : start + 9]
    assert [row[0] for row in rows] == [f"{number} {name}" for number, name in enumerate(COMBINATIONS, start=1)]
    assert rows[0][1:13] == ["9.0.0", "9.0.0", "9.0.0", "96 of 96", "947 of 960", "77", "1", "15", "1", "1", "1", "0"]
    assert rows[1][12] == "96" and rows[1][1] == NOTHING


def test_what_is_not_green_is_listed_with_links(run: Run, page: Page) -> None:
    text = page.text().partition("What is not green")[2]
    assert page.links.count(f"#ooo/{FAILED}") == 4, "cell, list of failures, tried again, list of cases"
    assert "noo not obtained the mirror cannot be reached" in text
    assert "the daemon on the target (process 7) died" in text and "oon/logs/death-source.log" in page.links
    assert f"Tried again ooo {FAILED}: failed beside 3 others; alone: fail" in text
    assert all(line.replace("\n", " ") in text for failure in run.failures for line in failure.lines)


def test_page_lists_the_ledger_and_the_notices(tmp_path: Path) -> None:
    lab = SyntheticRun(tmp_path / "run", ["ooo"], pair=EMULATED, untried=["debian-6"], deviations=LEDGER)
    lab.complete("ooo", {}, expected=[KNOWN], steps=STEPS)
    page = Page(page_text(read_run(lab.folder), TEMPLATES))
    text = page.text()
    assert "old is emulated: debian-12 presented as libvirt 0.9.1" in text and "nobody has run it before: debian-6" in text
    for entry in LEDGER:
        assert all(" ".join(entry[field].split()) in text for field in ("title", "cause", "reference"))
    assert "source below 0.9.2, target below 4.5.0, method p2p or tunnelled, guest paused, without flag paused" in text
    assert "guest-continuity: got *counting, only sometimes" in text
    assert [DEVIATION.id, "1 fixed", "0", "1"] in page.rows


def test_page_has_nothing_to_say_of_what_is_not_there(tmp_path: Path) -> None:
    lab = SyntheticRun(tmp_path / "run", ["noo"])
    lab.complete("noo")
    text = Page(page_text(read_run(lab.folder), TEMPLATES)).text()
    assert not any(word in text for word in ("Deviations", "Tried again", "emulated", "What changed", "History", "Flaky"))
    assert "What is not green Nothing." in text


def test_page_of_a_run_without_any_journal(tmp_path: Path) -> None:
    lab = SyntheticRun(tmp_path / "run", ["noo"])
    page = Page(page_text(read_run(lab.folder), TEMPLATES))
    assert "No combination was obtained, so not even the cases are known." in page.text() and page.cells == {}
    assert "No machine has reported its versions." in page.text()


def test_comparison_comes_first(run: Run, full_page: Page) -> None:
    text = full_page.text()
    assert text.index(run.summary) < text.index("What changed") < text.index("Versions as read") < text.index("Matrix")
    assert f"What changed {COMPARISON.line} source of noo: libvirt 9.0.0-4 -> 9.0.0-5 Newly failing: 2" in text
    assert f"ooo {FAILED}: P pass →, now F fail check migrated: expected success, got no <domain>" in text
    assert "noo as a whole: P pass →, now ? not obtained the mirror cannot be reached" in text
    assert "before: check target-state: expected running, got paused" in text
    assert " 2 changed" in text, "of the legend: cases, not combinations"
    assert "3 cases only here. Base: 20261124T010000Z" in text and "only in the base" not in text
    assert "../20261124T010000Z/index.html" in full_page.links


def test_history_of_combinations_and_cases(full_page: Page) -> None:
    text = full_page.text()
    row = next(row for row in full_page.rows if row[0] == "5 nno" and len(row) == 26)
    assert row[1:4] == ["P 96", "P 96", "F 1"]
    assert next(row for row in full_page.rows if row[0] == "2 noo" and len(row) == 26)[1:3] == [NOTHING, "P 96"]
    assert f"Flaky The verdict changed between two of these runs though no version had changed. nno {CASES[40].id} PPFPPF" in text
    assert "flaky: PPFPPF" in full_page.text(f"nno/{CASES[40].id}")
    assert f"../20261103T010000Z/index.html#nno/{CASES[40].id}" in full_page.links
    assert "pass in all of 25 runs" in full_page.text(f"nno/{CASES[39].id}")


def test_most_serious_of_counts() -> None:
    assert most_serious({"pass": 90, "known": 6}).word == "known"
    assert most_serious({"pass": 90, "known": 5, "not_obtained": 1}).word == "not obtained"
    assert most_serious({"pass": 0, "fail": 1, "error": 95}).word == "fail"
    assert most_serious({}).word == "not obtained"


def test_page_stays_small_when_everything_fails_with_long_logs(tmp_path: Path) -> None:
    lab = SyntheticRun(tmp_path / "run")
    for combination in COMBINATIONS:
        lab.complete(combination, {case.id: refused(ERROR) for case in CASES}, steps=STEPS * 3)
        for case in CASES:
            log = lab.folder / combination / f"logs/{case.number:03d}-{case.method.value}-source.log"
            log.parent.mkdir(exist_ok=True)
            log.write_text('"<daemon>" says\n' * 1000)
    text = page_text(read_run(lab.folder), TEMPLATES, COMPARISON, history(30))
    assert text.count("&lt;daemon&gt;") > 768
    assert text.count("<article>") == 200 and "And 568 more cases" in text
    assert len(text.encode()) < 3_000_000


def test_log_tail(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("".join(f"line {number}\n" for number in range(1000)))
    tail = log_tail(tmp_path, "log")
    assert tail.text.splitlines() == [f"line {number}" for number in range(1000 - LINES, 1000)] and tail.left_out
    (tmp_path / "log").write_bytes(b"x" * 5000 + b"\nsmall \xff\n")
    assert log_tail(tmp_path, "log").text == "small �"
    (tmp_path / "log").write_text("<one>\n<two>\n")
    assert log_tail(tmp_path, "log").text == "<one>\n<two>" and not log_tail(tmp_path, "log").left_out
    assert log_tail(tmp_path, "log", size=15).text == "<two>" and log_tail(tmp_path, "log", size=15).left_out
    assert log_tail(tmp_path, "nothing").problem == "No such file or directory"
    assert SIZE * 10 < LOGS_SIZE


def test_versions_on_which_machines_differ_are_all_told(tmp_path: Path) -> None:
    lab = SyntheticRun(tmp_path / "run", ["ooo", "noo"])
    for combination, libvirt in (("ooo", "9.0.0"), ("noo", "9.0.1")):
        old = {"libvirt": libvirt, "libvirt_package": f"deb {libvirt}-1", "kernel": "6.18"}
        client = {"libvirt": "11.3.0"} if combination == "noo" else old
        lab.start(combination, versions={"client": client, "source": old, "target": old}).close()
    run = read_run(lab.folder)
    assert machine_versions(run) == [
        VersionRow("libvirt daemon", {"old": ("9.0.0", "9.0.1"), "new": ()}),
        VersionRow("libvirt client library", {"old": ("9.0.0",), "new": ("11.3.0",)}),
        VersionRow("package of libvirt", {"old": ("deb 9.0.0-1", "deb 9.0.1-1"), "new": ()}),
        VersionRow("kernel", {"old": ("6.18",), "new": ()}),
    ]
    assert "9.0.0, 9.0.1 (the machines differ)" in Page(page_text(run, TEMPLATES)).text()


def test_grid_is_in_the_profiles_order_though_a_combination_ran_fewer_cases(tmp_path: Path) -> None:
    lab = SyntheticRun(tmp_path / "run", ["ooo", "noo"])
    lab.start("ooo", selected=[case.id for case in CASES[50:60]]).close()
    lab.start("noo").close()
    methods = grid(read_run(lab.folder)).values()
    assert [case for scenarios in methods for cases in scenarios.values() for case in cases] == [case.id for case in CASES]
    assert [len(scenarios) for scenarios in methods] == [8, 8, 8]


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0 s"), (59.6, "1 min 0 s"), (580, "9 min 40 s"), (7499, "2 h 4 min")])
def test_duration(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text


def test_template_that_changes_is_compiled_again(tmp_path: Path) -> None:
    lab = SyntheticRun(tmp_path / "run", ["noo"], CASES[:2])
    templates = tmp_path / "templates"
    templates.mkdir()
    (templates / "index.html.j2").write_text("one")
    assert page_text(read_run(lab.folder), templates) == "one"
    (templates / "index.html.j2").write_text("two {{ count(2, 'case') }}")
    os.utime(templates / "index.html.j2", (1, 1))
    assert page_text(read_run(lab.folder), templates) == "two 2 cases"


def test_start_that_is_no_time(tmp_path: Path) -> None:
    lab = SyntheticRun(tmp_path / "run", ["noo"], started="yesterday")
    lab.complete("noo")
    with pytest.raises(LabError, match=r"run\.json has 'yesterday' as the start of the run"):
        page_text(read_run(lab.folder), TEMPLATES)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("index.html.j2", None, r"index\.html\.j2 cannot be read"),
        ("case.html.j2", None, r"case\.html\.j2 cannot be read"),
        ("case.html.j2", "{% if %}", r"line 1 of the page's template .*case\.html\.j2 is faulty"),
        ("case.html.j2", "{{ run.nothing }}", r"is faulty: .*nothing"),
    ],
)
def test_template_that_cannot_be_used(tmp_path: Path, name: str, content: str | None, words: str) -> None:
    lab = SyntheticRun(tmp_path / "run", ["noo"], CASES[:2])
    lab.complete("noo", {CASES[1].id: wrong_state})
    templates = tmp_path / "templates"
    shutil.copytree(TEMPLATES, templates)
    if content is None:
        (templates / name).unlink()
    else:
        (templates / name).write_text(content)
    before = sorted(lab.folder.rglob("*"))
    with pytest.raises(LabError, match=words):
        make_report(lab.folder, templates)
    assert sorted(lab.folder.rglob("*")) == before, "nothing is written when something is wrong"
