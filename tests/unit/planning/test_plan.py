# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan: every input is checked before anything is made, and a run can be gone on with."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from default_catalogue import CATALOGUE, NO_OWN, SETTINGS, TREE, changed
from migration_lab.journal.case_result import CaseResult
from migration_lab.journal.journal import SCHEMA, Journal
from migration_lab.model.combination import COMBINATIONS, RUNNING_ORDER, classes
from migration_lab.model.errors import LabError
from migration_lab.model.verdict import Verdict
from migration_lab.planning.plan import check_results_root, make_plan, start_run
from migration_lab.planning.schema import validate
from migration_lab.releases.recipe import release_id, with_features
from migration_lab.suites.migration.checks import CANONICAL_CHECKS
from synthetic_run import CASES, ROOT

IDS = [case.id for case in CASES]


@pytest.fixture
def given(tmp_path: Path) -> dict[str, Any]:
    """The arguments of a default run with the lab's catalogue; its results folder is not there yet."""
    return {
        **NO_OWN, "settings": SETTINGS, "pair": "debian", "profile": "canonical", "guest": "x86_64", "guest_machine": "",
        "combinations": "all", "cases": "*", "cells": ["a"], "scenarios": str(ROOT / "scenarios"), "lab_files": [],
        "results_root": str(tmp_path / "results"), "run": "", "resume": False, "start": True,
        "about": {"user": "root", "host": "lab-host", "revision": "abc"},
        "workers": "auto", "time_limit": 60.0, "prefix": "mlab-", "relay": True, "hops": "",
    }


@pytest.fixture
def scenarios(tmp_path: Path) -> Path:
    """A copy of the scenarios that can be changed."""
    return Path(shutil.copytree(ROOT / "scenarios", tmp_path / "scenarios"))


