# SPDX-License-Identifier: GPL-3.0-or-later
"""What libvirt promises: each row, by what it says of faults of the repository, and what no row may allow."""

from __future__ import annotations

from typing import Any

import pytest

from migration_lab.judging.condition import Situation
from migration_lab.model.case import FlagSet, Method, Scenario, State
from migration_lab.model.version import parse_version
from migration_lab.planning.faults import load_faults
from migration_lab.planning.promises import load_promises
from migration_lab.suites.recovery.case import RecoveryCase
from migration_lab.suites.recovery.fault import Fault, Strike
from migration_lab.suites.recovery.outcome import Outcome
from migration_lab.suites.recovery.point import points
from migration_lab.suites.recovery.promise import Promise, deeds, promised
from synthetic_run import ROOT

FAULTS = {data["name"]: Fault.from_data(data) for data in load_faults(ROOT / "scenarios")}
PROMISES = tuple(map(Promise.from_data, load_promises(ROOT / "scenarios")))
BY_ID = {promise.id: promise for promise in PROMISES}
# A word for each, to keep the table below narrow.
IN, MO, SL, PS, KI = "intact", "moved", "moved-source-left", "paused-on-source", "killed"

# By row: protocol, method, point, fault, flags, the version of all three, and the outcomes.
ROWS: dict[str, tuple[str, str, str, str, tuple[str, ...], str, tuple[str, ...]]] = {
    "delay": ("v3", "p2p", "finish-reply", "silent-3s", (), "9.0.0", (MO, IN)),
    "source-qemu-dies-while-finish-waits": ("v3", "p2p", "stream-most", "guest-destroyed-on-source", (), "7.0.0", (KI, MO)),
    "source-qemu-dies-before-perform-ends": ("v3", "normal", "stream-most", "source-qemu-killed", (), "9.0.0", (KI,)),
    "target-qemu-dies-before-perform-ends": ("v3", "normal", "stream-end", "target-qemu-killed", (), "9.0.0", (IN,)),
    "target-guest-destroyed-before-perform-ends-v2": (
        "v2", "p2p", "stream-most", "guest-destroyed-on-target", (), "0.9.1", (IN, MO, KI),
    ),
    "target-qemu-dies-before-perform-ends-v2": ("v2", "normal", "stream-most", "target-qemu-killed", (), "0.9.1", (IN,)),
    "target-qemu-dies-before-finish": ("v3", "p2p", "finish-call", "guest-destroyed-on-target", (), "0.9.2", (IN,)),
    "target-qemu-dies-before-finish-v2": ("v2", "normal", "finish-call", "target-qemu-killed", (), "0.9.1", (KI,)),
    "target-qemu-dies-after-finish": ("v3", "normal", "confirm-call", "target-qemu-killed", (), "9.0.0", (KI,)),
    "machine-lost-with-the-guest": ("v3", "normal", "stream-most", "source-power-cut", (), "9.0.0", (KI,)),
    "target-lost-before-perform-ends": ("v3", "p2p", "stream-most", "target-power-cut", (), "9.0.0", (IN,)),
    "no-space-for-a-config-that-none-needs": ("v3", "p2p", "prepare-call", "no-space-for-config", (), "9.0.0", (MO, IN)),
    "config-not-written": ("v3", "p2p", "prepare-call", "no-space-for-config", ("persist-dest",), "9.0.0", (IN,)),
    "no-memory-on-the-target": ("v2", "normal", "prepare-call", "no-memory", (), "0.9.1", (MO, IN)),
    "refused-by-the-target": ("v2", "normal", "prepare-call", "emulator-missing", (), "0.9.1", (IN,)),
    "call-refused-before-perform": ("v3", "normal", "perform-call", "call-refused", (), "9.0.0", (IN,)),
    "p2p-goes-on-without-its-caller": ("v3", "tunnelled", "stream-most", "client-power-cut", (), "9.0.0", (MO,)),
    "p2p-caller-dies-with-the-call": ("v3", "p2p", "perform-call", "agent-killed", (), "9.0.0", (MO, IN)),
    "p2p-call-lost": ("v3", "p2p", "perform-call", "connection-closed", (), "9.0.0", (IN,)),
    "p2p-answer-lost": ("v3", "p2p", "perform-reply", "connection-reset", (), "9.0.0", (MO,)),
    "direct-client-thaws-before-perform": ("v3", "normal", "begin-call", "agent-frozen", (), "9.0.0", (IN, MO)),
    "direct-client-lost-before-perform": ("v3", "normal", "prepare-reply", "connection-closed", (), "9.0.0", (IN,)),
    "direct-perform-call-lost": ("v3", "normal", "perform-call", "connection-closed", (), "9.0.0", (IN,)),
    "direct-client-lost-while-finish-waits": ("v3", "normal", "stream-most", "silent", (), "7.0.0", (IN, PS, MO, SL)),
    "direct-client-lost-in-perform": ("v3", "normal", "stream-most", "agent-killed", (), "9.0.0", (IN, PS, MO)),
    "direct-source-connection-lost-after-perform": (
        "v3", "normal", "perform-reply", "connection-closed", (), "9.0.0", (PS,),
    ),
    "direct-finish-not-sent": ("v3", "normal", "finish-call", "connection-closed", (), "9.0.0", (IN,)),
    "direct-finish-never-answered": ("v3", "normal", "finish-call", "silent", (), "9.0.0", (PS, IN)),
    "direct-client-lost-after-finish": ("v3", "normal", "finish-reply", "agent-killed", (), "9.0.0", (SL, MO)),
    "direct-confirm-comes-late": ("v3", "normal", "confirm-call", "silent", (), "9.0.0", (SL, MO)),
    "direct-confirm-fails": ("v3", "normal", "confirm-call", "call-refused", (), "9.0.0", (SL,)),
    "direct-confirmed": ("v3", "normal", "confirm-reply", "connection-reset", (), "9.0.0", (MO,)),
    "v2-answer-lost": ("v2", "normal", "finish-reply", "connection-closed", (), "0.9.1", (MO,)),
    "stream-broken": ("v3", "normal", "stream-end", "connection-closed", (), "9.0.0", (IN,)),
    "tunnel-broken": ("v3", "tunnelled", "stream-most", "connection-reset", (), "0.9.3", (IN,)),
    "stream-broken-v2": ("v2", "normal", "stream-most", "connection-reset", (), "0.9.1", (IN,)),
    "p2p-connection-lost-before-finish": ("v3", "p2p", "finish-call", "silent", (), "9.0.0", (IN,)),
    "source-daemon-gone-before-perform": ("v3", "normal", "begin-reply", "source-daemon-killed", (), "9.0.0", (IN,)),
    "source-daemon-gone-while-finish-waits": (
        "v3", "normal", "stream-most", "client-and-source-daemon-killed", (), "7.0.0", (IN, PS, SL),
    ),
    "source-daemon-gone-in-perform": ("v3", "p2p", "stream-most", "client-and-source-daemon-killed", (), "9.0.0", (IN,)),
    "source-daemon-gone-after-perform": ("v3", "normal", "perform-reply", "source-daemon-restarted", (), "9.0.0", (PS, SL)),
    "source-daemon-gone-after-finish": ("v3", "p2p", "finish-reply", "closed-and-source-restarted", (), "9.0.0", (SL,)),
    "daemon-gone-at-the-end": ("v3", "p2p", "perform-reply", "source-daemon-killed-reply-lost", (), "9.0.0", (MO,)),
    "target-daemon-gone-before-finish": ("v3", "normal", "prepare-reply", "target-daemon-killed-reply-lost", (), "9.0.0", (IN,)),
    "target-daemon-gone-after-perform": ("v3", "normal", "finish-call", "target-daemon-killed", (), "9.0.0", (IN,)),
    "target-daemon-gone-after-finish": ("v3", "p2p", "finish-reply", "target-daemon-restarted", (), "9.0.0", (MO,)),
    "p2p-target-frozen-before-finish": ("v3", "p2p", "stream-most", "target-daemon-frozen", (), "9.0.0", (IN, MO)),
    "p2p-source-frozen-before-perform-ends": ("v3", "p2p", "stream-most", "source-daemon-frozen", (), "9.0.0", (IN, MO)),
    "direct-target-frozen-in-prepare": ("v3", "normal", "prepare-call", "target-daemon-frozen", (), "9.0.0", (IN, MO)),
    "direct-daemon-frozen-in-perform": ("v3", "normal", "stream-most", "source-daemon-frozen", (), "9.0.0", (IN, MO, PS, SL)),
    "direct-target-frozen-in-finish": ("v3", "normal", "finish-call", "target-daemon-frozen", (), "9.0.0", (IN, MO, PS, SL)),
    "direct-source-frozen-in-confirm": ("v3", "normal", "confirm-call", "source-daemon-frozen", (), "9.0.0", (MO, SL)),
    "source-lost-after-finish": ("v3", "normal", "finish-reply", "source-power-cut", (), "9.0.0", (MO,)),
    "job-aborted": ("v3", "normal", "stream-most", "job-aborted-on-source", (), "9.0.0", (IN, MO)),
    "incoming-job-not-aborted": ("v3", "normal", "finish-call", "job-aborted-on-target", (), "9.0.0", (MO,)),
}


