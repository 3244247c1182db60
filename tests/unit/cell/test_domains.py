# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's domains: when what two daemons show counts as their state."""

from __future__ import annotations

from typing import Any, cast

import pytest

from migration_lab.cell.agent_process import AgentProcess
from migration_lab.cell.domains import Domains
from migration_lab.judging.observation import Sight

ABSENT: dict[str, Any] = {"exists": False, "active": False, "persistent": False, "state": ""}
PAUSED: dict[str, Any] = {"exists": True, "active": True, "persistent": True, "state": "paused"}
ENDING: dict[str, Any] = {**PAUSED, "state": "in shutdown"}
INACTIVE: dict[str, Any] = {**PAUSED, "active": False, "state": "shutoff"}


class Target:
    """An agent whose target shows one sight after another, the last one for good; the source has nothing."""

    def __init__(self, *sights: dict[str, Any]) -> None:
        self._sights = list(sights)

    def call(self, call: str, limit: float, connection: str, name: str) -> dict[str, Any]:
        assert call == "look"
        if connection == "source":
            return ABSENT
        return self._sights.pop(0) if len(self._sights) > 1 else self._sights[0]


class Clock:
    """A time that passes only by sleeping."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("migration_lab.cell.domains.time", clock)
    return clock


def settled(target: Target, restarted: bool) -> tuple[Sight, ...]:
    return Domains("mlab-", "run", "noo").look_settled(cast(AgentProcess, target), "mlab-noo-001", 5, restarted)


def test_daemon_that_was_not_restarted_is_looked_at_once(clock: Clock) -> None:
    assert settled(Target(PAUSED, INACTIVE), restarted=False) == (Sight(**ABSENT), Sight(**PAUSED))
    assert clock.now == 0.0


@pytest.mark.parametrize("restarted", [False, True])
def test_domain_in_shutdown_is_waited_for(restarted: bool) -> None:
    assert settled(Target(ENDING, ENDING, INACTIVE), restarted)[1] == Sight(**INACTIVE)


def test_restarted_daemon_is_looked_at_until_it_shows_the_same_for_a_while(clock: Clock) -> None:
    """It shows what it finds in its state files before it ends a guest that was on its way in."""
    assert settled(Target(*[PAUSED] * 5, ENDING, INACTIVE), restarted=True)[1] == Sight(**INACTIVE)
    assert 1.5 < clock.now < 2.0


def test_guest_that_stays_after_a_restart_is_reported_as_it_is(clock: Clock) -> None:
    assert settled(Target(PAUSED), restarted=True)[1] == Sight(**PAUSED)
    assert 1.0 <= clock.now < 1.2


def test_domain_that_never_settles_is_reported_as_it_is_at_the_limit(clock: Clock) -> None:
    assert settled(Target(ENDING), restarted=False)[1] == Sight(**ENDING)
    assert 10.0 <= clock.now < 10.2
