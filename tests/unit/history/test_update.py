# SPDX-License-Identifier: GPL-3.0-or-later
"""The history is brought up to the run folders, and the run to compare with is chosen from it."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any, Iterable

import pytest

from migration_lab.history.base_run import base_run
from migration_lab.history.entry import record_of
from migration_lab.history.file import read_history
from migration_lab.history.update import plan_update
from migration_lab.model.case import Case
from migration_lab.model.errors import LabError
from migration_lab.results.run import Run, read_run
from migration_lab.results.run_folders import read_other_run, run_of
from synthetic_run import CASES, EMULATED, PAIR, SyntheticRun, wrong_state


def night(root: Path, number: int, name: str = "", cases: Iterable[Case] = CASES[:3], **facts: Any) -> SyntheticRun:
    """A complete run of combination noo."""
    lab = SyntheticRun(root / (name or f"night-{number}"), ["noo"], cases, started=f"2026-01-0{number}T02:00:00Z", **facts)
    lab.complete("noo", {CASES[0].id: wrong_state})
    return lab


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the runs whose journals are read for the history."""
    names: list[str] = []

    def noted(folder: Path) -> Run:
        names.append(folder.name)
        return read_other_run(folder)

    monkeypatch.setattr("migration_lab.history.update.read_other_run", noted)
    return names


def file_has(root: Path) -> list[str]:
    return sorted(read_history(root / "history.sqlite")[0].journal_bytes())


def test_record_of_a_run(tmp_path: Path) -> None:
    run = read_run(night(tmp_path, 1, pair={**EMULATED, "workers_per_core": 2}).folder)
    record = record_of(run)
    assert record.name == "night-1" and not record.green and record.started == "2026-01-01T02:00:00Z"
    assert json.loads(record.pair) == EMULATED
    assert json.loads(record.asked) == {"cases": ["*"], "combinations": ["noo"]}
    assert record.journal_bytes == (tmp_path / "night-1/noo/journal.jsonl").stat().st_size
    combination = record.combinations["noo"]
    assert combination.cases[CASES[0].id] == ("fail", "check target-state: expected running, got paused")
    assert combination.cases[CASES[1].id] == ("pass", "")
    assert combination.versions["source"] == {"libvirt": "9.0.0", "hypervisor": "7.2.22"}
    assert combination.counts["fail"] == 1


def conditions(root: Path, name: str, header: dict[str, Any], **facts: Any) -> str:
    lab = SyntheticRun(root / name, ["noo"], CASES[:1], **facts)
    lab.start("noo", **header).close()
    return record_of(read_run(lab.folder)).combinations["noo"].conditions


def test_conditions_are_what_a_verdict_can_come_from(tmp_path: Path) -> None:
    def versions(**source: str) -> dict[str, Any]:
        machine = {"libvirt": "9.0.0", "hypervisor": "7.2.22", "hostname": "x", "kernel": "6.1"}
        return {"versions": {"client": {"libvirt": "11.3.0"}, "source": {**machine, **source}, "target": machine}}

    releases = {"bookworm": {"id": "b-1"}, "trixie": {"id": "t-1"}, "sid": {"id": "s-1"}}
    same = conditions(tmp_path, "1", versions(), releases=releases)
    assert same
    assert same == conditions(tmp_path, "2", versions(kernel="6.2", hostname="y"), releases=releases, revision="other")
    assert same == conditions(tmp_path, "3", versions(), releases={**releases, "sid": {"id": "s-2"}})
    others = [
        conditions(tmp_path, "4", versions(libvirt="9.0.1"), releases=releases),
        conditions(tmp_path, "5", versions(hypervisor="7.2.23"), releases=releases),
        conditions(tmp_path, "6", {**versions(), "ledger": "another"}, releases=releases),
        conditions(tmp_path, "7", versions(), releases={**releases, "bookworm": {"id": "b-2"}}),
        conditions(tmp_path, "8", {**versions(), "tap": False}, releases=releases),
    ]
    assert len({same, *others}) == 6


