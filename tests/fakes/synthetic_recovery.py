# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes results folders of recovery runs as the lab leaves them: the suite's own cases, made-up outcomes, real journals."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable, Iterable, Mapping, Optional

import yaml

from migration_lab.journal.case_result import CaseResult
from migration_lab.journal.journal import Journal
from migration_lab.judging.check import FAIL, PASS, Check
from migration_lab.judging.observation import Copy, Sight
from migration_lab.model.combination import classes
from migration_lab.model.verdict import Verdict
from migration_lab.suites.recovery.case import RecoveryCase, choose
from migration_lab.suites.recovery.checks import CHECKS, FURTHER_CHECKS
from migration_lab.suites.recovery.observation import RecoveryObservation, StrikeNote, Told
from synthetic_run import ROOT, SyntheticRun

PROMISES = [{
    "id": "perform-fails", "when": {"stage": [1]}, "outcomes": ["intact", "moved"], "says": "The source resumes <the> guest.",
    "source": "docs/migration.rst",
}]

# What becomes of a case: its outcome, or a word in its place, and whether it is red.
Fate = tuple[str, bool]


def fate(case: RecoveryCase) -> Fate:
    """Late faults of the target's side are bad, others are not; one of each kind that there is."""
    name, stage = case.fault.name, case.point.stage
    if case.fault.group == "target-world" and stage > 1:
        return "error", True
    if case.fault.kills:
        return "killed", False
    if stage == 3:
        return ("running-twice", True) if name in ("connection-closed", "reply-replaced") else ("moved", False)
    if stage == 4:
        return "paused-on-source", name == "silent"
    if stage == 2:
        return ("lost", True) if name == "source-daemon-killed" else ("intact", False)
    if stage == 5:
        return "moved-source-left" if case.fault.group == "daemon" else "moved", False
    stuck = name == "source-daemon-frozen" and case.scenario.persistent
    return "stuck" if stuck else "intact", stuck


class SyntheticRecovery(SyntheticRun):
    """A results folder of a recovery run. The combination ``ooo`` speaks v2, all others v3."""

    def __init__(
        self, folder: Path, combinations: Iterable[str] = ("nnn",), selection: str = "smoke", repeat: int = 1,
        keep: Callable[[RecoveryCase], bool] = lambda case: True, **facts: Any,
    ) -> None:
        """:param keep: which of the selection's cases are in the run, all of them unless said otherwise."""
        combinations = list(combinations)
        canonical = yaml.safe_load((ROOT / "scenarios/profiles/canonical.yml").read_text())
        faults = [
            {**entry, "group": path.stem}
            for path in sorted((ROOT / "scenarios/faults").glob("*.yml")) for entry in yaml.safe_load(path.read_text())
        ]
        protocols = {name: {method: _protocol(name) for method in canonical["methods"]} for name in combinations}
        profile = {
            **canonical, "name": "recovery", "suite": "recovery", "selection": selection, "repeat": repeat, "faults": faults,
            "promises": PROMISES, "protocols": protocols, "aftermath": "again",
        }
        self.chosen = {name: [case for case in choose(profile, protocols[name]) if keep(case)] for name in combinations}
        every = {case.id: case for cases in self.chosen.values() for case in cases}
        data = {
            "profile": "recovery", "suite": {"name": "recovery", "checks": list(CHECKS)},
            "profile_data": {**profile, **facts.pop("profile_data", {})},
            "axes": {case.id: list(case.axes.values()) for case in every.values()},
            "selected": {name: [case.id for case in cases] for name, cases in self.chosen.items()},
        }
        super().__init__(folder, combinations, every.values(), **{**data, **facts})

    def carry_out(
        self, combination: str, fates: Callable[[RecoveryCase], Fate] = fate, details: Optional[Mapping[str, Any]] = None,
        leave_out: Iterable[str] = (),
    ) -> None:
        """Journal the cases of a combination.

        :param details: facts in place of the usual ones.
        :param leave_out: ids of cases that have no result.
        """
        journal = Journal(self.journal_path(combination))
        chosen = self.chosen[combination]
        journal.append("header", **{**self.header(combination), "selected": [case.id for case in chosen]})
        left_out = set(leave_out)
        for case in chosen:
            if case.id not in left_out:
                journal.add(recovery_result(case, *fates(case), details or {}))
        journal.append("event", event="end", complete=True, seconds=40.1)
        journal.close()


def _protocol(combination: str) -> str:
    return "v2" if set(classes(combination).values()) == {"old"} else "v3"


def recovery_result(case: RecoveryCase, word: str, red: bool, details: Mapping[str, Any]) -> CaseResult:
    """The line of a case with that outcome; the word ``error`` is a fault of the lab."""
    error = word == "error"
    verdict = Verdict.ERROR if error else Verdict.FAIL if red else Verdict.PASS
    bad = {"running-twice": "single-copy", "lost": "guest-kept"}.get(word, "steady") if red and not error else ""
    checks = [
        Check(name, FAIL if name == bad else PASS, "as promised", f"the guest is {word}" if name == bad else "as promised")
        for name in (*CHECKS, *FURTHER_CHECKS)
    ]
    reason = f"{bad}: the guest is {word}" if bad else "the point never came" if error else ""
    counter, seconds = 1000 + case.number, 0.25 + case.number % 7
    struck = [StrikeNote(strike.do, strike.on, True, "process 412 ended", 0.012) for strike in case.fault.strikes]
    seen = RecoveryObservation(
        struck=None if error else struck,
        told=Told("error", 38, 7, "Unable to read from monitor: <Connection> reset by 'peer'", 0.731),
        copies=tuple(Copy(side, counter, 90) for side in _sides(word)), pattern=True,
        twice_seconds=1.25 if word == "running-twice" else 0.0, killed=frozenset(case.fault.kills),
        source_after=Sight(True, True, case.scenario.persistent, "running"), target_after=Sight(False), source_config="guest",
        target_config="absent", steady_seconds=None if word == "stuck" else seconds,
        stuck=["the job on the source does not end"] if word == "stuck" else [], healed=["the source's daemon is started again"],
        again="" if not red else "check migrated: error 55", reaction="", reaction_left={},
    )
    steps = tuple(
        {"link": "client-source", "procedure": name, "started": 1764000000.1 + number / 10, "seconds": 0.05, "result": "ok"}
        for number, name in enumerate(("begin3", "prepare3", "perform3", "finish3", "confirm3"))
    )
    migration = {
        "call": "virDomainMigrateToURI", "uri": "qemu+tcp://10.0.0.3/system", "flags": list(case.migrate_flags),
        "bits": case.migrate_bits, "seconds": 0.731, "error": "error 38",
    }
    return CaseResult(
        case.number, case.id, verdict, tuple(checks[: len(CHECKS)]), tuple(checks[len(CHECKS):]), reason,
        f"check {reason}" if bad else "", migration=migration, protocol="v3", steps=steps, seconds=2.5, call_seconds=2.4,
        lab_error="the point never came" if error else "", logs=(f"logs/{case.number}-source.log",) if red else (),
        suite="recovery",
        details={
            **seen.details(), "outcome": "not-obtained" if error else word,
            "promise": "perform-fails" if case.point.stage == 1 else "",
            "stage": case.point.stage, **details,
        },
    )


def _sides(word: str) -> tuple[str, ...]:
    if word in ("lost", "killed", "error"):
        return ()
    if word in ("running-twice", "moved-source-left"):
        return ("source", "target")
    return ("target",) if word in ("moved", "paused-on-target") else ("source",)
