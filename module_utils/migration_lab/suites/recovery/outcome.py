# SPDX-License-Identifier: GPL-3.0-or-later
"""The word for the world after a fault: what became of the guest once everything was healed. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Optional

from ...judging.observation import Copy
from ...model.case import SIDES, Method, State
from ..migration.expectation import expect
from .case import RecoveryCase
from .observation import RecoveryObservation


class Outcome(str, Enum):
    """What became of the guest, in a word."""

    INTACT = "intact"
    MOVED = "moved"
    MOVED_SOURCE_LEFT = "moved-source-left"
    TARGET_LEFT = "target-left"
    PAUSED_ON_SOURCE = "paused-on-source"
    PAUSED_ON_TARGET = "paused-on-target"
    PAUSED_ON_BOTH = "paused-on-both"
    RUNNING_THOUGH_PAUSED = "running-though-paused"
    RUNNING_TWICE = "running-twice"
    LOST = "lost"
    KILLED = "killed"
    STUCK = "stuck"
    NOT_OBTAINED = "not-obtained"

    def __str__(self) -> str:
        return self.value

    @property
    def letter(self) -> str:
        """A letter for grids."""
        return _ABOUT[self][0]

    @property
    def text(self) -> str:
        """What it means: "the guest", and this."""
        return _ABOUT[self][1]


_ABOUT = {
    Outcome.INTACT: ("I", "is on the source exactly as before; the target has nothing of it but the config that it had"),
    Outcome.MOVED: ("M", "is on the target as after a good migration"),
    Outcome.MOVED_SOURCE_LEFT: ("S", "runs on the target; the source's copy is still there, paused"),
    Outcome.TARGET_LEFT: ("T", "is on the source as before; a copy that does not run stays on the target"),
    Outcome.PAUSED_ON_SOURCE: ("P", "has one copy, on the source, paused by the migration though it ran before"),
    Outcome.PAUSED_ON_TARGET: ("Q", "has one copy, on the target, paused by the migration though it ran before"),
    Outcome.PAUSED_ON_BOTH: ("B", "has a copy on each side; neither runs though it ran before"),
    Outcome.RUNNING_THOUGH_PAUSED: ("R", "has one running copy though its owner had paused it"),
    Outcome.RUNNING_TWICE: ("2", "ran in two copies at a time: data loss for anything with a disk"),
    Outcome.LOST: ("L", "has no copy left though the fault itself killed none that held it"),
    Outcome.KILLED: ("K", "has no copy because the fault killed the only one"),
    Outcome.STUCK: ("X", "cannot be used within the limit: a job or a daemon does not come back"),
    Outcome.NOT_OBTAINED: ("?", "was not seen in the end"),
}

# From the best to the worst, for pictures that have room for one.
SEVERITY = (
    Outcome.MOVED, Outcome.INTACT, Outcome.KILLED, Outcome.MOVED_SOURCE_LEFT, Outcome.TARGET_LEFT, Outcome.PAUSED_ON_SOURCE,
    Outcome.PAUSED_ON_TARGET, Outcome.PAUSED_ON_BOTH, Outcome.RUNNING_THOUGH_PAUSED, Outcome.NOT_OBTAINED, Outcome.STUCK,
    Outcome.LOST, Outcome.RUNNING_TWICE,
)

# How a strike's note begins that a third party's call was refused: then it changed nothing.
REFUSED = "refused"


@dataclass(frozen=True)
class Interference:
    """What third parties did to the guest, or may have done: a call that had no answer in time counts as done."""

    suspended: bool = False
    resumed: bool = False
    undefined: bool = False


def interference(seen: RecoveryObservation) -> Interference:
    """What third parties did to the guest, from the notes of strikes."""
    done = {(note.do, note.on) for note in seen.struck or () if note.done and not note.detail.startswith(REFUSED)}
    verbs = {do for do, _ in done}
    return Interference("suspend-guest" in verbs, "resume-guest" in verbs, ("undefine-guest", "source") in done)


def allowed_states(case: RecoveryCase, seen: RecoveryObservation, side: str) -> frozenset[State]:
    """The run states that the guest's owner, or a third party, has given it on a side."""
    done = interference(seen)
    states = {case.scenario.state if side == "source" else expect(case).target_state}
    if done.suspended:
        states.add(State.PAUSED)
    if done.resumed:
        states.add(State.RUNNING)
    return frozenset(states)


def running_sides(seen: RecoveryObservation) -> list[str]:
    """Where copies were seen running in the end; a side with two such processes is there twice."""
    return [copy.machine for copy in seen.copies or () if copy.moved]


