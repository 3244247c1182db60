# SPDX-License-Identifier: GPL-3.0-or-later
"""results.tap, read by a small parser of our own, by a YAML library, and by perl's prove."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Optional

import pytest
import yaml

from migration_lab.judging.deviation import Deviation
from migration_lab.model.case import FlagSet
from migration_lab.report.tap import tap_text
from migration_lab.results.run import read_run
from migration_lab.suites.migration.checks import CANONICAL_CHECKS
from synthetic_run import CASES, DEVIATION, EMULATED, SyntheticRun, lab_error, left_over, refused, wrong_state

# libyaml's, where PyYAML was built with it: a file has hundreds of blocks.
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

CASE = CASES[40].id
HARD_ERROR = 'operation failed: "x" <y>\n# SKIP it\\ \x1b[0m: é \'q\' ...'


@dataclass
class Test:
    ok: bool
    number: int
    description: str
    directive: str
    block: Optional[dict[str, Any]] = None

    __test__ = False


@dataclass
class Tap:
    plan: Optional[int] = None
    tests: list[Test] = field(default_factory=list)
    comments: list[str] = field(default_factory=list)
    bail_out: str = ""

    def at(self, case: int, check: str) -> Test:
        """The test of a check of a case, the case counted from 0."""
        return self.tests[case * 10 + CANONICAL_CHECKS.index(check)]


def parse(text: str) -> Tap:
    """A strict reader of TAP 13: whatever is not understood is an error."""
    lines = iter(text.splitlines())
    assert next(lines) == "TAP version 13"
    tap = Tap()
    for line in lines:
        if match := re.fullmatch(r"1\.\.(\d+)", line):
            assert tap.plan is None
            tap.plan = int(match[1])
        elif match := re.fullmatch(r"(not )?ok (\d+) - ((?:[^#\\]|\\.)*?)(?: # (.*))?", line):
            tap.tests.append(Test(not match[1], int(match[2]), match[3].replace("\\#", "#"), match[4] or ""))
        elif line == "  ---":
            block = []
            while (inner := next(lines)) != "  ...":
                assert inner.startswith("  ")
                block.append(inner[2:])
            assert tap.tests[-1].block is None
            tap.tests[-1].block = yaml.load("\n".join(block), Loader=LOADER)
        elif line.startswith("# "):
            tap.comments.append(line[2:])
        elif line.startswith("Bail out! "):
            tap.bail_out = line[len("Bail out! "):]
        else:
            pytest.fail(f"not TAP: {line!r}")
    return tap


def prove(text: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """What perl's own consumer makes of it."""
    program = shutil.which("prove")
    if not program:
        pytest.skip("prove (perl) is not installed")
    path = folder / "file.tap"
    path.write_text(text)
    done = subprocess.run([program, "-e", "cat", str(path)], capture_output=True, text=True, check=False)
    assert "Parse errors" not in done.stdout, done.stdout
    return done


@pytest.fixture
def one(tmp_path: Path) -> SyntheticRun:
    return SyntheticRun(tmp_path / "run", ["noo"])


def written(lab: SyntheticRun, name: str = "noo") -> str:
    run = read_run(lab.folder)
    return tap_text(run, next(combination for combination in run.combinations if combination.name == name))


def test_numbered_in_profile_order_whatever_finished_first(one: SyntheticRun, tmp_path: Path) -> None:
    one.complete("noo", order=reversed(CASES))
    text = written(one)
    tap = parse(text)
    assert tap.plan == 960 and not tap.bail_out
    assert [test.number for test in tap.tests] == list(range(1, 961))
    assert [test.description for test in tap.tests] == [f"{case.id}: {name}" for case in CASES for name in CANONICAL_CHECKS]
    assert all(test.ok and not test.directive and test.block is None for test in tap.tests)
    assert "2 noo: new client, old source, old target" in tap.comments
    assert "source: libvirt 9.0.0, hypervisor 7.2.22, hostname a-source" in tap.comments
    result = prove(text, tmp_path)
    assert result.returncode == 0 and "Tests=960" in result.stdout, result.stdout


def test_plan_is_of_the_selected_cases(tmp_path: Path) -> None:
    lab = SyntheticRun(tmp_path / "run", ["noo"], CASES[3:5])
    lab.complete("noo")
    tap = parse(written(lab))
    assert tap.plan == 20 and tap.tests[10].number == 11 and tap.tests[10].description == f"{CASES[4].id}: source-defined"


