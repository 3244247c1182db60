# SPDX-License-Identifier: GPL-3.0-or-later
"""The judge: every check can fail and be the reason, and the lab's faults are never libvirt's, nor the other way round."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from migration_lab.judging.check import FAIL, NOT_RUN, PASS, Check, Judgement
from migration_lab.judging.observation import Copy, Observation, Outcome, Sight, Survival
from migration_lab.model.case import Case, FlagSet, Method
from migration_lab.model.verdict import Verdict
from migration_lab.suites.migration.checks import CANONICAL_CHECKS, FURTHER_CHECKS, judge
from migration_lab.suites.migration.expectation import expect
from synthetic_run import BY_ID, CASES, as_expected, lab_error, left_over, refused

OK = Outcome(True)
ABSENT = Sight(False)
INACTIVE = Sight(True, False, True, "shutoff")

# Persistent and running on the source, a config on the target, and the config moves: every check is a real one.
MOVED = BY_ID["p2p/persistent-running-dst/undefine-source"]
# The same, with the source's config kept.
KEPT = BY_ID["normal/persistent-running-dst/none"]
# Nothing persistent anywhere.
TRANSIENT = BY_ID["tunnelled/transient-paused/none"]
# The same, running before.
RUNS = BY_ID["tunnelled/transient-running/none"]
# A running guest that must arrive paused: only profile tck has such cases.
STOPPED = Case(1, Method.P2P, RUNS.scenario, FlagSet("paused", ("paused",)))
# No config before, one after.
PERSISTED = BY_ID["normal/transient-running/persist-dest"]


def results(judgement: Judgement) -> str:
    """The ten results as letters: p(ass), f(ail), - (not run)."""
    return "".join({PASS: "p", FAIL: "f", NOT_RUN: "-"}[check.result] for check in judgement.checks)


def further(judgement: Judgement, name: str) -> Check | None:
    """The further check of that name, if it applies."""
    found = [check for check in judgement.further if check.name == name]
    assert len(found) <= 1
    return found[0] if found else None


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_what_is_expected_passes_with_ten_checks(case: Case) -> None:
    judgement = judge(case, as_expected(case))
    assert (judgement.verdict, judgement.reason, results(judgement)) == (Verdict.PASS, "", "p" * 10)
    assert tuple(check.name for check in judgement.checks) == CANONICAL_CHECKS
    assert all(check.expected == check.got for check in judgement.checks)
    assert [(check.name, check.result) for check in judgement.further] == [("no-leftovers", PASS)]


@pytest.mark.parametrize(
    ("case", "spoil", "letters", "reason"),
    [
        # 1 source-defined
        (MOVED, {"source_defined": Outcome(False, "XML error")}, "f---------", "source-defined: expected success, got XML error"),
        # 2 source-state: could not be started, or is in another state
        (MOVED, {"source_started": Outcome(False, "no memory")}, "pf--------", "source-state: expected running, got no memory"),
        (TRANSIENT, {"source_started": Outcome(False, "no KVM")}, "pf--------", "source-state: expected paused, got no KVM"),
        (MOVED, {"source_state": "paused"}, "pf--------", "source-state: expected running, got paused"),
        (TRANSIENT, {"source_state": "running"}, "pf--------", "source-state: expected paused, got running"),
        # 3 target-defined
        (MOVED, {"target_defined": Outcome(False, "XML error")}, "ppf-------", "target-defined: expected success, got XML error"),
        # 4 migrated
        (MOVED, {"migrated": Outcome(False, "refused")}, "pppf------", "migrated: expected success, got refused"),
        # 5 source-inactive
        (
            KEPT, {"source_after": Sight(True, True, True, "running")},
            "ppppfppppp", "source-inactive: expected inactive, got active",
        ),
        (
            MOVED, {"source_after": Sight(True, True, False, "paused")},
            "ppppfppppp", "source-inactive: expected inactive, got active",
        ),
        # 6 source-config, both ways
        (KEPT, {"source_after": ABSENT}, "pppppfpppp", "source-config: expected kept, got gone"),
        (MOVED, {"source_after": INACTIVE}, "pppppfpppp", "source-config: expected gone, got kept"),
        (TRANSIENT, {"source_after": INACTIVE}, "pppppfpppp", "source-config: expected gone, got kept"),
        # 7 target-exists; what is absent is not active, persistent or in any state either
        (MOVED, {"target_after": ABSENT}, "ppppppffff", "target-exists: expected exists, got absent"),
        (TRANSIENT, {"target_after": ABSENT}, "ppppppffff", "target-exists: expected exists, got absent"),
        # 8 target-active; what is inactive is in no running state either
        (MOVED, {"target_after": INACTIVE}, "pppppppfpf", "target-active: expected active, got inactive"),
        # 9 target-persistent, both ways
        (
            MOVED, {"target_after": Sight(True, True, False, "running")},
            "ppppppppfp", "target-persistent: expected persistent, got transient",
        ),
        (
            PERSISTED, {"target_after": Sight(True, True, False, "running")},
            "ppppppppfp", "target-persistent: expected persistent, got transient",
        ),
        (
            TRANSIENT, {"target_after": Sight(True, True, True, "paused")},
            "ppppppppfp", "target-persistent: expected transient, got persistent",
        ),
        # 10 target-state, both ways
        (MOVED, {"target_after": Sight(True, True, True, "paused")}, "pppppppppf", "target-state: expected running, got paused"),
        (
            TRANSIENT, {"target_after": Sight(True, True, False, "running")},
            "pppppppppf", "target-state: expected paused, got running",
        ),
    ],
)
def test_each_check_fails_on_its_own_and_is_the_reason(case: Case, spoil: dict[str, object], letters: str, reason: str) -> None:
    seen = as_expected(case)
    for name, value in spoil.items():
        setattr(seen, name, value)
    judgement = judge(case, seen)
    assert (results(judgement), judgement.reason, judgement.verdict) == (letters, reason, Verdict.FAIL)


def test_persistence_of_the_target_is_judged_in_every_case() -> None:
    """libvirt-tck never notices a guest that became persistent though nobody asked for it."""
    for case in CASES:
        seen = as_expected(case)
        assert seen.target_after is not None
        wrong = not expect(case).target_persistent
        seen.target_after = Sight(True, True, wrong, seen.target_after.state)
        assert results(judge(case, seen)) == "ppppppppfp", case.id


@pytest.mark.parametrize(
    ("seen", "letters", "why"),
    [
        (Observation(), "p---------", "source-state was not reached"),
        (Observation(source_defined=OK), "p---------", "source-state was not reached"),
        (Observation(source_defined=OK, source_started=OK), "p---------", "source-state was not reached"),
        (Observation(source_started=OK, source_state="paused"), "ppp-------", "migrated was not reached"),
        (Observation(source_started=Outcome(False, "x")), "pf--------", "source-state failed"),
        (Observation(source_started=OK, source_state="running"), "pf--------", "source-state failed"),
        (Observation(source_started=OK, source_state="paused", migrated=Outcome(False, "x")), "pppf------", "migrated failed"),
        (Observation(source_started=OK, source_state="paused", migrated=OK), "pppp------", "source-inactive was not reached"),
        (
            Observation(source_started=OK, source_state="paused", migrated=OK, source_after=ABSENT),
            "pppppp----", "target-exists was not reached",
        ),
    ],
)
def test_what_was_not_reached_is_recorded_as_not_run(seen: Observation, letters: str, why: str) -> None:
    judgement = judge(TRANSIENT, seen)
    assert results(judgement) == letters
    assert {check.got for check in judgement.checks if check.result == NOT_RUN} == {why}
    assert tuple(check.name for check in judgement.checks) == CANONICAL_CHECKS
    assert judgement.verdict is not Verdict.PASS


def test_scenario_that_needs_a_config_does_not_pass_without_one() -> None:
    seen = as_expected(MOVED)
    seen.source_defined = None
    assert results(judge(MOVED, seen)) == "----------"
    seen = as_expected(MOVED)
    seen.target_defined = None
    assert results(judge(MOVED, seen)) == "pp--------"


def test_check_not_run_says_what_was_expected() -> None:
    seen = as_expected(KEPT)
    refused("no route to host")(KEPT, seen)
    assert [check.expected for check in judge(KEPT, seen).checks[4:]] == [
        "inactive", "kept", "exists", "active", "persistent", "running",
    ]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_failed_migration_is_judged_by_what_it_left(case: Case) -> None:
    seen = as_expected(case)
    refused("no route to host (error 38, domain 7)")(case, seen)
    judgement = judge(case, seen)
    assert results(judgement) == "pppf------"
    assert judgement.verdict is Verdict.FAIL
    assert judgement.reason == "migrated: expected success, got no route to host (error 38, domain 7)"
    intact = further(judgement, "source-intact")
    assert intact and intact.result == PASS and intact.got == intact.expected


@pytest.mark.parametrize(
    ("case", "source", "target", "got"),
    [
        (KEPT, ABSENT, INACTIVE, "source absent; target persistent, inactive"),
        (KEPT, INACTIVE, INACTIVE, "source persistent, inactive; target persistent, inactive"),
        (KEPT, Sight(True, True, False, "running"), INACTIVE, "source transient, running; target persistent, inactive"),
        (KEPT, Sight(True, True, True, "paused"), INACTIVE, "source persistent, paused; target persistent, inactive"),
        (
            KEPT, Sight(True, True, True, "running"), Sight(True, True, True, "running"),
            "source persistent, running; target persistent, running",
        ),
        (KEPT, Sight(True, True, True, "running"), ABSENT, "source persistent, running; target absent"),
        (TRANSIENT, Sight(True, True, True, "paused"), ABSENT, "source persistent, paused; target absent"),
        (
            TRANSIENT, Sight(True, True, False, "paused"), Sight(True, True, False, "paused"),
            "source transient, paused; target transient, paused",
        ),
        (TRANSIENT, Sight(True, True, False, "paused"), INACTIVE, "source transient, paused; target persistent, inactive"),
    ],
)
def test_failed_migration_that_hurt_the_guest_fails_source_intact_too(
    case: Case, source: Sight, target: Sight, got: str
) -> None:
    seen = as_expected(case)
    seen.migrated, seen.source_after, seen.target_after = Outcome(False, "refused"), source, target
    judgement = judge(case, seen)
    intact = further(judgement, "source-intact")
    assert intact and (intact.result, intact.got) == (FAIL, got)
    assert judgement.reason.startswith("migrated:"), "the first failed check stays the reason"


def test_source_intact_is_not_run_when_nobody_could_be_asked() -> None:
    seen = as_expected(KEPT)
    seen.migrated, seen.source_after, seen.target_after = Outcome(False, "crashed"), INACTIVE, None
    seen.lab_error = "the client's container is gone"
    intact = further(judge(KEPT, seen), "source-intact")
    assert intact and (intact.result, intact.got) == (NOT_RUN, "the client's container is gone")
    seen.lab_error = ""
    intact = further(judge(KEPT, seen), "source-intact")
    assert intact and (intact.result, intact.got) == (NOT_RUN, "the daemons could not be asked")


def test_source_intact_is_asked_only_after_a_failed_migration() -> None:
    assert further(judge(KEPT, as_expected(KEPT)), "source-intact") is None
    assert further(judge(KEPT, Observation(lab_error="no agent")), "source-intact") is None


@pytest.mark.parametrize("case", [MOVED, KEPT, TRANSIENT, PERSISTED], ids=lambda case: case.id)
@pytest.mark.parametrize(
    "reached",
    [
        [],
        ["source_defined"],
        ["source_defined", "source_started"],
        ["source_defined", "source_started", "source_state"],
        ["source_defined", "source_started", "source_state", "target_defined"],
        ["source_defined", "source_started", "source_state", "target_defined", "migrated"],
        ["source_defined", "source_started", "source_state", "target_defined", "migrated", "source_after"],
        ["source_defined", "source_started", "source_state", "target_defined", "migrated", "source_after", "target_after"],
    ],
    ids=len,
)
def test_lab_error_is_an_error_and_never_a_failure(case: Case, reached: list[str]) -> None:
    full = as_expected(case)
    seen = Observation(lab_error="the agent was ended by SIGKILL", **{name: getattr(full, name) for name in reached})
    judgement = judge(case, seen)
    assert (judgement.verdict, judgement.reason) == (Verdict.ERROR, "the agent was ended by SIGKILL")
    assert len(judgement.checks) == 10 and FAIL not in {check.result for check in judgement.checks + judgement.further}


def test_lab_error_does_not_hide_what_libvirt_did_wrong_before_it() -> None:
    seen = as_expected(KEPT)
    refused("operation failed")(KEPT, seen)
    seen.leftovers, seen.lab_error = None, "while cleaning up: the agent exited 1"
    judgement = judge(KEPT, seen)
    assert (judgement.verdict, judgement.reason) == (Verdict.FAIL, "migrated: expected success, got operation failed")


def test_check_that_nothing_explains_is_an_error() -> None:
    seen = as_expected(KEPT)
    seen.target_after = None
    judgement = judge(KEPT, seen)
    assert judgement.verdict is Verdict.ERROR and judgement.reason == "a check was not run and nothing says why"


def test_crash_of_the_client_library_is_libvirts_failure() -> None:
    seen = as_expected(KEPT)
    refused("the client library crashed: the agent was ended by SIGSEGV")(KEPT, seen)
    judgement = judge(KEPT, seen)
    assert judgement.verdict is Verdict.FAIL
    assert judgement.reason == "migrated: expected success, got the client library crashed: the agent was ended by SIGSEGV"
    assert results(judgement) == "pppf------"


@pytest.mark.parametrize("spoil", [None, lab_error("the daemon hung up")], ids=["passed", "cut off"])
def test_death_of_a_daemon_is_libvirts_failure(spoil: Callable[[Case, Observation], None] | None) -> None:
    seen = as_expected(KEPT)
    if spoil:
        spoil(KEPT, seen)
    seen.daemon_deaths = ["the daemon on the source (process 7) died", "the daemon on the target (process 8) died"]
    judgement = judge(KEPT, seen)
    assert judgement.verdict is Verdict.FAIL
    assert judgement.reason == (
        "daemons-alive: expected alive, got the daemon on the source (process 7) died; the daemon on the target (process 8) died"
    )


def test_leftovers_are_a_failure_though_all_ten_checks_pass() -> None:
    seen = as_expected(KEPT)
    left_over(KEPT, seen)
    judgement = judge(KEPT, seen)
    assert (judgement.verdict, results(judgement)) == (Verdict.FAIL, "p" * 10)
    assert judgement.reason == "no-leftovers: expected none, got lab-guest on the target: transient, running"


def test_leftovers_that_nobody_looked_for_are_no_check() -> None:
    seen = as_expected(KEPT)
    seen.leftovers, seen.lab_error = None, "while cleaning up: the agent exited 1"
    judgement = judge(KEPT, seen)
    assert judgement.further == []
    assert (judgement.verdict, judgement.reason) == (Verdict.ERROR, "while cleaning up: the agent exited 1")


def test_what_a_lab_error_left_behind_is_an_error_too() -> None:
    seen = as_expected(KEPT)
    lab_error("the agent was ended by SIGKILL")(KEPT, seen)
    left_over(KEPT, seen)
    judgement = judge(KEPT, seen)
    assert (judgement.verdict, judgement.reason) == (Verdict.ERROR, "the agent was ended by SIGKILL")
    left = further(judgement, "no-leftovers")
    assert left is not None and left.result == FAIL


@pytest.mark.parametrize(
    ("sight", "words"),
    [
        (ABSENT, "absent"),
        (INACTIVE, "persistent, inactive"),
        (Sight(True, True, True, "running"), "persistent, running"),
        (Sight(True, True, False, "paused"), "transient, paused"),
    ],
)
def test_sight_in_words(sight: Sight, words: str) -> None:
    assert str(sight) == words


# The rule of a verdict


def test_rule_names_the_check_that_judged() -> None:
    assert judge(KEPT, as_expected(KEPT)).rule == ""
    seen = as_expected(KEPT)
    refused("no route to host")(KEPT, seen)
    judgement = judge(KEPT, seen)
    assert judgement.rule == "check migrated: expected success, got no route to host" and judgement.deviation == ""
    assert judge(KEPT, Observation(lab_error="no agent")).rule == "the lab failed, and not all checks were obtained"


# Further checks


def verdicts(judgement: Judgement) -> dict[str, str]:
    """The further checks but the one on leftovers, by name: result and what was got."""
    return {check.name: f"{check.result}: {check.got}" for check in judgement.further if check.name != "no-leftovers"}


def test_further_checks_come_in_their_order_after_the_ten() -> None:
    seen = as_expected(KEPT)
    refused("no route to host")(KEPT, seen)
    seen.protocol, seen.survival = "v3", Survival(7, 9, True, (Copy("source", 8, 3),))
    seen.daemon_deaths, seen.leftovers = ["the daemon on the target died"], []
    failed = judge(KEPT, seen, "v3")
    seen = as_expected(KEPT)
    seen.protocol, seen.survival, seen.target_config = "v3", Survival(7, 9, True, (Copy("target", 8, 3),)), "own"
    passed = judge(KEPT, seen, "v3")
    for judgement in (failed, passed):
        names = [check.name for check in judgement.further]
        assert names == sorted(names, key=FURTHER_CHECKS.index)
    assert {check.name for judgement in (failed, passed) for check in judgement.further} == set(FURTHER_CHECKS)
    assert passed.verdict is Verdict.PASS


@pytest.mark.parametrize(
    ("expected", "seen", "result"),
    [
        ("v2", "v2", "pass: v2"),
        ("v3", "v3", "pass: v3"),
        ("v3", "v3-params", "pass: v3-params"),
        ("v2", "v3", "fail: v3"),
        ("v2", "v3-params", "fail: v3-params"),
        ("v3", "v2", "fail: v2"),
        ("v2", "v1", "fail: v1"),
        ("v3", "", "fail: none seen"),
        ("v3", None, None),
        ("", "v3", None),
    ],
)
@pytest.mark.parametrize("migrated", [True, False])
def test_protocol_is_the_one_that_the_versions_must_use(
    expected: str, seen: str | None, result: str | None, migrated: bool
) -> None:
    observation = as_expected(KEPT)
    if not migrated:
        refused("operation failed")(KEPT, observation)
        # Refused before the target was asked to prepare: there is nothing to compare.
        result = None if seen == "" else result
    observation.protocol = seen
    judgement = judge(KEPT, observation, expected)
    assert verdicts(judgement).get("protocol") == result
    assert (judgement.verdict is Verdict.PASS) == (migrated and (result is None or result.startswith("pass")))
    if result:
        check = further(judgement, "protocol")
        assert check and check.expected == expected


def test_protocol_of_a_migration_that_was_never_called_is_not_judged() -> None:
    assert further(judge(KEPT, Observation(lab_error="no agent", protocol=""), "v3"), "protocol") is None


def copies(**moved: int | None) -> tuple[Copy, ...]:
    """A process of the guest on each machine, and how far its counter came."""
    return tuple(Copy(machine, None if by is None else 30, by) for machine, by in moved.items())


@pytest.mark.parametrize(
    ("case", "survival", "continuity", "memory", "single"),
    [
        # A running guest goes on from where it was.
        (RUNS, Survival(20, 25, True, copies(target=3)), "pass: 25, counting", "pass: whole", "pass: running on target"),
        (RUNS, Survival(20, 20, True, copies(target=3)), "pass: 20, counting", "pass: whole", "pass: running on target"),
        (RUNS, Survival(20, 25, True, copies(source=0, target=3)), "pass: 25, counting", "pass: whole",
         "pass: running on target"),
        (RUNS, Survival(20, 3, True, copies(target=3)), "fail: 3, counting", "pass: whole", "pass: running on target"),
        (RUNS, Survival(20, 25, True, copies(target=0)), "fail: 25, standing", "pass: whole", "pass: running on none"),
        (RUNS, Survival(20, 25, None, copies(target=None)), "fail: 25, standing", None, "pass: running on none"),
        (RUNS, Survival(20, 25, True, ()), "fail: 25, standing", "pass: whole", "pass: running on none"),
        # A guest that counts only where it must not be has not continued.
        (RUNS, Survival(20, 25, True, copies(source=3, target=0)), "fail: 25, standing", "pass: whole",
         "pass: running on source"),
        # A paused one stands still, where it stood.
        (TRANSIENT, Survival(20, 20, True, copies(target=0)), "pass: 20, standing", "pass: whole", "pass: running on none"),
        (TRANSIENT, Survival(20, 21, True, copies(target=0)), "fail: 21, standing", "pass: whole", "pass: running on none"),
        (TRANSIENT, Survival(20, 3, True, copies(target=0)), "fail: 3, standing", "pass: whole", "pass: running on none"),
        (TRANSIENT, Survival(20, 25, True, copies(target=4)), "fail: 25, counting", "pass: whole", "pass: running on target"),
        # A running one that must arrive paused may have counted on until it was stopped.
        (STOPPED, Survival(20, 20, True, copies(target=0)), "pass: 20, standing", "pass: whole", "pass: running on none"),
        (STOPPED, Survival(20, 25, True, copies(target=0)), "pass: 25, standing", "pass: whole", "pass: running on none"),
        (STOPPED, Survival(20, 19, True, copies(target=0)), "fail: 19, standing", "pass: whole", "pass: running on none"),
        (STOPPED, Survival(20, 25, True, copies(target=2)), "fail: 25, counting", "pass: whole", "pass: running on target"),
        # Two copies that run, on two machines or on one.
        (RUNS, Survival(20, 25, True, copies(source=3, target=3)), "pass: 25, counting", "pass: whole",
         "fail: running on source and target"),
        (RUNS, Survival(20, 25, True, (*copies(target=3), *copies(target=2))), "pass: 25, counting", "pass: whole",
         "fail: running on target and target"),
        (TRANSIENT, Survival(20, 20, True, copies(source=1, target=1)), "fail: 20, counting", "pass: whole",
         "fail: running on source and target"),
        # Memory that did not arrive, in part or at all.
        (RUNS, Survival(20, 25, False, copies(target=3)), "pass: 25, counting", "fail: damaged", "pass: running on target"),
        (RUNS, Survival(20, None, None, copies(target=None)), "fail: no counter in its memory", None, "pass: running on none"),
        (TRANSIENT, Survival(20, None, None, copies(target=None)), "fail: no counter in its memory", None,
         "pass: running on none"),
    ],
)
def test_guest_itself_is_judged_where_it_must_be_after_the_migration(
    case: Case, survival: Survival, continuity: str, memory: str | None, single: str
) -> None:
    seen = as_expected(case)
    seen.survival = survival
    judgement = judge(case, seen)
    got = {"guest-continuity": continuity, "guest-memory": memory, "single-copy": single}
    assert verdicts(judgement) == {name: result for name, result in got.items() if result}
    failed = [name for name, result in got.items() if result and result.startswith("fail")]
    assert judgement.verdict is (Verdict.FAIL if failed else Verdict.PASS)
    assert results(judgement) == "p" * 10 and judgement.reason.partition(":")[0] == (failed[0] if failed else "")


@pytest.mark.parametrize(
    ("case", "survival", "continuity", "single"),
    [
        (RUNS, Survival(20, 25, True, copies(source=3)), "pass: 25, counting", "pass: running on source"),
        (RUNS, Survival(20, 25, True, copies(source=0)), "fail: 25, standing", "pass: running on none"),
        (RUNS, Survival(20, 25, True, copies(source=0, target=3)), "fail: 25, standing", "pass: running on target"),
        (RUNS, Survival(20, 25, True, copies(source=3, target=3)), "pass: 25, counting", "fail: running on source and target"),
        (TRANSIENT, Survival(20, 20, True, copies(source=0)), "pass: 20, standing", "pass: running on none"),
        (TRANSIENT, Survival(20, 24, True, copies(source=4)), "fail: 24, counting", "pass: running on source"),
        # The flag `paused` is about the target: where it stayed, the guest must run on.
        (STOPPED, Survival(20, 25, True, copies(source=3)), "pass: 25, counting", "pass: running on source"),
        (STOPPED, Survival(20, 25, True, copies(source=0)), "fail: 25, standing", "pass: running on none"),
    ],
)
def test_guest_is_judged_on_the_source_after_a_failed_migration(
    case: Case, survival: Survival, continuity: str, single: str
) -> None:
    seen = as_expected(case)
    refused("operation failed")(case, seen)
    seen.survival = survival
    got = verdicts(judge(case, seen))
    assert (got["guest-continuity"], got["single-copy"]) == (continuity, single)
    assert got["source-intact"].startswith("pass"), "what libvirt says of it is another matter"


def test_survival_says_what_was_expected() -> None:
    for case, expected in ((RUNS, "from 20 on, counting"), (STOPPED, "from 20 on, standing"), (TRANSIENT, "20, standing")):
        seen = as_expected(case)
        seen.survival = Survival(20, 20, True, ())
        check = further(judge(case, seen), "guest-continuity")
        assert check and check.expected == expected


# What the target has by its own word; the case says what it must have.
@pytest.mark.parametrize(
    ("case", "expected", "good"),
    [
        ("normal/persistent-running/none", "absent", "absent"),
        ("normal/persistent-running-dst/none", "kept", "own"),
        ("p2p/persistent-running/persist-dest", "made", "guest"),
        ("tunnelled/persistent-running-dst/persist-dest", "replaced", "guest"),
    ],
)
@pytest.mark.parametrize("config", ["absent", "own", "guest", "another"])
def test_config_of_the_target(case: str, expected: str, good: str, config: str) -> None:
    seen = as_expected(BY_ID[case])
    seen.target_config = config
    judgement = judge(BY_ID[case], seen)
    check = further(judgement, "target-config")
    assert check and check.expected == expected
    assert (check.result, judgement.verdict) == ((PASS, Verdict.PASS) if config == good else (FAIL, Verdict.FAIL))
    taken = "replaced" if case.split("/")[1].endswith("-dst") else "made"
    assert check.got == {"own": "kept", "guest": taken}.get(config, config)


@pytest.mark.parametrize(("config", "good"), [("own", True), ("guest", True), ("another", False), ("absent", False)])
def test_config_of_the_target_may_be_kept_where_it_need_not_be_replaced(config: str, good: bool) -> None:
    case = BY_ID["tunnelled/persistent-running-dst/persist-dest"]
    seen = as_expected(case)
    seen.target_config = config
    check = further(judge(case, seen, replaces_config=False), "target-config")
    assert check and check.expected == "kept or replaced" and (check.result == PASS) == good


@pytest.mark.parametrize("case", ["normal/persistent-running/none", "normal/persistent-running-dst/none",
                                  "p2p/persistent-running/persist-dest"])
@pytest.mark.parametrize("config", ["absent", "own", "guest"])
def test_all_other_configs_of_the_target_are_the_same_in_all_versions(case: str, config: str) -> None:
    seen = as_expected(BY_ID[case])
    seen.target_config = config
    assert judge(BY_ID[case], seen, replaces_config=False) == judge(BY_ID[case], seen, replaces_config=True)


def test_config_of_the_target_is_not_asked_after_a_failed_migration() -> None:
    seen = as_expected(KEPT)
    refused("operation failed")(KEPT, seen)
    seen.target_config = "own"
    assert further(judge(KEPT, seen), "target-config") is None
