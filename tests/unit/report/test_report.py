# SPDX-License-Identifier: GPL-3.0-or-later
"""The report as a whole: text, page, run.json, and how files are written."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from migration_lab.model.combination import COMBINATIONS, RUNNING_ORDER
from migration_lab.model.errors import LabError
from migration_lab.report.report import Report, make_report
from synthetic_run import CASES, DEVIATION, EMULATED, LEDGER, ROOT, STEPS, SyntheticRun, lab_error, refused, wrong_state

TEMPLATES = ROOT / "roles/report/templates"


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> SyntheticRun:
    """A run with one of each thing that can go wrong; its report is written when ``written`` is asked for."""
    lab = SyntheticRun(tmp_path_factory.mktemp("mixed") / "run")
    spoilt = {CASES[1].id: refused("no <domain> & no 'x'"), CASES[40].id: wrong_state, CASES[90].id: lab_error("the agent hung")}
    lab.complete("ooo", spoilt)
    lab.complete("nno")
    lab.complete("onn")
    journal = lab.start("nnn")
    for case in CASES[:50]:
        lab.record(journal, case)
    journal.close()
    journal = lab.start("oon")
    for case in CASES:
        lab.record(journal, case)
    lab.die(journal)
    journal.close()
    lab.not_obtained("noo", "the mirror cannot be reached")
    lab.complete("non")
    lab.complete("ono")
    return lab


@pytest.fixture(scope="module")
def report(mixed: SyntheticRun) -> Report:
    return make_report(mixed.folder, TEMPLATES)


@pytest.fixture(scope="module")
def written(mixed: SyntheticRun, report: Report) -> SyntheticRun:
    """The run with its report."""
    assert len(report.outdated()) == 19
    assert sorted(report.write()) == sorted(report.files)
    return mixed


def test_text_of_a_green_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter(range(1_764_000_000, 1_765_000_000))
    monkeypatch.setattr("migration_lab.journal.journal.time.time", lambda: float(next(now)))
    lab = SyntheticRun(tmp_path / "run")
    for name in RUNNING_ORDER:
        lab.complete(name)
    assert make_report(lab.folder, TEMPLATES).text == """\
run run: pair debian, profile canonical, guest x86_64

combination  client  source  target  cases   checks  pass  fail  error  seconds
1 ooo        9.0.0   9.0.0   9.0.0   96/96  960/960    96     0      0     97.0
2 noo        11.3.0  9.0.0   9.0.0   96/96  960/960    96     0      0     97.0
3 ono        9.0.0   11.3.0  9.0.0   96/96  960/960    96     0      0     97.0
4 oon        9.0.0   9.0.0   11.3.0  96/96  960/960    96     0      0     97.0
5 nno        11.3.0  11.3.0  9.0.0   96/96  960/960    96     0      0     97.0
6 non        11.3.0  9.0.0   11.3.0  96/96  960/960    96     0      0     97.0
7 onn        9.0.0   11.3.0  11.3.0  96/96  960/960    96     0      0     97.0
8 nnn        11.3.0  11.3.0  11.3.0  96/96  960/960    96     0      0     97.0

