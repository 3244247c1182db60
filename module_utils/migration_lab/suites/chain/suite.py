# SPDX-License-Identifier: GPL-3.0-or-later
"""The suite ``chain``: does a guest that was migrated, or whose libvirt was replaced, migrate on and on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Mapping, Sequence

from ...judging.check import NOT_RUN, Check, Judgement
from ...judging.condition import REPLACES, Situation
from ...judging.deviation import apply, find
from ...judging.observation import Observation
from ...model.case import Case
from ...model.combination import classes
from ...model.profile import Profile
from ...model.verdict import Verdict
from ..migration.checks import CANONICAL_CHECKS, FURTHER_CHECKS
from ..migration.suite import MigrationRules
from ..suite import Rules, Suite
from .case import IN_PLACE, ChainCase, Step, walk
from .checks import IN_PLACE_CHECKS, IN_PLACE_FURTHER, judge_replacement
from .observation import ChainObservation, ReplacementObservation
from .procedure import Chain


@dataclass(frozen=True)
class ChainRules(Rules):
    """Judges each hop by the rules of the suite migration, for the machines between which it was. The ledger is asked at each
    step; after one that did not pass, the next ones ask another question and are not judged."""

    def judge(self, case: Case, seen: Observation) -> Judgement:
        return self.compare(case, seen)

    def compare(self, case: Case, seen: Observation) -> Judgement:
        assert isinstance(case, ChainCase)
        assert isinstance(seen, ChainObservation)
        whole, stopped = Judgement([], [], Verdict.PASS), ""
        if not seen.steps:
            stopped = seen.lab_error or "no step was begun and nothing says why"
            whole = Judgement([], [], Verdict.ERROR, stopped, rule="the lab failed before the first step")
        libvirt = dict(self.libvirt)
        for number, (step, part) in enumerate(zip(case.walk.steps, case.parts), start=1):
            if number > len(seen.steps) and not stopped:
                stopped = f"{step.name} was not begun and nothing says why"
                whole = Judgement(whole.checks, whole.further, Verdict.ERROR, stopped, rule="the lab did not take all steps")
            if stopped:
                checks = [Check(name, NOT_RUN, "reached", stopped) for name in _numbered(step)]
                whole.checks.extend(checks)
                continue
            begun = seen.steps[number - 1].seen
            # What was found in the end, or ended it, is the last step's.
            ended = replace(
                begun, daemon_deaths=seen.daemon_deaths, leftovers=seen.leftovers, lab_error=seen.lab_error or begun.lab_error
            )
            last = number == len(seen.steps)
            judgement = self._step(step, part, ended if last else begun, libvirt)
            if judgement.verdict is not Verdict.PASS and not last:
                judgement = self._step(step, part, ended, libvirt)
            whole = _added(whole, step, judgement)
            if judgement.verdict is not Verdict.PASS:
                stopped = f"{step.name} did not pass"
            if isinstance(begun, ReplacementObservation) and begun.libvirt is not None:
                libvirt[step.source] = begun.libvirt
        return whole

    def describe(self, case: Case, seen: Observation) -> dict[str, Any]:
        assert isinstance(case, ChainCase)
        return {"way": [f"{step.name}: {step.source}{f' to {step.target}' if step.target else ''}" for step in case.walk.steps]}

    def alone(self, case: Case) -> bool:
        assert isinstance(case, ChainCase)
        return any(
            not step.target or self._hop(step, self.libvirt).alone(part) for step, part in zip(case.walk.steps, case.parts)
        )

    def _step(self, step: Step, part: Case, seen: Observation, libvirt: Mapping[str, int]) -> Judgement:
        if step.target:
            return self._hop(step, libvirt).judge(part, seen)
        assert isinstance(seen, ReplacementObservation)
        judgement = judge_replacement(part, seen)
        if seen.lab_error or seen.libvirt is None:
            return judgement
        versions = {"client": libvirt["client"], "source": seen.libvirt, REPLACES: libvirt[step.source]}
        return apply(judgement, find(self.ledger, part, Situation(versions, {"source": self.qemu[step.source]}, "")))

    def _hop(self, step: Step, libvirt: Mapping[str, int]) -> MigrationRules:
        """The rules of a hop.

        :param libvirt: by role the version that serves on the machine now.
        """
        roles = {"client": "client", "source": step.source, "target": step.target}
        shown = {
            name: self.shown[role] if libvirt[role] == self.libvirt[role] else libvirt[role] for name, role in roles.items()
        }
        qemu = {name: self.qemu[role] for name, role in roles.items() if role in self.qemu}
        # The package of a libvirt that replaced another is not known.
        packages = {
            f"{name}_{what}": self.packages[f"{role}_{what}"]
            for name, role in roles.items() for what in ("package", "qemu_package")
            if f"{role}_{what}" in self.packages and (what != "package" or libvirt[role] == self.libvirt[role])
        }
        return MigrationRules(
            {name: libvirt[role] for name, role in roles.items()}, qemu, shown, self.relayed, self.ledger, self.profile, packages
        )


def _numbered(step: Step) -> list[str]:
    """The numbered checks of a step."""
    return [f"{step.name}-{name}" for name in CANONICAL_CHECKS] if step.target else list(IN_PLACE_CHECKS)


def _added(whole: Judgement, step: Step, judgement: Judgement) -> Judgement:
    """The judgement of a chain with that of its next step."""
    place = f"{step.name}-" if step.target else ""
    checks, further = (
        [*before, *(replace(check, name=f"{place}{check.name}") for check in checks)]
        for before, checks in ((whole.checks, judgement.checks), (whole.further, judgement.further))
    )
    reason, rule = (f"{step.name}: {text}" if text else "" for text in (judgement.reason, judgement.rule))
    return Judgement(checks, further, judgement.verdict, reason, rule, judgement.deviation)


class ChainSuite(Suite):
    """Chains, with a profile's methods, scenarios and flags. A combination has those that begin on its source and target."""

    name = "chain"
    checks = IN_PLACE_CHECKS
    further_checks = (*IN_PLACE_FURTHER, *FURTHER_CHECKS)
    rules = ChainRules
    procedure = Chain

    def cases(self, profile: Mapping[str, Any], combination: str) -> Sequence[Case]:
        """
        :param profile: with ``chains``, each a list of hops (``case.check``).
        """
        chains = [tuple(hops) for hops in profile["chains"] if self._fits(hops, combination)]
        combined = [(hops, case) for hops in chains for case in Profile.from_data(profile).cases()]
        return [
            ChainCase(number, case.method, case.scenario, case.flags, hops=hops)
            for number, (hops, case) in enumerate(combined, start=1)
        ]

    def checks_of(self, profile: Mapping[str, Any]) -> tuple[str, ...]:
        """Those of its first chain: the others have the same steps."""
        return tuple(name for step in walk(profile["chains"][0]).steps for name in _numbered(step))

    def machines(self, profile: Mapping[str, Any], combination: str) -> dict[str, str]:
        needed = classes(combination)
        for hops in profile["chains"]:
            if self._fits(hops, combination):
                needed |= walk(hops).machines
        return needed

    def replaces(self, profile: Mapping[str, Any]) -> bool:
        return any(hop.startswith(IN_PLACE) for hops in profile["chains"] for hop in hops)

    def _fits(self, hops: Sequence[str], combination: str) -> bool:
        machines, needed = walk(hops).machines, classes(combination)
        return all(machines[role] == needed[role] for role in ("source", "target"))