def case(protocol: str, method: str, point: str, fault: str, flags: tuple[str, ...] = (), state: str = "running") -> RecoveryCase:
    how = Method(method)
    where = next(entry for entry in points(how, protocol) if entry.name == point)
    struck = FAULTS[fault]
    assert struck.fits(where, method), "the row is of a case that there is"
    scenario = Scenario("a-scenario", False, State(state), False)
    return RecoveryCase(1, how, scenario, FlagSet("flags", flags), point=where, fault=struck)


def situation(version: str, protocol: str = "v3", **other: str) -> Situation:
    versions = {role: parse_version(other.get(role, version)) for role in ("client", "source", "target")}
    return Situation(versions, {}, protocol)


def row(protocol: str, method: str, point: str, fault: str, version: str = "9.0.0", **other: str) -> str:
    found = promised(PROMISES, case(protocol, method, point, fault), situation(version, protocol, **other))
    return found.id if found else ""


def test_every_row_is_tried() -> None:
    assert list(ROWS) == [name for name in ROWS if name in BY_ID] and set(ROWS) == set(BY_ID)


@pytest.mark.parametrize("name", list(BY_ID))
def test_row(name: str) -> None:
    protocol, method, point, fault, flags, version, outcomes = ROWS[name]
    of = case(protocol, method, point, fault, flags)
    found = promised(PROMISES, of, situation(version, protocol))
    assert found is BY_ID[name] and found.says and found.source
    assert found.allowed(of) == tuple(Outcome(word) for word in outcomes)