def start(given: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """Plan a run and make its folder."""
    plan = make_plan({**given, **changes})
    start_run(plan, given["about"])
    return plan


def run_file(given: dict[str, Any], name: str) -> Path:
    return Path(given["results_root"]) / name / "run.json"


# A plan


def test_default_run_is_all_of_the_canonical_profile_on_the_debian_pair(given: dict[str, Any]) -> None:
    plan = make_plan(given)
    assert plan["pair"] == {"name": "debian", "old": "debian-12", "new": "debian-13", "boundary": "11.3.0"}
    assert plan["guest"] == "x86_64" and plan["guests"]["x86_64"]["machine"] == "pc-i440fx-7.2"
    assert plan["architectures"] == [{"arch": "x86_64", "machine": "pc-i440fx-7.2"}] and plan["workers_per_core"] == 3
    assert plan["combinations"] == list(RUNNING_ORDER)
    assert plan["shares"] == {"a": [{"combination": name, "cases": IDS} for name in RUNNING_ORDER]}
    assert plan["profile"]["name"] == "canonical" and plan["patterns"] == ["*"] and plan["cases"]["noo"] == IDS
    assert list(plan["releases"]) == ["debian-12", "debian-13"], "Debian 11 is in the catalogue and not needed"
    assert not plan["resume"]


def test_plan_says_of_each_machine_what_it_has_to_be(given: dict[str, Any]) -> None:
    plan = make_plan({**given, "combinations": "noo"})
    assert plan["classes"] == {"noo": {"client": "new", "source": "old", "target": "old"}}
    old = {"release": "debian-12", "libvirt": "9.0.0", "class": "old"}
    new = {"release": "debian-13", "libvirt": "11.3.0", "class": "new"}
    assert plan["expected"] == {"noo": {"client": new, "source": old, "target": old}}


def test_release_in_the_plan_has_its_image_and_its_entry(given: dict[str, Any]) -> None:
    release = make_plan(given)["releases"]["debian-12"]
    assert re.fullmatch(r"debian-12-[0-9a-f]{12}", release["id"])
    entry = with_features(CATALOGUE["releases"]["debian-12"], ["x86_64"])
    assert release == {"name": "debian-12", "id": release_id("debian-12", entry), **entry}
    other = make_plan({**given, "guest": "aarch64"})["releases"]["debian-12"]
    assert other["id"] != release["id"] and "qemu-system-arm" not in release["packages"]


def test_guests_of_a_run_share_images_and_have_cases_each(given: dict[str, Any]) -> None:
    cases = "p2p/transient-running/none,aarch64/normal/*"
    plan = make_plan({**given, "guest": "x86_64,aarch64", "combinations": "onn", "cases": cases})
    assert plan["guest"] == "x86_64,aarch64" and list(plan["guests"]) == ["x86_64", "aarch64"]
    first, *others = plan["cases"]["onn"]
    assert first == "x86_64/p2p/transient-running/none" and len(others) == 32 + 1
    assert plan["axes"][first] == ["x86_64", "p2p", "transient-running", "none"]
    packages = plan["releases"]["debian-12"]["packages"]
    assert {"qemu-system-x86", "qemu-system-arm"} <= set(packages) and "qemu-system-misc" not in packages
    assert [entry["arch"] for entry in plan["architectures"]] == ["aarch64", "x86_64"]


def test_a_sweep_runs_each_triple_of_at_most_two_of_its_releases(given: dict[str, Any]) -> None:
    plan = start(given, sweep="debian-11, debian-12,debian-13", cases="*/transient-running/none", run="x")
    assert plan["pair"] == {"name": "sweep", "releases": ["debian-11", "debian-12", "debian-13"]}
    assert plan["sides"] == {"a": "debian-11", "b": "debian-12", "c": "debian-13"}
    assert len(plan["combinations"]) == len({*plan["combinations"]}) == 21
    assert plan["shares"]["a"][0] == {"combination": "aaa", "cases": [case for case in IDS if "transient-running/none" in case]}
    assert plan["expected"]["cac"] == {
        "client": {"release": "debian-13", "libvirt": "11.3.0", "class": "c"},
        "source": {"release": "debian-11", "libvirt": "7.0.0", "class": "a"},
        "target": {"release": "debian-13", "libvirt": "11.3.0", "class": "c"},
    }
    assert plan["guests"]["x86_64"]["machine"] == "pc-i440fx-5.2", "which the oldest QEMU has"
    assert list(plan["releases"]) == ["debian-11", "debian-12", "debian-13"]
    validate(json.loads(run_file(given, "x").read_text()), ROOT / "scenarios/schema/run.json", "run.json")


def test_a_sweep_is_resumed_with_the_same_releases_in_the_same_order(given: dict[str, Any]) -> None:
    start(given, sweep="debian-12,debian-13", combinations="aab,bba", run="x")
    assert start(given, sweep="debian-12,debian-13", run="x", resume=True)["combinations"] == ["bba", "aab"]
    for other in ("debian-13,debian-12", "debian-12,debian-13,debian-11", ""):
        with pytest.raises(LabError, match=r"cannot be resumed: its pair is sweep \(debian-12, debian-13\), asked for is"):
            make_plan({**given, "sweep": other, "run": "x", "resume": True})


def test_recovery_has_no_sweep(given: dict[str, Any]) -> None:
    with pytest.raises(LabError, match="profile 'recovery' is of suite recovery, which has no sweep"):
        make_plan({**given, "sweep": "debian-12,debian-13", "profile": "recovery"})


def test_ledger_goes_with_the_plan(given: dict[str, Any], scenarios: Path) -> None:
    plan = make_plan({**given, "scenarios": str(scenarios)})
    assert [entry["id"] for entry in plan["deviations"]] == [
        entry["id"] for entry in yaml.safe_load((scenarios / "deviations.yml").read_text())
    ]
    assert {"v2-crashes-target", "finish-lost-runs-twice"} <= {entry["id"] for entry in plan["deviations"]}
    (scenarios / "deviations.yml").write_text("[]\n")
    without = make_plan({**given, "scenarios": str(scenarios)})
    assert without["deviations"] == [] and without["ledger_id"] != plan["ledger_id"]


@pytest.mark.parametrize(("record", "untried"), [(None, ["debian-12", "debian-13"]), ("debian-13", ["debian-12"])])
def test_releases_that_no_run_on_record_has_seen_are_untried(
    given: dict[str, Any], scenarios: Path, record: str | None, untried: list[str]
) -> None:
    path = scenarios / "recorded.yml"
    entries = yaml.safe_load(path.read_text())
    path.write_text(yaml.safe_dump({record: entries[record]} if record else {}))
    assert make_plan({**given, "scenarios": str(scenarios)})["untried"] == untried
    assert make_plan(given)["untried"] == [], "of the repository's own"


def test_release_that_a_run_on_record_saw_with_another_version_is_untried(given: dict[str, Any]) -> None:
    releases = changed(CATALOGUE["releases"], "debian-12/libvirt", "9.0.1")
    assert make_plan({**given, "own_releases": releases})["untried"] == ["debian-12"]


TREE_PAIR = {"old": "tree", "new": "debian-12", "boundary": "0.9.2", "alone_again": True}


@pytest.mark.parametrize(
    ("pair", "oldest"),
    [("debian", "9.0.0"), ("debian-lts", "7.0.0"), ("emulated-v2", "9.0.0"), ("with-a-tree", "0.9.1")],
)
def test_guest_must_fit_the_oldest_libvirt_of_the_pair(given: dict[str, Any], pair: str, oldest: str) -> None:
    """Of the versions that are really there: one that only the relay shows takes the XML that it can."""
    releases = {**CATALOGUE["releases"], "tree": TREE}
    pairs = {**CATALOGUE["pairs"], "with-a-tree": TREE_PAIR}
    plan = make_plan({**given, "own_releases": releases, "own_pairs": pairs, "pair": pair})
    assert ("<loader>" in plan["guests"]["x86_64"]["xml"]) == (oldest != "0.9.1")
    assert plan["pair"].get("alone_again", False) == (pair == "with-a-tree")
    assert "name" not in CATALOGUE["guests"]["x86_64"], "the catalogue is left as it was"


def test_emulated_old_machines_have_a_ceiling(given: dict[str, Any]) -> None:
    plan = make_plan({**given, "pair": "emulated-v2"})
    machine = {"release": "debian-12", "libvirt": "9.0.0"}
    aged = {"old": {**machine, "class": "old", "ceiling": "0.9.1"}, "new": {**machine, "class": "new"}}
    assert plan["expected"] == {
        combination: {role: aged[age] for role, age in classes(combination).items()} for combination in COMBINATIONS
    }
    assert list(plan["releases"]) == ["debian-12"], "one image does for both"


def test_ceiling_needs_the_relay(given: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(LabError) as refusal:
        make_plan({**given, "pair": "emulated-v2", "relay": False})
    assert str(refusal.value) == (
        "pair 'emulated-v2' has a ceiling, which the relay presents, and relay is false; leave relay out"
    )
    assert list(tmp_path.iterdir()) == []
    assert make_plan({**given, "relay": False})["pair"]["name"] == "debian", "others do without it"


def test_plan_of_the_same_inputs_is_the_same(given: dict[str, Any]) -> None:
    given["run"] = "same"
    assert make_plan(given) == make_plan(given)


def test_plan_makes_nothing(given: dict[str, Any], tmp_path: Path) -> None:
    make_plan(given)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("asked", "chosen"),
    [
        ("noo", ["noo"]),
        ("nnn,onn", ["onn", "nnn"]),
        (" nnn , onn,", ["onn", "nnn"]),
        (["nnn", "onn"], ["onn", "nnn"]),
        ("all", list(RUNNING_ORDER)),
    ],
)
def test_combinations_are_named_with_commas(given: dict[str, Any], asked: Any, chosen: list[str]) -> None:
    assert make_plan({**given, "combinations": asked})["combinations"] == chosen


@pytest.mark.parametrize(
    ("asked", "chosen"),
    [
        ("p2p/*", IDS[32:64]),
        ("normal/*/none, */persistent-paused-dst/none", [*IDS[:32:4], IDS[60], IDS[92]]),
        ("", IDS),
    ],
)
def test_cases_are_chosen_by_patterns_with_commas(given: dict[str, Any], asked: str, chosen: list[str]) -> None:
    assert make_plan({**given, "cases": asked})["cases"]["noo"] == chosen


def test_combinations_are_dealt_out_among_the_cells(given: dict[str, Any]) -> None:
    plan = make_plan({**given, "combinations": "ooo,noo,nnn", "cells": ["a", "b"]})
    shares = {cell: [(share["combination"], len(share["cases"])) for share in dealt] for cell, dealt in plan["shares"].items()}
    assert shares == {"a": [("ooo", 96), ("noo", 48)], "b": [("noo", 48), ("nnn", 96)]}


def test_lab_files_have_a_digest(given: dict[str, Any], tmp_path: Path) -> None:
    template = tmp_path / "libvirtd.conf.j2"
    template.write_text("listen_tcp = 1\n")
    before = make_plan({**given, "lab_files": [str(template)]})["lab_files_id"]
    template.write_text("listen_tcp = 0\n")
    assert make_plan({**given, "lab_files": [str(template)]})["lab_files_id"] != before


@pytest.mark.parametrize(
    "changes", [{"workers": "1"}, {"workers": "16"}, {"time_limit": 1.0}, {"prefix": "a-"}, {"prefix": "lab_2.x-"}]
)
def test_number_or_prefix_that_can_be_used_is_let_through(given: dict[str, Any], changes: dict[str, Any]) -> None:
    assert make_plan({**given, **changes})["cases"]["noo"] == IDS


# Refusals


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"pair": "redhat"}, "there is no pair 'redhat'; the pairs are debian, debian-backports, debian-lts"),
        ({"profile": "nightly"}, "there is no profile 'nightly'; "),
        ({"guest": "riscv64"}, "there is no guest 'riscv64'; the guests are aarch64, "),
        ({"combinations": "noo,xyz"}, "there is no combination 'xyz'; "),
        ({"combinations": "all,noo"}, "there is no combination 'all'; "),
        ({"combinations": ""}, "no combination is named; "),
        ({"cases": "p2p/*,p3p/*"}, "the case pattern 'p3p/*' matches none of the 96 cases; "),
        ({"run": "a/b"}, "'a/b' cannot be the name of a run: "),
        ({"run": "/tmp/x"}, "'/tmp/x' cannot be the name of a run: "),
        ({"run": ".."}, "'..' cannot be the name of a run: "),
        ({"run": ".hidden"}, "'.hidden' cannot be the name of a run: "),
        ({"run": "-x"}, "'-x' cannot be the name of a run: "),
        ({"run": "two words"}, "'two words' cannot be the name of a run: "),
        ({"run": "last"}, "a run cannot be named 'last', which base=last has for the last comparable run; give it another name"),
        ({"run": "line\n"}, "'line\n' cannot be the name of a run: "),
        ({"workers": "0"}, "workers is '0'; it must be auto, or a number of cases at a time, at least 1"),
        ({"workers": "-2"}, "workers is '-2'; "),
        ({"workers": "many"}, "workers is 'many'; "),
        ({"workers": "2.5"}, "workers is '2.5'; "),
        ({"workers": ""}, "workers is ''; "),
        ({"workers": "1025"}, "workers is '1025'; it must be at most 1024: a process may have 4096 files open"),
        ({"workers": "100000"}, "workers is '100000'; it must be at most 1024: "),
        ({"time_limit": 0.0}, "time_limit is 0; it must be at least 1 second"),
        ({"time_limit": -5.0}, "time_limit is -5; "),
        ({"prefix": ""}, "domain_prefix is ''; "),
        ({"prefix": "mlab"}, "domain_prefix is 'mlab'; "),
        ({"prefix": "-"}, "domain_prefix is '-'; "),
        ({"prefix": "a b-"}, "domain_prefix is 'a b-'; "),
        (
            {"own_pairs": changed(CATALOGUE["pairs"], "debian/new", "debian-14")},
            "pair 'debian': there is no release 'debian-14' (new); the releases are debian-11, debian-12, debian-12-backports",
        ),
        (
            {"own_pairs": changed(CATALOGUE["pairs"], "debian/boundary", "9.0.0")},
            "pair 'debian': boundary 9.0.0 is not above old (9.0.0) and at most new (11.3.0)",
        ),
        (
            {"own_releases": changed(CATALOGUE["releases"], "debian-11/suite", None)},
            "own_releases: debian-11: 'suite' is a required property",
        ),
        (
            {"own_guests": changed(CATALOGUE["guests"], "aarch64/memory", "16")},
            "own_guests: aarch64: memory: '16' is not of type 'integer'",
        ),
    ],
)
def test_wrong_input_is_refused_and_nothing_is_made(
    given: dict[str, Any], tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(LabError) as refusal:
        make_plan({**given, **changes})
    assert str(refusal.value).startswith(said)
    assert list(tmp_path.iterdir()) == []


def test_run_that_exists_is_not_started_again(given: dict[str, Any]) -> None:
    start(given, run="mine")
    before = run_file(given, "mine").read_text()
    with pytest.raises(LabError, match=r"there is a run 'mine' already in .*; resume it with resume=true"):
        make_plan({**given, "run": "mine"})
    assert run_file(given, "mine").read_text() == before
    assert make_plan({**given, "run": "mine", "start": False})["run"] == "mine", "looking at a plan is not starting it"


# The results folder


def test_started_run_has_a_folder_for_each_combination(given: dict[str, Any]) -> None:
    plan = start({**given, "about": {"user": "root", "revision": "abc"}}, run="mine", combinations="nnn,onn", cases="p2p/*")
    folder = Path(given["results_root"]) / "mine"
    assert Path(plan["folder"]) == folder
    assert sorted(entry.name for entry in folder.iterdir()) == ["nnn", "onn", "run.json"]
    facts = json.loads((folder / "run.json").read_text())
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", facts.pop("started"))
    assert facts == {
        "schema": SCHEMA, "run": "mine", "user": "root", "revision": "abc", "pair": plan["pair"], "profile": "canonical",
        "guest": "x86_64", "combinations": ["onn", "nnn"], "cases": ["p2p/*"],
        "profile_id": plan["profile_id"], "lab_files_id": plan["lab_files_id"],
        "ledger_id": plan["ledger_id"], "guests_id": plan["guests_id"],
        "guests": {"x86_64": {
            field: plan["guests"]["x86_64"][field] for field in ("description", "does_not_cover", "arch", "machine", "memory")
        }},
        "untried": plan["untried"], "deviations": plan["deviations"],
        "cells": ["a"], "profile_data": plan["profile"], "axes": {case: case.split("/") for case in plan["cases"]["nnn"]},
        "selected": plan["cases"],
        "suite": {"name": "migration", "checks": list(CANONICAL_CHECKS)},
        "machines": {
            "onn": {"client": "debian-12", "source": "debian-13", "target": "debian-13"},
            "nnn": {"client": "debian-13", "source": "debian-13", "target": "debian-13"},
        },
        "releases": {
            name: {field: release[field] for field in ("id", "kind", "libvirt")} for name, release in plan["releases"].items()
        },
    }


def test_run_without_a_name_is_named_after_the_time(given: dict[str, Any]) -> None:
    assert re.fullmatch(r"\d{8}T\d{6}Z", start(given)["run"])


@pytest.mark.parametrize("below", ["", "results", "more/results"])
def test_results_root_that_cannot_be_written_is_refused(tmp_path: Path, below: str) -> None:
    """A regular file stands where the folder, or one that it is in, should be."""
    in_the_way = tmp_path / "file"
    in_the_way.write_text("")
    root = in_the_way / below
    with pytest.raises(LabError) as refusal:
        check_results_root(root)
    assert str(refusal.value) == (
        f"the results folder {root} cannot be written ({in_the_way} is in the way); set results_root to one that can"
    )
    assert in_the_way.read_text() == ""


@pytest.mark.parametrize("below", ["", "results", "more/results"])
def test_results_root_that_can_be_written_is_not_made_by_looking(tmp_path: Path, below: str) -> None:
    check_results_root(tmp_path / below)
    assert list(tmp_path.iterdir()) == []


def test_run_below_a_regular_file_cannot_be_started(given: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "results").write_text("")
    plan = make_plan(given)
    with pytest.raises(LabError, match=r"results folder .* cannot be written \(Not a directory\); set results_root"):
        start_run(plan, {})


# Going on with a run


def test_resumed_run_has_its_own_cases_and_combinations(given: dict[str, Any]) -> None:
    earlier = start(given, run="mine", combinations="nnn,onn", cases="p2p/*")
    before = run_file(given, "mine").read_text()
    plan = start(given, run="mine", resume=True)
    assert plan == {**earlier, "resume": True}
    assert run_file(given, "mine").read_text() == before


def test_newest_run_is_resumed_when_none_is_named(given: dict[str, Any]) -> None:
    for name, started in (("b", "2026-11-23T10:00:00Z"), ("c", "2026-11-23T12:00:00Z"), ("a", "2026-11-23T11:00:00Z")):
        start(given, run=name)
        file = run_file(given, name)
        file.write_text(json.dumps({**json.loads(file.read_text()), "started": started}))
    assert make_plan({**given, "resume": True})["run"] == "c"
    assert make_plan({**given, "resume": True, "run": "a"})["run"] == "a"


def test_earlier_run_named_last_can_be_resumed(given: dict[str, Any]) -> None:
    start(given, run="mine")
    file = run_file(given, "mine")
    file.write_text(json.dumps({**json.loads(file.read_text()), "run": "last"}))
    file.parent.rename(file.parent.with_name("last"))
    assert make_plan({**given, "resume": True, "run": "last"})["run"] == "last"


def test_combinations_that_are_complete_are_not_dealt_out_again(given: dict[str, Any]) -> None:
    start(given, run="mine", combinations="onn,nnn,non", cases="p2p/*")
    for name, finished in (("onn", IDS[32:64]), ("nnn", IDS[32:63])):
        journal = Journal(Path(given["results_root"]) / "mine" / name / "journal.jsonl")
        for case in finished:
            journal.add(CaseResult(1, case, Verdict.PASS, ()))
        journal.add(CaseResult(1, IDS[63], Verdict.FAIL, (), final=False))
        journal.close()
    plan = make_plan({**given, "resume": True})
    assert plan["combinations"] == ["onn", "nnn", "non"]
    assert plan["shares"] == {
        "a": [{"combination": "nnn", "cases": [IDS[63]]}, {"combination": "non", "cases": IDS[32:64]}]
    }, "nnn lacks a case, non has not begun"


@pytest.mark.parametrize("name", ["", "mine"])
def test_nothing_to_resume_is_refused(given: dict[str, Any], tmp_path: Path, name: str) -> None:
    with pytest.raises(LabError, match=r"there is no run to resume in .*; start one without resume=true"):
        make_plan({**given, "resume": True, "run": name})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"pair": "debian-lts"},
            "its pair is debian (debian-12, debian-13, boundary 11.3.0), "
            "asked for is debian-lts (debian-11, debian-12, boundary 9.0.0)",
        ),
        (
            {"own_pairs": changed(CATALOGUE["pairs"], "debian/boundary", "10.0.0")},
            "its pair is debian (debian-12, debian-13, boundary 11.3.0), "
            "asked for is debian (debian-12, debian-13, boundary 10.0.0)",
        ),
        ({"profile": "tck"}, "its profile is canonical, asked for is tck"),
        ({"guest": "aarch64"}, "its guest is x86_64, asked for is aarch64"),
    ],
)
def test_run_with_other_settings_is_not_resumed(given: dict[str, Any], changes: dict[str, Any], said: str) -> None:
    start(given, run="mine")
    with pytest.raises(LabError) as refusal:
        make_plan({**given, "resume": True, "run": "mine", **changes})
    assert str(refusal.value).startswith(f"run mine cannot be resumed: {said}; ")


