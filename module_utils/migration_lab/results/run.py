# SPDX-License-Identifier: GPL-3.0-or-later
"""The result of a run: reads run.json and the journals, counts, and tells whether the run is green or what keeps it from it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Mapping, Optional

from ..journal.case_result import CaseResult
from ..journal.files import RUN_FILE, journal_path, journal_paths, not_obtained_paths
from ..journal.journal import Record, check_combination, read_journals
from ..journal.run_file import read_object, read_run_file
from ..judging.check import FAIL, PASS
from ..model.combination import check_combinations, classes, number, shown_order
from ..model.pair import classes_of
from ..model.verdict import RED_VERDICTS, Verdict
from ..suites.migration.checks import CANONICAL_CHECKS
from .failure import Failure, Kind
from .wording import count, one_line, timestamp


@dataclass(frozen=True)
class CombinationResult:
    """One combination of a run."""

    name: str
    selected: tuple[str, ...]  # case ids in the profile's order; empty when neither run.json nor a journal has them
    checks: tuple[str, ...]  # names of the checks that every case of the suite has
    record: Optional[Record]  # None when the combination was not obtained
    reason: str  # why results are missing, where some are

    @property
    def journals(self) -> list[str]:
        """Its journals, one for each cell that worked on it, relative to the run's folder."""
        return [f"{self.name}/{path.name}" for path in journal_paths(self.record.path)] if self.record else []

    @property
    def obtained(self) -> bool:
        """Whether there is a journal to judge by; the cases in it may still be incomplete."""
        return self.record is not None

    @cached_property
    def results(self) -> dict[str, CaseResult]:
        """The final results by case id, in the profile's order."""
        cases = self.record.cases if self.record else {}
        return {case: cases[case] for case in self.selected if case in cases}

    @cached_property
    def missing(self) -> list[str]:
        """Selected cases without a final result."""
        results = self.results
        return [case for case in self.selected if case not in results]

    @property
    def versions(self) -> dict[str, dict[str, str]]:
        """What the machines reported, by role."""
        return self.record.headers[0]["versions"] if self.record else {}

    @property
    def counts(self) -> dict[str, int]:
        """Selected cases by verdict, and those without a final result; the sum is the number of selected cases."""
        found = Counter(line.verdict for line in self.results.values())
        found[Verdict.NOT_OBTAINED] = len(self.missing)
        return {verdict.key: found[verdict] for verdict in Verdict}

    @property
    def checks_total(self) -> int:
        return len(self.checks) * len(self.selected)

    @property
    def checks_judged(self) -> int:
        """Checks of the suite that passed or failed; those that were not run are not among them."""
        return sum(check.result in (PASS, FAIL) for line in self.results.values() for check in line.checks)

    @property
    def seconds(self) -> Optional[float]:
        """Seconds spent running, pauses before a resume left out; None when not obtained."""
        return self.record.seconds if self.record else None

    @property
    def finished(self) -> Optional[float]:
        """Time of the journal's last line, seconds since 1970; None when not obtained."""
        return self.record.last if self.record else None

    @cached_property
    def failures(self) -> list[Failure]:
        """Everything that keeps the combination from being green."""
        if self.record is None:
            return [Failure(Kind.COMBINATION_NOT_OBTAINED, self.name, self.reason)]
        journal = next(iter(self.journals), "")
        found = [
            Failure(
                Kind.CASE, self.name, line.reason, case, line.verdict.value, line.failed,
                migration=line.migration, rule=one_line(line.judged_by), note=line.note, protocol=line.protocol,
                steps=list(line.steps), logs=[f"{self.name}/{log}" for log in line.logs],
                journal=str(journal_path(Path(self.name), line.cell)),
            )
            for case, line in self.results.items()
            if line.verdict in RED_VERDICTS
        ]
        if self.missing:
            found.append(Failure(Kind.CASES_NOT_OBTAINED, self.name, self.reason, cases=self.missing, journal=journal))
        found += [
            Failure(
                Kind.DAEMON_DEATH, self.name, f"{death.detail}; in flight were {', '.join(death.in_flight) or 'no cases'}",
                cases=list(death.in_flight), logs=[f"{self.name}/{log}" for log in death.logs], journal=journal,
            )
            for death in self.record.unexplained_deaths
        ]
        return found

    @property
    def green(self) -> bool:
        return not self.failures

    @property
    def notes(self) -> dict[str, str]:
        """Remarks on cases' attempts, by case id: one failed concurrently with others, and what its rerun alone showed."""
        return {case: line.note for case, line in self.results.items() if line.note}

    def to_data(self) -> dict[str, Any]:
        """The combination as run.json and the module's result have it."""
        return {
            "number": number(self.name),
            "classes": classes(self.name),
            "versions": self.versions,
            "green": self.green,
            "obtained": self.obtained,
            "reason": self.reason,
            "cases": {"selected": len(self.selected), "done": len(self.results)},
            "checks": {"total": self.checks_total, "judged": self.checks_judged},
            "counts": self.counts,
            "seconds": self.seconds,
        }


