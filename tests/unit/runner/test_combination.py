# SPDX-License-Identifier: GPL-3.0-or-later
"""A run of one combination from its settings to its result, with real agents and the fake libvirt."""

from __future__ import annotations

import os
import re
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from fake_machines import FakeRelays, FakeWitness, fake_guest, make_cell
from fake_rpc import domain_payload
from migration_lab.cell.agent_process import AgentProcess
from migration_lab.cell.cell import Cell
from migration_lab.cell.domains import Domains
from migration_lab.cell.machine import Machine
from migration_lab.journal.journal import Journal, read_journal
from migration_lab.model.case import ROLES, select_cases
from migration_lab.model.combination import COMBINATIONS, classes
from migration_lab.model.errors import LabError
from migration_lab.planning.schema import read_yaml
from migration_lab.relay.domain_names import DomainNames
from migration_lab.relay.relays import Relays
from migration_lab.relay.steps import Step
from migration_lab.runner.combination import Settings, _rules, run_combination
from migration_lab.runner.owner import Owner
from migration_lab.runner.relayed import relayed
from migration_lab.runner.workers import Workers
from migration_lab.suites.registry import suite_of
from synthetic_run import CASES, ROOT

IDS = [case.id for case in CASES]
DATA = read_yaml(ROOT / "scenarios/profiles/canonical.yml")


def chosen(*patterns: str) -> tuple[str, ...]:
    """Ids of cases, as the plan chooses them."""
    return tuple(case.id for case in select_cases(CASES, patterns))


def through_relays(settings: Settings) -> tuple[Cell, Relays]:
    """The cell with its paths through relays."""
    domains = Domains(settings.prefix, settings.run, settings.combination)
    return relayed(settings.cell, settings.ceilings, domains.pattern)


# What the fake library and the fake daemons report.
EXPECTED = {
    "client": {"release": "first", "libvirt": "0.9.2", "class": "old"},
    "source": {"release": "trixie", "libvirt": "11.3.0", "class": "new"},
    "target": {"release": "trixie", "libvirt": "11.3.0", "class": "new"},
}


