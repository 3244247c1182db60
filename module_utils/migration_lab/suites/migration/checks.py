# SPDX-License-Identifier: GPL-3.0-or-later
"""The judge: compares what was observed of a case with what the oracle expects, check by check. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Callable, Optional, Sequence

from ...judging.check import FAIL, NOT_RUN, PASS, Check, Judgement
from ...judging.deviation import DAEMONS_ALIVE
from ...judging.observation import Observation, Outcome, Sight, Survival
from ...model.case import Case, State
from ...model.verdict import Verdict
from .expectation import expect

# The ten checks of libvirt-tck, in its order; their position is their number.
CANONICAL_CHECKS = (
    "source-defined",
    "source-state",
    "target-defined",
    "migrated",
    "source-inactive",
    "source-config",
    "target-exists",
    "target-active",
    "target-persistent",
    "target-state",
)

# What the lab checks beyond them; they come after the ten, those that a case has something to say on.
FURTHER_CHECKS = (
    "protocol",
    "guest-continuity",
    "guest-memory",
    "single-copy",
    "target-config",
    "source-intact",
    DAEMONS_ALIVE,
    "no-leftovers",
)


@dataclass
class _Sheet:
    """The checks of a case being filled in, in order; ``stopped`` says why the rest can't be run."""

    checks: list[Check] = field(default_factory=list)
    stopped: str = ""

    def add(self, name: str, expected: str, got: Optional[str], passed: Optional[bool] = None) -> None:
        """Record a check. ``got`` None: the fact was not obtained. ``passed`` None: it passes when what was got was expected."""
        if self.stopped or got is None:
            self.stopped = self.stopped or f"{name} was not reached"
            self.checks.append(Check(name, NOT_RUN, expected, self.stopped))
        else:
            self.checks.append(_check(name, expected, got, got == expected if passed is None else passed))

    def add_call(self, name: str, expected: str, outcome: Optional[Outcome]) -> None:
        """Record a check on a libvirt call; when it failed, the checks after it are not run."""
        got = None if outcome is None else ("success" if outcome.ok else outcome.error)
        self.add(name, expected, got, bool(outcome and outcome.ok))
        if outcome and not outcome.ok:
            self.stopped = self.stopped or f"{name} failed"


def judge(case: Case, seen: Observation, protocol: str = "", replaces_config: bool = True) -> Judgement:
    """Judge one case.

    :param protocol: the protocol that the oracle expects, where a relay saw which one ran.
    :param replaces_config: what the oracle says of these versions; where they need not, a config may also be kept.
    :returns: ten canonical checks (those that could not be run are recorded as such), the further checks that apply,
        and the verdict: ``fail`` when a check failed, else ``error`` when the lab failed, else ``pass``. Where the lab failed,
        what was left behind alone is no failure of libvirt's.
    """
    sheet = _Sheet()
    _judge_before(sheet, case, seen)
    sheet.add_call("migrated", "success", seen.migrated)
    _judge_after(sheet, case, seen)
    further = _judge_further(case, seen, protocol, replaces_config) if seen.migrated is not None else []
    return conclude(sheet.checks, further + after_checks(seen.daemon_deaths, seen.leftovers), seen.lab_error)


def after_checks(daemon_deaths: Sequence[str], leftovers: Optional[Sequence[str]]) -> list[Check]:
    """The further checks of what a case has done to the machines.

    :param daemon_deaths: in words; the check is there only where a daemon died.
    :param leftovers: what was left behind; None when nobody looked, and then there is no check.
    """
    checks = []
    if daemon_deaths:
        checks.append(Check(DAEMONS_ALIVE, FAIL, "alive", "; ".join(daemon_deaths)))
    if leftovers is not None:
        checks.append(_check("no-leftovers", "none", ", ".join(leftovers) or "none", not leftovers))
    return checks


def conclude(checks: list[Check], further: list[Check], lab_error: str) -> Judgement:
    """The verdict of a case: ``fail`` when a check failed, else ``error`` when the lab failed or one of ``checks`` was not run,
    else ``pass``.

    :param lab_error: what the lab failed at; empty when it did not.
    """
    failed = [check for check in checks + further if check.result == FAIL]
    # What the lab let go of in the middle of a migration may stay, and is then the lab's.
    only_left = [check.name for check in failed] == ["no-leftovers"]
    if failed and not (only_left and lab_error):
        first = failed[0]
        reason = f"{first.name}: expected {first.expected}, got {first.got}"
        return Judgement(checks, further, Verdict.FAIL, reason, rule=f"check {reason}")
    if lab_error or any(check.result == NOT_RUN for check in checks):
        reason = lab_error or "a check was not run and nothing says why"
        return Judgement(checks, further, Verdict.ERROR, reason, rule="the lab failed, and not all checks were obtained")
    return Judgement(checks, further, Verdict.PASS)


