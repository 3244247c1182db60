# SPDX-License-Identifier: GPL-3.0-or-later
"""The pages of a recovery run: grids that lead to cases, what is shown of a case, text, picture, TAP and JUnit."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote
from xml.etree import ElementTree

import pytest

from migration_lab.model.verdict import Verdict
from migration_lab.report.junit import junit_text
from migration_lab.report.outcome_marks import outcome_mark
from migration_lab.report.recovery_page import case_address, recovery_pages
from migration_lab.report.recovery_picture import recovery_picture
from migration_lab.report.report import Report, make_report
from migration_lab.report.tap import tap_text
from migration_lab.results.recovery import Recovery, read_recovery
from migration_lab.results.run import read_run
from synthetic_page import COMPARISON
from synthetic_recovery import SyntheticRecovery
from synthetic_run import ROOT

TEMPLATES = ROOT / "roles/report/templates"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> SyntheticRecovery:
    """Two combinations with what happens from Perform's end on, one of them v2, and one that was not obtained."""
    lab = SyntheticRecovery(
        tmp_path_factory.mktemp("recovery") / "run", ["nnn", "ooo", "noo"], "pairwise",
        keep=lambda case: case.point.stage > 1 and case.fault.group in ("connection", "daemon", "qemu"),
    )
    for combination in ("nnn", "ooo"):
        lab.carry_out(combination)
    case = next(case for case in lab.chosen["nnn"] if case.fault.name == "reply-replaced" and case.point.stage == 3)
    (lab.folder / "nnn/logs").mkdir()
    (lab.folder / f"nnn/logs/{case.number}-source.log").write_text("error : <qemu> is gone\n")
    lab.not_obtained("noo", "the mirror <cannot> be reached")
    return lab


@pytest.fixture(scope="module")
def report(lab: SyntheticRecovery) -> Report:
    return make_report(lab.folder, TEMPLATES)


@pytest.fixture(scope="module")
def recovery(lab: SyntheticRecovery) -> Recovery:
    return read_recovery(read_run(lab.folder))


@pytest.fixture(scope="module")
def pages(report: Report) -> dict[str, str]:
    folder = report.run.folder
    return {path.relative_to(folder).as_posix(): text for path, text in report.files.items() if path.suffix == ".html"}


def ids(html: str) -> list[str]:
    return re.findall(r' id="([^"]+)"', html)


def test_there_is_a_page_for_each_combination_and_method(pages: dict[str, str]) -> None:
    expected = {"index.html"} | {
        f"{name}/cases-{method}.html" for name in ("nnn", "ooo", "noo") for method in ("normal", "p2p", "tunnelled")
    }
    assert set(pages) == expected


def test_every_link_leads_somewhere(pages: dict[str, str]) -> None:
    for path, html in pages.items():
        assert len(ids(html)) == len(set(ids(html))), f"the addresses in {path} are unique"
        for link in re.findall(r'href="([^"]+)"', html):
            page, _, fragment = unquote(link).partition("#")
            where = str(Path(path).parent / page) if page else path
            where = where.removeprefix("nnn/../").removeprefix("ooo/../").removeprefix("noo/../")
            if fragment:
                assert fragment in ids(pages[where]), link
        assert not re.search(r'(src|srcset)=|<link|<img|@import|url\(', html), "nothing is loaded"


def test_a_cell_shows_its_worst_outcome_and_whether_it_is_red(recovery: Recovery, pages: dict[str, str]) -> None:
    cells = re.findall(
        r'<td[^>]*><a class="([^"]+)" href="nnn/cases-normal.html#([^"]+)" aria-label="([^"]+)">([^<]+)</a>', pages["index.html"]
    )
    nnn = next(one for one in recovery.combinations if one.name == "nnn")
    assert len(cells) == sum(cell.table == "normal" for cell in nnn.cells)
    found = {place: (code, label, text) for code, place, label, text in cells}
    assert found["finish-reply/reply-replaced"] == (
        "o2 red", "2!: finish-reply, reply-replaced: 1 running-twice; 1 red", "2!",
    )
    assert found["finish-reply/source-daemon-killed"][0::2] == ("om", "M")
    for name, words in (("ooo", "protocol v2"), ("nnn", "protocol v3")):
        assert f"{name}, normal, {words}" in pages["index.html"]