@pytest.fixture(scope="module", autouse=True)
def systems() -> Iterator[None]:
    """What a machine is made of takes longer to ask than all else of a short run; test_versions.py asks it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Machine, "system", lambda machine: {"kernel": "6.18", "packages": "0123456789ab"})
        yield


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Eight cases, one after another, without relay and witness."""
    folder = tmp_path_factory.mktemp("lab")
    return Settings(
        run="r", combination="onn", pair={"name": "p", "old": "first", "new": "trixie", "boundary": "1.0.0"}, expected=EXPECTED,
        cell=make_cell(folder), guests={"x86_64": fake_guest()},
        profile=DATA, profile_id="0123", suite=suite_of(DATA), cases=chosen("p2p/*/none"), cell_name="a",
        folder=folder / "results" / "onn", workers=1, time_limit=30, prefix="mlab-",
        clean=False, resume=False, owner=None, relay=False, guest_checks=False,
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
    (settings.folder / "journal-a.jsonl").write_bytes(complete)
    return settings


def test_run_comes_to_a_result_and_a_journal(settings: Settings) -> None:
    guests = {"x86_64": fake_guest("/lab/slow")}
    result = run_combination(replace(settings, cases=chosen("p2p/*"), workers=2, guests=guests))
    assert (result["counts"], result["ran"], result["not_passed"], result["unexplained_deaths"]) == ({"pass": 32}, 32, [], [])
    source = result["versions"]["source"]
    assert (source["libvirt"], source["hypervisor"], source["hostname"]) == ("11.3.0", "7.2.22", "a-source")
    assert (source["kernel"], source["packages"]) == ("6.18", "0123456789ab")
    assert 32 * 0.005 <= result["call_seconds"] < 2 * result["seconds"] and result["workers"] == 2
    record = read_journal(Path(result["journal"]))
    assert record.path == settings.folder / "journal-a.jsonl" and set(record.cases) == set(IDS[32:64])
    assert record.header and record.header["selected"] == IDS[32:64] and record.header["versions"] == result["versions"]
    daemons, end = record.events
    assert daemons["processes"] == {"source": {"libvirtd": 100}, "target": {"libvirtd": 100}}
    assert (daemons["event"], end["event"], end["complete"]) == ("daemons", "end", True)


def test_cases_that_do_not_pass_are_listed_with_reasons(settings: Settings) -> None:
    result = run_combination(replace(settings, guests={"x86_64": fake_guest("/lab/refused")}))
    assert result["counts"] == {"fail": 8}
    reason = "migrated: expected success, got unable to connect to server: Connection refused (error 38, domain 7)"
    assert result["not_passed"] == [{"case": name, "verdict": "fail", "reason": reason} for name in IDS[32:64:4]]


def test_journal_that_is_there_is_not_gone_over(finished: Settings, complete: bytes) -> None:
    with pytest.raises(LabError, match=r"there is a journal already: .*; resume it with resume=true, or start another run"):
        run_combination(finished)
    assert (finished.folder / "journal-a.jsonl").read_bytes() == complete


def test_resumed_run_does_the_rest_and_nothing_twice(finished: Settings) -> None:
    journal = finished.folder / "journal-a.jsonl"
    header, daemons, *lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(header + daemons + b"".join(lines[:3]) + lines[3][:40])
    result = run_combination(replace(finished, resume=True, workers=2))
    assert (result["ran"], result["counts"]) == (5, {"pass": 8})
    record = read_journal(journal)
    assert sorted(line.case for line in record.attempts) == sorted(IDS[32:64:4]), "each once"
    assert record.torn and len(record.headers) == 2


def test_share_of_another_cell_is_resumed_without_what_the_first_has_done(finished: Settings) -> None:
    other = replace(finished, cell_name="b", resume=True, cases=chosen("p2p/*/none", "normal/transient-running/none"))
    source = replace(finished.cell.source, name="b-source")
    result = run_combination(replace(other, cell=replace(finished.cell, source=source)))
    assert (result["ran"], result["counts"]) == (1, {"pass": 9}) and Path(result["journal"]).name == "journal-b.jsonl"
    (line,) = read_journal(Path(result["journal"])).attempts
    assert (line.case, line.cell) == ("normal/transient-running/none", "b")


@pytest.mark.parametrize("changes", [{"profile_id": "another"}, {"ledger_id": "another"}, {"relay": True}], ids=str)
def test_every_journal_of_the_combination_must_be_the_same(finished: Settings, changes: dict[str, Any]) -> None:
    with pytest.raises(LabError, match=r"journal-a\.jsonl cannot be resumed: "):
        run_combination(replace(finished, cell_name="b", resume=True, **changes))
    assert not (finished.folder / "journal-b.jsonl").exists()


def test_case_that_the_combination_does_not_have_is_refused(settings: Settings) -> None:
    with pytest.raises(LabError, match="combination onn has no case 'p2p/x/y'; take the ids from the plan"):
        run_combination(replace(settings, cases=("p2p/x/y",)))


def test_complete_run_that_is_resumed_runs_nothing(finished: Settings) -> None:
    result = run_combination(replace(finished, resume=True))
    assert (result["ran"], result["counts"]) == (0, {"pass": 8})


def test_run_with_another_guest_does_not_go_on(finished: Settings, complete: bytes) -> None:
    with pytest.raises(LabError, match=r"cannot be resumed: guests was .*'memory': 16.* and is now .*'memory': 32"):
        run_combination(replace(finished, resume=True, guests={"x86_64": fake_guest(memory=32)}))
    assert (finished.folder / "journal-a.jsonl").read_bytes() == complete


def test_machine_of_another_version_stops_the_run_before_it_begins(settings: Settings) -> None:
    expected = {**EXPECTED, "target": {"release": "bookworm", "libvirt": "9.0.0", "class": "old"}}
    with pytest.raises(LabError, match=r"the target reports libvirt 11\.3\.0, release bookworm should be 9\.0\.0"):
        run_combination(replace(settings, expected=expected))
    assert not settings.folder.exists()


def test_machine_type_that_a_qemu_does_not_know_stops_the_run_before_it_begins(settings: Settings) -> None:
    with pytest.raises(LabError, match=r"its QEMU knows no machine type 'pc-0\.1' for x86_64"):
        run_combination(replace(settings, guests={"x86_64": fake_guest(machine="pc-0.1")}))
    assert not settings.folder.exists()


def test_leftovers_are_removed_only_when_asked_to(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    removed: list[str] = []
    monkeypatch.setattr("migration_lab.runner.combination.find_leftovers", lambda agent, prefix, sides: ["mlab-onn-001"])
    monkeypatch.setattr(
        "migration_lab.runner.combination.remove_leftovers", lambda cell, runner, names: removed.extend(names)
    )
    with pytest.raises(LabError, match=r"domains of an earlier run are left on the cell: mlab-onn-001; .* clean=true"):
        run_combination(settings)
    assert not settings.folder.exists() and removed == []
    # Resume of a run that has no journal yet, and an owner that is there: as after a kill while the cell was made.
    assert run_combination(replace(settings, clean=True, resume=True, owner=os.getpid()))["counts"] == {"pass": 8}
    assert removed == ["mlab-onn-001"]
    event = read_journal(settings.folder / "journal-a.jsonl").events[0]
    assert (event["event"], event["removed"]) == ("leftovers", ["mlab-onn-001"])


def test_run_in_which_the_lab_breaks_down_is_not_complete(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def break_down(matrix: Workers) -> bool:
        raise LabError("machine a-source: no such container")

    monkeypatch.setattr(Workers, "run", break_down)
    with pytest.raises(LabError, match="machine a-source: no such container"):
        run_combination(settings)
    _, end = read_journal(settings.folder / "journal-a.jsonl").events
    assert (end["event"], end["complete"]) == ("end", False)


# Deviations and second attempts


REFUSAL = {
    "id": "refuses", "title": "It refuses", "when": {"source": ">=11.0.0", "method": ["p2p"]},
    "effects": [{"check": "migrated", "got": "*Connection refused*"}], "cause": "a bug", "reference": "a commit",
}


def test_known_deviations_are_no_failures(settings: Settings) -> None:
    guests = {"x86_64": fake_guest("/lab/refused")}
    result = run_combination(replace(settings, guests=guests, deviations=(REFUSAL,)))
    assert (result["counts"], result["not_passed"]) == ({"known": 8}, [])
    assert {line.deviation for line in read_journal(Path(result["journal"])).attempts} == {"refuses"}


def test_deviation_that_does_not_come_is_listed(settings: Settings) -> None:
    cases = chosen("p2p/transient-running/none", "normal/*/none")
    result = run_combination(replace(settings, deviations=(REFUSAL,), cases=cases))
    assert result["counts"] == {"pass": 8, "fixed": 1}
    (failed,) = result["not_passed"]
    assert (failed["case"], failed["verdict"]) == ("p2p/transient-running/none", "fixed")
    assert failed["reason"].startswith("deviation refuses was expected and did not come")


@pytest.mark.parametrize("alone_again", [True, False])
def test_pair_says_whether_a_case_is_tried_again_alone(settings: Settings, alone_again: bool) -> None:
    guests, pair = {"x86_64": fake_guest("/lab/refused")}, {**settings.pair, "alone_again": alone_again}
    result = run_combination(replace(settings, guests=guests, pair=pair, workers=4))
    assert result["counts"] == {"fail": 8} and result["unexplained_deaths"] == []
    attempts = read_journal(Path(result["journal"])).attempts
    again = [line for line in attempts if line.attempt == 2]
    assert bool(again) == alone_again
    assert all(line.note.endswith("; alone: fail") and line.beside == () for line in again)
    assert sorted(line.case for line in again) == sorted(line.case for line in attempts if line.held == "beside")


@pytest.mark.parametrize(
    ("changes", "said"), [({"ledger_id": "4567"}, "ledger was '"), ({"relay": True}, "tap was False and is now True"),
                          ({"guest_checks": True}, "guest_checks was False and is now True")],
)
def test_run_with_another_ledger_or_other_checks_does_not_go_on(
    finished: Settings, complete: bytes, changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(LabError, match=f"cannot be resumed: {said}"):
        run_combination(replace(finished, resume=True, **changes))
    assert (finished.folder / "journal-a.jsonl").read_bytes() == complete


# Relays and witness


@pytest.fixture
def witnesses(monkeypatch: pytest.MonkeyPatch) -> list[FakeWitness]:
    """The witnesses that runs make: the fake libvirt has no QEMU processes."""
    made: list[FakeWitness] = []

    def make(**given: Any) -> FakeWitness:
        made.append(FakeWitness(**given))
        return made[-1]

    monkeypatch.setattr("migration_lab.runner.combination.Witness", make)
    return made


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[FakeRelays]:
    """The relays that runs make: the fake libvirt speaks no RPC."""
    monkeypatch.setattr("migration_lab.runner.relayed.Relays", FakeRelays)
    monkeypatch.setattr(FakeRelays, "made", [])
    return FakeRelays.made


def test_run_with_tap_and_witness_has_their_checks(
    settings: Settings, made: list[FakeRelays], witnesses: list[FakeWitness]
) -> None:
    result = run_combination(replace(settings, relay=True, guest_checks=True, workers=2))
    assert result["counts"] == {"pass": 8}
    record = read_journal(Path(result["journal"]))
    assert record.header and record.header["tap"] is record.header["guest_checks"] is True
    for line in record.attempts:
        assert [check.name for check in line.further] == [
            "protocol", "guest-continuity", "guest-memory", "single-copy", "target-config", "no-leftovers",
        ]
        assert line.protocol == "v3" and len(line.steps) == 5
        assert line.migration and line.migration["uri"] == "fake://relayed-target/"
    (relays,), (witness,) = made, witnesses
    assert relays.stopped == 1 and witness.asked[-1] == ("close",)
    assert sorted(relays.taken) == [f"mlab-onn-{number:03d}" for number in range(33, 65, 4)]


def test_other_protocol_than_that_of_the_versions_fails(settings: Settings, made: list[FakeRelays]) -> None:
    """With a client of 0.9.2 and newer daemons every method must use v3; what ran here is called by v2's names."""
    relayed = replace(settings, relay=True, cases=chosen("p2p/transient-running/none"))

    class OldRelays(FakeRelays):
        def take(self, domain: str) -> list[Step]:
            self.procedures = ["prepare2", "perform", "finish2"]
            return super().take(domain)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("migration_lab.runner.relayed.Relays", OldRelays)
        (failed,) = run_combination(relayed)["not_passed"]
    assert failed["reason"] == "protocol: expected v3, got v2"


def test_agent_that_read_the_versions_is_not_waited_for_before_the_run(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []

    def note(owner: type, name: str) -> None:
        method = getattr(owner, name)

        def noted(*given: Any, **fields: Any) -> Any:
            done.append(name)
            return method(*given, **fields)

        monkeypatch.setattr(owner, name, noted)

    for owner, name in ((AgentProcess, "end"), (AgentProcess, "close"), (Journal, "append")):
        note(owner, name)
    run_combination(replace(settings, cases=chosen("p2p/transient-running/none")))
    assert done[:2] == ["end", "append"] and done[-2:] == ["close", "end"], "close ends as well"


def test_relay_and_witness_end_when_the_run_breaks_off(
    settings: Settings, made: list[FakeRelays], witnesses: list[FakeWitness], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(cell: Any, domains: Any, names: list[str]) -> None:
        raise LabError(f"left-over domains could not be removed: {names}")

    monkeypatch.setattr("migration_lab.runner.combination.find_leftovers", lambda agent, prefix, sides: ["mlab-onn-001"])
    monkeypatch.setattr("migration_lab.runner.combination.remove_leftovers", refuse)
    with pytest.raises(LabError, match="could not be removed"):
        run_combination(replace(settings, relay=True, guest_checks=True, clean=True))
    assert made[0].stopped == 1 and witnesses[0].asked == [("start",), ("close",)]


def test_run_without_them_makes_neither(settings: Settings, made: list[FakeRelays], witnesses: list[FakeWitness]) -> None:
    result = run_combination(replace(settings, cases=chosen("p2p/transient-running/none")))
    (line,) = read_journal(Path(result["journal"])).attempts
    assert [check.name for check in line.further] == ["target-config", "no-leftovers"] and line.steps == ()
    assert not made and not witnesses


def addressed(settings: Settings, ceilings: str = "", ports: tuple[int, int] | None = None) -> Settings:
    """Settings whose machines have addresses, and whose named roles are presented as 0.9.1."""
    suffixes = [f":{port}" for port in ports] if ports else ["", ""]
    cell = replace(
        settings.cell, client=replace(settings.cell.client, address="127.0.0.1"),
        source=replace(settings.cell.source, address="127.0.0.1", uri=f"qemu+tcp://127.0.0.1{suffixes[0]}/system"),
        target=replace(settings.cell.target, address="127.0.0.1", uri=f"qemu+tcp://127.0.0.1{suffixes[1]}/system"),
    )
    expected = {role: {**EXPECTED[role], **({"ceiling": "0.9.1"} if role in ceilings.split() else {})} for role in ROLES}
    return replace(settings, cell=cell, expected=expected)


@pytest.mark.parametrize("combination", COMBINATIONS)
def test_path_shows_what_its_older_end_knows(settings: Settings, made: list[FakeRelays], combination: str) -> None:
    old = [role for role, age in classes(combination).items() if age == "old"]
    cell, _ = through_relays(replace(addressed(settings, " ".join(old)), combination=combination))
    links = {link.name: link for link in made[0].given[0]}
    assert list(links) == ["client-source", "client-target", "source-target"]
    for name, link in links.items():
        shown = link.ceiling and link.ceiling.version
        assert shown == ("0.9.1" if set(name.split("-")) & set(old) else None), name
        assert (link.host, link.port) == ("127.0.0.1", 16509)
    assert made[0].fields["listen"] == "127.0.0.1" and made[0].fields["namespace"] is None
    names = re.compile(made[0].fields["names"])
    assert names.fullmatch(f"mlab-{combination}-096") and not names.fullmatch("mlab-xyz-096")
    assert cell.uri("source-target") == "qemu+tcp://relayed-target/system"


@pytest.mark.parametrize("number", [1, 96, 999, 1000, 22816])
@pytest.mark.parametrize("attempt", [1, 2, 12])
def test_tap_finds_the_domain_of_every_case_and_attempt(
    settings: Settings, made: list[FakeRelays], number: int, attempt: int
) -> None:
    through_relays(addressed(settings))
    name = Domains(settings.prefix, settings.run, settings.combination).name(number, attempt)
    assert DomainNames(made[0].fields["names"]).find(domain_payload(name)) == name


def test_paths_go_through_a_real_tap(settings: Settings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as source, socket.create_server(("127.0.0.1", 0)) as target:
        daemons = {"source": source, "target": target}
        cell, relays = through_relays(addressed(settings, ports=(source.getsockname()[1], target.getsockname()[1])))
        try:
            for path in ("client-source", "client-target", "source-target"):
                uri = urlsplit(cell.uri(path))
                assert (uri.scheme, uri.path) == ("qemu+tcp", "/system")
                daemons[path.partition("-")[2]].settimeout(5)
                with socket.create_connection((uri.hostname, uri.port), 5):
                    daemon, _ = daemons[path.partition("-")[2]].accept()
                    daemon.close()
        finally:
            relays.stop()
    with pytest.raises(OSError):
        socket.create_connection((uri.hostname, uri.port), 5)


@pytest.mark.parametrize(
    ("ceilings", "shown"),
    [
        ("", {"client": 9002, "source": 11003000, "target": 11003000}),
        ("source", {"client": 9002, "source": 9001, "target": 11003000}),
        ("client source target", dict.fromkeys(ROLES, 9001)),
    ],
)
def test_rules_have_what_is_reported_and_what_is_shown(settings: Settings, ceilings: str, shown: dict[str, int]) -> None:
    versions = {
        "client": {"libvirt": "0.9.2", "python": "2.7.3"},
        "source": {"libvirt": "11.3.0", "hypervisor": "10.0.6", "hostname": "a-source"},
        "target": {"libvirt": "11.3.0", "hypervisor": "7.2.22", "hostname": "a-target"},
    }
    rules = _rules(replace(addressed(settings, ceilings), relay=True, deviations=(REFUSAL,)), versions)
    assert rules.libvirt == {"client": 9002, "source": 11003000, "target": 11003000}
    assert rules.qemu == {"source": 10000006, "target": 7002022}
    assert rules.shown == shown and rules.relayed
    assert [deviation.id for deviation in rules.ledger] == ["refuses"]


# The playbook and the progress


def test_run_whose_playbook_is_gone_ends(settings: Settings) -> None:
    owner = subprocess.Popen(["true"])
    owner.wait()
    with pytest.raises(LabError, match="the playbook that this run belongs to is gone; resume it with resume=true"):
        run_combination(replace(settings, owner=owner.pid))
    _, end = read_journal(settings.folder / "journal-a.jsonl").events
    assert (end["event"], end["complete"]) == ("end", False)


def test_run_that_ends_early_keeps_what_the_relays_noticed(
    settings: Settings, made: list[FakeRelays], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FakeRelays, "oddities", ["link client-target: no connection to its daemon"])
    with subprocess.Popen(["true"]) as owner:
        owner.wait()
    with pytest.raises(LabError, match="resume it with resume=true"):
        run_combination(replace(settings, relay=True, owner=owner.pid))
    _, end, oddity = read_journal(settings.folder / "journal-a.jsonl").events
    assert (end["event"], oddity["event"], oddity["detail"]) == ("end", "relay-oddity", *FakeRelays.oddities)


def test_owner_is_gone_when_its_process_ends() -> None:
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as process:
        owner = Owner(process.pid)
        assert not owner.gone()
        process.kill()
        process.wait()
        assert owner.gone() and owner.gone()
    assert not Owner(None).gone()
