# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes results folders as the lab leaves them: synthetic observations, the real judge, the real journal."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, Callable, Iterable, Mapping, Optional

from migration_lab.journal.case_result import HELD_DEATH, CaseResult
from migration_lab.journal.journal import SCHEMA, Journal
from migration_lab.judging.deviation import Deviation, apply
from migration_lab.judging.observation import Observation, Outcome, Sight
from migration_lab.model.case import Case, State
from migration_lab.model.combination import RUNNING_ORDER, classes
from migration_lab.model.profile import Profile
from migration_lab.model.verdict import Verdict
from migration_lab.planning.schema import read_yaml
from migration_lab.suites.migration.checks import judge
from migration_lab.suites.migration.expectation import expect

ROOT = Path(__file__).parents[2]
PROFILE = Profile.from_data(read_yaml(ROOT / "scenarios/profiles/canonical.yml"))
CASES = PROFILE.cases()
BY_ID = {case.id: case for case in CASES}

PAIR = {"name": "debian", "old": "bookworm", "new": "trixie", "boundary": "10.0.0"}
LIBVIRT = {"old": "9.0.0", "new": "11.3.0", "a": "7.0.0", "b": "9.0.0", "c": "11.3.0"}
HYPERVISOR = {"old": "7.2.22", "new": "10.0.6", "a": "5.2.0", "b": "7.2.22", "c": "10.0.6"}
SWEEP = {"name": "sweep", "releases": ["debian-11", "debian-12", "debian-13"]}

# The first entry of the ledger, which explains a paused guest that arrives running.
LEDGER = read_yaml(ROOT / "scenarios/deviations.yml")
DEVIATION = Deviation.from_data(LEDGER[0])
EMULATED = {"name": "emulated-v2", "old": "debian-12", "new": "debian-12", "boundary": "0.9.2", "ceiling": "0.9.1"}
STEPS = [
    {"link": "client-target", "procedure": "prepare2", "started": 1764000000.1, "seconds": 0.2104, "result": "ok"},
    {"link": "client-source", "procedure": "perform", "started": 1764000000.4, "seconds": None, "result": "no reply"},
]

Spoil = Callable[[Case, Observation], None]


def as_expected(case: Case) -> Observation:
    """What is seen of a case in which libvirt does as documented."""
    expected = expect(case)
    scenario, yes = case.scenario, Outcome(True)
    return Observation(
        source_defined=yes if scenario.persistent else None,
        source_started=yes,
        source_state=scenario.state.value,
        target_defined=yes if scenario.target_config else None,
        migrated=yes,
        source_after=Sight(True, False, True, "shutoff") if expected.source_config_kept else Sight(False),
        target_after=Sight(True, True, expected.target_persistent, expected.target_state.value),
        leftovers=[],
    )


def wrong_state(case: Case, seen: Observation) -> None:
    """The guest arrives in the other state: check 10 fails."""
    assert seen.target_after
    other = State.RUNNING if seen.target_after.state == "paused" else State.PAUSED
    seen.target_after = Sight(True, True, seen.target_after.persistent, other.value)


def refused(error: str) -> Spoil:
    """The migration is refused and the guest stays as it was: check 4 fails, 5 to 10 judge what is there."""

    def spoil(case: Case, seen: Observation) -> None:
        seen.migrated = Outcome(False, error)
        seen.source_after = Sight(True, True, case.scenario.persistent, case.scenario.state.value)
        seen.target_after = Sight(True, False, True, "shutoff") if case.scenario.target_config else Sight(False)

    return spoil


def lab_error(error: str) -> Spoil:
    """The lab fails before the migration: checks 1 to 3 are judged, the others are not obtained."""

    def spoil(case: Case, seen: Observation) -> None:
        seen.migrated = seen.source_after = seen.target_after = seen.leftovers = None
        seen.lab_error = error

    return spoil


def left_over(case: Case, seen: Observation) -> None:
    """All ten checks pass, and a domain cannot be removed afterwards."""
    seen.leftovers = ["lab-guest on the target: transient, running"]


