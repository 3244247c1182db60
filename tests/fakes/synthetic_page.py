# SPDX-License-Identifier: GPL-3.0-or-later
"""A run with every kind of verdict, a comparison and a history, to make pages from."""

from __future__ import annotations

import time
from pathlib import Path

from migration_lab.history.entry import CombinationRecord, RunRecord
from migration_lab.history.view import HistoryView, Past
from migration_lab.model.combination import COMBINATIONS
from migration_lab.results.comparison import Change, ChangeKind, Comparison
from synthetic_run import CASES, DEVIATION, LEDGER, STEPS, Spoil, SyntheticRun, lab_error, left_over, refused, wrong_state

# What a page must show as it is, and what it must not take for HTML.
ERROR = "internal error: no <domain> & no 'x'\nsecond line (code 1, domain 10)"
LOG = "ooo/logs/002-normal-source.log"
FAILED, KNOWN, FIXED, LAB, LEFT_OVER = CASES[1].id, CASES[48].id, CASES[49].id, CASES[90].id, CASES[95].id


def every_verdict(folder: Path) -> SyntheticRun:
    """In ooo fail, known, fixed, error and skip; noo not obtained; a death in oon; nno fails thrice, onn once; nnn cut off."""
    lab = SyntheticRun(folder, deviations=LEDGER, started=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))
    wrong: dict[str, Spoil] = {CASES[number].id: wrong_state for number in (40, 41, 44)}
    paused = [case.id for case in CASES[48:64]]
    spoilt: dict[str, dict[str, Spoil]] = {
        "ooo": {
            **{case: wrong_state for case in paused if case != FIXED}, FAILED: refused(ERROR), LAB: lab_error("the agent hung"),
        },
        "nno": wrong,
        "onn": {LEFT_OVER: left_over},
    }
    for combination in COMBINATIONS:
        if combination == "noo":
            lab.not_obtained(combination, "the mirror cannot be reached")
            continue
        journal = lab.start(combination)
        for case in CASES[:61] if combination == "nnn" else CASES:
            lab.record(
                journal, case, spoilt.get(combination, {}).get(case.id), steps=tuple(STEPS), protocol="v2",
                deviation=DEVIATION if combination == "ooo" and case.id in paused else None,
                note="failed beside 3 others; alone: fail" if (combination, case.id) == ("ooo", FAILED) else "",
            )
        if combination == "oon":
            lab.die(journal)
        journal.close()
    path = lab.journal_path("ooo")
    path.write_text(path.read_text().replace('"verdict":"pass"', '"verdict":"skip"', 1))
    log = folder / LOG
    log.parent.mkdir()
    log.write_text("".join(f"{number}: error : qemuMigrationSrcRun : no <domain> \"x\"\n" for number in range(100)))
    return lab


COMPARISON = Comparison("20261124T010000Z", ["source of noo: libvirt 9.0.0-4 -> 9.0.0-5"], [
    Change(
        ChangeKind.NEWLY_FAILING, "ooo", FAILED, "pass", "fail", "", "check migrated: expected success, got no <domain>",
    ),
    Change(ChangeKind.NEWLY_FAILING, "noo", "", "pass", "not obtained", "", "the mirror cannot be reached"),
    Change(
        ChangeKind.NEWLY_PASSING, "ono", CASES[3].id, "fail", "pass", "check target-state: expected running, got paused", "",
    ),
], only_in_base=0, only_here=3)


def history(number: int) -> HistoryView:
    """So many earlier nights: a case of nno fails in every third, everything else passes in all; noo is missing in the first."""

    def counts(night: int) -> dict[str, dict[str, int]]:
        failed = {"nno": int(night % 3 == 0)}
        return {
            name: {"pass": 96 - failed.get(name, 0), "fail": failed.get(name, 0), "not_obtained": 0}
            for name in COMBINATIONS if night > 1 or name != "noo"
        }

    runs = [
        RunRecord(
            f"202611{night:02}T010000Z", f"2026-11-{night:02}T01:00:00Z", night % 3 > 0, "", "", "", "", None,
            {name: CombinationRecord(not counted["fail"], counted, {}, "", {}) for name, counted in counts(night).items()},
        )
        for night in range(1, number + 1)
    ]
    return HistoryView(runs, {
        (combination, case.id): [
            Past(run.name, run.started, "fail" if flaky and not run.green else "pass", changed=flaky and not run.green)
            for run in runs
        ]
        for combination in COMBINATIONS
        for case in CASES
        for flaky in [(combination, case.id) == ("nno", CASES[40].id)]
    })
