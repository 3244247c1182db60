# SPDX-License-Identifier: GPL-3.0-or-later
"""The ledger's entries for migrations that meet a fault: what they apply to, what is refused, what others cost."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, Callable

import pytest
import yaml

from migration_lab.judging.condition import Situation, conditions_text
from migration_lab.judging.deviation import Deviation, find
from migration_lab.model.case import Case, FlagSet, Method, Scenario, State
from migration_lab.model.errors import LabError
from migration_lab.model.version import parse_version
from migration_lab.planning import ledger
from migration_lab.planning.faults import load_faults
from migration_lab.planning.ledger import load_ledger
from migration_lab.suites.recovery.case import RecoveryCase
from migration_lab.suites.recovery.fault import Fault
from migration_lab.suites.recovery.point import points
from synthetic_run import ROOT

SCENARIOS = ROOT / "scenarios"
NEW = Situation({role: 9000000 for role in ("client", "source", "target")}, {}, "v3")
PLAIN = Case(1, Method.P2P, Scenario("transient-running", False, State.RUNNING, False), FlagSet("none", ()))
POINT = next(point for point in points(Method.P2P, "v3") if point.name == "finish-reply")
STRUCK = RecoveryCase(
    1, PLAIN.method, PLAIN.scenario, PLAIN.flags, point=POINT,
    fault=Fault("connection-closed", "connection", "", delivery="closed"),
)
TWICE: dict[str, Any] = {"point": ["finish-reply"], "fault": ["connection-*"]}


def entry(name: str = "runs-twice", check: str = "single-copy", **when: Any) -> dict[str, Any]:
    return {
        "id": name, "title": "It runs twice", "when": when, "effects": [{"check": check, "got": "*"}], "cause": "a bug",
        "reference": "a commit",
    }


@pytest.fixture
def load(tmp_path: Path) -> Callable[..., list[dict[str, Any]]]:
    def load(*entries: dict[str, Any]) -> list[dict[str, Any]]:
        folder = tmp_path / "scenarios"
        shutil.copytree(SCENARIOS, folder)
        (folder / "deviations.yml").write_text(yaml.safe_dump(list(entries)))
        return load_ledger(folder)

    return load


@pytest.mark.parametrize(
    ("when", "plain", "struck"),
    [
        ({"method": ["p2p"]}, True, False),
        ({"suite": "migration"}, True, False),
        ({"suite": "recovery"}, False, True),
        ({"point": ["finish-*"]}, False, True),
        ({"fault": ["connection-closed"]}, False, True),
        (TWICE, False, True),
        ({"point": ["begin-*"]}, False, False),
        ({"fault": ["silent"], "point": ["finish-reply"]}, False, False),
        ({**TWICE, "method": ["normal"]}, False, False),
        ({**TWICE, "protocol": "v2"}, False, False),
    ],
)
def test_an_entry_is_for_one_suite(when: dict[str, Any], plain: bool, struck: bool) -> None:
    deviations = [Deviation.from_data(entry(**when))]
    assert (find(deviations, PLAIN, NEW) is not None, find(deviations, STRUCK, NEW) is not None) == (plain, struck)


def test_conditions_in_words() -> None:
    assert conditions_text(TWICE) == "point finish-reply, fault connection-*"
    assert conditions_text({"suite": "recovery"}) == "suite recovery"


def test_entries_of_both_suites_go_together(load: Callable[..., list[dict[str, Any]]]) -> None:
    entries = (
        entry("plain", "target-state", method=["p2p"]), entry(**TWICE), entry("elsewhere", point=["finish-call"]),
        entry("other-fault", point=["finish-reply"], fault=["silent"]),
    )
    assert load(*entries) == list(entries)


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ([entry(point=["middle"])], "'runs-twice', when, point: no point is like 'middle'; the points are begin-call, "),
        ([entry(fault=["rain-*"])], r"when, fault: no fault is like 'rain-\*'; the faults are agent-killed, "),
        ([entry(suite="other")], "entry 1, when, suite: 'other' is not one of"),
        ([entry(suite="migration", **TWICE)], "'runs-twice': field 'when' matches nothing that exists"),
        ([entry(point=["confirm-*"], method=["p2p"])], "'runs-twice': field 'when' matches nothing that exists"),
        (
            [entry(**TWICE), entry("again", suite="recovery", method=["p2p"])],
            "'runs-twice' and 'again' contradict each other: both apply to p2p/.*/finish-reply/connection-closed",
        ),
    ],
)
def test_refused(load: Callable[..., list[dict[str, Any]]], entries: list[dict[str, Any]], words: str) -> None:
    with pytest.raises(LabError, match=words) as refusal:
        load(*entries)
    assert "\n" not in str(refusal.value)


def test_without_entries_for_faults_their_cases_are_not_made(
    load: Callable[..., list[dict[str, Any]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: Any) -> Any:
        raise AssertionError("nobody asked for them")

    monkeypatch.setattr(ledger, "every_case", fail)
    monkeypatch.setattr(ledger, "load_faults", fail)
    assert load(entry("plain", "target-state", method=["p2p"]))


@pytest.mark.parametrize(
    ("protocol", "method", "state", "point", "fault", "version", "found"),
    [
        # Confirm leaves a paused guest paused from 1.2.2 on.
        ("v3", "p2p", "paused", "finish-call", "connection-closed", "1.2.1", "failed-migration-starts-paused-guest"),
        ("v3", "p2p", "paused", "finish-call", "connection-closed", "1.2.2", "paused-guest-cannot-migrate-again"),
        # Who has no keepalive waits for a daemon that stands still.
        ("v3", "p2p", "running", "finish-call", "target-daemon-frozen", "0.9.7", ""),
        ("v3", "p2p", "running", "finish-call", "target-daemon-frozen", "0.9.8", "frozen-target-finishes-late"),
        ("v3", "tunnelled", "running", "stream-most", "connection-reset", "1.2.20", "broken-tunnel-never-ends"),
        ("v3", "tunnelled", "running", "stream-most", "connection-reset", "1.2.21", ""),
        # Jobs are known after a restart from 0.9.4 on.
        ("v3", "p2p", "running", "finish-reply", "source-daemon-killed", "0.9.3", "source-daemon-forgets-the-migration"),
        ("v3", "p2p", "running", "finish-reply", "source-daemon-killed", "0.9.4", ""),
        ("v2", "normal", "running", "stream-most", "agent-killed", "0.9.1", "incoming-guest-keeps-its-job"),
        ("v2", "normal", "running", "stream-most", "agent-killed", "0.9.2", ""),
        ("v2", "p2p", "running", "stream-most", "target-qemu-killed", "0.9.1", "success-without-a-guest"),
        ("v2", "p2p", "running", "stream-most", "target-qemu-killed", "0.9.2", ""),
    ],
)
def test_entries_of_the_repository_have_versions(
    protocol: str, method: str, state: str, point: str, fault: str, version: str, found: str
) -> None:
    how = Method(method)
    struck = next(Fault.from_data(data) for data in load_faults(SCENARIOS) if data["name"] == fault)
    where = next(each for each in points(how, protocol) if each.name == point)
    case = RecoveryCase(1, how, Scenario("a-scenario", False, State(state), False), PLAIN.flags, point=where, fault=struck)
    libvirt = dict.fromkeys(("client", "source", "target"), parse_version(version))
    situation = Situation(libvirt, dict.fromkeys(("source", "target"), parse_version("10.0")), protocol)
    deviation = find([Deviation.from_data(data) for data in load_ledger(SCENARIOS)], case, situation)
    assert (deviation.id if deviation else "") == found