def test_failed_check_has_a_diagnostic(one: SyntheticRun, tmp_path: Path) -> None:
    one.complete("noo", {CASE: wrong_state})
    text = written(one)
    tap = parse(text)
    (failed,) = [test for test in tap.tests if not test.ok]
    assert failed.number == 410 and failed.description == f"{CASE}: target-state"
    assert failed.block == {
        "expected": "running",
        "got": "paused",
        "verdict": "fail",
        "reason": "target-state: expected running, got paused",
        "migration": "virDomainMigrateToURI to qemu+tcp://10.0.0.3/system, flags peer2peer (2), 0.510 s",
        "logs": ["logs/041-p2p-source.log"],
        "journal": "journal.jsonl",
    }
    result = prove(text, tmp_path)
    assert result.returncode == 1 and "Failed test:  410" in result.stdout, result.stdout


def test_checks_after_a_failed_one_are_skipped(one: SyntheticRun, tmp_path: Path) -> None:
    one.complete("noo", {CASE: refused(HARD_ERROR)})
    text = written(one)
    tap = parse(text)
    (failed,) = [test for test in tap.tests if not test.ok]
    assert failed is tap.at(40, "migrated") and failed.block
    assert failed.block["got"] == 'operation failed: "x" <y> # SKIP it\\ \\x1b[0m: é \'q\' ...', "one line, printable, unhurt"
    skipped = [test for test in tap.tests if test.directive]
    assert skipped == tap.tests[404:410]
    assert all(test.ok and test.directive == "SKIP not run: migrated failed" for test in skipped)
    assert [comment for comment in tap.comments if "source-intact" in comment] == [
        "pass: source-intact: expected source persistent, running; target absent, got source persistent, running; target absent"
    ]
    result = prove(text, tmp_path)
    assert result.returncode == 1 and "Failed test:  404" in result.stdout, result.stdout


def test_what_an_error_left_unobtained_is_not_ok(one: SyntheticRun, tmp_path: Path) -> None:
    one.complete("noo", {CASE: lab_error("the agent hung")})
    text = written(one)
    tap = parse(text)
    assert [test.number for test in tap.tests if not test.ok] == list(range(404, 411))
    assert not any(test.directive for test in tap.tests)
    block = tap.at(40, "target-state").block
    assert block and block["verdict"] == "error" and block["reason"] == "the agent hung" and block["migration"] == "not called"
    result = prove(text, tmp_path)
    assert result.returncode == 1 and "Failed tests:  404-410" in result.stdout, result.stdout


def test_error_with_a_failed_check_excuses_nothing(one: SyntheticRun) -> None:
    one.complete("noo", {CASE: refused("operation failed")})
    path = one.journal_path("noo")
    path.write_text(path.read_text().replace('"verdict":"fail"', '"verdict":"error"'))
    tap = parse(written(one))
    assert [test.number for test in tap.tests if not test.ok] == list(range(404, 411))


def test_name_that_looks_like_a_directive(tmp_path: Path) -> None:
    case = replace(CASES[0], flags=FlagSet("none # TODO later", ()))
    lab = SyntheticRun(tmp_path / "run", ["noo"], [case])
    lab.complete("noo", {case.id: wrong_state})
    text = written(lab)
    test = parse(text).at(0, "target-state")
    assert test.description == f"{case.id}: target-state" and not test.directive
    assert prove(text, tmp_path).returncode == 1, "a TODO would have made it a success"


def test_failed_further_check_does_not_excuse_what_was_not_run(one: SyntheticRun) -> None:
    def lost(case, seen) -> None:
        lab_error("the agent hung")(case, seen)
        left_over(case, seen)

    one.complete("noo", {CASE: lost})
    tap = parse(written(one))
    assert [test.number for test in tap.tests if not test.ok] == list(range(404, 411))


def test_case_that_failed_beyond_its_ten_checks_is_red(one: SyntheticRun, tmp_path: Path) -> None:
    one.complete("noo", {CASE: left_over})
    text = written(one)
    tap = parse(text)
    assert tap.plan == 960 and all(test.ok for test in tap.tests)
    assert tap.bail_out == f"{CASE}: fail: no-leftovers: expected none, got lab-guest on the target: transient, running"
    assert prove(text, tmp_path).returncode != 0


def test_unexplained_death_is_red(one: SyntheticRun, tmp_path: Path) -> None:
    journal = one.start("noo")
    for case in CASES:
        one.record(journal, case)
    one.die(journal)
    journal.close()
    text = written(one)
    assert "process 7" in parse(text).bail_out
    assert prove(text, tmp_path).returncode != 0


