# SPDX-License-Identifier: GPL-3.0-or-later
"""The main job on real daemons: a whole combination, two mixed ones, and what comes of it."""

from __future__ import annotations

import json
import re
import subprocess
import xml.etree.ElementTree as ElementTree

import pytest

from lab import Lab, Played, cases_of, events_of

# Every method in every scenario, and every flag set.
SOME = "*/*/persist-dest,*/persistent-paused-dst/*"


@pytest.fixture(scope="module")
def whole(lab: Lab) -> Played:
    return lab.play("run", combination="nnn", run="whole")


@pytest.fixture(scope="module")
def mixed(lab: Lab) -> Played:
    return lab.play("full_matrix", combinations="onn,noo", cases=SOME, run="mixed")


def test_all_96_cases_of_a_combination_pass(lab: Lab, whole: Played) -> None:
    assert whole.status == 0, whole.output
    assert "green: 1 combination, 96 of 96 cases, 960 of 960 checks" in whole.message()
    cases = cases_of(lab.journal("whole", "nnn"))
    assert sorted(case["number"] for case in cases) == list(range(1, 97))
    assert {case["verdict"] for case in cases} == {"pass"}
    assert all(len(case["checks"]) == 10 for case in cases)
    for case in cases:
        assert case["seen_protocol"].startswith("v3"), case
        on_target = [step["procedure"] for step in case["steps"] if step["link"].endswith("-target")]
        assert len(on_target) == 2 and on_target[0].startswith("prepare") and on_target[1].startswith("finish")
        assert all(step["result"] == "ok" for step in case["steps"])
    end = events_of(lab.journal("whole", "nnn"), "end")[-1]
    assert end["complete"] is True


def test_progress_is_shown_while_it_runs(whole: Played) -> None:
    lines = re.findall(r"^[\d:]{8} whole (\d+)/96 cases.*$", whole.output, re.MULTILINE)
    assert len(lines) >= 3 and lines[-1] == "96"
    assert "whole 96/96 cases, 96 pass, 1 of 1 combination ended" in whole.output


def test_prove_accepts_the_tap(lab: Lab, whole: Played) -> None:
    tap = lab.results / "whole" / "nnn" / "results.tap"
    assert tap.read_text().splitlines()[:2].count("1..960") == 1
    done = subprocess.run(["prove", "-e", "cat", str(tap)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "Tests=960" in done.stdout


def test_junit_has_every_case(lab: Lab, whole: Played) -> None:
    tree = ElementTree.parse(lab.results / "whole" / "nnn" / "junit.xml")
    assert len(tree.findall(".//testcase")) == 96
    assert not tree.findall(".//failure") and not tree.findall(".//error")


def test_the_versions_are_read_from_the_machines(lab: Lab, mixed: Played) -> None:
    assert mixed.status == 0, mixed.output
    run = json.loads((lab.results / "mixed" / "run.json").read_text())
    old, new = "9.0.0", "11.3.0"
    for combination, expected in {"onn": (old, new, new), "noo": (new, old, old)}.items():
        versions = run["results"]["combinations"][combination]["versions"]
        assert tuple(versions[role]["libvirt"] for role in ("client", "source", "target")) == expected
        qemu = versions["source"]["hypervisor"]
        assert qemu.startswith("10.0." if combination == "onn" else "7.2.")


def test_mixed_combinations_pass_and_run_what_was_chosen(lab: Lab, mixed: Played) -> None:
    for combination in ("onn", "noo"):
        cases = cases_of(lab.journal("mixed", combination))
        assert len(cases) == 33
        assert {case["verdict"] for case in cases} == {"pass"}, cases
        assert {case["case"].split("/")[0] for case in cases} == {"normal", "p2p", "tunnelled"}


def test_the_s390x_guest_migrates_in_both_directions(lab: Lab) -> None:
    cases = "*/transient-running/none,p2p/*-paused/none"
    played = lab.play("full_matrix", combinations="oon,ono", guest="s390x", cases=cases, run="s390x")
    assert played.status == 0, played.output
    for combination in ("oon", "ono"):
        assert [case["verdict"] for case in cases_of(lab.journal("s390x", combination))] == ["pass"] * 5


def test_cases_run_side_by_side_with_names_of_their_own(lab: Lab, whole: Played) -> None:
    cases = cases_of(lab.journal("whole", "nnn"))
    assert max(len(case["beside"]) for case in cases) >= 2
    assert len({case["worker"] for case in cases}) >= 2


def test_the_report_is_rebuilt_from_the_journals(lab: Lab, whole: Played) -> None:
    folder = lab.results / "whole"
    made = {path: path.read_bytes() for path in folder.rglob("*") if path.name in ("results.tap", "junit.xml", "index.html")}
    assert len(made) == 3
    for path in made:
        path.unlink()
    rebuilt = lab.play("report", run="whole")
    assert rebuilt.status == 0, rebuilt.output
    assert {path: path.read_bytes() for path in made} == made
    assert lab.play("report", run="whole").changed() == 0
