# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run came to, read from run.json and journals."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from migration_lab.judging.condition import conditions_text
from migration_lab.model.combination import COMBINATIONS, RUNNING_ORDER
from migration_lab.model.errors import LabError
from migration_lab.results.failure import Kind
from migration_lab.results.run import read_run
from migration_lab.results.seen_deviations import seen_deviations
from synthetic_run import (
    BY_ID,
    CASES,
    DEVIATION,
    EMULATED,
    LEDGER,
    LIBVIRT,
    STEPS,
    SyntheticRun,
    lab_error,
    left_over,
    refused,
    wrong_state,
)

CASE = "p2p/transient-paused-dst/persist-dest"


@pytest.fixture
def lab(tmp_path: Path) -> SyntheticRun:
    return SyntheticRun(tmp_path / "run")


@pytest.fixture
def one(tmp_path: Path) -> SyntheticRun:
    return SyntheticRun(tmp_path / "run", ["noo"])


def test_complete_run_is_green(lab: SyntheticRun) -> None:
    for name in RUNNING_ORDER:
        lab.complete(name)
    run = read_run(lab.folder)
    assert run.green and run.failures == []
    assert run.summary == "green: 8 combinations, 768 of 768 cases, 7680 of 7680 checks"
    assert run.counts == {"pass": 768, "fail": 0, "known": 0, "fixed": 0, "error": 0, "skip": 0, "not_obtained": 0}
    assert run.class_versions == {"old": ["9.0.0"], "new": ["11.3.0"]}
    assert [c.name for c in run.combinations] == list(COMBINATIONS), "shown in numbering order, not as they ran"
    assert [c.to_data()["number"] for c in run.combinations] == [1, 2, 3, 4, 5, 6, 7, 8]


def test_part_of_the_cases_is_green_on_its_own(tmp_path: Path) -> None:
    lab = SyntheticRun(tmp_path / "run", ["noo"], [case for case in CASES if case.method.value == "p2p"])
    lab.complete("noo")
    assert read_run(lab.folder).summary == "green: 1 combination, 32 of 32 cases, 320 of 320 checks"


@pytest.mark.parametrize(
    ("spoil", "verdict", "judged", "reason"),
    [
        (wrong_state, "fail", 960, "target-state: expected paused, got running"),
        (refused("operation failed"), "fail", 954, "migrated: expected success, got operation failed"),
        (left_over, "fail", 960, "no-leftovers: expected none, got lab-guest on the target: transient, running"),
        (lab_error("the agent hung"), "error", 953, "the agent hung"),
    ],
)
def test_a_red_case_keeps_a_run_from_being_green(one, spoil, verdict, judged, reason) -> None:
    one.complete("noo", {CASE: spoil})
    run = read_run(one.folder)
    assert not run.green
    assert run.counts["pass"] == 95 and run.counts[verdict] == 1
    (failure,) = run.failures
    assert (failure.kind, failure.combination, failure.case, failure.verdict, failure.reason) == (
        Kind.CASE, "noo", CASE, verdict, reason,
    )
    assert failure.lines == [reason]
    assert failure.logs == [f"noo/logs/{BY_ID[CASE].number:03d}-p2p-source.log"] and failure.journal == "noo/journal.jsonl"
    assert run.summary == f"NOT green: 1 combination, 96 of 96 cases, {judged} of 960 checks; 1 {verdict}"


def test_every_failed_check_of_a_case_is_told(one: SyntheticRun) -> None:
    def vanished(case, seen) -> None:
        seen.target_after = type(seen.target_after)(False)

    one.complete("noo", {CASE: vanished})
    (failure,) = read_run(one.folder).failures
    assert failure.lines == [
        "target-exists: expected exists, got absent",
        "target-active: expected active, got inactive",
        "target-persistent: expected persistent, got transient",
        "target-state: expected paused, got absent",
    ]


@pytest.mark.parametrize("verdict", ["fixed", "fail", "error", "known", "skip", "pass"])
def test_green_by_verdict(one: SyntheticRun, verdict: str) -> None:
    one.complete("noo")
    path = one.journal_path("noo")
    lines = path.read_text().splitlines()
    lines[7] = lines[7].replace('"verdict":"pass"', f'"verdict":"{verdict}"')
    path.write_text("\n".join(lines) + "\n")
    run = read_run(one.folder)
    assert run.counts[verdict] == (96 if verdict == "pass" else 1)
    assert run.green == (verdict in ("known", "skip", "pass"))