class SyntheticRun:
    """A results folder."""

    def __init__(
        self, folder: Path, combinations: Iterable[str] = RUNNING_ORDER, cases: Iterable[Case] = CASES, **facts: Any
    ) -> None:
        """:param facts: further fields of run.json, or others in place of the usual ones."""
        self.folder = folder
        self.cases = list(cases)
        self.data: dict[str, Any] = {
            "schema": SCHEMA, "run": folder.name, "started": "2025-11-24T10:12:30Z", "user": "root", "host": "lab-host",
            "revision": "0123abc", "pair": PAIR, "profile": "canonical", "guest": "x86_64",
            "combinations": list(combinations), "cases": ["*"], **facts,
        }
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "run.json").write_text(json.dumps(self.data))

    def journal_path(self, combination: str) -> Path:
        return self.folder / combination / "journal.jsonl"

    def start(self, combination: str, /, **changes: Any) -> Journal:
        """Open the combination's journal and write its header."""
        journal = Journal(self.journal_path(combination))
        journal.append("header", **{**self.header(combination), **changes})
        return journal

    def header(self, combination: str) -> dict[str, Any]:
        """The header of a journal of the combination."""
        ages = classes(combination)
        versions: dict[str, dict[str, str]] = {"client": {"libvirt": LIBVIRT[ages["client"]], "python": "3.13.5"}}
        for role in ("source", "target"):
            age = ages[role]
            versions[role] = {"libvirt": LIBVIRT[age], "hypervisor": HYPERVISOR[age], "hostname": f"a-{role}"}
        return {
            "schema": SCHEMA, "run": self.folder.name, "combination": combination, "pair": self.data["pair"],
            "versions": versions, "profile": {"name": "canonical", "cases": len(CASES)},
            "selected": [case.id for case in self.cases],
            "guests": {"x86_64": {"accel": "tcg", "machine": "pc-i440fx-7.2"}}, "workers": 4,
        }

    def record(
        self, journal: Journal, case: Case, spoil: Optional[Spoil] = None, final: bool = True, attempt: int = 1,
        deviation: Optional[Deviation] = None, **fields: Any,
    ) -> None:
        """Judge a case as expected, or spoilt, in the light of the deviation, and append it.

        :param fields: of the result, such as ``note`` and ``steps``.
        """
        seen = as_expected(case)
        if spoil:
            spoil(case, seen)
        judgement = apply(judge(case, seen), deviation)
        migration = None
        if seen.migrated:
            migration = {
                "call": "virDomainMigrateToURI", "uri": "qemu+tcp://10.0.0.3/system", "flags": list(case.migrate_flags),
                "bits": 2, "seconds": 0.51, "error": seen.migrated.error,
            }
        logs = () if judgement.verdict is Verdict.PASS else (f"logs/{case.number:03d}-{case.method.value}-source.log",)
        journal.add(replace(CaseResult(
            case.number, case.id, judgement.verdict, tuple(judgement.checks), tuple(judgement.further), judgement.reason,
            judgement.rule, judgement.deviation, final, "" if final else HELD_DEATH, attempt, migration=migration,
            lab_error=seen.lab_error, seconds=1.2, call_seconds=1.15, logs=logs,
        ), **fields))

    def complete(
        self, combination: str, spoilt: Optional[Mapping[str, Spoil]] = None, order: Optional[Iterable[Case]] = None,
        expected: Iterable[str] = (), **fields: Any,
    ) -> None:
        """Journal all cases of a combination, in the given order, those named in ``spoilt`` gone wrong.

        :param expected: the cases of which ``DEVIATION`` is expected.
        :param fields: of the results of the spoilt cases.
        """
        expected = set(expected)
        journal = self.start(combination)
        spoilt = spoilt or {}
        assert set(spoilt) <= {case.id for case in self.cases}
        for case in order or self.cases:
            more = fields if case.id in spoilt else {}
            self.record(journal, case, spoilt.get(case.id), deviation=DEVIATION if case.id in expected else None, **more)
        journal.append("event", event="end", complete=True, seconds=40.1)
        journal.close()

    def die(self, journal: Journal, culprits: Iterable[str] = ()) -> None:
        """Append a daemon's death with one case in flight."""
        journal.append(
            "event", event="daemon-death", machine="target", detail="the daemon on the target (process 7) died",
            in_flight=[self.cases[0].id], culprits=list(culprits), logs=["logs/death-source.log"],
        )

    def not_obtained(self, combination: str, reason: str) -> None:
        """Leave the note that the combination could not be provisioned."""
        (self.folder / combination).mkdir(exist_ok=True)
        (self.folder / combination / "not-obtained.json").write_text(json.dumps({"reason": reason}))
