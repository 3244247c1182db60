# SPDX-License-Identifier: GPL-3.0-or-later
"""The same guest on and on over three machines, and a guest under which libvirt is replaced, with real daemons."""

from __future__ import annotations

from typing import Any

from lab import Lab, machine
from leftovers import podman
from migration_lab.journal.case_result import CaseResult
from migration_lab.journal.journal import read_journals

GUEST = {"guest": "s390x"}
CASES = "normal/transient-running/*,p2p/persistent-running/*,tunnelled/persistent-paused/*"


def results(lab: Lab, run: str, combination: str) -> list[CaseResult]:
    return list(read_journals(lab.results / run / combination).cases.values())


def got(result: CaseResult) -> dict[str, tuple[str, str]]:
    return {check.name: (check.result, check.got) for check in result.checks + result.further}


def test_a_guest_goes_on_and_on_and_each_hop_is_checked(lab: Lab) -> None:
    played = lab.play("chain", run="chain", cases=CASES, combinations="oon", **GUEST)
    assert played.status == 0, played.output
    found = results(lab, "chain", "oon")
    assert len(found) == 3 and all(len(result.checks) == 40 for result in found)
    for result in found:
        uris = [migration["uri"] for migration in result.details["migrations"]]
        assert len(uris) == 4, "four hops were made"
        checks = got(result)
        for hop in range(1, 5):
            for name in ("guest-continuity", "guest-memory", "single-copy", "protocol"):
                assert checks[f"hop-{hop}-{name}"][0] == "pass", (result.case, hop, name)
    assert "green: 1 combination, 3 of 3 cases, 120 of 120 checks" in played.message()


def in_place(lab: Lab, run: str, **settings: Any) -> tuple[CaseResult, str]:
    played = lab.play("chain", run=run, profile="in-place", cases="p2p/persistent-running/*", **GUEST, **settings)
    result, = results(lab, run, settings["combinations"])
    return result, played.output


def test_libvirt_is_replaced_by_the_newer_one_and_the_guest_migrates(lab: Lab) -> None:
    result, output = in_place(lab, "upgrade", combinations="oon")
    assert result.verdict.value == "pass", output
    checks = got(result)
    assert checks["in-place-guest"] == ("pass", "persistent, running")
    assert checks["in-place-guest-continuity"][0] == checks["hop-1-guest-continuity"][0] == "pass"
    root = podman("exec", machine("source", "oon"), "sh", "-c", "readlink /proc/$(cat /run/libvirtd.pid)/root")
    assert root.strip() == "/", "the machine has its own libvirt again"


def test_a_guest_that_the_older_libvirt_loses_is_seen_to_run_and_is_removed(lab: Lab) -> None:
    result, output = in_place(lab, "downgrade", combinations="ono")
    checks = got(result)
    assert result.verdict.value == "known", output
    assert checks["in-place-daemon"] == ("pass", "serves") and checks["in-place-guest"][0] == "fail"
    assert checks["in-place-guest-continuity"][0] == checks["no-leftovers"][0] == "pass"
