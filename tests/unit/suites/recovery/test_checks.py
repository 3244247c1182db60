# SPDX-License-Identifier: GPL-3.0-or-later
"""The judge of suite recovery: every outcome, every check both ways, and the lab's faults are never a pass."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from migration_lab.judging.check import FAIL, NOT_RUN, PASS, Check, Judgement
from migration_lab.judging.condition import Conditions, Situation
from migration_lab.judging.observation import Copy, Sight
from migration_lab.judging.observation import Outcome as Call
from migration_lab.model.case import FlagSet, Method, Scenario, State
from migration_lab.model.verdict import Verdict
from migration_lab.suites.recovery.case import RecoveryCase
from migration_lab.suites.recovery.checks import CHECKS, FURTHER_CHECKS, NOTHING_PROMISED, judge
from migration_lab.suites.recovery.fault import Fault, Strike
from migration_lab.suites.recovery.observation import RecoveryObservation, StrikeNote, Told
from migration_lab.suites.recovery.observation import told as told_by
from migration_lab.suites.recovery.outcome import SEVERITY, Outcome, main_copy, may_wait, outcome
from migration_lab.suites.recovery.point import points
from migration_lab.suites.recovery.promise import Promise
from migration_lab.suites.recovery.striker import ERROR_TEXT

NEW = Situation({role: 9000000 for role in ("client", "source", "target")}, {}, "v3")
OK = Call(True)
ABSENT, INACTIVE = Sight(False), Sight(True, False, True, "shutoff")


def sight(state: str, persistent: bool = False) -> Sight:
    return Sight(True, True, persistent, state)


def case(
    point: str = "finish-call", *strikes: str, method: Method = Method.NORMAL, state: State = State.RUNNING,
    persistent: bool = False, config: bool = False, flags: tuple[str, ...] = (), protocol: str = "v3", **fault: Any,
) -> RecoveryCase:
    where = next(entry for entry in points(method, protocol) if entry.name == point)
    done = tuple(Strike(do, on) for do, on in map(str.split, strikes))
    return RecoveryCase(
        1, method, Scenario("a-scenario", persistent, state, config), FlagSet("flags", flags), point=where,
        fault=Fault("a-fault", "a-group", "", done, **fault),
    )


def seen(*copies: Copy, **changes: Any) -> RecoveryObservation:
    """A transient running guest, by default on the source as before, and its caller was told of an error."""
    found = copies or (Copy("source", 9, 3),)
    at = {
        side: sight("running" if any(copy.moved for copy in found if copy.machine == side) else "paused")
        if any(copy.machine == side for copy in found) else ABSENT
        for side in ("source", "target")
    }
    values: dict[str, Any] = {
        "source_started": OK, "source_state": "running", "migrated": Call(False, "refused"), "told": Told("error", 9, 10),
        "struck": [], "counter": 5, "copies": found, "pattern": True, "source_after": at["source"],
        "target_after": at["target"], "source_config": "absent", "target_config": "absent", "steady_seconds": 0.5,
        "again": "", "leftovers": [],
    }
    return RecoveryObservation(**{**values, **changes})


def gone(**changes: Any) -> RecoveryObservation:
    return seen(**{"copies": (), "source_after": ABSENT, "target_after": ABSENT, "pattern": None, **changes})


def moved(**changes: Any) -> RecoveryObservation:
    return seen(Copy("target", 9, 3), **{"told": Told("success"), **changes})


RUNS, STANDS = Copy("source", 9, 3), Copy("source", 9, 0)
T_RUNS, T_STANDS = Copy("target", 9, 3), Copy("target", 9, 0)
PAUSED = case(state=State.PAUSED)


@pytest.mark.parametrize(
    ("of", "world", "word"),
    [
        (case(), seen(RUNS), Outcome.INTACT),
        (PAUSED, seen(STANDS), Outcome.INTACT),
        (case(), moved(), Outcome.MOVED),
        (PAUSED, seen(T_STANDS), Outcome.MOVED),
        (case(flags=("paused",)), seen(T_STANDS), Outcome.MOVED),
        (case(), seen(STANDS, T_RUNS), Outcome.MOVED_SOURCE_LEFT),
        (PAUSED, seen(STANDS, T_STANDS, target_finished=True), Outcome.MOVED_SOURCE_LEFT),
        (case(), seen(RUNS, T_STANDS), Outcome.TARGET_LEFT),
        (case(), seen(RUNS, Copy("target", None, None)), Outcome.TARGET_LEFT),
        (PAUSED, seen(STANDS, T_STANDS), Outcome.TARGET_LEFT),
        (case(), seen(STANDS), Outcome.PAUSED_ON_SOURCE),
        (case(), seen(T_STANDS), Outcome.PAUSED_ON_TARGET),
        (case(), seen(STANDS, T_STANDS), Outcome.PAUSED_ON_BOTH),
        (case(), seen(STANDS, T_STANDS, target_finished=True), Outcome.PAUSED_ON_BOTH),
        (PAUSED, seen(RUNS), Outcome.RUNNING_THOUGH_PAUSED),
        (PAUSED, seen(STANDS, T_RUNS), Outcome.RUNNING_THOUGH_PAUSED),
        (case(flags=("paused",)), seen(T_RUNS), Outcome.RUNNING_THOUGH_PAUSED),
        (case(), seen(RUNS, T_RUNS), Outcome.RUNNING_TWICE),
        (case(), seen(RUNS, Copy("source", 9, 2)), Outcome.RUNNING_TWICE),
        (case(), moved(twice_seconds=0.2), Outcome.RUNNING_TWICE),
        (case(), seen(RUNS, T_RUNS, stuck=["the daemon on the source does not answer"]), Outcome.RUNNING_TWICE),
        (case(), gone(), Outcome.LOST),
        (case(), gone(source_after=INACTIVE), Outcome.LOST),
        (case(), seen(stuck=["the daemon on the source does not answer"], source_after=None), Outcome.STUCK),
        (case(), seen(jobs={"target": "incoming"}), Outcome.STUCK),
        (case(), seen(target_after=None), Outcome.NOT_OBTAINED),
        (case(), seen(struck=None), Outcome.NOT_OBTAINED),
        (case(), seen(copies=None), Outcome.NOT_OBTAINED),
        (case(), gone(copies=None), Outcome.NOT_OBTAINED),
    ],
)
def test_outcome(of: RecoveryCase, world: RecoveryObservation, word: Outcome) -> None:
    assert outcome(of, world) is word


@pytest.mark.parametrize(
    ("of", "killed", "finished", "word"),
    [
        # Before Perform's end the source has the only whole copy, while Finish is under way both have one.
        (case("stream-most"), {"source"}, False, Outcome.KILLED),
        (case("stream-most"), {"target"}, False, Outcome.LOST),
        (case("finish-call"), {"source"}, False, Outcome.LOST),
        (case("finish-call"), {"target"}, False, Outcome.LOST),
        (case("finish-call"), {"source", "target"}, False, Outcome.KILLED),
        (case("finish-call"), {"target"}, True, Outcome.KILLED),
        # After Finish the guest is on the target, and what is left on the source is old.
        (case("confirm-call"), {"target"}, True, Outcome.KILLED),
        (case("confirm-call"), {"source"}, True, Outcome.LOST),
        # In v2 Perform ends the source's copy.
        (case("finish-call", protocol="v2"), {"target"}, False, Outcome.KILLED),
        (case("finish-call", method=Method.P2P, protocol="v2"), {"target"}, False, Outcome.LOST),
        # When it strikes some time after its point, the migration has gone on.
        (case("finish-call", after=(10,)), {"target"}, False, Outcome.KILLED),
        (case("finish-call", after=(10,)), set(), False, Outcome.LOST),
    ],
)
def test_killed_is_what_the_fault_did(of: RecoveryCase, killed: set[str], finished: bool, word: Outcome) -> None:
    assert outcome(of, gone(killed=frozenset(killed), target_finished=finished)) is word


@pytest.mark.parametrize(
    ("do", "detail", "of", "world", "word"),
    [
        ("destroy-guest source", "done", case("stream-most"), gone(), Outcome.LOST),
        ("suspend-guest source", "done", case("stream-most"), seen(STANDS), Outcome.INTACT),
        ("suspend-guest source", "no answer in 3 s", case("stream-most"), seen(STANDS), Outcome.INTACT),
        ("suspend-guest source", "", case("stream-most"), seen(T_STANDS), Outcome.MOVED),
        ("suspend-guest source", "refused: (55, 10)", case("stream-most"), seen(STANDS), Outcome.PAUSED_ON_SOURCE),
        ("resume-guest source", "", PAUSED, seen(RUNS), Outcome.INTACT),
        ("resume-guest source", "refused: (55, 10)", PAUSED, seen(RUNS), Outcome.RUNNING_THOUGH_PAUSED),
    ],
)
def test_third_parties_change_what_is_right(
    do: str, detail: str, of: RecoveryCase, world: RecoveryObservation, word: Outcome
) -> None:
    verb, side = do.split()
    assert outcome(of, replace(world, struck=[StrikeNote(verb, side, True, detail)])) is word


def test_every_outcome_has_a_letter_of_its_own_and_a_line() -> None:
    assert len({word.letter for word in Outcome}) == len(Outcome) and all(word.text for word in Outcome)
    assert sorted(SEVERITY) == sorted(Outcome) and str(Outcome.LOST) == "lost"


def promise(*outcomes: str, **when: Any) -> Promise:
    data = {"id": "a-row", "when": {"protocol": "v3", **when}, "outcomes": list(outcomes), "says": "It is so.", "source": "here"}
    return Promise.from_data(data)


def judged(of: RecoveryCase, world: RecoveryObservation, *promises: Promise) -> Judgement:
    return judge(of, world, promises, NEW)


def check(judgement: Judgement, name: str) -> Check:
    return next(entry for entry in judgement.checks + judgement.further if entry.name == name)


@pytest.mark.parametrize(
    ("of", "world"),
    [
        (case(), seen()), (case(), moved()), (PAUSED, seen(STANDS, source_state="paused")),
        (case("finish-call", "kill-agent client"), moved(told=Told("nothing"))),
        (case("stream-most"), gone(killed=frozenset({"source"}))),
        (case("confirm-call"), gone(killed=frozenset({"target"}), told=Told("success"), target_finished=True)),
        (
            case(persistent=True, config=True),
            seen(source_after=sight("running", True), source_config="guest", target_after=INACTIVE, target_config="own"),
        ),
    ],
)
def test_what_is_right_passes(of: RecoveryCase, world: RecoveryObservation) -> None:
    judgement = judged(of, world)
    assert (judgement.verdict, judgement.reason, judgement.rule) == (Verdict.PASS, "", NOTHING_PROMISED)
    assert tuple(entry.name for entry in judgement.checks) == CHECKS
    assert {entry.result for entry in judgement.checks + judgement.further} == {PASS}
    assert tuple(entry.name for entry in judgement.further) == FURTHER_CHECKS
    assert check(judgement, "promised").got == NOTHING_PROMISED


@pytest.mark.parametrize(
    ("of", "world", "name", "got"),
    [
        (case(), seen(RUNS, T_RUNS), "single-copy", "running on source and target"),
        (case(), moved(twice_seconds=0.4), "single-copy", "running twice for a time"),
        (case(), gone(), "guest-kept", "lost"),
        (case(), seen(pattern=False), "guest-memory", "damaged"),
        (case(), seen(pattern=None), "guest-memory", "its memory could not be read"),
        (case(), seen(Copy("source", 4, 3)), "guest-memory", "its counter is behind the one before the migration"),
        (case(), seen(Copy("source", None, None)), "guest-memory", "no counter in its memory"),
        (case(), seen(STANDS), "run-state", "paused by the migration: paused-on-source"),
        (case(), seen(STANDS, T_RUNS, told=Told("success")), "run-state", "a copy is left over: moved-source-left"),
        (case(), seen(RUNS, T_STANDS), "run-state", "a copy is left over: target-left"),
        (PAUSED, seen(RUNS, source_state="paused"), "run-state", "running though paused by its owner"),
        (case(), seen(source_after=ABSENT), "run-state", "a process on the source that its daemon does not know"),
        (case(), seen(target_after=sight("paused")), "run-state", "the target's daemon shows a guest without a process"),
        (case(), seen(source_after=sight("paused")), "run-state", "the source's daemon shows paused, which is not true"),
        (case(), seen(jobs={"source": "migration out"}), "steady", "a job stays on the source"),
        (case(), seen(stuck=["the daemon on the source does not answer"]), "steady", "the daemon on the source does not answer"),
        (case(), seen(steady_seconds=None), "steady", "the world never was steady"),
        (case(), seen(source_config="guest"), "configs", "source guest, target absent"),
        (case(), moved(told=Told("error")), "told-truth", "error, though moved"),
        (case(), seen(told=Told("success")), "told-truth", "success, though intact"),
        (case(), seen(T_STANDS), "told-truth", "error, though paused-on-target"),
        (case(delivery="closed"), moved(told=Told("nothing")), "told-truth", "nothing within the limit"),
        (case(), seen(again="migrated: expected success, got refused"), "migrates-again", "migrated failed"),
        (
            case(), seen(again=None, again_why_not="what is left cannot be removed: a guest"), "migrates-again",
            "not tried: what is left cannot be removed",
        ),
        (
            case(), seen(daemon_deaths=["the daemon on the target (process 77) died"]), "daemons-alive",
            "the daemon on the target died",
        ),
        (case(), seen(leftovers=["a guest"]), "no-leftovers", "a guest"),
    ],
)
def test_each_check_can_fail(of: RecoveryCase, world: RecoveryObservation, name: str, got: str) -> None:
    judgement = judged(of, world)
    found = check(judgement, name)
    assert (judgement.verdict, found.result, found.got) == (Verdict.FAIL, FAIL, got)
    first = next(entry for entry in judgement.checks + judgement.further if entry.result == FAIL)
    assert judgement.reason == f"{first.name}: expected {first.expected}, got {first.got}"
    assert judgement.rule == f"check {judgement.reason}; {NOTHING_PROMISED}"


def test_a_promise_allows_what_is_a_bug_elsewhere() -> None:
    judgement = judged(case(), seen(STANDS), promise("paused-on-source"))
    assert judgement.verdict is Verdict.PASS and judgement.rule == "promise a-row: It is so."
    assert check(judgement, "promised").got == "paused-on-source"
    assert check(judgement, "run-state").got == "paused by the migration, as promised"


@pytest.mark.parametrize(
    ("word", "copies", "told"),
    [("moved-source-left", (STANDS, T_RUNS), Told("success")), ("target-left", (RUNS, T_STANDS), Told("error", 9, 10))],
)
def test_a_copy_may_be_left_over_where_a_promise_says_so(word: str, copies: tuple[Copy, ...], told: Told) -> None:
    judgement = judged(case(), seen(*copies, told=told), promise(word))
    assert judgement.verdict is Verdict.PASS
    assert check(judgement, "run-state").got == "with a copy left over, as promised"
    assert check(judged(case(), seen(*copies, told=told), promise("intact")), "run-state").result == FAIL


def test_a_broken_promise_fails_though_the_guest_is_well() -> None:
    judgement = judged(case(), moved(), promise("intact", "killed"))
    assert [entry.name for entry in judgement.checks if entry.result == FAIL] == ["promised"]
    assert judgement.reason == "promised: expected intact or killed, got moved"
    assert judgement.rule == "check promised: expected intact or killed, got moved; promise a-row: It is so."


def test_the_first_promise_that_fits_counts() -> None:
    other = replace(promise("moved"), id="another", conditions=Conditions.from_data({"protocol": "v2"}))
    assert check(judged(case(), seen(), other, promise("intact"), promise("lost")), "promised").expected == "intact"


def test_a_guest_that_its_owner_paused_is_not_paused_by_the_migration() -> None:
    judgement = judged(PAUSED, seen(STANDS, source_state="paused"), promise("paused-on-source"))
    assert judgement.verdict is Verdict.PASS
    assert check(judgement, "promised").expected == "paused-on-source or intact"
    running = judged(case(), seen(), promise("paused-on-source"))
    assert check(running, "promised").result == FAIL


@pytest.mark.parametrize(
    ("word_of", "flags", "source", "target", "passes"),
    [
        ("intact", (), "guest", "own", True),
        ("intact", ("undefine-source", "persist-dest"), "guest", "own", True),
        ("intact", ("undefine-source",), "absent", "own", False),
        ("intact", ("persist-dest",), "guest", "guest", False),
        ("moved", (), "guest", "own", True),
        ("moved", ("undefine-source",), "absent", "own", True),
        ("moved", ("undefine-source",), "guest", "own", False),
        ("moved", ("persist-dest",), "guest", "guest", True),
        ("moved", ("persist-dest",), "guest", "own", False),
        ("left", ("undefine-source", "persist-dest"), "guest", "guest", True),
        ("left", ("undefine-source",), "absent", "own", False),
        ("twice", ("undefine-source", "persist-dest"), "absent", "guest", True),
        ("twice", (), "another", "own", False),
    ],
)
def test_configs(word_of: str, flags: tuple[str, ...], source: str, target: str, passes: bool) -> None:
    copies = {"intact": (RUNS,), "moved": (T_RUNS,), "left": (STANDS, T_RUNS), "twice": (RUNS, T_RUNS)}[word_of]
    of = case(persistent=True, config=True, flags=flags)
    found = check(judged(of, seen(*copies, source_config=source, target_config=target)), "configs")
    assert (found.result == PASS) is passes and found.got == f"source {source}, target {target}"


def test_configs_that_others_and_old_versions_leave() -> None:
    of = case(persistent=True, config=True, flags=("persist-dest",))
    world = moved(source_config="guest", target_config="own")
    old = Situation({"source": 1002019, "target": 1002019, "client": 1002019}, {}, "v3")
    assert check(judge(of, world, (), old), "configs").result == PASS and check(judged(of, world), "configs").result == FAIL
    for point, target, result in (("finish-reply", "guest", PASS), ("finish-reply", "own", PASS), ("finish-call", "guest", FAIL)):
        ended = case(point, persistent=True, config=True, flags=("persist-dest",))
        written = seen(source_config="guest", target_config=target)
        assert check(judged(ended, written), "configs").result == result, "Finish had written it before the copy ended"
    undefined = seen(source_config="absent", target_config="own", struck=[StrikeNote("undefine-guest", "source", True)])
    assert check(judged(of, undefined), "configs").result == PASS
    of_undefine = case("finish-reply", persistent=True, flags=("undefine-source",))
    kept = moved(source_config="guest", killed=frozenset({"source"}))
    assert check(judged(of_undefine, kept), "configs").result == PASS
    assert check(judged(of_undefine, replace(kept, killed=frozenset())), "configs").result == FAIL
    refused = replace(undefined, struck=[StrikeNote("undefine-guest", "source", True, "refused: (55, 10)")])
    assert check(judged(of, refused), "configs").result == FAIL


@pytest.mark.parametrize(
    ("told", "result", "got"),
    [
        (Told("error", 9, 10, "operation failed"), FAIL, "error, though moved"),
        (Told("error", 38, 7, "End of file while reading data"), PASS, "that a connection was lost"),
        (Told("error", 38, 13, "server closed connection"), PASS, "that a connection was lost"),
        (Told("error", 9, 10, ERROR_TEXT), PASS, "the relay's error in the daemon's place"),
        (Told("nothing"), FAIL, "nothing within the limit"),
        (Told("success"), PASS, "the truth"),
    ],
)
def test_an_error_of_a_lost_connection_says_nothing_of_the_guest(told: Told, result: str, got: str) -> None:
    found = check(judged(case(), moved(told=told)), "told-truth")
    assert (found.result, found.got) == (result, got)


def freezing(point: str, side: str, seconds: float | None = None, **more: Any) -> RecoveryCase:
    of = case(point, **more)
    return replace(of, fault=replace(of.fault, strikes=(Strike("freeze-daemon", side, seconds),)))


@pytest.mark.parametrize(
    ("of", "waits"),
    [
        # The caller itself.
        (case("stream-most", "kill-agent client"), True),
        (case("stream-most", "freeze-agent client"), True),
        (case("confirm-call", "power-cut client"), True),
        (case("stream-most", "kill-agent client", "kill-daemon source"), True),
        # Links.
        (case("finish-call", delivery="silent"), True),
        (case("stream-most", method=Method.P2P, delivery="silent"), True),
        (case("finish-reply", delivery="silent", seconds=3), False),
        (case("finish-reply", delivery="dropped"), True),
        (case("finish-reply", delivery="closed"), False),
        (case("finish-reply", delivery="error"), False),
        # Daemons that answer later, or never had to.
        (freezing("stream-most", "source"), True),
        (freezing("stream-most", "source", 3), False),
        (freezing("confirm-call", "source"), True),
        (freezing("confirm-reply", "source"), False),
        (freezing("finish-call", "source", protocol="v2"), False),
        (freezing("stream-most", "target"), True),
        (freezing("finish-call", "target"), True),
        (freezing("finish-reply", "target"), False),
        (freezing("confirm-call", "target"), False),
        # Peer to peer the source's daemon waits for the target's, and closes the connection in the end.
        (freezing("prepare-call", "target", method=Method.P2P), True),
        (freezing("finish-reply", "target", method=Method.TUNNELLED), True),
        (freezing("finish-reply", "source", method=Method.P2P), True),
        (freezing("perform-reply", "target", method=Method.P2P), False),
        # A machine takes the message with it that is held.
        (case("stream-most", "power-cut source"), True),
        (case("finish-reply", "power-cut target"), True),
        (case("confirm-call", "power-cut target"), False),
        # Nothing of these keeps anybody waiting.
        (case("stream-most", "kill-daemon source"), False),
        (case("stream-most", "kill-qemu target", method=Method.TUNNELLED), False),
    ],
)
def test_who_may_be_told_nothing(of: RecoveryCase, waits: bool) -> None:
    assert may_wait(of) is waits
    found = check(judged(of, moved(told=Told("nothing"))), "told-truth")
    assert (found.result, found.got) == ((PASS, "nothing told") if waits else (FAIL, "nothing within the limit"))


@pytest.mark.parametrize(
    ("of", "world", "main"),
    [
        (case(), seen(RUNS, T_STANDS), RUNS),
        (case(), seen(STANDS, T_RUNS), T_RUNS),
        (PAUSED, seen(STANDS, T_STANDS), STANDS),
        (PAUSED, seen(STANDS, T_STANDS, target_finished=True), T_STANDS),
        (PAUSED, seen(STANDS, Copy("target", None, None), target_finished=True), Copy("target", None, None)),
        (case(), seen(STANDS, Copy("target", 12, 0)), Copy("target", 12, 0)),
        (case(), gone(), None),
        (case(), gone(copies=None), None),
    ],
)
def test_the_copy_that_is_the_guest(of: RecoveryCase, world: RecoveryObservation, main: Copy | None) -> None:
    assert main_copy(of, world) == main


def test_the_memory_of_the_copy_that_finish_has_started_counts() -> None:
    world = seen(STANDS, Copy("target", None, None), source_state="paused", target_finished=True, told=Told("success"))
    assert check(judged(PAUSED, world), "guest-memory").got == "no counter in its memory"


def test_details_tell_no_process_from_nobody_having_looked() -> None:
    assert gone().details()["copies"] == [] and gone(copies=None).details()["copies"] is None


def test_what_a_caller_was_told_has_libvirts_numbers() -> None:
    assert told_by(Call(False, "refused", 1.5, code=9, domain=10)) == Told("error", 9, 10, "refused", 1.5)
    assert told_by(Call(True, seconds=2.0)) == Told("success", seconds=2.0)
    assert told_by(Call(False, "no answer", 20.0, timed_out=True)) == Told("nothing", text="no answer", seconds=20.0)
    assert told_by(None) == Told("nothing")


@pytest.mark.parametrize(("point", "result"), [("finish-call", FAIL), ("finish-reply", PASS)])
def test_a_copy_that_finish_has_started_may_have_its_config(point: str, result: str) -> None:
    world = seen(STANDS, T_STANDS, source_state="paused", target_config="guest")
    assert check(judged(case(point, state=State.PAUSED, flags=("persist-dest",)), world), "configs").result == result


@pytest.mark.parametrize(
    ("world", "reason"),
    [
        (gone(struck=None, source_after=None, target_after=None, lab_error="the point never came"), "the point never came"),
        (gone(struck=None, source_after=None, target_after=None), "the migration never came to the point"),
        (
            moved(struck=[StrikeNote("kill-qemu", "source", False, "no process")]),
            "the fault could not be carried out: kill-qemu on source: no process",
        ),
        (seen(lab_error="the guest could not be watched"), "the guest could not be watched"),
        (seen(told=None, lab_error="the agent broke"), "the agent broke"),
        (seen(source_state=None), "not seen: scenario"),
        (seen(source_state="paused", struck=None), "the scenario was not set up"),
        (seen(source_started=Call(False, "no memory"), struck=None), "the scenario was not set up"),
        (seen(source_after=None), "not seen: guest-kept"),
        (seen(leftovers=["a guest"], lab_error="cut off"), "cut off"),
        (gone(copies=None, lab_error="the inspector died"), "the inspector died"),
        (seen(copies=None, pattern=None, lab_error="the inspector died"), "the inspector died"),
        (gone(copies=None), "not seen: guest-kept"),
        (seen(pattern=None, lab_error="the inspector died"), "the inspector died"),
        (seen(again="not carried out: no agent", lab_error="no agent"), "no agent"),
        (seen(again=None, again_why_not="what is left cannot be removed: a guest", lab_error="no agent"), "no agent"),
    ],
)
def test_a_fault_of_the_lab_is_an_error(world: RecoveryObservation, reason: str) -> None:
    judgement = judged(case(), world)
    assert (judgement.verdict, judgement.reason) == (Verdict.ERROR, reason)


def test_nothing_is_judged_of_a_fault_that_did_not_strike() -> None:
    judgement = judged(case(), seen(RUNS, T_RUNS, struck=[StrikeNote("kill-qemu", "source", False, "no process")]))
    assert [entry.result for entry in judgement.checks] == [PASS] + [NOT_RUN] * 9


def test_a_daemon_that_dies_by_itself_before_the_point_is_libvirts_failure() -> None:
    world = gone(struck=None, source_after=None, target_after=None, lab_error="never came", daemon_deaths=["the target died"])
    judgement = judged(case(), world)
    assert (judgement.verdict, judgement.reason) == (Verdict.FAIL, "daemons-alive: expected alive, got the target died")


def test_a_daemon_that_dies_before_anybody_looked_for_processes_leaves_the_guest_unknown() -> None:
    judgement = judged(case(), seen(copies=None, steady_seconds=None, daemon_deaths=["the target died"]))
    assert (judgement.verdict, judgement.reason) == (Verdict.FAIL, "daemons-alive: expected alive, got the target died")
    assert {check(judgement, name).result for name in ("guest-kept", "run-state", "steady", "configs")} == {NOT_RUN}


def test_a_second_migration_that_the_lab_has_spoilt_is_not_run() -> None:
    judgement = judged(case(), seen(again="not carried out: no agent", lab_error="no agent"))
    assert check(judgement, "migrates-again") == Check("migrates-again", NOT_RUN, "every check passed", "no agent")
    assert "migrates-again" not in [entry.name for entry in judged(case(), seen(again=None)).further]