@dataclass(frozen=True)
class Run:
    """A run: what run.json says of its start, and its combinations in the order in which they are shown."""

    folder: Path
    data: dict[str, Any]
    combinations: tuple[CombinationResult, ...]
    axes: dict[str, tuple[str, ...]]  # by case id: guest (of several), method, scenario, flags and what else the suite varies

    @cached_property
    def failures(self) -> list[Failure]:
        return [failure for combination in self.combinations for failure in combination.failures]

    @property
    def guests(self) -> list[str]:
        """Names of the run's guests."""
        return str(self.data["guest"]).split(",")

    @property
    def green(self) -> bool:
        """Every combination obtained, every selected case with a final result, none of them red, no unexplained death."""
        return not self.failures

    @property
    def counts(self) -> dict[str, int]:
        """Cases by verdict over all combinations, and those not obtained."""
        total: Counter[str] = Counter()
        for combination in self.combinations:
            total.update(combination.counts)
        return dict(total)

    @property
    def finished(self) -> Optional[str]:
        """Time of the last line of all journals, ISO 8601 in UTC; None when there is no journal."""
        times = [combination.finished for combination in self.combinations if combination.finished is not None]
        return f"{timestamp(max(times))}Z" if times else None

    @property
    def class_versions(self) -> dict[str, list[str]]:
        """The versions of libvirt that machines of each class reported: one for each class, when all is well."""
        found: dict[str, set[str]] = {kind: set() for kind in classes_of(self.data["pair"])}
        for combination in self.combinations:
            for role, kind in classes(combination.name).items():
                if role in combination.versions:
                    found[kind].add(combination.versions[role]["libvirt"])
        return {kind: sorted(versions) for kind, versions in found.items()}

    @property
    def notices(self) -> dict[str, str]:
        """What everyone who reads a result must know of its machines, by topic: ``emulated`` and ``untried``."""
        found, pair = {}, self.data["pair"]
        if pair.get("ceiling"):
            found["emulated"] = f"old is emulated: {pair['old']} presented as libvirt {pair['ceiling']}"
        if self.data.get("untried"):
            found["untried"] = f"nobody has run it before: {', '.join(self.data['untried'])}"
        return found

    @property
    def summary(self) -> str:
        """The result in a line."""
        return "; ".join([self.sums, *self.notices.values()])

    @property
    def sums(self) -> str:
        """The summary without the notices."""
        asked = len(self.combinations)
        obtained = sum(combination.obtained for combination in self.combinations)
        selected = sum(len(combination.selected) for combination in self.combinations)
        done = sum(len(combination.results) for combination in self.combinations)
        total = sum(combination.checks_total for combination in self.combinations)
        judged = sum(combination.checks_judged for combination in self.combinations)
        counts = self.counts
        combinations = count(asked, "combination")
        if obtained < asked:
            combinations = f"{obtained} of {combinations}"
        sums = f"{combinations}, {done} of {count(selected, 'case')}, {judged} of {count(total, 'check')}"
        if counts[Verdict.KNOWN.value]:
            sums += f", {counts[Verdict.KNOWN.value]} known"
        if self.green:
            return f"green: {sums}"
        red = [f"{counts[verdict.value]} {verdict.value}" for verdict in RED_VERDICTS if counts[verdict.value]]
        if counts[Verdict.NOT_OBTAINED.key]:
            red.append(f"{count(counts[Verdict.NOT_OBTAINED.key], 'case')} not obtained")
        deaths = sum(failure.kind is Kind.DAEMON_DEATH for failure in self.failures)
        if deaths:
            red.append(f"{count(deaths, 'daemon death')} unexplained")
        return f"NOT green: {sums}" + (f"; {', '.join(red)}" if red else "")


def read_run(folder: Path) -> Run:
    """Read the run of a results folder.

    :param folder: ``results/<run>/``, with run.json and a folder for each combination.
    :raises LabError: when run.json is missing or broken, or a journal is broken or another combination's.
    """
    data = read_run_file(folder / RUN_FILE)
    names = sorted(check_combinations(data["combinations"], classes_of(data["pair"])), key=shown_order)
    records = {name: _read_record(folder, name) for name in names}
    structure = _structure(data, records)
    return Run(folder, data, tuple(
        CombinationResult(name, structure.selected[name], structure.checks, record, _reason(folder, name, record, structure))
        for name, record in records.items()
    ), structure.axes)


@dataclass(frozen=True)
class _Structure:
    """The cases of a run: by combination those selected, by case its axes, and the checks of each."""

    selected: dict[str, tuple[str, ...]]
    axes: dict[str, tuple[str, ...]]
    checks: tuple[str, ...]


def _structure(data: dict[str, Any], records: Mapping[str, Optional[Record]]) -> _Structure:
    """The structure that run.json has; that of a run before it had any is in the journals and in the ids.

    All combinations had the same cases then, with ids of method, scenario and flags, and ten checks each.
    """
    if "axes" in data:
        return _Structure(
            {name: tuple(cases) for name, cases in data["selected"].items()},
            {case: tuple(axes) for case, axes in data["axes"].items()},
            tuple(data["suite"]["checks"]),
        )
    selected = {name: record.selected for name, record in records.items() if record}
    others = max(selected.values(), key=len, default=())
    return _Structure(
        {name: selected.get(name, others) for name in records},
        {case: tuple(case.split("/")) for cases in selected.values() for case in cases},
        CANONICAL_CHECKS,
    )


def _read_record(folder: Path, name: str) -> Optional[Record]:
    """The combination's record; None when there is none, or it was interrupted before a header was whole."""
    record = read_journals(folder / name)
    if not record.selected:
        return None
    check_combination(record, name)
    return record


def _reason(folder: Path, name: str, record: Optional[Record], structure: _Structure) -> str:
    """Why results of the combination are missing; empty when none is."""
    if record and all(case in record.cases for case in structure.selected[name]):
        return ""
    notes = {note: read_object(note, "give it back the rights it had") for note in not_obtained_paths(folder / name)}
    if notes:
        reasons = dict.fromkeys(one_line(data.get("reason") or f"{note} gives no reason") for note, data in notes.items())
        return "; ".join(reasons)
    if record:
        return "the run was interrupted before their final result; -e resume=true runs the rest"
    if journal_paths(folder / name):
        return f"no journal in {name} has a header that selects a case: the run was interrupted at its start"
    return f"there is no journal in {name}: the combination was not run"