def test_unexplained_death_is_red_though_all_cases_pass(one: SyntheticRun) -> None:
    journal = one.start("noo")
    for case in CASES:
        one.record(journal, case)
    one.die(journal)
    journal.close()
    run = read_run(one.folder)
    (failure,) = run.failures
    assert failure.kind is Kind.DAEMON_DEATH and failure.logs == ["noo/logs/death-source.log"]
    assert "process 7" in failure.reason and CASES[0].id in failure.reason
    assert run.summary == "NOT green: 1 combination, 96 of 96 cases, 960 of 960 checks; 1 daemon death unexplained"


def test_death_with_a_culprit_is_told_by_its_case_alone(one: SyntheticRun) -> None:
    journal = one.start("noo")
    for case in CASES:
        one.record(journal, case, refused("end of file while reading") if case.id == CASE else None)
    one.die(journal, culprits=[CASE])
    journal.close()
    (failure,) = read_run(one.folder).failures
    assert failure.kind is Kind.CASE and failure.case == CASE


def test_attempts_that_are_not_final_do_not_count(one: SyntheticRun) -> None:
    journal = one.start("noo")
    one.record(journal, CASES[0], refused("end of file while reading"), final=False)
    for case in CASES[1:]:
        one.record(journal, case)
    assert read_run(one.folder).combinations[0].missing == [CASES[0].id]
    one.record(journal, CASES[0], attempt=2)
    journal.append(
        "event", event="daemon-death", machine="source", detail="it died", logs=[],
        in_flight=[CASES[0].id], culprits=[CASES[0].id],
    )
    journal.close()
    assert read_run(one.folder).green


def test_killed_run_with_a_torn_line(one: SyntheticRun) -> None:
    journal = one.start("noo")
    for case in CASES[:50]:
        one.record(journal, case)
    journal.close()
    path = one.journal_path("noo")
    path.write_bytes(path.read_bytes()[:-200])
    run = read_run(one.folder)
    (failure,) = run.failures
    assert failure.kind is Kind.CASES_NOT_OBTAINED
    assert failure.cases == [case.id for case in CASES[49:]], "the torn line's case has no final result"
    assert "resume=true" in failure.reason
    assert run.counts["pass"] == 49 and run.counts["not_obtained"] == 47
    assert run.summary == "NOT green: 1 combination, 49 of 96 cases, 490 of 960 checks; 47 cases not obtained"

    journal = one.start("noo")
    for case in CASES[49:]:
        one.record(journal, case)
    journal.close()
    assert read_run(one.folder).green, "the resumed run completes it"