def _judge_before(sheet: _Sheet, case: Case, seen: Observation) -> None:
    """Checks 1 to 3: the scenario was set up."""
    if case.scenario.persistent:
        sheet.add_call("source-defined", "success", seen.source_defined)
    else:
        sheet.add("source-defined", "not needed", "not needed")
    wanted = case.scenario.state.value
    if seen.source_started is not None and not seen.source_started.ok:
        sheet.add_call("source-state", wanted, seen.source_started)
    else:
        sheet.add("source-state", wanted, seen.source_state)
        if seen.source_state not in (None, wanted):
            sheet.stopped = sheet.stopped or "source-state failed"
    if case.scenario.target_config:
        sheet.add_call("target-defined", "success", seen.target_defined)
    else:
        sheet.add("target-defined", "not needed", "not needed")


def _judge_after(sheet: _Sheet, case: Case, seen: Observation) -> None:
    """Checks 5 to 10: the world after the migration."""
    expected = expect(case)
    source, target = seen.source_after, seen.target_after
    sheet.add("source-inactive", "inactive", _got(source, lambda s: "active" if s.active else "inactive"))
    # An active domain left behind with its config is check 5's failure; check 6 asks about the config alone.
    kept = "kept" if expected.source_config_kept else "gone"
    sheet.add("source-config", kept, _got(source, lambda s: "kept" if s.exists and s.persistent else "gone"))
    sheet.add("target-exists", "exists", _got(target, lambda s: "exists" if s.exists else "absent"))
    sheet.add("target-active", "active", _got(target, lambda s: "active" if s.active else "inactive"))
    sheet.add("target-persistent", "persistent" if expected.target_persistent else "transient",
              _got(target, lambda s: "persistent" if s.persistent else "transient"),
              bool(target and target.exists and target.persistent == expected.target_persistent))
    sheet.add("target-state", expected.target_state.value, _got(target, lambda s: s.state or "absent"))


def _got(sight: Optional[Sight], words: Callable[[Sight], str]) -> Optional[str]:
    return None if sight is None else words(sight)


def _check(name: str, expected: str, got: str, passed: bool) -> Check:
    return Check(name, PASS if passed else FAIL, expected, got)


def _judge_further(case: Case, seen: Observation, protocol: str, replaces_config: bool) -> list[Check]:
    """The checks of what libvirt-tck does not look at, of a migration that was called."""
    assert seen.migrated is not None
    further = []
    # A migration that was refused before the target was asked to prepare has used no protocol yet.
    if protocol and seen.protocol is not None and (seen.protocol or seen.migrated.ok):
        passed = seen.protocol.partition("-")[0] == protocol
        further.append(_check("protocol", protocol, seen.protocol or "none seen", passed))
    if seen.survival is not None:
        further += survival_checks(case, seen.survival, migrated=seen.migrated.ok)
    if seen.migrated.ok and seen.target_config is not None:
        expected = expect(case).target_config
        words = {"own": "kept", "guest": "replaced" if case.scenario.target_config else "made"}
        got = words.get(seen.target_config, seen.target_config)
        if expected == "replaced" and not replaces_config:
            expected = "kept or replaced"
        further.append(_check("target-config", expected, got, got in expected.split(" or ")))
    if not seen.migrated.ok:
        further.append(_source_intact(case, seen))
    return further


def survival_checks(case: Case, guest: Survival, migrated: bool) -> list[Check]:
    """Whether the guest itself continued, whole, and only once."""
    state = expect(case).target_state if migrated else case.scenario.state
    where = "target" if migrated else "source"
    there = [copy for copy in guest.copies if copy.machine == where]
    moved = max((copy.moved or 0 for copy in there), default=0)
    runs = state is State.RUNNING
    # With the flag `paused` a running guest continues until it is stopped, so its counter may have grown before it stood still.
    ran = runs or case.scenario.state is State.RUNNING
    expected = f"{'from ' if ran else ''}{guest.before}{' on' if ran else ''}, {'counting' if runs else 'standing'}"
    if guest.after is None:
        went_on, got = False, "no counter in its memory"
    else:
        went_on = (guest.after >= guest.before if ran else guest.after == guest.before) and bool(moved) == runs
        got = f"{guest.after}, {'counting' if moved else 'standing'}"
    checks = [_check("guest-continuity", expected, got, went_on)]
    if guest.pattern is not None:
        checks.append(_check("guest-memory", "whole", "whole" if guest.pattern else "damaged", guest.pattern))
    running = [copy.machine for copy in guest.copies if copy.moved]
    got = f"running on {' and '.join(running) or 'none'}"
    checks.append(_check("single-copy", "at most one running copy", got, len(running) < 2))
    return checks


def _source_intact(case: Case, seen: Observation) -> Check:
    """After a failed migration the guest is still on the source as it was, and the target shows no trace of it."""
    source = Sight(True, True, case.scenario.persistent, case.scenario.state.value)
    target = Sight(True, False, True, "shutoff") if case.scenario.target_config else Sight(False)
    expected = f"source {source}; target {target}"
    if seen.source_after is None or seen.target_after is None:
        return Check("source-intact", NOT_RUN, expected, seen.lab_error or "the daemons could not be asked")
    got = f"source {seen.source_after}; target {seen.target_after}"
    return _check("source-intact", expected, got, got == expected)