def test_killed_run_has_all_numbers(one: SyntheticRun, tmp_path: Path) -> None:
    journal = one.start("noo")
    for case in CASES[1:50]:
        one.record(journal, case)
    journal.close()
    text = written(one)
    tap = parse(text)
    assert tap.plan == 960 and [test.number for test in tap.tests] == list(range(1, 961))
    assert [test.number for test in tap.tests if test.ok] == list(range(11, 501))
    block = tap.tests[0].block
    assert block and block["got"] == "not obtained" and "resume=true" in block["reason"]
    assert "Tests=960" in prove(text, tmp_path).stdout


def test_combination_not_obtained_has_no_success(tmp_path: Path) -> None:
    lab = SyntheticRun(tmp_path / "run", ["noo", "nnn"])
    lab.complete("nnn")
    lab.not_obtained("noo", "the mirror cannot be reached")
    text = written(lab)
    tap = parse(text)
    assert tap.plan == 960 and len(tap.tests) == 960 and not any(test.ok for test in tap.tests)
    assert {str(test.block) for test in tap.tests} == {"{'got': 'not obtained', 'reason': 'the mirror cannot be reached'}"}
    assert "source: not obtained" in tap.comments
    assert prove(text, tmp_path).returncode != 0


def test_nothing_known_is_one_failed_test(one: SyntheticRun, tmp_path: Path) -> None:
    text = written(one)
    tap = parse(text)
    (test,) = tap.tests
    assert tap.plan == 1 and not test.ok and test.description == "noo: obtained" and test.block
    assert "the combination was not run" in test.block["reason"]
    assert prove(text, tmp_path).returncode == 1


PAUSED = [case.id for case in CASES if case.method.value == "p2p" and case.scenario.state.value == "paused"]


def test_known_case_is_todo(one: SyntheticRun, tmp_path: Path) -> None:
    one.complete("noo", dict.fromkeys(PAUSED, wrong_state), expected=PAUSED)
    text = written(one)
    tap = parse(text)
    failed = [test for test in tap.tests if not test.ok]
    assert [test.description for test in failed] == [f"{case}: target-state" for case in PAUSED]
    assert {test.directive for test in failed} == {f"TODO known: {DEVIATION.id}"} and not tap.bail_out
    assert failed[0].block and failed[0].block["verdict"] == "known"
    assert tap.comments.count(f"known: known deviation {DEVIATION.id}: target-state got running") == len(PAUSED)
    result = prove(text, tmp_path)
    assert result.returncode == 0, result.stdout


def test_known_case_that_was_refused_is_todo_and_skipped(one: SyntheticRun, tmp_path: Path) -> None:
    effects = [{"check": "migrated", "got": "*End of file*"}, {"check": "daemons-alive", "got": "*target*"}]
    crash = Deviation.from_data({"id": "crash", "when": {"protocol": "v2"}, "effects": effects, "cause": "", "reference": ""})

    def dies(case, seen) -> None:
        refused("End of file while reading data")(case, seen)
        seen.daemon_deaths.append("the daemon on the target died")

    journal = one.start("noo")
    for case in CASES:
        one.record(journal, case, dies if case.id == CASE else None, deviation=crash if case.id == CASE else None)
    journal.close()
    text = written(one)
    tap = parse(text)
    assert tap.at(40, "migrated").directive == "TODO known: crash" and not tap.at(40, "migrated").ok
    assert {test.directive for test in tap.tests[404:410]} == {"SKIP not run: migrated failed"}
    result = prove(text, tmp_path)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("known", [[], PAUSED[:4]])
def test_fixed_case_is_red(one: SyntheticRun, tmp_path: Path, known: list[str]) -> None:
    one.complete("noo", dict.fromkeys(known, wrong_state), expected=[*known, PAUSED[5]])
    text = written(one)
    tap = parse(text)
    said = f"deviation {DEVIATION.id} was expected and did not come: target-state got running"
    assert tap.bail_out == f"{PAUSED[5]}: fixed: {said}" and f"fixed: {said}" in tap.comments
    assert prove(text, tmp_path).returncode != 0


def test_heading_tells_of_emulated_and_untried_machines_and_notes_follow_their_case(tmp_path: Path) -> None:
    lab = SyntheticRun(tmp_path / "run", ["noo"], pair=EMULATED, untried=["ubuntu-11.04"])
    journal = lab.start("noo")
    for case in CASES:
        lab.record(journal, case, note="failed beside 3 others; alone: pass" if case.id == CASE else "")
    journal.close()
    tap = parse(written(lab))
    assert tap.comments[2:4] == [
        "old is emulated: debian-12 presented as libvirt 0.9.1", "nobody has run it before: ubuntu-11.04",
    ]
    assert [comment for comment in tap.comments if "alone" in comment] == ["note: failed beside 3 others; alone: pass"]
