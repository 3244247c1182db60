# SPDX-License-Identifier: GPL-3.0-or-later
"""What changed between two runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Mapping

import pytest

from migration_lab.results.comparison import Change, ChangeKind, Comparison, compare
from migration_lab.results.run import read_run
from synthetic_recovery import Fate, SyntheticRecovery
from synthetic_run import CASES, DEVIATION, EMULATED, PAIR, Spoil, SyntheticRun, lab_error, refused, wrong_state

FEW = CASES[:6]
A, B, C = (case.id for case in FEW[:3])
# Of these the deviation is expected: a paused guest migrated peer to peer.
PAUSED = [case for case in CASES if case.method.value == "p2p" and case.scenario.name == "transient-paused"]


def made(folder: Path, spoilt: Mapping[str, Spoil] | None = None, cases: Any = FEW, **facts: Any) -> SyntheticRun:
    """A run of combination noo."""
    lab = SyntheticRun(folder, ["noo"], cases, **facts)
    lab.complete("noo", spoilt)
    return lab


def compared(run: SyntheticRun, base: SyntheticRun) -> Comparison:
    return compare(read_run(run.folder), read_run(base.folder))


def test_the_same_again(tmp_path: Path) -> None:
    spoilt = {A: wrong_state, B: lab_error("the agent hung")}
    comparison = compared(made(tmp_path / "b", spoilt), made(tmp_path / "a", spoilt))
    assert comparison == Comparison("a", [], [], 0, 0)
    assert comparison.line == "against a: nothing changed"


def test_newly_failing_first_then_another_reason_then_newly_passing(tmp_path: Path) -> None:
    base = made(tmp_path / "base", {A: wrong_state, B: wrong_state})
    run = made(tmp_path / "run", {B: refused("no route"), C: refused("Cannot <dial>\nout")})
    comparison = compared(run, base)
    was = "check target-state: expected running, got paused"
    assert comparison.changes == [
        Change(ChangeKind.NEWLY_FAILING, "noo", C, "pass", "fail", "", "check migrated: expected success, got Cannot <dial> out"),
        Change(ChangeKind.CHANGED_REASON, "noo", B, "fail", "fail", was, "check migrated: expected success, got no route"),
        Change(ChangeKind.NEWLY_PASSING, "noo", A, "fail", "pass", was, ""),
    ]
    assert comparison.line == (
        "against base: 1 newly failing, 1 failing for another reason, 1 newly passing, nothing else changed"
    )
    assert comparison.changes[0].title == f"noo {C}: pass -> fail"
    assert comparison.changes[1].title == f"noo {B}: fail"
    assert comparison.changes[1].lines == [f"was: {was}", "is: check migrated: expected success, got no route"]


def test_combinations_and_cases_stay_in_their_order(tmp_path: Path) -> None:
    base = SyntheticRun(tmp_path / "base", ["noo", "ooo"], FEW)
    run = SyntheticRun(tmp_path / "run", ["noo", "ooo"], FEW)
    for name in ("noo", "ooo"):
        base.complete(name)
        run.complete(name, {A: wrong_state, B: wrong_state}, reversed(FEW))
    assert [(change.combination, change.case) for change in compared(run, base).changes] == [
        ("ooo", A), ("ooo", B), ("noo", A), ("noo", B),
    ]


@pytest.mark.parametrize(
    ("before", "after", "same"),
    [
        ("operation failed: port 49152 in use", "operation failed: port 49153 in use", True),
        ("no domain 'mlab-noo-003'", "no domain 'mlab-noo-003-2'", True),
        ("uuid 6b1f0a52-6a0e-4c59-9c54-1d0f4d0c4f0a", "uuid 00000000-6a0e-4c59-9c54-1d0f4d0c4f0a", True),
        ("protocol v2", "protocol v3", False),
        ("End of file", "Cannot recv data", False),
    ],
)
def test_numbers_and_uuids_are_no_reason(tmp_path: Path, before: str, after: str, same: bool) -> None:
    comparison = compared(made(tmp_path / "run", {A: refused(after)}), made(tmp_path / "base", {A: refused(before)}))
    assert [change.kind for change in comparison.changes] == ([] if same else [ChangeKind.CHANGED_REASON])


def verdicts(folder: Path, verdict: str) -> SyntheticRun:
    """A run of which one case has a verdict."""
    lab = SyntheticRun(folder, ["noo"], PAUSED)
    case = PAUSED[0].id
    if verdict == "not obtained":
        journal = lab.start("noo")
        for each in PAUSED[1:]:
            lab.record(journal, each)
        journal.close()
        return lab
    spoil = {"fail": refused("no"), "known": wrong_state, "error": lab_error("hung")}.get(verdict)
    lab.complete("noo", {case: spoil} if spoil else {}, expected=[case] if verdict in ("known", "fixed") else [])
    if verdict == "skip":
        path = lab.journal_path("noo")
        path.write_text(path.read_text().replace('"verdict":"pass"', '"verdict":"skip"', 1))
    return lab


@pytest.mark.parametrize(
    ("before", "after", "kind"),
    [
        ("pass", "fail", "newly-failing"), ("known", "fail", "newly-failing"), ("pass", "fixed", "newly-failing"),
        ("pass", "error", "newly-failing"), ("pass", "not obtained", "newly-failing"), ("skip", "fail", "newly-failing"),
        ("known", "fixed", "newly-failing"),
        ("fail", "pass", "newly-passing"), ("fail", "known", "newly-passing"), ("not obtained", "pass", "newly-passing"),
        ("error", "pass", "newly-passing"), ("fixed", "known", "newly-passing"),
        ("not obtained", "fail", "newly-failing"), ("not obtained", "fixed", "newly-failing"),
        ("not obtained", "error", "newly-failing"), ("fail", "error", "changed-reason"),
        ("fail", "not obtained", "changed-reason"),
        ("pass", "known", "other"), ("known", "pass", "other"), ("pass", "skip", "other"), ("fail", "skip", "other"),
        ("skip", "pass", "other"),
    ],
)
def test_every_change_of_a_verdict_has_its_kind(tmp_path: Path, before: str, after: str, kind: str) -> None:
    comparison = compared(verdicts(tmp_path / "run", after), verdicts(tmp_path / "base", before))
    assert [(change.kind.value, change.case, change.before, change.after) for change in comparison.changes] == [
        (kind, PAUSED[0].id, before, after)
    ]


def test_which_way_a_deviation_shows_is_no_change(tmp_path: Path) -> None:
    lines = {}
    for name, words in (("x", "End of file while reading data"), ("y", "Cannot recv data"), ("z", "Cannot recv data")):
        lab = SyntheticRun(tmp_path / name, ["noo"], PAUSED)
        lab.complete("noo", {PAUSED[0].id: wrong_state}, expected=[PAUSED[0].id])
        path = lab.journal_path("noo")
        path.write_text(path.read_text().replace("target-state got running", words))
        assert words in path.read_text()
        lines[name] = lab
    other = lines["z"].journal_path("noo")
    other.write_text(other.read_text().replace(f'"deviation":"{DEVIATION.id}"', '"deviation":"another"'))
    assert compared(lines["y"], lines["x"]).changes == []
    assert [change.kind for change in compared(lines["z"], lines["x"]).changes] == [ChangeKind.OTHER]


def test_a_combination_that_is_not_obtained_any_more_is_one_change(tmp_path: Path) -> None:
    base = SyntheticRun(tmp_path / "base", ["ooo", "noo"], FEW)
    run = SyntheticRun(tmp_path / "run", ["ooo", "noo"], FEW)
    for lab, name in ((base, "ooo"), (base, "noo"), (run, "ooo")):
        lab.complete(name)
    run.not_obtained("noo", "the mirror cannot be reached")
    gone = compared(run, base)
    assert gone.changes == [
        Change(ChangeKind.NEWLY_FAILING, "noo", "", "pass", "not obtained", "", "the mirror cannot be reached")
    ]
    assert gone.changes[0].title == "noo as a whole: pass -> not obtained"
    assert (gone.only_here, gone.only_in_base) == (0, 0)
    back = compared(base, run)
    assert [(change.kind, change.case) for change in back.changes] == [(ChangeKind.NEWLY_PASSING, "")]


def test_what_fails_of_a_combination_that_is_obtained_again_is_told(tmp_path: Path) -> None:
    base = SyntheticRun(tmp_path / "base", ["noo"], FEW)
    base.not_obtained("noo", "no mirror")
    comparison = compared(made(tmp_path / "run", {B: wrong_state}), base)
    assert [(change.kind.value, change.case, change.before) for change in comparison.changes] == [
        ("newly-failing", B, "not obtained"), ("newly-passing", "", "not obtained"),
    ]


def test_a_combination_that_is_not_obtained_for_another_reason(tmp_path: Path) -> None:
    base = SyntheticRun(tmp_path / "base", ["noo"], FEW)
    run = SyntheticRun(tmp_path / "run", ["noo"], FEW)
    base.not_obtained("noo", "no mirror")
    run.not_obtained("noo", "no disk")
    assert [(change.kind, change.case) for change in compared(run, base).changes] == [(ChangeKind.CHANGED_REASON, "")]


def test_an_unexplained_death_is_a_change_of_the_combination(tmp_path: Path) -> None:
    base = made(tmp_path / "base")
    run = SyntheticRun(tmp_path / "run", ["noo"], FEW)
    journal = run.start("noo")
    for case in FEW:
        run.record(journal, case)
    run.die(journal)
    journal.close()
    comparison = compared(run, base)
    assert comparison.changes == [
        Change(ChangeKind.NEWLY_FAILING, "noo", "", "pass", "fail", "", "the daemon on the target (process 7) died")
    ]
    assert [change.kind for change in compared(base, run).changes] == [ChangeKind.NEWLY_PASSING]
    assert compared(run, run).changes == []


def test_cases_that_only_one_has_selected_are_counted_and_not_compared(tmp_path: Path) -> None:
    base = made(tmp_path / "base", cases=CASES[:4])
    run = SyntheticRun(tmp_path / "run", ["noo", "nnn"], CASES[3:6])
    (run.folder / "run.json").write_text(json.dumps({**run.data, "cases": ["x*"]}))
    run.complete("noo", {CASES[5].id: wrong_state})
    run.complete("nnn", {CASES[5].id: wrong_state})
    comparison = compared(run, base)
    assert comparison.changes == []
    assert (comparison.only_here, comparison.only_in_base) == (2 + 3, 3)
    assert comparison.line == "against base: nothing changed; 5 cases only here; 3 cases only in base"
    assert comparison.differences == ["case patterns: * -> x*", "combinations: noo -> noo, nnn"]


def test_other_settings_are_said_and_not_refused(tmp_path: Path) -> None:
    base = made(tmp_path / "base", releases={"bookworm": {"id": "b-1", "packages": {"libvirt": "9.0.0-4"}}, "gone": {}})
    run = made(
        tmp_path / "run", pair=EMULATED, profile="tck", guest="aarch64", revision="fff", ledger_id="new",
        releases={"bookworm": {"id": "b-1", "packages": {"libvirt": "9.0.0-5", "qemu": "7.2"}}},
    )
    assert compared(run, base).differences == [
        f"pair: debian ({PAIR['old']}, {PAIR['new']}, boundary {PAIR['boundary']}) -> "
        "emulated-v2 (debian-12, debian-12, boundary 0.9.2, old presented as 0.9.1)",
        "profile: canonical -> tck", "guest: x86_64 -> aarch64", "ledger of deviations: not on record -> new",
        "revision of the lab: 0123abc -> fff",
        "release bookworm: packages libvirt 9.0.0-4 -> 9.0.0-5", "release bookworm: packages qemu not on record -> 7.2",
    ]


def test_versions_that_changed_are_said_of_the_machines_that_have_them(tmp_path: Path) -> None:
    base = SyntheticRun(tmp_path / "base", ["ooo", "noo"], FEW)
    run = SyntheticRun(tmp_path / "run", ["ooo", "noo"], FEW)

    def versions(client: str, old: str, source: str, kernel: str) -> dict[str, Any]:
        return {
            "client": {"libvirt": client, "kernel": kernel},
            "source": {"libvirt": old, "hypervisor": source, "hostname": source, "kernel": kernel},
            "target": {"libvirt": old, "hypervisor": "7.2.22", "kernel": kernel},
        }

    for lab, name, reported in (
        (base, "ooo", versions("9.0.0", "9.0.0", "7.2.22", "6.1")), (base, "noo", versions("11.3.0", "9.0.0", "7.2.22", "6.1")),
        (run, "ooo", versions("9.0.1", "9.0.1", "7.2.22", "6.2")), (run, "noo", versions("11.3.0", "9.0.1", "7.2.23", "6.2")),
    ):
        lab.start(name, versions=reported).close()
    assert compared(run, base).differences == [
        "all old machines: libvirt 9.0.0 -> 9.0.1", "all machines: kernel 6.1 -> 6.2", "source of noo: QEMU 7.2.22 -> 7.2.23",
    ]


def test_comparison_as_data(tmp_path: Path) -> None:
    comparison = compared(made(tmp_path / "run", {A: wrong_state}), made(tmp_path / "base"))
    assert comparison.to_data() == {
        "base": "base", "line": "against base: 1 newly failing, nothing else changed", "differences": [],
        "newly_failing": [{
            "combination": "noo", "case": A, "before": "pass", "after": "fail", "reason_before": "",
            "reason_after": "check target-state: expected running, got paused",
        }],
        "changed_reason": [], "newly_passing": [], "other": [],
    }


def test_run_without_any_journal_as_base(tmp_path: Path) -> None:
    base = SyntheticRun(tmp_path / "base", ["noo"], FEW)
    comparison = compared(made(tmp_path / "run"), base)
    assert [(change.kind.value, change.case) for change in comparison.changes] == [("newly-passing", "")]


def recovered(folder: Path, word: str, red: bool = False) -> SyntheticRecovery:
    """A recovery run of one case, with that outcome."""
    lab = SyntheticRecovery(folder, ["nnn"], keep=lambda case: case.number == 1)

    def fates(case: Any) -> Fate:
        return word, red

    lab.carry_out("nnn", fates)
    return lab


@pytest.mark.parametrize(
    ("before", "after", "kind", "reasons"),
    [
        (("intact", False), ("intact", False), None, ()),
        (("intact", False), ("moved", False), ChangeKind.OTHER, ("outcome intact", "outcome moved")),
        (
            ("stuck", True), ("paused-on-both", True), ChangeKind.CHANGED_REASON,
            (
                "check steady: the guest is stuck; outcome stuck",
                "check steady: the guest is paused-on-both; outcome paused-on-both",
            ),
        ),
        (("intact", False), ("stuck", True), ChangeKind.NEWLY_FAILING, ("", "check steady: the guest is stuck")),
    ],
)
def test_another_outcome_is_a_change(
    tmp_path: Path, before: Fate, after: Fate, kind: ChangeKind | None, reasons: tuple[str, ...]
) -> None:
    changes = compared(recovered(tmp_path / "run", *after), recovered(tmp_path / "base", *before)).changes
    assert [change.kind for change in changes] == ([kind] if kind else [])
    assert [(change.reason_before, change.reason_after) for change in changes] == ([reasons] if kind else [])