@pytest.mark.parametrize("name", ["", "mine"])
def test_run_of_another_schema_is_not_resumed(given: dict[str, Any], name: str) -> None:
    start(given, run="mine")
    file = run_file(given, "mine")
    file.write_text(json.dumps({**json.loads(file.read_text()), "schema": SCHEMA + 1}))
    with pytest.raises(LabError) as refusal:
        make_plan({**given, "resume": True, "run": name})
    assert str(refusal.value).startswith(f"{file} has schema {SCHEMA + 1}, this lab reads schema {SCHEMA}; ")


def test_run_whose_file_is_broken_is_not_resumed(given: dict[str, Any]) -> None:
    start(given, run="mine")
    run_file(given, "mine").write_text('{"schema": 1, "run"')
    with pytest.raises(LabError, match=r"run\.json is not JSON .*; restore the file or run again"):
        make_plan({**given, "resume": True, "run": "mine"})


def test_resumed_run_keeps_its_own_combinations_and_cases(given: dict[str, Any]) -> None:
    start(given, run="mine", combinations="onn,nnn", cases="p2p/*")
    again = make_plan({**given, "resume": True, "run": "mine"})
    assert (again["combinations"], again["patterns"]) == (["onn", "nnn"], ["p2p/*"])
    for changes in ({"combinations": "noo"}, {"cases": "normal/*"}):
        with pytest.raises(LabError, match=r"is resumed with its own combinations .onn, nnn. and cases"):
            make_plan({**given, "resume": True, "run": "mine", **changes})


