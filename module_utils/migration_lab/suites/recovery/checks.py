# SPDX-License-Identifier: GPL-3.0-or-later
"""The judge of the suite ``recovery``: invariants first, then what libvirt promises. Pure.

What checks got are short words that stay the same from run to run, so that entries of the ledger match them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Optional, Sequence

from ...judging.check import FAIL, NOT_RUN, PASS, Check, Judgement
from ...judging.condition import Situation
from ...judging.deviation import DAEMONS_ALIVE
from ...model.case import SIDES, State
from ...model.verdict import Verdict
from ..migration.expectation import expect, replaces_config
from .case import RecoveryCase
from .observation import RecoveryObservation
from .outcome import Outcome, interference, main_copy, may_wait, outcome, running_sides
from .promise import Promise, promised
from .striker import ERROR_TEXT

CHECKS = (
    "scenario",
    "injected",
    "single-copy",
    "guest-kept",
    "guest-memory",
    "run-state",
    "steady",
    "configs",
    "told-truth",
    "promised",
)
FURTHER_CHECKS = ("migrates-again", DAEMONS_ALIVE, "no-leftovers")

NOTHING_PROMISED = "nothing is promised; invariants alone"
BY_FAULT = "killed by the fault"
_UNREAD = "its memory could not be read"

# VIR_FROM_RPC and VIR_FROM_REMOTE: a connection was lost. Such an error says that the migration's result is not known.
_LOST_CONNECTION = (7, 13)

_STANDING = (Outcome.PAUSED_ON_SOURCE, Outcome.PAUSED_ON_TARGET, Outcome.PAUSED_ON_BOTH)
_LEFT = (Outcome.TARGET_LEFT, Outcome.MOVED_SOURCE_LEFT)
_MOVED = (Outcome.MOVED, Outcome.MOVED_SOURCE_LEFT)
_ON_TARGET_ALONE = (Outcome.MOVED, Outcome.PAUSED_ON_TARGET)


def judge(case: RecoveryCase, seen: RecoveryObservation, promises: Sequence[Promise], situation: Situation) -> Judgement:
    """Judge one case.

    :param promises: what libvirt promises; the first that fits counts.
    :returns: ten checks (those that could not be run are recorded as such), the further checks that apply, and the verdict:
        ``error`` when the fault did not strike as it should or the lab failed, ``fail`` when a check failed, else ``pass``.
        A daemon that died by itself is libvirt's failure in any case.  ``rule`` names the promise.
    """
    word, promise = outcome(case, seen), promised(promises, case, situation)
    sheet = _Sheet()
    _scenario(sheet, case, seen)
    _injected(sheet, case, seen)
    if not sheet.stopped and seen.lab_error and word is Outcome.NOT_OBTAINED:
        sheet.stopped = seen.lab_error
    _single_copy(sheet, seen, word)
    sheet.add("guest-kept", "kept", _kept(case, seen, word), word is not Outcome.LOST)
    _guest_memory(sheet, case, seen, word)
    _run_state(sheet, case, seen, word, promise)
    _steady(sheet, seen)
    _configs(sheet, case, seen, word, situation)
    _told_truth(sheet, case, seen, word)
    _promised(sheet, case, word, promise)
    further = _further(seen)

    failed = [check for check in sheet.checks + further if check.result == FAIL]
    not_run = [check for check in sheet.checks + further if check.result == NOT_RUN]
    rule = f"promise {promise.id}: {promise.says}" if promise else NOTHING_PROMISED
    broken = _lab_failure(sheet, seen)
    alive = not seen.daemon_deaths
    # What the lab let go of in the middle of a migration may stay, and is then the lab's.
    only_left = [check.name for check in failed] == ["no-leftovers"]
    if failed and not (broken and alive) and not (only_left and seen.lab_error):
        first = failed[0]
        reason = f"{first.name}: expected {first.expected}, got {first.got}"
        return Judgement(sheet.checks, further, Verdict.FAIL, reason, rule=f"check {reason}; {rule}")
    if broken or seen.lab_error or not_run:
        reason = seen.lab_error or broken or not_run[0].got
        return Judgement(sheet.checks, further, Verdict.ERROR, reason, rule="the lab failed, and not all checks were obtained")
    return Judgement(sheet.checks, further, Verdict.PASS, rule=rule)


@dataclass
class _Sheet:
    """The checks being filled in, in order; ``stopped`` says why the rest cannot be run."""

    checks: list[Check] = field(default_factory=list)
    stopped: str = ""

    def add(self, name: str, expected: str, got: Optional[str], passed: Optional[bool] = None) -> None:
        """Record a check. ``got`` None: the fact was not obtained. ``passed`` None: it passes when what was got was expected."""
        if self.stopped or got is None:
            self.checks.append(Check(name, NOT_RUN, expected, self.stopped or f"not seen: {name}"))
        else:
            good = got == expected if passed is None else passed
            self.checks.append(Check(name, PASS if good else FAIL, expected, got))


def _lab_failure(sheet: _Sheet, seen: RecoveryObservation) -> str:
    """Why the fault did not strike as it should, or empty."""
    if seen.struck is None:
        return sheet.stopped or "the migration never came to the point"
    undone = [f"{note.do} on {note.on}: {note.detail}" for note in seen.struck if not note.done]
    return f"the fault could not be carried out: {'; '.join(undone)}" if undone else ""


def _scenario(sheet: _Sheet, case: RecoveryCase, seen: RecoveryObservation) -> None:
    calls = {
        "define on the source": seen.source_defined, "start": seen.source_started, "define on the target": seen.target_defined,
    }
    failed = next((f"{name}: {call.error}" for name, call in calls.items() if call is not None and not call.ok), None)
    wanted = case.scenario.state.value
    sheet.add("scenario", wanted, failed or seen.source_state)
    if sheet.checks[-1].result != PASS:
        sheet.stopped = seen.lab_error or "the scenario was not set up"


def _injected(sheet: _Sheet, case: RecoveryCase, seen: RecoveryObservation) -> None:
    expected = f"struck at {case.point.name}"
    if not sheet.stopped:
        sheet.stopped = _lab_failure(sheet, seen) and (seen.lab_error or _lab_failure(sheet, seen))
    sheet.add("injected", expected, expected)


def _single_copy(sheet: _Sheet, seen: RecoveryObservation, word: Outcome) -> None:
    running = running_sides(seen)
    if len(running) > 1:
        got = f"running on {' and '.join(sorted(running))}"
    else:
        got = "running twice for a time" if word is Outcome.RUNNING_TWICE else "at most one running copy"
    sheet.add("single-copy", "at most one running copy", got)


def _kept(case: RecoveryCase, seen: RecoveryObservation, word: Outcome) -> Optional[str]:
    if word is Outcome.NOT_OBTAINED:
        return None
    return {Outcome.LOST: "lost", Outcome.KILLED: BY_FAULT}.get(word, "kept")


def _guest_memory(sheet: _Sheet, case: RecoveryCase, seen: RecoveryObservation, word: Outcome) -> None:
    copy = main_copy(case, seen)
    expected = "whole, counting on"
    if word is Outcome.KILLED:
        sheet.add("guest-memory", expected, BY_FAULT, True)
    elif copy is None:
        looked = seen.struck is not None and seen.copies is not None
        sheet.add("guest-memory", expected, "no copy to look into" if looked else None, True)
    else:
        faults = []
        if copy.counter is None:
            faults.append("no counter in its memory")
        elif seen.counter is not None and copy.counter < seen.counter:
            faults.append("its counter is behind the one before the migration")
        if seen.pattern is not True:
            faults.append("damaged" if seen.pattern is False else _UNREAD)
        unread = faults == [_UNREAD] and seen.lab_error
        sheet.add("guest-memory", expected, None if unread else ", ".join(faults) or expected)


def _run_state(
    sheet: _Sheet, case: RecoveryCase, seen: RecoveryObservation, word: Outcome, promise: Optional[Promise]
) -> None:
    """Whether the guest is as its owner left it, in one copy, unless a promise says otherwise, and daemons show what is true."""
    expected = "as its owner left it"
    if word is Outcome.NOT_OBTAINED:
        sheet.add("run-state", expected, None)
        return
    faults = []
    if word is Outcome.RUNNING_THOUGH_PAUSED:
        faults.append("running though paused by its owner")
    elif word in _STANDING:
        if promise is not None and word in promise.allowed(case):
            expected = "paused by the migration, as promised"
        else:
            faults.append(f"paused by the migration: {word.value}")
    elif word in _LEFT:
        if promise is not None and word in promise.allowed(case):
            expected = "with a copy left over, as promised"
        else:
            faults.append(f"a copy is left over: {word.value}")
    for side, sight in (("source", seen.source_after), ("target", seen.target_after)):
        here = [copy for copy in seen.copies or () if copy.machine == side]
        if sight is None:
            continue
        if here and not sight.active:
            faults.append(f"a process on the {side} that its daemon does not know")
        elif sight.active and not here:
            faults.append(f"the {side}'s daemon shows a guest without a process")
        elif here and (sight.state == State.RUNNING.value) != any(copy.moved for copy in here):
            faults.append(f"the {side}'s daemon shows {sight.state}, which is not true")
    good = {Outcome.KILLED: BY_FAULT, Outcome.LOST: "no copy"}.get(word, expected)
    sheet.add("run-state", expected, ", ".join(faults) or good, not faults)


def _steady(sheet: _Sheet, seen: RecoveryObservation) -> None:
    faults = [*seen.stuck, *(f"a job stays on the {side}" for side in sorted(seen.jobs))]
    if not faults and seen.steady_seconds is None:
        faults.append("the world never was steady")
    if (seen.lab_error and faults) or (seen.daemon_deaths and seen.steady_seconds is None):
        sheet.add("steady", "steady", None)
    else:
        sheet.add("steady", "steady", ", ".join(faults) or "steady")


def _configs(
    sheet: _Sheet, case: RecoveryCase, seen: RecoveryObservation, word: Outcome, situation: Situation
) -> None:
    """Which config each side must have, by where the guest is."""
    allowed = _allowed_configs(case, seen, word, situation)
    expected = ", ".join(f"{side} {' or '.join(allowed[side])}" for side in SIDES)
    got = {"source": seen.source_config, "target": seen.target_config}
    if word is Outcome.NOT_OBTAINED or None in got.values():
        sheet.add("configs", expected, None)
        return
    sheet.add("configs", expected, ", ".join(f"{side} {got[side]}" for side in SIDES),
              all(got[side] in allowed[side] for side in SIDES))


def _allowed_configs(
    case: RecoveryCase, seen: RecoveryObservation, word: Outcome, situation: Situation
) -> dict[str, tuple[str, ...]]:
    """By side whose config may be there: ``guest``, ``own`` (the target's of before) or ``absent``."""
    wanted = expect(case)
    before = {
        "source": ["guest" if case.scenario.persistent else "absent"],
        "target": ["own" if case.scenario.target_config else "absent"],
    }
    target = {"made": ["guest"], "replaced": ["guest"], "kept": ["own"], "absent": ["absent"]}[wanted.target_config]
    if wanted.target_config == "replaced" and not replaces_config(situation.libvirt):
        target.append("own")
    after = {"source": ["guest" if wanted.source_config_kept else "absent"], "target": target}
    finished = seen.target_finished or case.point.stage >= 3
    if word in (Outcome.MOVED, Outcome.PAUSED_ON_TARGET):
        configs = after
    elif word is Outcome.MOVED_SOURCE_LEFT:
        configs = {"source": before["source"], "target": after["target"]}
    elif word in (Outcome.INTACT, Outcome.PAUSED_ON_SOURCE, Outcome.TARGET_LEFT) and not finished:
        configs = before
    elif word is Outcome.INTACT:
        # Finish has run, and whatever ended the target's copy has not undone what Finish wrote.
        configs = {"source": before["source"], "target": [*before["target"], *after["target"]]}
    else:
        # How far the migration came is not known, or it came to its end and was undone.
        configs = {side: [*before[side], *after[side]] for side in SIDES}
    if "source" in seen.killed and word in _ON_TARGET_ALONE:
        # Confirm undefines a guest that it ends itself.
        configs["source"] = [*configs["source"], *before["source"]]
    if interference(seen).undefined:
        configs["source"] = [*configs["source"], "absent"]
    return {side: tuple(dict.fromkeys(words)) for side, words in configs.items()}


def _told_truth(sheet: _Sheet, case: RecoveryCase, seen: RecoveryObservation, word: Outcome) -> None:
    """A call that reports success has the guest on the target; one that reports an error does not have it there alone.

    A call without an answer is the fault's own doing, or waits for what the fault withholds.
    """
    expected = "the truth"
    if seen.told is None or word is Outcome.NOT_OBTAINED:
        sheet.add("told-truth", expected, None)
    elif seen.told.answer == "nothing":
        waits = may_wait(case)
        sheet.add("told-truth", expected, "nothing told" if waits else "nothing within the limit", waits)
    elif word is Outcome.KILLED:
        sheet.add("told-truth", expected, BY_FAULT, True)
    elif seen.told.domain in _LOST_CONNECTION:
        sheet.add("told-truth", expected, "that a connection was lost", True)
    elif ERROR_TEXT in seen.told.text:
        sheet.add("told-truth", expected, "the relay's error in the daemon's place", True)
    elif seen.told.answer == "success":
        on_target = word in _MOVED or (
            word in (Outcome.RUNNING_THOUGH_PAUSED, Outcome.RUNNING_TWICE, Outcome.STUCK, *_STANDING)
            and any(copy.machine == "target" for copy in seen.copies or ())
        )
        sheet.add("told-truth", expected, expected if on_target else f"success, though {word.value}", on_target)
    else:
        sides = {copy.machine for copy in seen.copies or ()}
        untrue = word in _ON_TARGET_ALONE or sides == {"target"}
        sheet.add("told-truth", expected, f"error, though {word.value}" if untrue else expected, not untrue)


def _promised(sheet: _Sheet, case: RecoveryCase, word: Outcome, promise: Optional[Promise]) -> None:
    if promise is None:
        sheet.add("promised", "nothing", NOTHING_PROMISED, True)
        return
    allowed = promise.allowed(case)
    got = None if word is Outcome.NOT_OBTAINED else word.value
    sheet.add("promised", " or ".join(entry.value for entry in allowed), got, word in allowed)


def _further(seen: RecoveryObservation) -> list[Check]:
    further = []
    if seen.lab_error and (seen.again_why_not or (seen.again or "").startswith("not carried out")):
        further.append(Check("migrates-again", NOT_RUN, "every check passed", seen.lab_error))
    elif seen.again is not None:
        # The whole of it is in the case's details: here only which check failed, because numbers vary.
        got = f"{seen.again.partition(':')[0]} failed" if seen.again else "every check passed"
        further.append(Check("migrates-again", FAIL if seen.again else PASS, "every check passed", got))
    elif seen.again_why_not:
        got = f"not tried: {seen.again_why_not.partition(':')[0]}"
        further.append(Check("migrates-again", FAIL, "every check passed", got))
    dead = "; ".join(re.sub(r" \(process \d+\)", "", death) for death in seen.daemon_deaths)
    further.append(Check(DAEMONS_ALIVE, FAIL if dead else PASS, "alive", dead or "alive"))
    if seen.leftovers is not None:
        got = ", ".join(seen.leftovers) or "none"
        further.append(Check("no-leftovers", FAIL if seen.leftovers else PASS, "none", got))
    return further
