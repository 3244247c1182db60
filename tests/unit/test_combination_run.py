# SPDX-License-Identifier: GPL-3.0-or-later
"""A run of one combination from its settings to its result, with real agents and the fake libvirt."""

from __future__ import annotations

import io
import os
import subprocess
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from fake_machines import make_cell
from migration_lab.combination_run import Owner, Settings, _tell, run_combination
from migration_lab.domain_xml import GuestConfig
from migration_lab.journal import read_journal
from migration_lab.matrix import Matrix, Tally
from migration_lab.model import LabError
from synthetic_run import CASES, PROFILE

IDS = [case.id for case in CASES]
# What the fake library and the fake daemons report.
EXPECTED = {
    "client": {"release": "first", "libvirt": "0.9.2", "class": "old"},
    "source": {"release": "trixie", "libvirt": "11.3.0", "class": "new"},
    "target": {"release": "trixie", "libvirt": "11.3.0", "class": "new"},
}


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Eight cases, one after another."""
    folder = tmp_path_factory.mktemp("lab")
    return Settings(
        run="r", combination="onn", pair={"name": "p", "old": "first", "new": "trixie", "boundary": "1.0.0"}, expected=EXPECTED,
        cell=make_cell(folder), guest=GuestConfig("x86_64", "x86_64", "tcg", "pc-i440fx-7.2", "", 16, "/lab/guest.img"),
        profile=PROFILE, patterns=("p2p/*/none",), folder=folder / "results" / "onn", workers=1, time_limit=30, prefix="mlab-",
        clean=False, resume=False, owner=None,
    )


@pytest.fixture(scope="module")
def complete(lab: Settings) -> bytes:
    """The journal of a complete run."""
    return Path(run_combination(lab)["journal"]).read_bytes()


@pytest.fixture
def settings(lab: Settings, tmp_path: Path) -> Settings:
    return replace(lab, folder=tmp_path / "results" / "onn")


@pytest.fixture
def finished(settings: Settings, complete: bytes) -> Settings:
    """Settings of a run that is complete."""
    settings.folder.mkdir(parents=True)
    (settings.folder / "journal.jsonl").write_bytes(complete)
    return settings


def test_run_comes_to_a_result_and_a_journal(settings: Settings) -> None:
    guest = replace(settings.guest, kernel="/lab/slow")
    result = run_combination(replace(settings, patterns=("p2p/*",), workers=2, guest=guest))
    assert (result["counts"], result["ran"], result["failed"], result["unexplained_deaths"]) == ({"pass": 32}, 32, [], [])
    assert result["versions"]["source"] == {"libvirt": "11.3.0", "hypervisor": "7.2.22", "hostname": "a-source"}
    assert 32 * 0.005 <= result["call_seconds"] < 2 * result["seconds"] and result["workers"] == 2
    record = read_journal(Path(result["journal"]))
    assert record.path == settings.folder / "journal.jsonl" and set(record.cases) == set(IDS[32:64])
    assert record.header and record.header["selected"] == IDS[32:64] and record.header["versions"] == result["versions"]
    (end,) = record.events
    assert (end["event"], end["complete"]) == ("end", True)
    last = (settings.folder.parent / "progress.log").read_text().splitlines()[-1]
    assert " onn 32/32 cases, 32 pass, " in last


def test_cases_that_do_not_pass_are_listed_with_reasons(settings: Settings) -> None:
    result = run_combination(replace(settings, guest=replace(settings.guest, kernel="/lab/refused")))
    assert result["counts"] == {"fail": 8}
    reason = "migrated: expected success, got unable to connect to server: Connection refused (error 38, domain 7)"
    assert result["failed"] == [{"case": name, "verdict": "fail", "reason": reason} for name in IDS[32:64:4]]


def test_journal_that_is_there_is_not_gone_over(finished: Settings, complete: bytes) -> None:
    with pytest.raises(LabError, match=r"there is a journal already: .*; go on with it with resume=true, or start another run"):
        run_combination(finished)
    assert (finished.folder / "journal.jsonl").read_bytes() == complete


def test_resumed_run_does_the_rest_and_nothing_twice(finished: Settings) -> None:
    journal = finished.folder / "journal.jsonl"
    header, *lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(header + b"".join(lines[:3]) + lines[3][:40])
    result = run_combination(replace(finished, resume=True, workers=2))
    assert (result["ran"], result["counts"]) == (5, {"pass": 8})
    record = read_journal(journal)
    assert sorted(line["case"] for line in record.attempts) == sorted(IDS[32:64:4]), "each once"
    assert record.torn and len(record.headers) == 2


def test_complete_run_that_is_resumed_runs_nothing(finished: Settings) -> None:
    result = run_combination(replace(finished, resume=True))
    assert (result["ran"], result["counts"]) == (0, {"pass": 8})


def test_run_with_another_guest_does_not_go_on(finished: Settings, complete: bytes) -> None:
    with pytest.raises(LabError, match=r"cannot be resumed: guest was .*'memory': 16.* and is now .*'memory': 32"):
        run_combination(replace(finished, resume=True, guest=replace(finished.guest, memory=32)))
    assert (finished.folder / "journal.jsonl").read_bytes() == complete


def test_machine_of_another_version_stops_the_run_before_it_begins(settings: Settings) -> None:
    expected = {**EXPECTED, "target": {"release": "bookworm", "libvirt": "9.0.0", "class": "old"}}
    with pytest.raises(LabError, match=r"the target reports libvirt 11\.3\.0, release bookworm should be 9\.0\.0"):
        run_combination(replace(settings, expected=expected))
    assert not settings.folder.exists()


def test_leftovers_are_removed_only_when_asked_to(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    removed: list[str] = []
    monkeypatch.setattr("migration_lab.combination_run.find_leftovers", lambda cell, prefix: ["mlab-onn-001"])
    monkeypatch.setattr(
        "migration_lab.combination_run.remove_leftovers", lambda cell, runner, names: removed.extend(names)
    )
    with pytest.raises(LabError, match=r"domains of an earlier run are left on the cell: mlab-onn-001; .* clean=true"):
        run_combination(settings)
    assert not settings.folder.exists() and removed == []
    # Resume of a run that has no journal yet, and an owner that is there: as after a kill while the cell was made.
    assert run_combination(replace(settings, clean=True, resume=True, owner=os.getpid()))["counts"] == {"pass": 8}
    assert removed == ["mlab-onn-001"]
    event = read_journal(settings.folder / "journal.jsonl").events[0]
    assert (event["event"], event["removed"]) == ("leftovers", ["mlab-onn-001"])


def test_run_in_which_the_lab_breaks_down_is_not_complete(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def break_down(matrix: Matrix) -> bool:
        raise LabError("machine a-source: no such container")

    monkeypatch.setattr(Matrix, "run", break_down)
    with pytest.raises(LabError, match="machine a-source: no such container"):
        run_combination(settings)
    (end,) = read_journal(settings.folder / "journal.jsonl").events
    assert (end["event"], end["complete"]) == ("end", False)


def test_run_whose_playbook_is_gone_ends(settings: Settings) -> None:
    owner = subprocess.Popen(["true"])
    owner.wait()
    with pytest.raises(LabError, match="the playbook that this run belongs to is gone; go on with resume=true"):
        run_combination(replace(settings, owner=owner.pid))
    (end,) = read_journal(settings.folder / "journal.jsonl").events
    assert (end["event"], end["complete"]) == ("end", False)


def test_owner_is_gone_when_its_process_ends() -> None:
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as process:
        owner = Owner(process.pid)
        assert not owner.gone()
        process.kill()
        process.wait()
        assert owner.gone() and owner.gone()
    assert not Owner(None).gone()


def test_progress_is_told_until_the_end_and_once_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("migration_lab.combination_run.PROGRESS_INTERVAL", 0.01)
    log, finished, tally = io.StringIO(), threading.Event(), Tally(96)
    teller = threading.Thread(target=_tell, args=("noo", tally, log, finished))
    teller.start()
    while log.getvalue().count("\n") < 2:
        finished.wait(0.01)
    tally.verdicts["pass"] = 96
    finished.set()
    teller.join(5)
    first, *_, last = log.getvalue().splitlines()
    assert " noo 0/96 cases, none yet" in first and " noo 96/96 cases, 96 pass" in last
