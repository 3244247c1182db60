# SPDX-License-Identifier: GPL-3.0-or-later
"""The runner with a suite that it does not know: other checks, ids of four parts, and a daemon that dies on purpose."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from fake_cell import A, B, FakeCell, FakeClientAgent, fake_cell
from migration_lab.judging.check import FAIL, PASS, Check, Judgement
from migration_lab.judging.observation import Observation
from migration_lab.model.case import Case
from migration_lab.model.verdict import Verdict
from migration_lab.suites.attempt import Attempt
from migration_lab.suites.suite import Rules

CHECKS = ("called", "daemon-killed", "clean")


@dataclass(frozen=True)
class FaultCase(Case):
    """A migration with a fault in it."""

    fault: str = "none"

    @property
    def axes(self) -> dict[str, str]:
        return {**super().axes, "fault": self.fault}


class FaultRules(Rules):
    """Three checks; the fault ``kill-target`` must kill the target's daemon."""

    def compare(self, case: Case, seen: Observation) -> Judgement:
        expected = len(self.expected_deaths(case))
        passed = {
            "called": seen.migrated is not None, "daemon-killed": len(seen.expected_deaths) == expected,
            "clean": not seen.daemon_deaths,
        }
        checks = [Check(name, PASS if passed[name] else FAIL, "yes", "yes" if passed[name] else "no") for name in CHECKS]
        good = all(passed.values())
        return Judgement(checks, [], Verdict.PASS if good else Verdict.FAIL, "" if good else "a check failed")

    def expected_deaths(self, case: Case) -> frozenset[str]:
        return frozenset({"target"} if isinstance(case, FaultCase) and case.fault == "kill-target" else ())


def fault(number: int, case: Case, name: str) -> FaultCase:
    return FaultCase(number, case.method, case.scenario, case.flags, name)


FIRST, KILLS, LAST = fault(1, A, "none"), fault(1000, A, "kill-target"), fault(1001, B, "none")


@pytest.fixture
def cell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeCell]:
    with fake_cell(tmp_path, monkeypatch) as cell:
        cell.rules = FaultRules(cell.rules.libvirt, cell.rules.qemu, cell.rules.shown)
        yield cell


def test_ids_and_checks_are_the_suites_own(cell: FakeCell) -> None:
    assert cell.run([FIRST, LAST], workers=2, together=2) is True
    assert set(cell.record.cases) == {f"{A.id}/none", f"{B.id}/none"}
    for result in cell.record.attempts:
        assert [check.name for check in result.checks] == list(CHECKS) and result.verdict is Verdict.PASS


def test_death_on_purpose_is_restarted_and_blamed_on_nobody(cell: FakeCell) -> None:
    cell.behave(KILLS, cell.kill_target)
    assert cell.run([KILLS, FIRST, LAST], workers=2, together=2) is True
    assert cell.runner.started[-1] == KILLS.id and cell.runner.seen_beside[KILLS.id, 1] == set(), "alone, after the others"
    assert {result.verdict for result in cell.record.attempts} == {Verdict.PASS}
    assert cell.record.events == [] and cell.record.unexplained_deaths == []
    assert cell.target.alive and (cell.source.restarts, cell.target.restarts) == (0, 1)


def test_death_on_purpose_behind_a_migration_that_went_well_counts(cell: FakeCell) -> None:
    def die_after(attempt: Attempt) -> None:
        cell.target.alive = False

    cell.behave(KILLS, die_after)
    cell.run([KILLS])
    assert cell.record.cases[KILLS.id].verdict is Verdict.PASS and cell.target.restarts == 1
    assert FakeClientAgent.made[-1].drops >= 1, "its agent was connected to the daemon that died"


@pytest.mark.parametrize("died", [False, True], ids=["none died", "the other one died"])
def test_death_that_does_not_come_or_is_another_ones_fails(cell: FakeCell, died: bool) -> None:
    cell.behave(KILLS, cell.kill_source if died else None)
    cell.run([KILLS])
    failed = [check.name for check in cell.record.cases[KILLS.id].checks if check.result == FAIL]
    assert failed == (["daemon-killed", "clean"] if died else ["daemon-killed"])
    assert cell.source.alive and cell.source.restarts == int(died)