green: 8 combinations, 768 of 768 cases, 7680 of 7680 checks"""


def test_text_of_a_run_that_is_not_green(mixed: SyntheticRun, report: Report) -> None:
    table, *blocks, again, last = report.text.split("\n\n")[1:]
    rows = [line.split() for line in table.splitlines()]
    assert rows[0] == ["combination", "client", "source", "target", "cases", "checks", "pass", "fail", "error", "seconds"]
    assert [row[:2] for row in rows[1:]] == [[str(number), name] for number, name in enumerate(COMBINATIONS, start=1)]
    assert rows[1][5:-1] == ["96/96", "947/960", "93", "2", "1"]
    assert rows[2][2:] == ["-", "-", "-", "0/96", "0/960", "0", "0", "0", "-"]
    assert rows[8][5:-1] == ["50/96", "500/960", "50", "0", "0"]
    folder = mixed.folder
    assert blocks == [
        f"ooo {CASES[1].id}: fail\n    migrated: expected success, got no <domain> & no 'x'\n"
        f"    log:     {folder}/ooo/logs/002-normal-source.log\n    journal: {folder}/ooo/journal.jsonl",
        f"ooo {CASES[40].id}: fail\n    target-state: expected running, got paused\n"
        f"    log:     {folder}/ooo/logs/041-p2p-source.log\n    journal: {folder}/ooo/journal.jsonl",
        f"ooo {CASES[90].id}: error\n    the agent hung\n"
        f"    log:     {folder}/ooo/logs/091-tunnelled-source.log\n    journal: {folder}/ooo/journal.jsonl",
        "noo not obtained\n    the mirror cannot be reached",
        "oon a daemon died and no case alone explains it\n"
        f"    the daemon on the target (process 7) died; in flight were {CASES[0].id}\n"
        f"    log:     {folder}/oon/logs/death-source.log\n    journal: {folder}/oon/journal.jsonl",
        "nnn 46 cases not obtained\n    the run was interrupted before their final result; -e resume=true runs the rest\n"
        f"    {CASES[50].id}, {CASES[51].id}, {CASES[52].id} and 43 more\n    journal: {folder}/nnn/journal.jsonl",
    ]
    assert f"-e pair=debian -e profile=canonical -e guest=x86_64 -e combination=ooo -e 'cases={CASES[1].id}'" in again
    assert last == (
        "NOT green: 7 of 8 combinations, 626 of 768 cases, 6247 of 7680 checks; "
        "2 fail, 1 error, 142 cases not obtained, 1 daemon death unexplained"
    )


def test_text_is_as_wide_as_a_terminal(report: Report) -> None:
    table = report.text.split("\n\n")[1]
    assert max(len(line) for line in table.splitlines()) <= 80


def test_text_shows_forty_failures_and_says_how_many_more(tmp_path: Path) -> None:
    lab = SyntheticRun(tmp_path / "run", ["noo"])
    lab.complete("noo", {case.id: wrong_state for case in CASES})
    report = make_report(lab.folder, TEMPLATES)
    assert report.text.count(": expected ") == 40
    assert f"... and 56 more: see {lab.folder}/index.html" in report.text
    assert len(report.run.failures) == 96
    assert report.files[lab.folder / "index.html"].count("<article>") == 96, "the page has them all"


def test_a_column_for_each_verdict_that_came(tmp_path: Path) -> None:
    lab = SyntheticRun(tmp_path / "run", ["noo"])
    lab.complete("noo")
    path = lab.journal_path("noo")
    path.write_text(path.read_text().replace('"verdict":"pass"', '"verdict":"known"', 3))
    header, row = make_report(lab.folder, TEMPLATES).text.split("\n\n")[1].splitlines()
    assert header.split()[6:10] == ["pass", "fail", "known", "error"] and row.split()[7:11] == ["93", "0", "3", "0"]


@pytest.fixture(scope="module")
def deviating(tmp_path_factory: pytest.TempPathFactory) -> SyntheticRun:
    """A run on emulated machines: a known case, one of which the deviation did not come, a failed one, and one tried again."""
    folder = tmp_path_factory.mktemp("deviating") / "run"
    lab = SyntheticRun(folder, ["ooo", "nnn"], pair=EMULATED, untried=["debian-6"], deviations=LEDGER)
    known, fixed, failed, again = (CASES[number].id for number in (48, 49, 40, 0))
    journal = lab.start("ooo")
    for case in CASES:
        lab.record(
            journal, case, wrong_state if case.id in (known, failed) else None,
            deviation=DEVIATION if case.id in (known, fixed) else None,
            note="failed beside 3 others; alone: pass" if case.id == again else "",
            steps=tuple(STEPS), protocol="v2",
        )
    journal.close()
    lab.complete("nnn")
    return lab


@pytest.fixture(scope="module")
def plain_report(deviating: SyntheticRun) -> Report:
    return make_report(deviating.folder, TEMPLATES)


def test_text_explains_every_case_that_did_not_pass_when_asked(deviating: SyntheticRun, plain_report: Report) -> None:
    plain = plain_report.text
    assert plain.splitlines()[1:3] == [
        "old is emulated: debian-12 presented as libvirt 0.9.1", "nobody has run it before: debian-6",
    ]
    assert f"\n\nooo {CASES[0].id}: failed beside 3 others; alone: pass\n\n" in plain and "What judged" not in plain
    text = make_report(deviating.folder, TEMPLATES, explain=True).text
    blocks = [block for block in text.split("\n\n") if block.startswith("What judged")]
    steps = "    client-target: prepare2, 0.210 s, ok\n    client-source: perform, no reply"
    assert blocks == [
        "What judged each case that did not pass:\n"
        f"ooo {CASES[40].id}: fail\n    check target-state: expected running, got paused\n{steps}\n"
        f"ooo {CASES[48].id}: known\n    deviation {DEVIATION.id}: target-state got running\n{steps}\n"
        f"ooo {CASES[49].id}: fixed\n"
        f"    deviation {DEVIATION.id}: expected target-state got running; every check passed\n{steps}"
    ]


def test_run_file_has_deviations_and_notices(deviating: SyntheticRun, plain_report: Report) -> None:
    plain_report.write()
    results = json.loads((deviating.folder / "run.json").read_text())["results"]
    assert results["deviations"][0] == {"id": DEVIATION.id, "known": {"ooo": 1}, "fixed": {"ooo": 1}}
    assert results["notices"] == ["old is emulated: debian-12 presented as libvirt 0.9.1", "nobody has run it before: debian-6"]


def test_run_file_is_completed(written: SyntheticRun) -> None:
    data = json.loads((written.folder / "run.json").read_text())
    results = data.pop("results")
    assert data == written.data, "what was written at the start is as it was"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", results["finished"])
    assert results["green"] is False and results["summary"].startswith("NOT green: 7 of 8")
    assert results["versions"] == {"old": ["9.0.0"], "new": ["11.3.0"]}
    assert list(results["combinations"]) == list(COMBINATIONS)
    assert results["combinations"]["nno"]["versions"]["source"]["libvirt"] == "11.3.0"
    assert results["counts"]["not_obtained"] == 142
    assert [(failure["kind"], failure["combination"]) for failure in results["failures"]] == [
        *[("case", "ooo")] * 3, ("combination-not-obtained", "noo"), ("daemon-death", "oon"), ("cases-not-obtained", "nnn"),
    ]


def test_second_report_writes_only_what_differs(written: SyntheticRun, report: Report) -> None:
    marks = {path: path.stat().st_mtime_ns for path in report.files}
    again = make_report(written.folder, TEMPLATES)
    assert again.files == report.files and again.outdated() == [] and again.write() == []
    assert {path: path.stat().st_mtime_ns for path in report.files} == marks
    spoilt = written.folder / "ono" / "results.tap"
    spoilt.write_text("1..0\n")
    assert again.outdated() == [spoilt] and spoilt.read_text() == "1..0\n", "asking writes nothing"
    assert again.write() == [spoilt] and spoilt.read_text().startswith("TAP version 13\n1..960\n")


def test_write_leaves_no_temporary_file_and_readable_ones(written: SyntheticRun) -> None:
    names = {path.name for path in written.folder.rglob("*") if path.is_file()}
    assert names == {"run.json", "index.html", "matrix.svg", "journal.jsonl", "results.tap", "junit.xml", "not-obtained.json"}
    assert {path.stat().st_mode & 0o777 for path in written.folder.rglob("results.tap")} == {0o644}


def test_file_that_cannot_be_written(tmp_path: Path) -> None:
    lab = SyntheticRun(tmp_path / "run", ["noo"], CASES[:2])
    (lab.folder / "index.html").mkdir()
    with pytest.raises(LabError, match=r"index\.html cannot be written"):
        make_report(lab.folder, TEMPLATES).write()
    assert not list(lab.folder.glob(".index.html*")), "nothing half-made"
    assert json.loads((lab.folder / "run.json").read_text())["run"] == "run"


@pytest.fixture
def two(tmp_path: Path) -> tuple[SyntheticRun, SyntheticRun]:
    """A green run and a later one that is not."""
    before = SyntheticRun(tmp_path / "night-1", ["noo", "nnn"], CASES[:6], started="2026-01-01T02:00:00Z")
    after = SyntheticRun(tmp_path / "night-2", ["noo", "nnn"], CASES[:6], started="2026-01-02T02:00:00Z")
    for lab, spoilt in ((before, {CASES[2].id: refused("no")}), (after, {CASES[1].id: wrong_state, CASES[0].id: wrong_state})):
        lab.complete("noo", spoilt)
        lab.complete("nnn")
    return before, after


def test_what_changed_comes_first_on_the_terminal(two: tuple[SyntheticRun, SyntheticRun]) -> None:
    report = make_report(two[1].folder, TEMPLATES, base="night-1")
    heading, comparison, table, *_ = report.text.split("\n\n")
    assert heading.startswith("run night-2: ") and table.startswith("combination ")
    assert comparison == f"""\