def test_run_of_a_profile_that_was_edited_is_not_resumed(given: dict[str, Any], scenarios: Path) -> None:
    start({**given, "scenarios": str(scenarios)}, run="mine")
    profile = scenarios / "profiles" / "canonical.yml"
    profile.write_text(profile.read_text().replace("{name: none, migrate: []}", "{name: none, migrate: [unsafe]}"))
    with pytest.raises(LabError, match="its profile_id is"):
        make_plan({**given, "scenarios": str(scenarios), "resume": True, "run": "mine"})


def test_run_with_another_ledger_is_not_resumed(given: dict[str, Any], scenarios: Path) -> None:
    given["scenarios"] = str(scenarios)
    plan = start(given, run="mine")
    ledger = scenarios / "deviations.yml"
    ledger.write_text(ledger.read_text().replace("source: <0.9.2", "source: <0.9.1"))
    with pytest.raises(LabError) as refusal:
        make_plan({**given, "resume": True, "run": "mine"})
    assert str(refusal.value).startswith(f"run mine cannot be resumed: its ledger_id is {plan['ledger_id']}, asked for is ")


def test_comments_in_the_ledger_do_not_matter(given: dict[str, Any], scenarios: Path) -> None:
    given["scenarios"] = str(scenarios)
    start(given, run="mine")
    ledger = scenarios / "deviations.yml"
    ledger.write_text(ledger.read_text() + "# Nothing else is known.\n")
    assert make_plan({**given, "resume": True})["run"] == "mine"