def test_runs_are_added_once_and_their_journals_not_read_again(tmp_path: Path, read: list[str]) -> None:
    for number in (1, 2, 3):
        night(tmp_path, number)
    update = plan_update(tmp_path)
    assert update.outdated and update.notices == [] and not (tmp_path / "history.sqlite").exists()
    assert update.write() == [tmp_path / "history.sqlite"]
    assert read == ["night-1", "night-2", "night-3"] and file_has(tmp_path) == read
    read.clear()
    night(tmp_path, 4)
    run = read_run(tmp_path / "night-2")
    update = plan_update(tmp_path, run)
    assert read == ["night-4"] and [record.name for record in update.added] == ["night-4"]
    update.write()
    assert not plan_update(tmp_path, run).outdated and read == ["night-4"]


def test_a_run_that_has_gone_on_is_read_again(tmp_path: Path, read: list[str]) -> None:
    lab = SyntheticRun(tmp_path / "night", ["noo"], CASES[:3])
    journal = lab.start("noo")
    lab.record(journal, CASES[0])
    plan_update(tmp_path).write()
    for case in CASES[1:3]:
        lab.record(journal, case)
    journal.close()
    plan_update(tmp_path).write()
    assert read == ["night", "night"]
    record = read_history(tmp_path / "history.sqlite")[0].record("night")
    assert record and record.combinations["noo"].counts["pass"] == 3


def test_a_broken_run_is_said_and_left_out(tmp_path: Path) -> None:
    for number in (1, 2, 3, 4):
        night(tmp_path, number)
    (tmp_path / "night-1/run.json").write_text("{")
    middle = tmp_path / "night-2/noo/journal.jsonl"
    lines = middle.read_text().splitlines(keepends=True)
    middle.write_text(lines[0] + lines[1][:40] + "\n" + "".join(lines[2:]))
    lacking = tmp_path / "night-3/noo/journal.jsonl"
    lacking.write_text(lacking.read_text().replace('"verdict"', '"vredict"'))
    update = plan_update(tmp_path)
    assert [notice.partition(",")[0] for notice in update.notices] == [
        f"run night-{number} is left out of the history" for number in (1, 2, 3)
    ]
    assert "run.json is not JSON" in update.notices[0]
    assert f"line 2 of the journal {middle} is not JSON" in update.notices[1]
    assert f"line 2 of the journal {lacking} is not a case as the lab writes it (KeyError('verdict'))" in update.notices[2]
    update.write()
    assert file_has(tmp_path) == ["night-4"]


DAMAGED_FACTS: list[dict[str, Any]] = [
    {"pair": "debian"}, {"pair": None}, {"pair": {"name": "debian"}}, {"cases": None}, {"cases": [None, 1]},
    {"combinations": None}, {"combinations": 1}, {"started": None}, {"profile": {}}, {"guest": ["x86_64"]},
    {"releases": ["bookworm"]}, {"releases": {"bookworm": None}}, {"untried": 1},
]


@pytest.mark.parametrize("facts", DAMAGED_FACTS, ids=str)
def test_a_run_with_damaged_facts_is_said_and_left_out(tmp_path: Path, facts: dict[str, Any]) -> None:
    night(tmp_path, 1)
    lab = night(tmp_path, 2)
    (lab.folder / "run.json").write_text(json.dumps({**lab.data, **facts}))
    night(tmp_path, 3)
    left_out(tmp_path)


@pytest.mark.parametrize("field", ["selected", "combination", "versions"])
@pytest.mark.parametrize("value", ["gone", None, [None]])
def test_a_run_with_a_damaged_header_is_said_and_left_out(tmp_path: Path, field: str, value: Any) -> None:
    night(tmp_path, 1)
    path = night(tmp_path, 2).journal_path("noo")
    header, *lines = path.read_text().splitlines(keepends=True)
    changed = {**json.loads(header), field: value}
    if value == "gone":
        del changed[field]
    path.write_text(json.dumps(changed) + "\n" + "".join(lines))
    night(tmp_path, 3)
    left_out(tmp_path)


def left_out(root: Path) -> None:
    """Of nights 1 to 3 the second is left out, by whoever comes across it."""
    update = plan_update(root, read_run(root / "night-3"))
    assert len(update.notices) == 1
    assert update.notices[0].startswith("run night-2 is left out of the history, because ")
    update.write()
    assert file_has(root) == ["night-1", "night-3"]
    assert chosen(root, "night-3")[0] == "night-1"