against night-1: 2 newly failing, 1 newly passing, nothing else changed
newly failing:
    noo {CASES[0].id}: pass -> fail
        is: check target-state: expected running, got paused
    noo {CASES[1].id}: pass -> fail
        is: check target-state: expected running, got paused
newly passing:
    noo {CASES[2].id}: fail -> pass
        was: check migrated: expected success, got no"""
    assert report.comparison and report.comparison.base == "night-1"
    assert report.line.endswith("; against night-1: 2 newly failing, 1 newly passing, nothing else changed; run night-2")


def test_differences_are_said_before_the_changes(two: tuple[SyntheticRun, SyntheticRun]) -> None:
    (two[0].folder / "run.json").write_text(json.dumps({**two[0].data, "guest": "aarch64"}))
    comparison = make_report(two[1].folder, TEMPLATES, base="night-1").text.split("\n\n")[1]
    assert comparison.splitlines()[1:3] == ["    not the same: guest: aarch64 -> x86_64", "newly failing:"]


def test_forty_changes_are_shown(tmp_path: Path) -> None:
    before, after = (SyntheticRun(tmp_path / name, ["noo"], CASES[:50]) for name in ("a", "b"))
    before.complete("noo")
    after.complete("noo", {case.id: wrong_state for case in CASES[:50]})
    comparison = make_report(after.folder, TEMPLATES, base="a").text.split("\n\n")[1]
    assert comparison.count(": pass -> fail") == 40
    assert comparison.endswith(f"... and 10 more changes: see {after.folder}/index.html")


def test_run_file_has_line_and_comparison(two: tuple[SyntheticRun, SyntheticRun]) -> None:
    folder = two[1].folder
    make_report(folder, TEMPLATES).write()
    results = json.loads((folder / "run.json").read_text())["results"]
    assert results["comparison"] is None
    assert results["line"] == "debian, libvirt 9.0.0 -> 11.3.0: NOT green, 10 pass, 2 fail; run night-2"
    report = make_report(folder, TEMPLATES, base="night-1")
    assert report.comparison and folder / "run.json" in report.write()
    results = json.loads((folder / "run.json").read_text())["results"]
    assert results["comparison"] == report.comparison.to_data() and results["line"] == report.line
    assert make_report(folder, TEMPLATES, base="night-1").outdated() == []


def test_report_keeps_the_history_and_is_compared_with_the_last_run(two: tuple[SyntheticRun, SyntheticRun]) -> None:
    history = two[0].folder.parent / "history.sqlite"
    report = make_report(two[1].folder, TEMPLATES, base="last", history=history)
    assert report.comparison and report.comparison.base == "night-1" and report.remarks == []
    assert history in report.outdated() and not history.exists(), "asking writes nothing"
    assert report.write()[-1] == history and history.exists()
    again = make_report(two[1].folder, TEMPLATES, base="last", history=history)
    assert again.outdated() == [] and again.write() == [] and again.files == report.files
    first = make_report(two[0].folder, TEMPLATES, base="last", history=history)
    assert first.comparison is None
    assert first.text.splitlines()[1] == first.remarks[0]
    none = "compared with no other run: none before it has the same pair, profile, guest, combinations and cases"
    assert first.remarks == [none]
    first.write()
    assert make_report(two[1].folder, TEMPLATES, base="last", history=history).outdated() == []


@pytest.mark.parametrize(
    ("base", "history", "words"),
    [
        ("never", "history.sqlite", "there is no run 'never' in .*; there are night-2, night-1"),
        ("last", "elsewhere/history.sqlite", "the history of .*night-2 is .*/history.sqlite, beside the run, not .*elsewhere"),
        ("broken", "history.sqlite", "broken/run.json has schema 99, this lab reads schema 1"),
    ],
)
def test_nothing_is_written_when_base_or_history_cannot_be_used(
    two: tuple[SyntheticRun, SyntheticRun], base: str, history: str, words: str
) -> None:
    root = two[0].folder.parent
    (root / "broken").mkdir()
    (root / "broken/run.json").write_text('{"schema": 99}')
    before = sorted(root.rglob("*"))
    with pytest.raises(LabError, match=words):
        make_report(two[1].folder, TEMPLATES, base=base, history=root / history)
    assert sorted(root.rglob("*")) == before
