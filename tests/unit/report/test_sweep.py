# SPDX-License-Identifier: GPL-3.0-or-later
"""A sweep: its table of directions, on the page and on a terminal, and what is the same as of any run."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from migration_lab.history.text import history_text
from migration_lab.model.combination import running_order
from migration_lab.planning.schema import validate
from migration_lab.report.report import JUNIT_FILE, TAP_FILE, make_report
from migration_lab.report.sweep import Direction, Sweep, read_sweep, sweep_lines
from migration_lab.results.run import read_run
from migration_lab.results.wording import again_text
from migration_lab.suites.migration.checks import CANONICAL_CHECKS
from synthetic_run import CASES, ROOT, SWEEP, Spoil, SyntheticRun, refused, wrong_state

TEMPLATES = ROOT / "roles/report/templates"
FEW = [CASES[0], CASES[48]]
FIRST, PAUSED = (case.id for case in FEW)


def swept(folder: Path, started: str = "2025-11-24T10:12:30Z") -> SyntheticRun:
    """In bba known, in bcb a failure, a daemon's death in cac, ccc not obtained, and no client but b from a to c."""
    names = [name for name in running_order(("a", "b", "c")) if name[1:] != "ac"] + ["cac"]
    profile = {"name": "sweep", "flags_in_turn": True}
    lab = SyntheticRun(
        folder, names, FEW, pair=SWEEP, profile="sweep", started=started, profile_data=profile,
        axes={case.id: list(case.axes.values()) for case in FEW}, suite={"name": "migration", "checks": list(CANONICAL_CHECKS)},
        selected={name: [FIRST, PAUSED] for name in names},
    )
    spoilt: dict[str, dict[str, Spoil]] = {"bba": {PAUSED: wrong_state}, "bcb": {FIRST: refused("no <domain>")}}
    for name in names:
        if name == "ccc":
            lab.not_obtained(name, "the mirror cannot be reached")
        elif name == "cac":
            journal = lab.start(name)
            for case in FEW:
                lab.record(journal, case)
            lab.die(journal)
            journal.close()
        else:
            lab.complete(name, spoilt.get(name, {}), expected=[PAUSED] if name == "bba" else [])
    return lab


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> SyntheticRun:
    return swept(tmp_path_factory.mktemp("sweep") / "first")


@pytest.fixture(scope="module")
def sweep(lab: SyntheticRun) -> Sweep:
    found = read_sweep(read_run(lab.folder))
    assert found
    return found


def letters(sweep: Sweep) -> list[str]:
    """The table's letters, a word for each row."""
    return ["".join(one.worst.mark.letter if one.worst else "-" for one in row) for row in sweep.rows.values()]


def direction(sweep: Sweep, ends: str) -> Direction:
    return next(one for one in sweep.rows[ends[0]] if one.target == ends[1])


def test_a_direction_has_the_worst_of_its_clients(sweep: Sweep) -> None:
    assert letters(sweep) == ["PPF", "KPP", "PF?"]
    assert [one.name for one in direction(sweep, "ba").combinations] == ["aba", "bba"]
    assert [one.name for one in direction(sweep, "cc").combinations] == ["acc", "bcc", "ccc"], "any client"
    found = direction(sweep, "cb")
    assert found.worst and found.worst.title == f"bcb {FIRST}" and "no <domain>" in found.worst.why
    assert found.tally == "1 of 4 cases"


def test_what_concerns_a_combination_as_a_whole_counts(sweep: Sweep) -> None:
    died = direction(sweep, "ac").worst
    assert died and died.title == "cac as a whole" and "died" in died.why
    lost = direction(sweep, "cc")
    assert lost.worst and lost.worst.why == "the mirror cannot be reached" and lost.tally == "2 of 6 cases"


def test_a_direction_that_was_not_asked_for_is_empty(tmp_path: Path) -> None:
    lab = SyntheticRun(tmp_path / "few", ["aab"], FEW, pair=SWEEP)
    lab.complete("aab")
    found = read_sweep(read_run(lab.folder))
    assert found and letters(found) == ["-P-", "---", "---"]


def test_a_run_of_a_pair_is_no_sweep(tmp_path: Path) -> None:
    lab = SyntheticRun(tmp_path / "pair", ["noo"], FEW)
    assert read_sweep(read_run(lab.folder)) is None


def test_margins_have_versions_and_packages(tmp_path: Path) -> None:
    lab = SyntheticRun(tmp_path / "margins", ["aab"], FEW, pair=SWEEP)
    reported = {"libvirt": "9.0.0", "hypervisor": "7.2.0", "libvirt_package": "deb 9.0.0-4", "qemu_package": "deb 7.2-1"}
    lab.start("aab", versions={"client": {"libvirt": "7.0.0"}, "source": {"libvirt": "7.0.0"}, "target": reported}).close()
    found = read_sweep(read_run(lab.folder))
    assert found and found.margins == {
        "a": ("libvirt 7.0.0",), "b": ("libvirt 9.0.0", "deb 9.0.0-4", "QEMU 7.2.0", "deb 7.2-1"), "c": (),
    }


