# SPDX-License-Identifier: GPL-3.0-or-later
"""What was seen of a case of the suite ``recovery``. Whoever observes does not judge."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Optional

from ...judging.observation import Copy, Observation, Outcome, Sight


@dataclass(frozen=True)
class Told:
    """How the migration call ended for its caller.

    ``answer`` is ``success``, ``error`` or ``nothing``: no answer within the limit, or the caller did not live to see it.
    ``code`` and ``domain`` are libvirt's numbers of an error, ``text`` is its message; ``seconds`` are those from call to answer.
    """

    answer: str
    code: Optional[int] = None
    domain: Optional[int] = None
    text: str = ""
    seconds: float = 0.0


@dataclass(frozen=True)
class StrikeNote:
    """What came of one strike. ``done`` is false where it could not be carried out, ``detail`` says what was seen or why not.

    ``seconds`` are those that it took.  A third party's call that libvirt refused was carried out all the same.
    """

    do: str
    on: str
    done: bool
    detail: str = ""
    seconds: float = 0.0


@dataclass
class RecoveryObservation(Observation):
    """``None`` means: not reached, or not obtained.

    Attributes:
        struck: the strikes, once the point was reached; None: it never came.
        told: how the call ended for its caller.
        target_finished: whether Finish was answered with success, by what passed the relay, or left its copy unanswered.
        counter: the guest's counter before the migration.
        copies: all QEMU processes of the guest in the end, with their counters and their growth while they were watched;
            None: not looked for.
        pattern: whether the memory of the copy that is left is whole; None: not read.
        twice_seconds: for how long two copies were seen running at a time, over all samples from the fault until the end.
        killed: sides on which a QEMU process of the guest was killed by the fault itself.
        source_config, target_config: whose config the side has: ``own``, ``guest``, ``another``, ``absent``; None: not asked.
        jobs: sides on which the guest still has a job in the end, with libvirt's word for it.
        stuck: what does not come back within the limit, in words.
        steady_seconds: from the fault until nothing changed any more, healing included; None: it never was steady.
        healed: what was done to heal the world, in words.
        again: how the same migration without the fault went afterwards: empty when every check passed, else why not;
            None: not tried.
        again_why_not: why it was not tried.
        left: files of the guest that a power cut has left behind, in words.
        reaction: what the manager of the run did (``aftermath``), in words.
        reaction_left: sides with a copy of the guest after that reaction: ``running``, ``standing``, or ``damaged`` when its
            memory is not whole.
    """

    struck: Optional[list[StrikeNote]] = None
    told: Optional[Told] = None
    target_finished: bool = False
    counter: Optional[int] = None
    copies: Optional[tuple[Copy, ...]] = None
    pattern: Optional[bool] = None
    twice_seconds: float = 0.0
    killed: frozenset[str] = frozenset()
    source_config: Optional[str] = None
    jobs: dict[str, str] = field(default_factory=dict)
    stuck: list[str] = field(default_factory=list)
    steady_seconds: Optional[float] = None
    healed: list[str] = field(default_factory=list)
    again: Optional[str] = None
    again_why_not: str = ""
    left: list[str] = field(default_factory=list)
    reaction: str = ""
    reaction_left: dict[str, str] = field(default_factory=dict)

    def details(self) -> dict[str, Any]:
        """The facts as the journal keeps them, beside checks and steps."""
        return {
            "struck": None if self.struck is None else [asdict(note) for note in self.struck],
            "told": None if self.told is None else asdict(self.told),
            "target_finished": self.target_finished,
            "copies": None if self.copies is None else [asdict(copy) for copy in self.copies],
            "pattern": self.pattern,
            "twice_seconds": round(self.twice_seconds, 3),
            "killed": sorted(self.killed),
            "source": _sight(self.source_after), "source_config": self.source_config,
            "target": _sight(self.target_after), "target_config": self.target_config,
            "jobs": self.jobs, "stuck": self.stuck,
            "steady_seconds": None if self.steady_seconds is None else round(self.steady_seconds, 3),
            "healed": self.healed, "again": self.again, "again_why_not": self.again_why_not,
            "reaction": self.reaction, "reaction_left": self.reaction_left,
            "deaths": list(self.daemon_deaths),
        }


def _sight(sight: Optional[Sight]) -> Optional[str]:
    return None if sight is None else str(sight)


def told(outcome: Optional[Outcome]) -> Told:
    """How a call ended for its caller; without an outcome the caller did not survive it."""
    if outcome is None or outcome.timed_out:
        return Told("nothing", seconds=outcome.seconds if outcome else 0.0, text=outcome.error if outcome else "")
    if outcome.ok:
        return Told("success", seconds=outcome.seconds)
    return Told("error", outcome.code, outcome.domain, outcome.error, outcome.seconds)
