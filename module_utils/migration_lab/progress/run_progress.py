# SPDX-License-Identifier: GPL-3.0-or-later
"""How far a run is at one moment: phases, counts, speed and time left. Pure; ``follower`` makes it from journals."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import Enum
from statistics import mean, median_low
from typing import Optional, Sequence

from ..model.verdict import Verdict

# Seconds that the speed is taken over.
WINDOW = 30.0

# Seconds within which a playbook notes that an interrupted combination was not obtained; after them it is gone.
PATIENCE = 15.0

# Seconds without a new line after which the faces say so.
QUIET = 30.0


class Phase(str, Enum):
    """How far a combination is."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    NOT_OBTAINED = "not obtained"
    INTERRUPTED = "interrupted"  # its playbook was gone before all cases had run


# Nothing more comes of these.
ENDED = (Phase.DONE, Phase.NOT_OBTAINED)


@dataclass(frozen=True)
class CombinationProgress:
    """How far one combination is. Times are in seconds since 1970, durations in seconds."""

    name: str
    phase: Phase
    selected: int  # 0 until a journal has them
    counts: dict[Verdict, int]  # final results by verdict, in the order of the verdicts
    seconds: float  # spent running, pauses before a resume left out
    rate: Optional[float]  # cases a second over the last WINDOW, or over all of it when it is done; None when not running
    begun: Optional[float]  # time of the first line
    last: Optional[float]  # time of the last line
    reason: str  # why it was not obtained

    @property
    def done(self) -> int:
        """Cases with a final result."""
        return sum(self.counts.values())

    @property
    def share_left(self) -> float:
        """The part of its cases that has no final result, from 1 down to 0."""
        return (self.selected - self.done) / self.selected if self.selected else 1.0

    @property
    def left(self) -> Optional[float]:
        """Seconds that the rest will take at this speed; None when it is not running, or no case has ended lately."""
        if self.phase is not Phase.RUNNING or not self.rate:
            return None
        return (self.selected - self.done) / self.rate


@dataclass(frozen=True)
class RunProgress:
    """How far a run is at one moment; combinations in the order in which they are shown."""

    run: str
    pair: str  # in words
    now: float
    combinations: tuple[CombinationProgress, ...]

    def in_phase(self, *phases: Phase) -> list[CombinationProgress]:
        """The combinations that are that far."""
        return [one for one in self.combinations if one.phase in phases]

    @property
    def selected(self) -> int:
        """Cases to run. One that has not begun is taken to have as many as the others; 0 until a journal has them."""
        return sum(one.selected for one in self.combinations)

    @property
    def counts(self) -> dict[Verdict, int]:
        """Final results by verdict, in the order of the verdicts."""
        total: Counter[Verdict] = Counter()
        for one in self.combinations:
            total.update(one.counts)
        return {verdict: total[verdict] for verdict in Verdict if total[verdict]}

    @property
    def done(self) -> int:
        """Cases with a final result."""
        return sum(self.counts.values())

    @property
    def rate(self) -> Optional[float]:
        """Cases a second of all that is running; None when nothing is."""
        rates = [one.rate for one in self.in_phase(Phase.RUNNING) if one.rate is not None]
        return sum(rates) if rates else None

    @property
    def left(self) -> Optional[float]:
        """Seconds until the end; None at the end, and while it is not known.

        A combination that has not begun is taken to last as long as those that are done did on average, and its machines as
        long as they did before; as many run at a time as do now.
        """
        running, waiting = self.in_phase(Phase.RUNNING), self.in_phase(Phase.WAITING)
        done = self.in_phase(Phase.DONE)
        # The speed of those that run does, until one is done.
        whole = [one.seconds / one.done * one.selected for one in done or running if one.done]
        rests = [one.left for one in running]
        if done and whole:  # does for one that has only begun, too
            rests = [
                one.share_left * mean(whole) if left is None and one.seconds < WINDOW else left
                for one, left in zip(running, rests)
            ]
        if whole:
            pause = _pause(self.combinations)
            rests += [one.share_left * mean(whole) + pause for one in waiting]
        if not rests or (waiting and not whole) or None in rests:
            return None
        return sum(rest for rest in rests if rest is not None) / max(len(running), 1)

    @property
    def over(self) -> bool:
        """Whether nothing more comes: every combination is done or not obtained."""
        return len(self.in_phase(*ENDED)) == len(self.combinations)

    @property
    def interrupted(self) -> bool:
        """Whether the run stopped before its end: the playbook that it belonged to is gone."""
        stopped = self.in_phase(Phase.INTERRUPTED)
        return bool(stopped) and not self.in_phase(Phase.RUNNING) and self.quiet > PATIENCE

    @property
    def quiet(self) -> float:
        """Seconds since the last line of any journal; 0 when there is none yet."""
        return max(self.now - max((one.last for one in self.combinations if one.last), default=self.now), 0.0)


def _pause(combinations: Sequence[CombinationProgress]) -> float:
    """Seconds that usually pass between the end of a combination and the beginning of the next, in which machines are made."""
    ends = [one.last for one in combinations if one.phase is Phase.DONE and one.last]
    pauses = []
    for begun in (one.begun for one in combinations if one.begun):
        before = [end for end in ends if end <= begun]
        if before:
            pauses.append(begun - max(before))
    return median_low(pauses) if pauses else 0.0