def test_only_what_was_to_migrate_is_not_obtained(tmp_path: Path) -> None:
    lab = SyntheticRun(tmp_path / "margins", ["baa", "ccc"], FEW, pair=SWEEP)
    lab.complete("baa")
    lab.not_obtained("ccc", "the mirror cannot be reached")
    found = read_sweep(read_run(lab.folder))
    assert found
    assert [line.split()[2:] for line in sweep_lines(found) if re.match("[abc] debian-1. *(libvirt|not|$)", line)] == [
        ["libvirt", "7.0.0", "QEMU", "5.2.0"], [], ["not", "obtained"],
    ], "b is only a client"


def test_terminal_has_the_table_the_worst_cases_and_the_last_line(lab: SyntheticRun, sweep: Sweep) -> None:
    lines = list(sweep_lines(sweep))
    assert lines[0].split() == ["source", "\\", "target", "a", "debian-11", "b", "debian-12", "c", "debian-13"]
    assert lines[3].split() == ["c", "debian-13", "P", "F", "?"]
    assert [line[0] for line in lines if " -> " in line] == ["F", "F", "?", "K"], "the worst first"
    assert "F debian-11 -> debian-13: cac as a whole" in lines
    assert f"F debian-13 -> debian-12: 1 of 4 cases fail, such as bcb {FIRST}" in lines
    text = make_report(lab.folder, TEMPLATES).text
    assert "\n".join(lines) in text
    assert text.startswith("run first: sweep of a debian-11, b debian-12, c debian-13, profile sweep, guest x86_64\n")
    assert text.splitlines()[-1].startswith("NOT green: 19 of 20 combinations, 38 of 40 cases")


def test_page_leads_from_each_direction_to_its_cases(lab: SyntheticRun, sweep: Sweep) -> None:
    page = make_report(lab.folder, TEMPLATES).files[lab.folder / "index.html"]
    there = set(re.findall(r' id="([^"]*)"', page))
    table = page[page.index('class="rows sweep"'):page.index("The letter leads to")]
    links = re.findall(r'href="#([^"]*)"', table)
    assert not set(links) - there, "every link leads somewhere"
    keys = dict(re.findall(r'class="key \w" href="#([^"]*)" aria-label="(.):', table))
    assert keys[f"bcb/{FIRST}"] == "F" and keys[f"bba/{PAUSED}"] == "K" and keys["red"] == "F" and keys[f"at:aab/{FIRST}"] == "P"
    assert {f"at:{one.name}/{FIRST}" for row in sweep.rows.values() for each in row for one in each.combinations} <= set(links)
    assert "debian-13 -&gt; debian-12, 1 of 4 cases" in page and "no &lt;domain&gt;" in table
    assert "Live migration between debian-11, debian-12 and debian-13" in page and "boundary" not in page.lower()


def test_files_are_those_of_any_run_and_fit_the_schema(lab: SyntheticRun) -> None:
    report = make_report(lab.folder, TEMPLATES)
    data = json.loads(report.files[lab.folder / "run.json"])
    schema = json.loads((ROOT / "scenarios/schema/run.json").read_text())
    validate(data, schema, "run.json")
    assert data["results"]["versions"] == {"a": ["7.0.0"], "b": ["9.0.0"], "c": ["11.3.0"]}
    assert data["results"]["combinations"]["cac"]["number"] is None
    assert "# cac: c client, a source, c target" in report.files[lab.folder / "cac" / TAP_FILE]
    assert "bcb" in report.files[lab.folder / "bcb" / JUNIT_FILE]
    assert "sweep, libvirt 7.0.0 -> 9.0.0 -> 11.3.0: NOT green" in report.line


def test_a_case_of_a_sweep_is_run_again_as_a_sweep(lab: SyntheticRun) -> None:
    data = read_run(lab.folder).data
    assert again_text(data, "bcb", FIRST) == (
        "ansible-playbook playbooks/sweep.yml -e releases=debian-11,debian-12,debian-13 -e sweep_profile=sweep -e guest=x86_64 "
        f"-e combinations=bcb -e 'cases={FIRST}'"
    )


def test_a_sweep_is_compared_with_the_one_before_and_has_a_history(tmp_path: Path) -> None:
    swept(tmp_path / "first", "2025-11-24T10:12:30Z")
    lab = swept(tmp_path / "second", "2025-11-25T10:12:30Z")
    other = SyntheticRun(
        tmp_path / "pair", ["noo"], FEW, started="2025-11-24T12:00:00Z", profile="sweep",
    )
    other.complete("noo")
    report = make_report(lab.folder, TEMPLATES, base="last", history=tmp_path / "history.sqlite")
    assert report.comparison and report.comparison.line == "against first: nothing changed"
    assert report.update
    report.write()
    text = history_text(report.update.history, "second", "bcb")
    assert text.startswith("history of bcb (sweep of a debian-11, b debian-12, c debian-13, profile sweep, guest x86_64), 2 runs")