def test_run_from_before_the_ledger_is_there_but_not_resumed(given: dict[str, Any]) -> None:
    for name, started in (("before", "2026-11-23T10:00:00Z"), ("after", "2026-11-24T10:00:00Z")):
        start(given, run=name)
        file = run_file(given, name)
        facts = {**json.loads(file.read_text()), "started": started}
        for field in ("ledger_id", "untried", "deviations") if name == "before" else ():
            del facts[field]
        file.write_text(json.dumps(facts))
    with pytest.raises(LabError, match=r"^run before cannot be resumed: its ledger_id is None, asked for is .*; put back"):
        make_plan({**given, "resume": True, "run": "before"})
    assert make_plan({**given, "resume": True})["run"] == "after", "it is in nobody's way"


@pytest.mark.parametrize("name", ["a/b", "*", "/tmp/x"])
def test_name_that_no_run_can_have_is_refused(given: dict[str, Any], name: str) -> None:
    with pytest.raises(LabError, match="cannot be the name of a run"):
        make_plan({**given, "resume": True, "run": name})


@pytest.mark.parametrize("content", ["[]", '{"schema": 1, "run": "mine"}'])
def test_run_file_without_its_fields_is_refused(given: dict[str, Any], content: str) -> None:
    folder = Path(given["results_root"]) / "mine"
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(content)
    with pytest.raises(LabError, match=r"run\.json has (schema None|no field)|run\.json holds no JSON object"):
        make_plan({**given, "resume": True, "run": "mine"})


