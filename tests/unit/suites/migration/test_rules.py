# SPDX-License-Identifier: GPL-3.0-or-later
"""The rules: oracle, judge and ledger together, for the versions that a combination has."""

from __future__ import annotations

import csv

import pytest

from migration_lab.judging.deviation import Deviation
from migration_lab.judging.observation import Copy, Observation, Sight, Survival
from migration_lab.model.case import ROLES, Case, Method, State
from migration_lab.model.combination import COMBINATIONS, classes
from migration_lab.model.profile import Profile
from migration_lab.model.protocol import expect_protocol
from migration_lab.model.verdict import Verdict
from migration_lab.model.version import parse_version
from migration_lab.planning.ledger import load_ledger
from migration_lab.planning.profiles import load_profile
from migration_lab.suites.migration.expectation import expect
from migration_lab.suites.migration.suite import MigrationRules
from synthetic_run import BY_ID, ROOT, as_expected, lab_error, refused

SCENARIOS = ROOT / "scenarios"
LEDGER = tuple(map(Deviation.from_data, load_ledger(SCENARIOS)))
ARRIVES_RUNNING, CRASHES_TARGET, CRASHES_SOURCE = "paused-guest-arrives-running", "v2-crashes-target", "v2-crashes-source"
CRASHES_WITH_SOURCE = "v2-crashes-target-and-old-source"

PAUSED = BY_ID["p2p/persistent-paused/none"]
QEMU = {"source": parse_version("5.2.0"), "target": parse_version("5.2.0")}


def rules(combination: str, old: str, new: str, ceiling: str = "", ledger: tuple[Deviation, ...] = LEDGER) -> MigrationRules:
    """The rules of a combination; with a ceiling the old machines are presented as that version."""
    ages = classes(combination)
    libvirt = {role: parse_version({"old": old, "new": new}[ages[role]]) for role in ROLES}
    shown = {role: parse_version(ceiling) if ceiling and ages[role] == "old" else libvirt[role] for role in ROLES}
    return MigrationRules(libvirt, QEMU, shown, True, ledger)


def cases(profile: str) -> list[Case]:
    return Profile.from_data(load_profile(profile, SCENARIOS)).cases()


def expected_deviations(profile: str) -> set[str]:
    """The cases that the expected file says go otherwise with a source below 0.9.2; it was written apart from the code."""
    with (ROOT / f"tests/expected/{profile}.csv").open(newline="") as stream:
        return {row["case"] for row in csv.DictReader(stream) if row["target_state_when_source_below_0.9.2"]}


def whole(case: Case, protocol: str) -> Observation:
    """What is seen of a case that goes as documented, of the guest itself and by the relay as well."""
    seen = as_expected(case)
    expected = expect(case)
    running = expected.target_state is State.RUNNING
    seen.protocol = protocol
    seen.survival = Survival(20, 25 if running else 20, True, (Copy("target", 22, 3 if running else 0),))
    seen.target_config = {"kept": "own", "absent": "absent", "replaced": "guest", "made": "guest"}[expected.target_config]
    return seen


def arrives_running(case: Case, seen: Observation, noticed: bool = True) -> None:
    """The guest arrives running, as from 0.9.1.

    :param noticed: whether it had counted by the time that it was looked at.
    """
    assert seen.target_after
    seen.target_after = Sight(True, True, seen.target_after.persistent, "running")
    if noticed:
        seen.survival = Survival(20, 26, True, (Copy("target", 23, 5),))


