# SPDX-License-Identifier: GPL-3.0-or-later
"""The contract of a suite: all that the planner, the runner, the ledger and the report know of a kind of matrix."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any, Mapping, Optional, Sequence

from ..judging.check import Judgement
from ..judging.condition import Situation
from ..judging.deviation import Deviation, apply, find
from ..judging.observation import Observation
from ..model.case import Case, with_guests
from ..model.combination import classes
from ..model.protocol import expect_protocol
from .procedure import Procedure


@dataclass(frozen=True)
class Rules(ABC):
    """What the cases of one combination are judged by. Pure.

    ``libvirt`` and ``qemu`` are the versions that the machines report, by role, as numbers; ``shown`` is libvirt's as the
    other machines see it, lower where the relay presents an older one; ``relayed``: whether a relay saw the
    protocol.  ``profile`` is the data of the run's profile. ``packages`` are the packages' versions, as ``Situation`` has them.
    """

    libvirt: Mapping[str, int]
    qemu: Mapping[str, int]
    shown: Mapping[str, int]
    relayed: bool = False
    ledger: Sequence[Deviation] = field(default_factory=tuple)
    profile: Mapping[str, Any] = field(default_factory=dict)
    packages: Mapping[str, str] = field(default_factory=dict)

    @abstractmethod
    def compare(self, case: Case, seen: Observation) -> Judgement:
        """Compare what was observed of a case with what is documented.

        :returns: the suite's checks, in their order, all of them (those that could not be run are recorded as such), the
            further checks that apply, and the verdict.
        """

    def judge(self, case: Case, seen: Observation) -> Judgement:
        """Judge a case, and see whether a recorded deviation explains it.

        Where the lab did not see everything, nothing proves that exactly the recorded effects occurred.
        """
        judgement = self.compare(case, seen)
        return judgement if seen.lab_error else apply(judgement, self._deviation(case))

    def describe(self, case: Case, seen: Observation) -> dict[str, Any]:
        """What the journal keeps of a case beside checks and facts: what follows from both, in the suite's words."""
        return {}

    def expected_deaths(self, case: Case) -> frozenset[str]:
        """The roles (``source``, ``target``) whose daemons the case kills on purpose.

        Such a death is restarted, kept in ``Observation.expected_deaths`` for the suite to judge, and blamed on nobody.
        """
        return frozenset()

    def alone(self, case: Case) -> bool:
        """Whether nothing else may run at the same time: the case kills a daemon, on purpose or by the ledger."""
        deviation = self._deviation(case)
        return bool(self.expected_deaths(case)) or (deviation is not None and deviation.kills)

    def waits(self, case: Case) -> bool:
        """Whether the case mostly waits, for seconds, and leaves the machines free for others meanwhile."""
        return False

    def protocol(self, case: Case) -> str:
        """The migration protocol that these versions use for the case."""
        return expect_protocol(case, self.shown)

    def situation(self, case: Case) -> Situation:
        """What the case runs on, for conditions on it."""
        return Situation(self.libvirt, self.qemu, self.protocol(case), self.packages)

    def _deviation(self, case: Case) -> Optional[Deviation]:
        return find(self.ledger, case, self.situation(case))


class Suite(ABC):
    """A kind of matrix.

    A suite says which cases a profile makes, how one case is carried out on a cell, and how what was seen of it is judged.
    Everything around that - shares, workers, daemons that die, resuming, journals, the ledger, reports - is the same for all
    suites and knows no more of one than this class. A new suite is a package next to ``migration`` and an entry in
    ``registry.py``; a profile chooses it with ``suite: <name>``.

    ``checks`` are the numbered checks, in order, that every case has; ``further_checks`` come after them where they apply.
    ``spread`` says whether each combination's cases are dealt out among all cells, rather than stretches of combinations.
    ``needs_relay`` and ``needs_guest_checks``: whether the suite works without a relay, and without looking into the guests.
    ``rules`` and ``procedure`` are the suite's classes of these contracts.
    """

    name: str
    checks: tuple[str, ...]
    further_checks: tuple[str, ...]
    spread: bool = False
    needs_relay: bool = False
    needs_guest_checks: bool = False
    rules: type[Rules]
    procedure: type[Procedure]

    @abstractmethod
    def cases(self, profile: Mapping[str, Any], combination: str) -> Sequence[Case]:
        """The cases of a profile on a combination, numbered from 1, in the order in which they run; none where it does not fit.

        :param profile: data of a file under scenarios/profiles/, validated by ``planning.profiles``.
        """

    def checks_of(self, profile: Mapping[str, Any]) -> tuple[str, ...]:
        """The numbered checks that every case of a profile has."""
        return self.checks

    def machines(self, profile: Mapping[str, Any], combination: str) -> dict[str, str]:
        """The class of the machine of each role that a combination needs: client, source, target, and further ones."""
        return classes(combination)

    def replaces(self, profile: Mapping[str, Any]) -> bool:
        """Whether the cases replace a machine's libvirt by that of the other release."""
        return False

    def effort(self, profile: Mapping[str, Any], case: Case) -> float:
        """About how many seconds of a cell's time a case takes, for dealing cases out."""
        return 1.0

    def cases_of_guests(self, profile: Mapping[str, Any], combination: str, guests: Sequence[str]) -> list[Case]:
        """The cases of a run on a combination: those of the profile for each of the guests (their names)."""
        return with_guests(self.cases(profile, combination), guests)