# Suite recovery


def recovery(given: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {**given, "profile": "recovery", "guest": "s390x", "selection": "smoke", "combinations": "nnn", **changes}


def test_a_run_of_recovery_has_its_faults_and_protocols_in_its_profile(given: dict[str, Any]) -> None:
    plan = start(recovery(given, pair="emulated-v2", combinations="noo,onn"))
    protocols = plan["profile"]["protocols"]
    assert set(protocols) == set(COMBINATIONS), "the profile does not depend on the combinations"
    assert protocols["noo"]["normal"] == "v2" and protocols["onn"] == {"normal": "v2", "p2p": "v3", "tunnelled": "v3"}
    assert len(plan["profile"]["faults"]) == len({case.rpartition("/")[2] for case in plan["cases"]["onn"]})
    facts = json.loads(run_file(given, plan["run"]).read_text())
    validate(facts, ROOT / "scenarios" / "schema" / "run.json", "run.json")
    assert facts["profile_data"] == plan["profile"] and facts["suite"]["name"] == "recovery"
    assert all(len(axes) == 5 for axes in facts["axes"].values())


def test_a_case_of_recovery_has_time_besides_its_call(given: dict[str, Any]) -> None:
    assert make_plan(given)["time_limit"] == make_plan(recovery(given))["time_limit"] == 60
    assert make_plan(recovery(given, selection="full"))["time_limit"] == 100
    assert make_plan(recovery(given, time_limit=200.0))["time_limit"] == 200


def test_cells_share_each_combination_of_recovery(given: dict[str, Any]) -> None:
    plan = make_plan(recovery(given, cells=["a", "b"], combinations="noo,nnn"))
    assert [share["combination"] for share in plan["shares"]["b"]] == ["noo", "nnn"]
    dealt = [case for cell in "ab" for case in plan["shares"][cell][1]["cases"]]
    assert sorted(dealt) == sorted(plan["cases"]["nnn"])


def test_a_run_of_recovery_is_resumed_with_the_same_settings_only(given: dict[str, Any]) -> None:
    run = start(recovery(given))["run"]
    assert make_plan(recovery(given, resume=True))["run"] == run
    for changes in ({"selection": "pairwise"}, {"aftermath": "restart-daemons"}, {"faults": "qemu"}, {"keepalive_count": "3"}):
        with pytest.raises(LabError, match=f"run {run} cannot be resumed: its profile_id is"):
            make_plan(recovery(given, resume=True, **changes))


def test_a_full_run_of_all_combinations_is_planned_and_its_file_stays_small(given: dict[str, Any]) -> None:
    plan = start(recovery(given, selection="full", combinations="all", cells=list("abcd")))
    assert sum(map(len, plan["cases"].values())) > 8 * 3000
    assert run_file(given, plan["run"]).stat().st_size < 5_000_000


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"selection": "most"}, "there is no selection 'most'"),
        ({"aftermath": "hope"}, "there is no aftermath 'hope'"),
        ({"faults": "earthquake"}, "there is no fault 'earthquake'"),
        ({"cases": "*/finish-rely/*"}, "the case pattern '*/finish-rely/*' matches none of the 43 cases"),
    ],
)
def test_what_recovery_does_not_have_is_refused(given: dict[str, Any], changes: dict[str, str], sentence: str) -> None:
    with pytest.raises(LabError) as refused:
        make_plan(recovery(given, **changes))
    assert sentence in str(refused.value)


# Chains


def test_a_chain_has_the_machines_and_the_combinations_that_it_begins_on(given: dict[str, Any]) -> None:
    plan = make_plan({**given, "profile": "chain"})
    assert plan["combinations"] == ["non", "oon"] and not plan["replaceable"]
    assert plan["classes"]["oon"] == {"client": "old", "source": "old", "target": "new", "third": "new"}
    assert plan["expected"]["oon"]["third"]["release"] == "debian-13"
    assert plan["cases"]["oon"][0] == "normal/transient-running/none/old-new-old-new-new"
    other = make_plan({**given, "profile": "chain", "hops": "new,in-place:old,old", "combinations": "ono"})
    assert other["combinations"] == ["ono"] and other["replaceable"] and other["profile_id"] != plan["profile_id"]


def test_hops_that_do_not_go_with_the_rest_are_refused(given: dict[str, Any]) -> None:
    with pytest.raises(LabError, match=r"the hops make no case on combination ooo; they do on non, oon"):
        make_plan({**given, "profile": "chain", "combinations": "ooo"})
    with pytest.raises(LabError, match=r"profile 'canonical' has no chains; run playbooks/chain\.yml"):
        make_plan({**given, "hops": "old,new"})