def test_index_says_what_is_missing_and_what_is_worst(pages: dict[str, str]) -> None:
    text = pages["index.html"]
    assert "the mirror &lt;cannot&gt; be reached" in text
    worst = text[text.index('id="worst"'):text.index('id="combinations"')]
    assert "normal, finish-reply, connection-closed</a>: running-twice" in worst and "lost" in worst
    assert "intact" not in worst.replace("intact 1 of", "")
    stages = re.search(r"nnn, outcomes by stage\.</caption>.*?</table>", text, re.DOTALL)
    assert stages and "Finish has run, its reply is not seen" in stages.group()


def test_a_case_has_all_that_is_known_of_it(lab: SyntheticRecovery, recovery: Recovery, pages: dict[str, str]) -> None:
    case = next(case for case in lab.chosen["nnn"] if case.fault.name == "reply-replaced" and case.point.stage == 3)
    page, _, fragment = case_address(recovery.run, "nnn", case.id).partition("#")
    html = pages[page]
    start = html.index(f'id="{fragment}"')
    text = html[start:html.index("</details>", start)]
    for expected in (
        "<dt>Outcome<dd>the guest ran in two copies at a time", "<dt>Judged by<dd>check single-copy: the guest is running-twice",
        "<dt>What was done<dd>what became of the message is all of the fault",
        "<dt>The caller was told<dd>error 38 of domain 7 after 0.731 s: Unable to read from monitor: &lt;Connection&gt;",
        "which is true", "nothing is promised anywhere", "source: counter", "memory whole",
        "two copies ran at a time for 1.250 s",
        "<dt>The source has<dd>persistent, running; config: guest" if case.scenario.persistent else "config: guest",
        "<dt>Leftovers<dd>none", "<dt>Healed by<dd>the source&#39;s daemon is started again",
        "s after the fault, healing included",
        "<dt>Migrates again<dd>no: check migrated: error 55", "+0.300 s client-source: finish3, 0.050 s, ok",
        "<dt>Again<dd>ansible-playbook playbooks/recovery.yml", "-e combinations=nnn -e selection=pairwise -e &#39;cases=",
        f'<a href="logs/{case.number}-source.log">', "error : &lt;qemu&gt; is gone",
    ):
        assert expected in text, expected


def test_a_strike_says_what_came_of_it(lab: SyntheticRecovery, pages: dict[str, str]) -> None:
    case = next(case for case in lab.chosen["nnn"] if case.fault.name == "source-daemon-killed")
    html = pages[f"nnn/cases-{case.method.value}.html"]
    start = html.index(f'id="{case.id}"')
    assert "kill-daemon on the source (0.012 s): process 412 ended" in html[start:html.index("</details>", start)]


def test_a_promise_is_shown_with_its_source(tmp_path: Path) -> None:
    lab = SyntheticRecovery(tmp_path / "run", keep=lambda case: case.point.stage == 1 and case.fault.name == "connection-closed")
    lab.carry_out("nnn")
    pages = recovery_pages(read_recovery(read_run(lab.folder)), TEMPLATES)
    assert (
        "<dt>libvirt promises<dd>The source resumes &lt;the&gt; guest.\nso the guest is intact or moved\n"
        "source: docs/migration.rst\nrow perform-fails\n"
    ) in "".join(pages.values())


def test_repetitions_have_a_rate(tmp_path: Path) -> None:
    lab = SyntheticRecovery(tmp_path / "run", repeat=4, keep=lambda case: case.fault.name == "connection-closed")
    lab.carry_out("nnn", lambda case: ("running-twice", True) if case.repetition == 3 else ("intact", False))
    report = make_report(lab.folder, TEMPLATES)
    assert "running-twice 1 of 4, intact 3 of 4" in "".join(report.files.values())
    method, _, _, point, fault, _ = lab.chosen["nnn"][0].id.split("/")
    assert f"    running-twice: {method}, {point}, {fault}: nnn 1 of 4\n" in report.text


