# SPDX-License-Identifier: GPL-3.0-or-later
"""The checks of a replacement: what passes, what fails, and what was not obtained."""

from __future__ import annotations

from typing import Any

import pytest

from migration_lab.judging.observation import Copy, Outcome, Sight, Survival
from migration_lab.model.case import FlagSet, Method, Scenario, State
from migration_lab.model.verdict import Verdict
from migration_lab.suites.chain.case import ChainCase
from migration_lab.suites.chain.checks import IN_PLACE_CHECKS, judge_replacement
from migration_lab.suites.chain.observation import ReplacementObservation

CASE = ChainCase(
    1, Method.P2P, Scenario("s", True, State.RUNNING, False), FlagSet("none", ()), hops=("old", "in-place:new", "new")
)
RUNS = Survival(20, 25, True, (Copy("source", 22, 3),))


def seen(**changes: Any) -> ReplacementObservation:
    fields = {
        "daemon": Outcome(True), "libvirt": 11003000, "shown": Sight(True, True, True, "running"), "survival": RUNS,
        "leftovers": [],
    }
    return ReplacementObservation(**{**fields, **changes})


def failed(observation: ReplacementObservation) -> dict[str, str]:
    judgement = judge_replacement(CASE, observation)
    assert [check.name for check in judgement.checks] == list(IN_PLACE_CHECKS)
    found = {check.name: check.got for check in judgement.checks + judgement.further if check.result == "fail"}
    assert bool(found) == (judgement.verdict is Verdict.FAIL)
    return found


def test_a_guest_that_is_there_as_before_passes() -> None:
    assert judge_replacement(CASE, seen()).verdict is Verdict.PASS


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"shown": Sight(False)}, {"in-place-guest": "absent"}),
        ({"shown": Sight(True, False, True, "shutoff")}, {"in-place-guest": "persistent, inactive"}),
        ({"shown": Sight(True, True, True, "paused")}, {"in-place-guest": "persistent, paused"}),
        (
            {"survival": Survival(20, None, None, ())},
            {"in-place-guest-continuity": "no counter in its memory"},
        ),
        ({"survival": Survival(20, 25, False, RUNS.copies)}, {"in-place-guest-memory": "damaged"}),
        ({"leftovers": ["process 7 on the source"]}, {"no-leftovers": "process 7 on the source"}),
        ({"daemon_deaths": ["it died"]}, {"daemons-alive": "it died"}),
    ],
)
def test_what_is_not_as_before_fails(changes: dict[str, Any], expected: dict[str, str]) -> None:
    assert failed(seen(**changes)) == expected


def test_a_guest_that_libvirt_lost_and_that_runs_on_is_seen_to_run() -> None:
    judgement = judge_replacement(CASE, seen(shown=Sight(False)))
    assert {check.name: check.result for check in judgement.further}["in-place-guest-continuity"] == "pass"


def test_a_daemon_that_does_not_serve_fails_and_the_rest_is_not_known() -> None:
    judgement = judge_replacement(CASE, seen(daemon=Outcome(False, "it ended"), shown=None, libvirt=None))
    assert [check.result for check in judgement.checks] == ["fail", "not-run"] and judgement.verdict is Verdict.FAIL


def test_what_the_lab_did_not_obtain_is_no_failure() -> None:
    judgement = judge_replacement(CASE, seen(shown=None, lab_error="the agent died"))
    assert (judgement.verdict, judgement.reason) == (Verdict.ERROR, "the agent died")
    left = judge_replacement(CASE, seen(leftovers=["a file"], lab_error="the agent died"))
    assert left.verdict is Verdict.ERROR