@pytest.mark.parametrize(("profile", "number"), [("canonical", 32), ("tck", 24)])
@pytest.mark.parametrize("combination", COMBINATIONS)
def test_matrix_of_0_9_1_and_0_9_2_has_exactly_its_deviations(combination: str, profile: str, number: int) -> None:
    here = rules(combination, "0.9.1", "0.9.2")
    planned = cases(profile)
    deviating = expected_deviations(profile) if combination in ("ooo", "noo", "oon", "non") else set()
    assert len(deviating) == (number if classes(combination)["source"] == "old" else 0)
    # As they must go: only those of which a deviation is expected are not passed, but fixed.
    passed = {case.id: here.judge(case, whole(case, expect_protocol(case, here.shown))) for case in planned}
    assert {name for name, judgement in passed.items() if judgement.verdict is Verdict.FIXED} == deviating
    assert {judgement.verdict for name, judgement in passed.items() if name not in deviating} <= {Verdict.PASS}
    assert {judgement.deviation for judgement in passed.values()} - {""} == ({ARRIVES_RUNNING} if deviating else set())
    # Paused guests that arrive running: known where the ledger has it, else a failure.
    for case in planned:
        if expect(case).target_state is State.PAUSED:
            seen = whole(case, expect_protocol(case, here.shown))
            arrives_running(case, seen)
            judgement = here.judge(case, seen)
            assert judgement.verdict is (Verdict.KNOWN if case.id in deviating else Verdict.FAIL), case.id
    assert not any(here.alone(case) for case in planned)


@pytest.mark.parametrize("noticed", [True, False], ids=["counting seen", "not seen yet"])
def test_paused_guest_of_0_9_1_that_arrives_running_is_known(noticed: bool) -> None:
    seen = whole(PAUSED, "v2")
    arrives_running(PAUSED, seen, noticed)
    judgement = rules("ooo", "0.9.1", "0.9.2").judge(PAUSED, seen)
    failed = [check.name for check in judgement.checks + judgement.further if check.result == "fail"]
    assert failed == ["target-state", *(["guest-continuity"] if noticed else [])]
    assert (judgement.verdict, judgement.deviation) == (Verdict.KNOWN, ARRIVES_RUNNING)
    assert judgement.reason.startswith(f"known deviation {ARRIVES_RUNNING}: target-state got running")


def test_without_the_ledger_it_fails() -> None:
    seen = whole(PAUSED, "v2")
    arrives_running(PAUSED, seen)
    judgement = rules("ooo", "0.9.1", "0.9.2", ledger=()).judge(PAUSED, seen)
    assert (judgement.verdict, judgement.deviation) == (Verdict.FAIL, "")
    assert judgement.reason == "target-state: expected paused, got running"


def test_where_it_does_not_come_it_is_fixed() -> None:
    judgement = rules("ooo", "0.9.1", "0.9.2").judge(PAUSED, whole(PAUSED, "v2"))
    assert (judgement.verdict, judgement.deviation) == (Verdict.FIXED, ARRIVES_RUNNING)


@pytest.mark.parametrize("survival", [
    Survival(20, 26, False, (Copy("target", 23, 5),)),
    Survival(20, 26, True, (Copy("source", 22, 4), Copy("target", 23, 5))),
], ids=["damaged memory", "two running copies"])
def test_known_deviation_does_not_hide_what_else_happened_to_the_guest(survival: Survival) -> None:
    seen = whole(PAUSED, "v2")
    arrives_running(PAUSED, seen)
    seen.survival = survival
    assert rules("ooo", "0.9.1", "0.9.2").judge(PAUSED, seen).verdict is Verdict.FAIL


def test_protocol_is_judged_only_through_the_tap() -> None:
    case = BY_ID["normal/persistent-running/none"]
    here = rules("nnn", "0.9.1", "0.9.2")
    assert here.judge(case, whole(case, "v2")).reason == "protocol: expected v3, got v2"
    unrelayed = MigrationRules(here.libvirt, here.qemu, here.shown, False, here.ledger)
    seen = whole(case, "v3")
    seen.protocol = None
    assert unrelayed.judge(case, seen).verdict is Verdict.PASS


# Crashes


def crashed(case: Case, role: str) -> Observation:
    """A daemon dies of the migration, and is started again, which finds the guest where it was."""
    seen = as_expected(case)
    refused("End of file while reading data: Input/output error (error 38, domain 7)")(case, seen)
    seen.protocol = "v2"
    seen.daemon_deaths = [f"the daemon on the {role} (process 7) died"]
    return seen