@pytest.mark.parametrize(
    ("protocol", "method", "point", "fault"),
    [
        # Finish's reply is lost: the caller resumes the source though the target may run.
        ("v3", "normal", "finish-reply", "connection-closed"),
        ("v3", "p2p", "finish-reply", "connection-reset"),
        ("v3", "normal", "finish-reply", "target-daemon-killed-reply-lost"),
        ("v3", "normal", "finish-call", "target-daemon-killed-after-finish"),
        # A QEMU that sends to a silent one has no keepalive.
        ("v3", "normal", "stream-most", "silent"),
        # v2 has nothing to go back to when Finish fails.
        ("v2", "normal", "finish-call", "target-daemon-killed"),
        ("v2", "normal", "stream-end", "connection-closed"),
        # Third parties that let a guest run which the migration holds.
        ("v3", "normal", "finish-reply", "guest-resumed"),
    ],
)
def test_where_nothing_is_promised(protocol: str, method: str, point: str, fault: str) -> None:
    assert row(protocol, method, point, fault) == ""


@pytest.mark.parametrize(
    ("fault", "point", "version", "other", "found"),
    [
        # The target's copy ends with its connection from 0.9.3 on, whatever the source is.
        ("connection-closed", "prepare-reply", "0.9.2", {}, ""),
        ("connection-closed", "prepare-reply", "0.9.2", {"target": "0.9.3"}, "direct-client-lost-before-perform"),
        # Daemons know of jobs after a restart from 0.9.4 on.
        ("source-daemon-killed", "stream-most", "0.9.3", {}, ""),
        ("source-daemon-killed", "stream-most", "0.9.4", {}, "source-daemon-gone-while-finish-waits"),
        # Perform ends with the source's QEMU, not with the target's word, while there is no return path.
        ("source-daemon-killed", "stream-most", "8.10.0", {"target": "9.0.0"}, "source-daemon-gone-while-finish-waits"),
        ("source-daemon-killed", "stream-most", "9.0.0", {"target": "7.0.0"}, "source-daemon-gone-in-perform"),
        ("target-daemon-killed", "prepare-reply", "0.9.3", {"source": "9.0.0"}, ""),
        ("target-daemon-killed", "prepare-reply", "0.9.4", {}, "target-daemon-gone-before-finish"),
        # The source notices that the client's connection is lost from 0.9.11 on.
        ("connection-closed", "perform-reply", "0.9.10", {}, ""),
        ("connection-closed", "perform-reply", "0.9.11", {}, "direct-source-connection-lost-after-perform"),
        # The copy that waits for memory on the target ends with its connection.
        ("source-power-cut", "stream-most", "0.9.2", {}, ""),
        ("source-power-cut", "stream-most", "0.9.2", {"target": "0.9.3"}, "machine-lost-with-the-guest"),
    ],
)
def test_promises_have_versions(fault: str, point: str, version: str, other: dict[str, str], found: str) -> None:
    assert row("v3", "normal", point, fault, version, **other) == found