@pytest.mark.parametrize("facts", [{"pair": "debian"}, {"pair": {"name": "x"}}, {"releases": {"bookworm": None}}], ids=str)
def test_a_damaged_base_is_refused_when_named_and_passed_over_when_last(tmp_path: Path, facts: dict[str, Any]) -> None:
    for number in (1, 2, 3):
        lab = night(tmp_path, number)
    plan_update(tmp_path).write()
    (tmp_path / "night-2/run.json").write_text(json.dumps({**lab.data, **facts}))
    with pytest.raises(LabError, match=r"in .*/night-2 is not as the lab writes it"):
        chosen(tmp_path, "night-3", "night-2")
    name, notices = chosen(tmp_path, "night-3")
    assert name == "night-1" and [notice.partition(",")[0] for notice in notices] == ["not compared with run night-2"]


def test_a_torn_last_line_is_no_fault(tmp_path: Path) -> None:
    lab = night(tmp_path, 1)
    with lab.journal_path("noo").open("a") as stream:
        stream.write('{"type":"case","case":"')
    update = plan_update(tmp_path)
    assert update.notices == [] and [record.name for record in update.added] == ["night-1"]


def test_all_are_read_again_when_asked_and_what_has_no_folder_stays(tmp_path: Path, read: list[str]) -> None:
    for number in (1, 2):
        night(tmp_path, number)
    plan_update(tmp_path).write()
    shutil.rmtree(tmp_path / "night-1")
    read.clear()
    update = plan_update(tmp_path, again=True)
    assert read == ["night-2"]
    assert update.notices == ["what the history has of 1 run without a folder was kept: night-1"]
    assert not update.outdated and file_has(tmp_path) == ["night-1", "night-2"]