@pytest.mark.parametrize(
    ("combination", "old", "new", "ceiling", "killing"),
    [
        # Below 0.9.2 with a modern release: whoever is the modern one dies wherever v2 runs.
        ("noo", "0.9.1", "9.0.0", "", {}),
        ("ono", "0.9.1", "9.0.0", "", dict.fromkeys(Method, CRASHES_SOURCE)),
        ("oon", "0.9.1", "9.0.0", "", {**dict.fromkeys(Method, CRASHES_WITH_SOURCE), Method.NORMAL: CRASHES_TARGET}),
        ("nno", "0.9.1", "9.0.0", "", dict.fromkeys(Method, CRASHES_SOURCE)),
        ("onn", "0.9.1", "9.0.0", "", {Method.NORMAL: CRASHES_TARGET}),
        ("nnn", "0.9.1", "9.0.0", "", {}),
        # The same release on both sides, presented as 0.9.1.
        ("ooo", "9.0.0", "9.0.0", "0.9.1", dict.fromkeys(Method, CRASHES_TARGET)),
        ("noo", "9.0.0", "9.0.0", "0.9.1", dict.fromkeys(Method, CRASHES_TARGET)),
        ("onn", "9.0.0", "9.0.0", "0.9.1", {Method.NORMAL: CRASHES_TARGET}),
        ("nnn", "9.0.0", "9.0.0", "0.9.1", {}),
        ("ooo", "9.0.0", "11.3.0", "", {}),
    ],
)
def test_cases_that_bring_a_daemon_down_are_those_that_the_ledger_says(
    combination: str, old: str, new: str, ceiling: str, killing: dict[Method, str]
) -> None:
    here = rules(combination, old, new, ceiling)
    for case in cases("canonical"):
        assert here.alone(case) == (case.method in killing), case.id
        role = {CRASHES_SOURCE: "source"}.get(killing.get(case.method, ""), "target")
        judgement = here.judge(case, crashed(case, role))
        if case.method in killing:
            assert (judgement.verdict, judgement.deviation) == (Verdict.KNOWN, killing[case.method]), case.id
        else:
            assert judgement.verdict is Verdict.FAIL, case.id


def test_crash_of_the_other_daemon_is_not_the_known_one() -> None:
    here = rules("ooo", "9.0.0", "9.0.0", "0.9.1")
    judgement = here.judge(PAUSED, crashed(PAUSED, "source"))
    assert judgement.verdict is Verdict.FAIL and f"deviation {CRASHES_TARGET} expects exactly" in judgement.reason


def test_crash_that_does_not_come_is_fixed() -> None:
    assert rules("ooo", "9.0.0", "9.0.0", "0.9.1").judge(PAUSED, whole(PAUSED, "v2")).verdict is Verdict.FIXED


def test_fault_of_the_lab_is_never_known() -> None:
    seen = as_expected(PAUSED)
    lab_error("no agent could be started")(PAUSED, seen)
    judgement = rules("ooo", "0.9.1", "0.9.2").judge(PAUSED, seen)
    assert (judgement.verdict, judgement.deviation) == (Verdict.ERROR, "")


def test_known_deviation_does_not_hide_a_fault_of_the_lab() -> None:
    seen = whole(PAUSED, "v2")
    arrives_running(PAUSED, seen)
    seen.leftovers, seen.lab_error = None, "while cleaning up: the daemon is gone"
    judgement = rules("ooo", "0.9.1", "0.9.2").judge(PAUSED, seen)
    assert (judgement.verdict, judgement.deviation) == (Verdict.FAIL, "")


@pytest.mark.parametrize(("new", "verdict"), [("0.9.2", Verdict.PASS), ("11.3.0", Verdict.FAIL)])
def test_kept_config_is_judged_by_the_versions(new: str, verdict: Verdict) -> None:
    """A table of 2015: until then nothing said that VIR_MIGRATE_PERSIST_DEST replaces the target's config."""
    case = BY_ID["p2p/persistent-running-dst/persist-dest"]
    seen = whole(case, "v3")
    seen.target_config = "own"
    assert rules("nnn", "0.9.1", new).judge(case, seen).verdict is verdict