def test_text_has_outcomes_by_verdict_and_the_worst(recovery: Recovery, report: Report) -> None:
    lines = report.text.splitlines()
    nnn = next(one for one in recovery.combinations if one.name == "nnn")
    head = next(line for line in lines if line.startswith("combination  outcome"))
    assert head.split() == ["combination", "outcome", "pass", "fail", "not", "obtained", "cases"]
    row = next(line for line in lines if line.startswith("nnn          running-twice"))
    twice = str(nnn.counts["running-twice"])
    assert row.split() == ["nnn", "running-twice", "0", twice, "0", twice]
    assert any(re.fullmatch(r"    lost: p2p, finish-call, source-daemon-killed: .*nnn 1 of 1.*", line) for line in lines)
    quiet = "No guest ran twice, was lost or was stuck."
    assert quiet not in lines


def test_a_long_comparison_is_cut(recovery: Recovery) -> None:
    case = recovery.combinations[0].result.selected[0]
    changes = [type(change)(**{**change.__dict__, "combination": "ooo", "case": case}) for change in COMPARISON.changes[:1]]
    many = type(COMPARISON)(**{**COMPARISON.__dict__, "changes": changes * 250})
    text = recovery_pages(recovery, TEMPLATES, many)["index.html"]
    assert "And 50 more: the pages of the cases and run.json have them all." in text
    assert text.count(f'href="{case_address(recovery.run, "ooo", case)}"') == 200


def test_picture_has_a_cell_for_each_place(recovery: Recovery) -> None:
    svg = ElementTree.fromstring(recovery_picture(recovery))
    places = {(cell.table, cell.point, cell.fault) for one in recovery.combinations for cell in one.cells}
    rects = [rect for rect in svg.iter("{http://www.w3.org/2000/svg}rect") if (rect.get("class") or "").startswith("o")]
    assert len(rects) == len(places) + len(recovery.counts), "the grids and the legend"
    texts = {text.text for text in svg.iter("{http://www.w3.org/2000/svg}text")}
    assert {"normal", "p2p", "tunnelled", "finish-reply", "connection-closed"} <= texts
    assert any(rect.get("class") == "red" for rect in svg.iter("{http://www.w3.org/2000/svg}rect"))


def test_tap_and_junit_take_numbers_of_four_digits(tmp_path: Path) -> None:
    lab = SyntheticRecovery(tmp_path / "run", selection="full", keep=lambda case: 995 <= case.number <= 1005)
    lab.carry_out("nnn", lambda case: ("lost", True) if case.number == 1004 else ("intact", False))
    run = read_run(lab.folder)
    combination, = run.combinations
    assert [line.number for line in combination.results.values()] == list(range(995, 1006))
    lines = tap_text(run, combination).splitlines()
    assert lines[1] == "1..110" and [line for line in lines if line.startswith("not ok")] == [
        f"not ok 94 - {list(combination.selected)[9]}: guest-kept",
    ]
    document = ElementTree.fromstring(junit_text(run, combination))
    assert (document.get("tests"), document.get("failures")) == ("11", "1")
    assert combination.counts[Verdict.FAIL.key] == 1


def test_a_word_that_is_not_known_is_shown() -> None:
    assert outcome_mark("vanished").word == "vanished" and outcome_mark("lost").letter == "L"


def test_processes_that_nobody_looked_for_are_not_none(tmp_path: Path) -> None:
    for copies, words in ((None, "not looked for"), ([], "none")):
        lab = SyntheticRecovery(tmp_path / words, keep=lambda case: case.number == 1)
        lab.carry_out("nnn", details={"copies": copies, "pattern": None})
        pages = "".join(recovery_pages(read_recovery(read_run(lab.folder)), TEMPLATES).values())
        assert re.search(rf"<dt>[^<]*[Cc]op[^<]*<dd>{words}\n?<", pages), words