def test_seconds_leave_out_the_pause_before_a_resume(one: SyntheticRun, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_764_000_000.0
    monkeypatch.setattr("migration_lab.journal.journal.time.time", lambda: now)
    journal = one.start("noo")
    for case in CASES[:50]:
        now += 0.5
        one.record(journal, case)
    journal.close()
    assert read_run(one.folder).combinations[0].seconds == 25.0
    now += 3600
    journal = one.start("noo")
    for case in CASES[50:]:
        now += 0.25
        one.record(journal, case)
    journal.close()
    run = read_run(one.folder)
    assert run.combinations[0].seconds == 25.0 + 11.5
    assert run.finished == "2025-11-24T17:00:36Z", "the time of the last line, not of the report"


def test_selections_of_all_starts_count(one: SyntheticRun) -> None:
    ids = [case.id for case in CASES]
    one.start("noo", selected=ids[32:64]).close()
    journal = one.start("noo", selected=ids[:40])
    for case in CASES[:40]:
        one.record(journal, case)
    combination = read_run(one.folder).combinations[0]
    assert combination.selected == tuple(ids[:64])
    assert combination.missing == ids[40:64], "asked for at the first start, and not done since"
    journal.close()


def test_combination_without_a_journal_is_not_obtained(tmp_path: Path) -> None:
    lab = SyntheticRun(tmp_path / "run", ["ooo", "noo", "nnn"])
    lab.complete("ooo")
    lab.not_obtained("noo", "the mirror http://deb.debian.org\ncannot be reached")
    run = read_run(lab.folder)
    ooo, noo, nnn = run.combinations
    assert ooo.green and not noo.obtained and not nnn.obtained
    assert noo.reason == "the mirror http://deb.debian.org cannot be reached"
    assert nnn.reason == "there is no journal in nnn: the combination was not run"
    assert noo.counts["not_obtained"] == 96 and noo.checks_total == 960, "known from the combination that was obtained"
    assert [failure.kind for failure in run.failures] == [Kind.COMBINATION_NOT_OBTAINED] * 2
    assert run.summary == "NOT green: 1 of 3 combinations, 96 of 288 cases, 960 of 2880 checks; 192 cases not obtained"
    assert run.class_versions == {"old": ["9.0.0"], "new": []}


def test_nothing_obtained_at_all(one: SyntheticRun) -> None:
    run = read_run(one.folder)
    assert not run.green and run.finished is None
    assert run.summary == "NOT green: 0 of 1 combination, 0 of 0 cases, 0 of 0 checks"


@pytest.mark.parametrize("content", ["", '{"type":"header","time":1,"schema":1,"sel'])
def test_journal_cut_off_before_its_header_is_not_obtained(one: SyntheticRun, content: str) -> None:
    path = one.journal_path("noo")
    path.parent.mkdir()
    path.write_text(content)
    (failure,) = read_run(one.folder).failures
    assert failure.kind is Kind.COMBINATION_NOT_OBTAINED and "no journal in noo has a header" in failure.reason


def test_journal_that_selects_no_case_is_not_obtained(one: SyntheticRun) -> None:
    one.start("noo", selected=[]).close()
    run = read_run(one.folder)
    assert not run.green and [failure.kind for failure in run.failures] == [Kind.COMBINATION_NOT_OBTAINED]


def test_note_of_an_earlier_attempt_does_not_hide_a_complete_journal(one: SyntheticRun) -> None:
    one.not_obtained("noo", "the daemon did not answer")
    one.complete("noo")
    assert read_run(one.folder).green


def test_note_says_why_a_journal_was_not_gone_on_with(one: SyntheticRun) -> None:
    journal = one.start("noo")
    one.record(journal, CASES[0])
    journal.close()
    one.not_obtained("noo", "podman is missing")
    (failure,) = read_run(one.folder).failures
    assert failure.kind is Kind.CASES_NOT_OBTAINED and failure.reason == "podman is missing" and len(failure.cases) == 95


def test_data_of_a_combination(one: SyntheticRun) -> None:
    one.complete("noo", {CASE: wrong_state})
    data = read_run(one.folder).combinations[0].to_data()
    assert data["number"] == 2 and data["classes"] == {"client": "new", "source": "old", "target": "old"}
    assert {role: seen["libvirt"] for role, seen in data["versions"].items()} == {
        "client": LIBVIRT["new"], "source": LIBVIRT["old"], "target": LIBVIRT["old"],
    }
    assert data["cases"] == {"selected": 96, "done": 96} and data["checks"] == {"total": 960, "judged": 960}
    assert sum(data["counts"].values()) == 96
    assert data["obtained"] and not data["green"]
    json.dumps(data)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda data: data.pop("combinations"), "no field 'combinations'"),
        (lambda data: data.update(combinations=[]), "no combination is named"),
        (lambda data: data.update(combinations=["xyz"]), "there is no combination 'xyz'"),
        (lambda data: data.update(schema=2), "schema 2"),
    ],
)
def test_run_file_that_cannot_be_used(one: SyntheticRun, change, words: str) -> None:
    change(one.data)
    (one.folder / "run.json").write_text(json.dumps(one.data))
    with pytest.raises(LabError, match=words):
        read_run(one.folder)


@pytest.mark.parametrize("content", ["{", "[]", None])
def test_run_file_that_cannot_be_read(one: SyntheticRun, content) -> None:
    path = one.folder / "run.json"
    path.unlink()
    if content is not None:
        path.write_text(content)
    with pytest.raises(LabError, match=str(path)):
        read_run(one.folder)


def test_journal_of_another_combination_is_refused(one: SyntheticRun) -> None:
    one.start("noo", combination="nnn").close()
    with pytest.raises(LabError, match="is of combination 'nnn', not 'noo'"):
        read_run(one.folder)


def test_journal_broken_in_the_middle_is_refused(one: SyntheticRun) -> None:
    one.complete("noo")
    path = one.journal_path("noo")
    lines = path.read_text().splitlines()
    lines[3] = lines[3][:40]
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(LabError, match="line 4 of the journal"):
        read_run(one.folder)


def test_known_cases_are_counted_and_the_run_is_green(one: SyntheticRun) -> None:
    paused = [case.id for case in CASES if case.method.value != "normal" and case.scenario.state.value == "paused"]
    one.complete("noo", dict.fromkeys(paused, wrong_state), expected=paused)
    run = read_run(one.folder)
    assert run.summary == "green: 1 combination, 96 of 96 cases, 960 of 960 checks, 32 known"
    assert run.counts["known"] == 32 and run.green