def test_no_row_allows_what_destroys_or_loses_a_guest() -> None:
    never = {Outcome.RUNNING_TWICE, Outcome.LOST, Outcome.STUCK, Outcome.RUNNING_THOUGH_PAUSED, Outcome.NOT_OBTAINED}
    assert not never & {word for promise in PROMISES for word in promise.outcomes}


def test_a_guest_is_left_paused_only_after_perform_or_by_a_client_that_is_lost() -> None:
    rows = [promise for promise in PROMISES if Outcome.PAUSED_ON_SOURCE in promise.outcomes]
    for promise in rows:
        assert promise.conditions.values["protocol"] == "v3"
        points_of = promise.conditions.values["point"]
        # Without a return path Perform may have ended at any point of the stream.
        if promise.id.endswith("-while-finish-waits"):
            assert points_of == ["stream-*"] and parse_version("9.0.0") not in promise.conditions.values["source"]
            continue
        assert promise.conditions.values.get("method") == ["normal"] or points_of == ["perform-reply", "finish-call"]
        assert promise.id.startswith("direct-") or promise.stages == (2,)
    assert len(rows) == 8


def test_paused_by_its_owner_is_as_before() -> None:
    of = case("v3", "normal", "perform-reply", "connection-closed", state="paused")
    promise = BY_ID["direct-source-connection-lost-after-perform"]
    assert promise.allowed(of) == (Outcome.PAUSED_ON_SOURCE, Outcome.INTACT)


@pytest.mark.parametrize(
    ("when", "fits"),
    [
        ({"does": ["kill-daemon source"]}, False),
        ({"does": ["kill-daemon source"], "also": ["delivery *"]}, True),
        ({"does": ["delivery closed"], "also": ["kill-daemon *"]}, True),
        ({"does": ["kill-daemon source", "delivery *"]}, True),
        ({"does": ["kill-daemon target"], "also": ["*"]}, False),
        ({"group": ["a-*"]}, True), ({"group": ["another"]}, False),
        ({"stage": [2, 3]}, True), ({"stage": [1]}, False),
        ({"point": ["finish-*"]}, True), ({"point": ["begin-*"]}, False),
        ({"fault": ["a-*"]}, True), ({"fault": ["b-*"]}, False),
    ],
)
def test_conditions(when: dict[str, Any], fits: bool) -> None:
    fault = Fault("a-fault", "a-group", "", (Strike("kill-daemon", "source"),), delivery="closed")
    where = next(entry for entry in points(Method.NORMAL, "v3") if entry.name == "finish-call")
    of = RecoveryCase(1, Method.NORMAL, Scenario("s", False, State.RUNNING, False), FlagSet("f", ()), point=where, fault=fault)
    promise = Promise.from_data({"id": "a", "when": when, "outcomes": ["intact"], "says": "so", "source": "there"})
    assert promise.fits(of) is fits
    assert deeds(fault) == ("kill-daemon source", "delivery closed")
    idle = Fault("a-fault", "a-group", "")
    assert "does" not in when or not promise.fits(RecoveryCase(1, of.method, of.scenario, of.flags, point=where, fault=idle))