def test_a_broken_history_is_said_and_made_again(
    tmp_path: Path, read: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in (1, 2):
        night(tmp_path, number)
    plan_update(tmp_path).write()
    (tmp_path / "history.sqlite").write_bytes(b"x" * 5000)
    read.clear()
    update = plan_update(tmp_path)
    assert read == ["night-1", "night-2"]
    assert len(update.notices) == 1
    assert f"the history {tmp_path}/history.sqlite cannot be trusted (file is not a database): " in update.notices[0]
    later = time.gmtime(time.time() + 60)
    monkeypatch.setattr("migration_lab.history.file.time.gmtime", lambda: later)
    aside, made = update.write()
    assert f"set aside as {aside.name} and" in update.notices[0] and aside.read_bytes() == b"x" * 5000
    assert made == tmp_path / "history.sqlite" and file_has(tmp_path) == ["night-1", "night-2"]


def test_a_link_to_a_run_is_no_run(tmp_path: Path) -> None:
    night(tmp_path, 1)
    (tmp_path / "latest").symlink_to("night-1")
    assert [record.name for record in plan_update(tmp_path).added] == ["night-1"]


def test_no_folder_of_runs(tmp_path: Path) -> None:
    with pytest.raises(LabError, match=r"there is no folder .*/never; run the matrix first"):
        plan_update(tmp_path / "never")


def chosen(root: Path, name: str, base: str = "last") -> tuple[str, list[str]]:
    run = read_run(root / name)
    found, notices = base_run(run, base, plan_update(root, run))
    return (found.folder.name if found else ""), notices


def test_last_is_the_last_comparable_run_before_this_one(tmp_path: Path) -> None:
    for number in (1, 2, 3, 5):
        night(tmp_path, number)
    assert chosen(tmp_path, "night-3") == ("night-2", [])
    assert chosen(tmp_path, "night-5") == ("night-3", [])
    none = "compared with no other run: none before it has the same pair, profile, guest, combinations and cases"
    assert chosen(tmp_path, "night-1") == ("", [none])


@pytest.mark.parametrize(
    "other",
    [
        {"pair": {**PAIR, "boundary": "11.0.0"}}, {"pair": {**PAIR, "ceiling": "0.9.1"}}, {"profile": "tck"},
        {"guest": "aarch64"}, {"combinations": ["noo", "nnn"]}, {"cases": ["p2p/*"]},
    ],
    ids=lambda other: next(iter(other)),
)
def test_a_run_of_something_else_is_not_comparable(tmp_path: Path, other: dict[str, Any]) -> None:
    night(tmp_path, 1)
    lab = night(tmp_path, 2)
    (lab.folder / "run.json").write_text(json.dumps({**lab.data, **other}))
    night(tmp_path, 3)
    assert chosen(tmp_path, "night-3")[0] == "night-1"


def test_runs_without_a_result_or_a_folder_are_passed_over(tmp_path: Path) -> None:
    for number in (1, 2):
        night(tmp_path, number)
    nothing = SyntheticRun(tmp_path / "night-3", ["noo"], CASES[:3], started="2026-01-03T02:00:00Z")
    nothing.not_obtained("noo", "the lab host has no disk")
    night(tmp_path, 4)
    assert chosen(tmp_path, "night-4") == ("night-2", [])
    plan_update(tmp_path).write()
    shutil.rmtree(tmp_path / "night-2")
    assert chosen(tmp_path, "night-4") == ("night-1", [])


def test_complete_runs_are_preferred(tmp_path: Path) -> None:
    def partial(number: int) -> None:
        lab = SyntheticRun(tmp_path / f"night-{number}", ["noo"], CASES[:3], started=f"2026-01-0{number}T02:00:00Z")
        journal = lab.start("noo")
        lab.record(journal, CASES[0])
        journal.close()

    for number in (1, 2):
        partial(number)
    night(tmp_path, 3)
    assert chosen(tmp_path, "night-3") == ("night-2", []), "where none is complete"
    for number in (4, 5):
        partial(number)
    night(tmp_path, 6)
    assert chosen(tmp_path, "night-6") == ("night-3", [])


def test_a_run_that_lacks_a_combination_is_not_complete(tmp_path: Path) -> None:
    for number, names in ((1, ("noo", "nnn")), (2, ("noo",)), (3, ("noo", "nnn"))):
        lab = SyntheticRun(tmp_path / f"night-{number}", ["noo", "nnn"], CASES[:3], started=f"2026-01-0{number}T02:00:00Z")
        for name in names:
            lab.complete(name)
    assert chosen(tmp_path, "night-3") == ("night-1", [])


def test_a_last_run_that_broke_since_is_said_and_passed_over(tmp_path: Path) -> None:
    for number in (1, 2, 3):
        night(tmp_path, number)
    plan_update(tmp_path).write()
    (tmp_path / "night-2/run.json").write_text("{")
    name, notices = chosen(tmp_path, "night-3")
    assert name == "night-1" and len(notices) == 1
    assert notices[0].startswith("not compared with run night-2, because ") and "is not JSON" in notices[0]


def test_base_by_name_may_be_of_another_kind_or_later(tmp_path: Path) -> None:
    night(tmp_path, 1)
    night(tmp_path, 2, profile="tck")
    assert chosen(tmp_path, "night-1", "night-2") == ("night-2", [])


def test_base_that_cannot_be(tmp_path: Path) -> None:
    for number in range(1, 8):
        night(tmp_path, number)
    with pytest.raises(LabError, match=r"no run 'never' in .*; the newest are night-7, night-6, night-5, night-4, night-3$"):
        chosen(tmp_path, "night-1", "never")
    with pytest.raises(LabError, match=r"there is no run '\.\./night-2'"):
        chosen(tmp_path, "night-1", "../night-2")
    with pytest.raises(LabError, match="run night-1 cannot be compared with itself"):
        chosen(tmp_path, "night-1", "night-1")
    with pytest.raises(LabError, match="base=last needs the history"):
        base_run(read_run(tmp_path / "night-1"), "last", None)


def test_run_of_a_folder(tmp_path: Path) -> None:
    with pytest.raises(LabError, match=r"there is no run in .*; run the matrix first"):
        run_of(tmp_path)
    night(tmp_path, 2, "b")
    night(tmp_path, 3, "a")
    night(tmp_path, 1, "c")
    assert run_of(tmp_path / "b") == tmp_path / "b"
    assert run_of(tmp_path) == tmp_path / "a", "the one that was started last, whatever was written last"
    with pytest.raises(LabError, match=r"there is no run 'd' in .*; there are a, b, c"):
        run_of(tmp_path / "d")
    for name in "abc":
        (tmp_path / name / "run.json").write_text('{"schema": 99}')
    with pytest.raises(LabError, match=r"no run in .* has a run\.json that can be read"):
        run_of(tmp_path)