def test_fixed_case_is_red_and_says_by_which_rule(one: SyntheticRun) -> None:
    one.complete("noo", expected=[CASE])
    run = read_run(one.folder)
    (failure,) = run.failures
    assert failure.verdict == "fixed" and failure.checks == []
    assert failure.lines == [f"deviation {DEVIATION.id} was expected and did not come: target-state got running"]
    assert failure.rule == f"deviation {DEVIATION.id}: expected target-state got running; every check passed"
    assert run.summary == "NOT green: 1 combination, 96 of 96 cases, 960 of 960 checks; 1 fixed"


def test_failure_has_what_the_tap_saw(one: SyntheticRun) -> None:
    one.complete("noo", {CASE: wrong_state}, steps=tuple(STEPS), protocol="v2", note="failed beside 3 others; alone: fail")
    (failure,) = read_run(one.folder).failures
    assert (failure.steps, failure.protocol, failure.note) == (STEPS, "v2", "failed beside 3 others; alone: fail")
    assert failure.rule == "check target-state: expected paused, got running"
    json.dumps(failure.to_data())


def test_journal_that_is_older_than_rules_and_deviations(one: SyntheticRun) -> None:
    one.complete("noo", {CASE: wrong_state})
    path = one.journal_path("noo")
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for line in lines:
        for name in ("rule", "deviation"):
            line.pop(name, None)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    run = read_run(one.folder)
    (failure,) = run.failures
    assert failure.rule == "target-state: expected paused, got running" and failure.steps == [] and failure.note == ""
    assert run.notices == {} and seen_deviations(run) == []


def test_emulated_and_untried_machines_are_said_in_the_summary(tmp_path: Path) -> None:
    lab = SyntheticRun(tmp_path / "run", ["noo"], pair=EMULATED, untried=["ubuntu-11.04", "debian-6"])
    lab.complete("noo")
    assert read_run(lab.folder).summary == (
        "green: 1 combination, 96 of 96 cases, 960 of 960 checks; old is emulated: debian-12 presented as libvirt 0.9.1; "
        "nobody has run it before: ubuntu-11.04, debian-6"
    )


def test_deviations_are_counted_by_combination(tmp_path: Path) -> None:
    lab = SyntheticRun(tmp_path / "run", ["ooo", "noo", "nnn"], deviations=LEDGER)
    paused = [case.id for case in CASES if case.method.value == "p2p" and case.scenario.state.value == "paused"]
    lab.complete("ooo", dict.fromkeys(paused, wrong_state), expected=paused)
    lab.complete("noo", dict.fromkeys(paused[1:], wrong_state), expected=paused)
    lab.complete("nnn")
    first, *others = seen_deviations(read_run(lab.folder))
    assert first.to_data() == {"id": DEVIATION.id, "known": {"ooo": 16, "noo": 15}, "fixed": {"noo": 1}}
    assert (first.cell("ooo"), first.cell("noo"), first.cell("nnn")) == ("16 known", "15 known, 1 fixed", "")
    assert [other.id for other in others] == [entry["id"] for entry in LEDGER[1:]]
    assert all(not other.known and not other.fixed for other in others)
    assert first.effects == ["target-state: got running", "guest-continuity: got *counting, only sometimes"]
    late = next(other for other in others if other.id == "silent-network-passes-finish-late")
    assert late.effects[:2] == [
        "guest running: single-copy: got running *; promised: got running-twice", "guest running: nothing",
    ]


@pytest.mark.parametrize(
    ("when", "words"),
    [
        ({"source": "<0.9.2", "target": ">=0.9.2 <4.5.0", "method": ["p2p", "tunnelled"], "state": "paused"},
         "source below 0.9.2, target from 0.9.2, below 4.5.0, method p2p or tunnelled, guest paused"),
        ({"target_qemu": ">=7.2.0", "protocol": "v2", "persistent": False, "target_config": True},
         "QEMU of the target from 7.2.0, protocol v2, guest transient, a config on the target"),
        ({"flags": ["live", "paused"], "without_flags": ["unsafe", "tls"]},
         "with flag live and paused, without flag unsafe or tls"),
    ],
)
def test_conditions_in_words(when: dict[str, Any], words: str) -> None:
    assert conditions_text(when) == words