def outcome(case: RecoveryCase, seen: RecoveryObservation) -> Outcome:
    """The word for what was seen of a case. Configs are not in it: ``configs`` checks them."""
    if seen.copies is None:
        return Outcome.NOT_OBTAINED
    running = running_sides(seen)
    present = [side for side in SIDES if any(copy.machine == side for copy in seen.copies)]
    if len(running) > 1 or seen.twice_seconds > 0:
        return Outcome.RUNNING_TWICE
    if seen.stuck or seen.jobs:
        return Outcome.STUCK
    if seen.struck is None or seen.source_after is None or seen.target_after is None:
        return Outcome.NOT_OBTAINED
    if not present:
        return Outcome.KILLED if killed(case, seen) else Outcome.LOST
    if running:
        if State.RUNNING not in allowed_states(case, seen, running[0]):
            return Outcome.RUNNING_THOUGH_PAUSED
        words = {"source": (Outcome.INTACT, Outcome.TARGET_LEFT), "target": (Outcome.MOVED, Outcome.MOVED_SOURCE_LEFT)}
        return words[running[0]][len(present) - 1]
    return _standing(case, seen, present)


def _standing(case: RecoveryCase, seen: RecoveryObservation, present: list[str]) -> Outcome:
    """The word where no copy runs."""
    may_stand = {side: State.PAUSED in allowed_states(case, seen, side) for side in SIDES}
    if len(present) == 1:
        words = {"source": (Outcome.INTACT, Outcome.PAUSED_ON_SOURCE), "target": (Outcome.MOVED, Outcome.PAUSED_ON_TARGET)}
        good, bad = words[present[0]]
        return good if may_stand[present[0]] else bad
    # Of a guest that its owner has paused, Finish alone tells which copy is the guest.
    if seen.target_finished and may_stand["target"]:
        return Outcome.MOVED_SOURCE_LEFT
    return Outcome.TARGET_LEFT if may_stand["source"] else Outcome.PAUSED_ON_BOTH


def killed(case: RecoveryCase, seen: RecoveryObservation) -> bool:
    """Whether the fault itself killed the only copy that was whole, or all that were."""
    done, point = seen.killed, case.point
    if not done:
        return False
    if case.fault.after:
        # The migration went on until it struck.
        return bool(done & (point.copies | {"target"}))
    if seen.target_finished or point.stage >= 3:
        holders = frozenset({"target"})
    elif point.stage == 1:
        holders = frozenset({"source"})
    else:
        holders = point.copies
    return done >= holders


def main_copy(case: RecoveryCase, seen: RecoveryObservation) -> Optional[Copy]:
    """The copy that is the guest: the one that runs, else the one that Finish has started, else the one that got furthest.

    :param seen: with all that ``outcome`` looks at, ``target_finished`` among it.
    :returns: None where there is none, or nobody looked.
    """
    copies = seen.copies or ()
    if outcome(case, seen) is Outcome.MOVED_SOURCE_LEFT:
        # None of them need run, and the source's has counted as far.
        copies = tuple(copy for copy in copies if copy.machine == "target")
    return max(copies, key=lambda copy: (copy.moved or 0, copy.counter or 0), default=None)


def may_wait(case: RecoveryCase) -> bool:
    """Whether the caller may be without an answer when its time is up, because of what the fault does.

    It may where the fault takes the caller itself, or where until the fault is healed a link, or a daemon that the caller still
    waits for, says nothing.
    """
    if case.fault.delivery == "dropped" or (case.fault.delivery == "silent" and case.fault.seconds is None):
        return True
    waited_for = _waited_for(case)
    return any(
        strike.on == "client"
        or (strike.do == "freeze-daemon" and strike.seconds is None and strike.on in waited_for)
        # The message that was held is lost with the machine.
        or (strike.do == "power-cut" and (strike.on in waited_for or strike.on in case.point.link))
        for strike in case.fault.strikes
    )


def _waited_for(case: RecoveryCase) -> frozenset[str]:
    """The sides whose daemon has something to answer after the point."""
    point = case.point
    if case.method is not Method.NORMAL:
        # The source's daemon answers when the target's has answered it, up to the end of their connection.
        return frozenset(SIDES if point.stage < 5 else ())
    # After Finish nothing is asked of the target; where Perform ends the source's copy, nothing more of the source.
    return frozenset((["source"] if "source" in point.copies else []) + (["target"] if point.stage < 3 else []))
