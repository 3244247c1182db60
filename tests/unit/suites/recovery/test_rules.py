# SPDX-License-Identifier: GPL-3.0-or-later
"""The rules of suite recovery: judge by the profile's promises, and say what became of the guest."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from migration_lab.judging.deviation import Deviation
from migration_lab.judging.observation import Copy, Outcome, Sight
from migration_lab.model.case import FlagSet, Method, Scenario, State
from migration_lab.model.verdict import Verdict
from migration_lab.suites.recovery.case import RecoveryCase, effort
from migration_lab.suites.recovery.fault import Fault, Strike
from migration_lab.suites.recovery.observation import RecoveryObservation, Told
from migration_lab.suites.recovery.point import points
from migration_lab.suites.recovery.promise import Promise
from migration_lab.suites.recovery.suite import RecoveryRules

VERSIONS = {role: 9000000 for role in ("client", "source", "target")}
ROW = {"id": "a-row", "when": {"protocol": "v3", "stage": [1]}, "outcomes": ["intact"], "says": "so", "source": "there"}
POINTS = {point.name: point for point in points(Method.NORMAL, "v3")}
CASE = RecoveryCase(
    1, Method.NORMAL, Scenario("transient-running", False, State.RUNNING, False), FlagSet("none", ()),
    point=POINTS["stream-most"],
    fault=Fault("source-daemon-killed", "daemon", "", (Strike("kill-daemon", "source"),), alone=True),
)
ENTRY = {
    "id": "moves", "title": "It moves", "when": {"fault": ["source-daemon-*"]}, "cause": "a bug", "reference": "a commit",
    "effects": [{"check": "promised", "got": "moved"}],
}


def rules(*ledger: dict[str, Any], promises: tuple[dict[str, Any], ...] = (ROW,)) -> RecoveryRules:
    deviations = tuple(map(Deviation.from_data, ledger))
    return RecoveryRules(VERSIONS, {}, VERSIONS, True, deviations, {"promises": list(promises)})


def world(side: str) -> RecoveryObservation:
    runs, absent = Sight(True, True, False, "running"), Sight(False)
    return RecoveryObservation(
        source_started=Outcome(True), source_state="running", told=Told("error", 38, 7), struck=[], counter=5,
        copies=(Copy(side, 9, 3),), pattern=True, source_after=runs if side == "source" else absent,
        target_after=runs if side == "target" else absent, source_config="absent", target_config="absent", steady_seconds=0.1,
    )


def test_cases_are_judged_by_the_profiles_promises() -> None:
    assert rules().judge(CASE, world("source")).verdict is Verdict.PASS
    broken = rules().judge(CASE, world("target"))
    assert (broken.verdict, broken.reason) == (Verdict.FAIL, "promised: expected intact, got moved")
    assert rules(promises=()).judge(CASE, world("target")).verdict is Verdict.PASS


def test_an_entry_of_the_ledger_explains_what_it_says() -> None:
    assert rules(ENTRY).judge(CASE, world("target")).verdict is Verdict.KNOWN
    assert rules(ENTRY).judge(CASE, world("source")).verdict is Verdict.FIXED


def test_promises_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    read = []
    original = Promise.from_data
    monkeypatch.setattr(Promise, "from_data", lambda data: read.append(data) or original(data))  # type: ignore[func-returns-value]
    ours = rules()
    for side in ("source", "target"):
        ours.judge(CASE, world(side))
        ours.describe(CASE, world(side))
    assert read == [ROW]


def test_the_journal_has_outcome_promise_and_stage() -> None:
    assert rules().describe(CASE, world("target")) == {"outcome": "moved", "promise": "a-row", "stage": 1}
    later = replace(CASE, point=POINTS["confirm-call"])
    assert rules().describe(later, RecoveryObservation()) == {"outcome": "not-obtained", "promise": "", "stage": 4}


def test_a_fault_that_ends_a_daemon_runs_alone_and_its_death_is_expected() -> None:
    assert rules().expected_deaths(CASE) == {"source"} and rules().alone(CASE)
    quiet = replace(CASE, fault=Fault("connection-closed", "connection", "", delivery="closed"))
    assert not rules().expected_deaths(quiet) and not rules().alone(quiet)


def test_a_manager_who_restarts_the_daemons_needs_them_for_one_case_at_a_time() -> None:
    quiet = replace(CASE, fault=Fault("connection-closed", "connection", "", delivery="closed"))
    restarting = replace(rules(), profile={"promises": [], "aftermath": "restart-daemons"})
    assert restarting.expected_deaths(quiet) == {"source", "target"} and restarting.alone(quiet)


@pytest.mark.parametrize(
    ("fault", "waits"),
    [
        (Fault("silent", "connection", "", (), delivery="silent"), True),
        (Fault("silent-3s", "connection", "", (), delivery="silent", seconds=3), True),
        (Fault("agent-frozen", "client", "", (Strike("freeze-agent", "client"),)), True),
        (Fault("connection-closed", "connection", "", (), delivery="closed"), False),
    ],
)
def test_a_case_waits_where_something_is_silent_or_stands_still(fault: Fault, waits: bool) -> None:
    keepalive = {"interval": 1, "count": 5}
    assert replace(rules(), profile={"keepalive": keepalive}).waits(replace(CASE, fault=fault)) is waits
    assert effort(replace(CASE, fault=fault), keepalive) == 1.25 + ({"silent-3s": 3}.get(fault.name, 6) / 4 if waits else 0)
