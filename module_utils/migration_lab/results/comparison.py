# SPDX-License-Identifier: GPL-3.0-or-later
"""What changed between two runs: which cases fail that did not, pass that did not, or fail for another reason."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import asdict, dataclass
from enum import Enum
from typing import Any, Iterator, Optional

from ..model.case import ROLES
from ..model.combination import classes, shown_order
from ..model.pair import pair_in_full
from ..model.verdict import RED_VERDICTS, Verdict
from .run import CombinationResult, Run
from .wording import count, one_line

_RED = {verdict.value for verdict in RED_VERDICTS}
_FAILING = {*_RED, Verdict.NOT_OBTAINED.value}
_PASSING = {Verdict.PASS.value, Verdict.KNOWN.value}

# Numbers (counters, ports, processes, a domain's number and attempt) and UUIDs differ in each run.
_VARYING = re.compile(r"\b(?:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|\d+(?:-\d+)*)\b")

# Facts of run.json that two runs should share, with what they are called.
_FACTS = {
    "profile": "profile", "profile_id": "cases of the profile", "guest": "guest", "guests_id": "definition of the guests",
    "cases": "case patterns", "ledger_id": "ledger of deviations", "revision": "revision of the lab",
}

# What machines report, with what it is called; the host's name says nothing.
_VERSIONS = {
    "libvirt": "libvirt", "hypervisor": "QEMU", "libvirt_package": "package of libvirt", "qemu_package": "package of QEMU",
    "kernel": "kernel", "python": "Python", "packages": "digest of the packages",
}


class ChangeKind(str, Enum):
    """What a change means, in the order in which changes are listed."""

    NEWLY_FAILING = "newly-failing"
    CHANGED_REASON = "changed-reason"
    NEWLY_PASSING = "newly-passing"
    OTHER = "other"

    @property
    def key(self) -> str:
        """Under which run.json and the module's result have the changes of this kind."""
        return self.value.replace("-", "_")

    @property
    def words(self) -> str:
        """``2`` of it read ``2 newly failing``."""
        return {
            ChangeKind.NEWLY_FAILING: "newly failing",
            ChangeKind.CHANGED_REASON: "failing for another reason",
            ChangeKind.NEWLY_PASSING: "newly passing",
            ChangeKind.OTHER: "changed otherwise",
        }[self]


@dataclass(frozen=True)
class Change:
    """A case, or with ``case`` empty a combination as a whole, whose result differs from that in the base.

    ``before`` and ``after`` are verdicts or ``not obtained``. A combination as a whole fails when a daemon died in it that no
    case explains, and passes when there is nothing to report of it besides its cases. The reasons are in words, empty for a pass.
    Where the verdict is the same and the guest came to another end, they name the outcomes.
    """

    kind: ChangeKind
    combination: str
    case: str
    before: str
    after: str
    reason_before: str
    reason_after: str

    @property
    def title(self) -> str:
        """``noo p2p/transient-paused/none: pass -> fail``."""
        about = f"{self.combination} {self.case}" if self.case else f"{self.combination} as a whole"
        return f"{about}: {self.before}" + (f" -> {self.after}" if self.after != self.before else "")

    @property
    def lines(self) -> list[str]:
        """The reasons, each with whose it is; empty ones are left out."""
        reasons = {"was": self.reason_before, "is": self.reason_after}
        return [f"{word}: {reason}" for word, reason in reasons.items() if reason]

    def to_data(self) -> dict[str, str]:
        """The change as run.json and the module's result have it, under its kind."""
        return {key: value for key, value in asdict(self).items() if key != "kind"}


@dataclass(frozen=True)
class Comparison:
    """What changed from the run ``base`` to another.

    ``differences`` says in words what else is not the same, such as versions: reasons for changes to be looked for there.
    ``only_in_base`` and ``only_here`` count the cases, over all combinations, that only one of the runs has selected.
    """

    base: str
    differences: list[str]
    changes: list[Change]
    only_in_base: int
    only_here: int

    def of_kind(self, kind: ChangeKind) -> list[Change]:
        """The changes of one kind, in order."""
        return [change for change in self.changes if change.kind is kind]

    @property
    def tally(self) -> str:
        """How many changes there are, in words: ``2 newly failing, nothing else changed``."""
        found = Counter(change.kind for change in self.changes)
        parts = [f"{found[kind]} {kind.words}" for kind in ChangeKind if found[kind]]
        if len(parts) < len(ChangeKind):
            parts.append("nothing else changed" if parts else "nothing changed")
        only = {"only here": self.only_here, f"only in {self.base}": self.only_in_base}
        return "; ".join([", ".join(parts), *(f"{count(number, 'case')} {where}" for where, number in only.items() if number)])

    @property
    def line(self) -> str:
        """The comparison in a line."""
        return f"against {self.base}: {self.tally}"

    def to_data(self) -> dict[str, Any]:
        """The comparison as run.json and the module's result have it."""
        kinds = {kind.key: [change.to_data() for change in self.of_kind(kind)] for kind in ChangeKind}
        return {"base": self.base, "line": self.line, "differences": self.differences, **kinds}


@dataclass(frozen=True)
class _State:
    """The result of a case or a combination, and what of it is the same in another run where nothing changed.

    ``outcome`` is the word for what became of the guest, where the suite has one.
    """

    verdict: str
    reason: str = ""
    essence: str = ""
    outcome: str = ""


_NOTHING_TO_SAY = _State(Verdict.PASS.value)


def compare(run: Run, base: Run) -> Comparison:
    """What changed from one run to another. Runs of different pairs, profiles or guests are compared in what they share.

    :param run: the later run.
    :param base: the run that it is held against.
    """
    here = {combination.name: combination for combination in run.combinations}
    there = {combination.name: combination for combination in base.combinations}
    changes: list[Change] = []
    only_here = only_in_base = 0
    for name in sorted({*here, *there}, key=shown_order):
        new, old = here.get(name), there.get(name)
        if new and old:
            changes += _changes(new, old)
            if not (new.obtained and old.obtained):
                continue  # what the other would have selected is not known for sure
        selected = set(new.selected if new else ()), set(old.selected if old else ())
        only_here += len(selected[0] - selected[1])
        only_in_base += len(selected[1] - selected[0])
    order = list(ChangeKind)
    changes.sort(key=lambda change: order.index(change.kind))  # stable: combinations and cases stay in their order
    return Comparison(base.folder.name, list(_differences(run, base)), changes, only_in_base, only_here)


def case_state(combination: CombinationResult, case: str) -> tuple[str, str]:
    """A selected case's verdict, or ``not obtained``, and the reason in words, empty for a pass."""
    line = combination.results.get(case)
    if line is None:
        return Verdict.NOT_OBTAINED.value, combination.reason
    if line.verdict is Verdict.PASS:
        return Verdict.PASS.value, ""
    # The rule for an error is always the same; its reason is what happened to the lab.
    return line.verdict.value, one_line(line.reason if line.verdict is Verdict.ERROR else line.judged_by)


def _changes(new: CombinationResult, old: CombinationResult) -> Iterator[Change]:
    yield from _change(new.name, "", _whole(old), _whole(new))
    if not new.obtained:
        return  # reported once, for the combination
    for case in new.selected:
        if old.obtained and case not in old.selected:
            continue
        before, after = _state(old, case), _state(new, case)
        if not old.obtained and after.verdict in _PASSING:
            continue  # reported once, for the combination, which is obtained again
        yield from _change(new.name, case, before, after)


def _state(combination: CombinationResult, case: str) -> _State:
    verdict, reason = case_state(combination, case)
    line = combination.results.get(case)
    # What the lab has spoilt says nothing of the guest.
    outcome = str(line.details.get("outcome", "")) if line and line.verdict is not Verdict.ERROR else ""
    if verdict == Verdict.KNOWN.value:
        # A deviation may show in several ways, and which one comes is chance.
        return _State(verdict, reason, combination.results[case].deviation, outcome)
    return _State(verdict, reason, _invariant(reason), outcome)


def _whole(combination: CombinationResult) -> _State:
    if combination.record is None:
        return _State(Verdict.NOT_OBTAINED.value, combination.reason, _invariant(combination.reason))
    deaths = "; ".join(one_line(death.detail) for death in combination.record.unexplained_deaths)
    return _State(Verdict.FAIL.value, deaths, _invariant(deaths)) if deaths else _NOTHING_TO_SAY


def _change(combination: str, case: str, before: _State, after: _State) -> Iterator[Change]:
    kind = _kind(before, after)
    if kind:
        reasons = [before.reason, after.reason]
        if _ended(before, after):
            reasons = [f"{state.reason}; outcome {state.outcome}".lstrip("; ") for state in (before, after)]
        yield Change(kind, combination, case, before.verdict, after.verdict, *reasons)


def _ended(before: _State, after: _State) -> bool:
    """Whether another thing became of the guest, though the verdict is the same."""
    both = before.outcome and after.outcome
    return bool(both) and before.verdict == after.verdict and before.outcome != after.outcome


def _kind(before: _State, after: _State) -> Optional[ChangeKind]:
    if (before.verdict, before.essence) == (after.verdict, after.essence) and not _ended(before, after):
        return None
    if after.verdict in _FAILING:
        # That something was not obtained does not say that it failed before.
        failed = _FAILING if after.verdict == Verdict.NOT_OBTAINED.value else _RED
        return ChangeKind.CHANGED_REASON if before.verdict in failed else ChangeKind.NEWLY_FAILING
    if after.verdict in _PASSING and before.verdict in _FAILING:
        return ChangeKind.NEWLY_PASSING
    return ChangeKind.OTHER


def _invariant(reason: str) -> str:
    """The reason without what differs in each run."""
    return _VARYING.sub("#", reason)


def _differences(run: Run, base: Run) -> Iterator[str]:
    """In words, what the runs were made with that is not the same."""
    if run.data["pair"] != base.data["pair"]:
        yield f"pair: {pair_in_full(base.data['pair'])} -> {pair_in_full(run.data['pair'])}"
    for field, words in _FACTS.items():
        before, after = base.data.get(field), run.data.get(field)
        if before != after:
            yield f"{words}: {_value_text(before)} -> {_value_text(after)}"
    asked = [tuple(combination.name for combination in either.combinations) for either in (base, run)]
    if asked[0] != asked[1]:
        yield f"combinations: {', '.join(asked[0])} -> {', '.join(asked[1])}"
    yield from _release_differences(run, base)
    yield from _version_differences(run, base)


def _release_differences(run: Run, base: Run) -> Iterator[str]:
    """What is not the same of releases that both runs used: their images, and what else is on record of them."""
    before, after = base.data.get("releases", {}), run.data.get("releases", {})
    for name in (name for name in after if name in before):
        facts = {**_flat(before[name]), **_flat(after[name])}
        for fact in facts:
            was, is_now = _flat(before[name]).get(fact), _flat(after[name]).get(fact)
            if was != is_now:
                yield f"release {name}: {fact} {_value_text(was)} -> {_value_text(is_now)}"


def _version_differences(run: Run, base: Run) -> Iterator[str]:
    """Versions that the machines of the same role and combination reported, those of all machines of a class in one sentence."""
    machines: dict[str, set[tuple[str, str]]] = {}
    changed: dict[tuple[str, str, str], set[tuple[str, str]]] = {}
    bases = {combination.name: combination for combination in base.combinations}
    for combination in run.combinations:
        other = bases.get(combination.name)
        for role in ROLES:
            before = other.versions.get(role, {}) if other else {}
            after = combination.versions.get(role, {})
            for what in (what for what in _VERSIONS if what in before and what in after):
                machine = (combination.name, role)
                machines.setdefault(what, set()).add(machine)
                if before[what] != after[what]:
                    changed.setdefault((what, before[what], after[what]), set()).add(machine)
    for (what, was, is_now), where in changed.items():
        yield f"{_where_text(where, machines[what])}: {_VERSIONS[what]} {was} -> {is_now}"


def _where_text(where: set[tuple[str, str]], machines: set[tuple[str, str]]) -> str:
    if where == machines:
        return "all machines"
    for age in dict.fromkeys(classes(name)[role] for name, role in sorted(machines)):
        if where == {machine for machine in machines if classes(machine[0])[machine[1]] == age}:
            return f"all {age} machines"
    ordered = sorted(where, key=lambda machine: (shown_order(machine[0]), ROLES.index(machine[1])))
    return ", ".join(f"{role} of {name}" for name, role in ordered)


def _flat(facts: dict[str, Any]) -> dict[str, Any]:
    """Facts with nested ones on the same level: ``packages qemu``."""
    found: dict[str, Any] = {}
    for name, value in facts.items():
        if isinstance(value, dict):
            found |= {f"{name} {inner}": fact for inner, fact in _flat(value).items()}
        else:
            found[name] = value
    return found


def _value_text(value: Any) -> str:
    if value is None:
        return "not on record"
    if isinstance(value, list):
        return ", ".join(str(entry) for entry in value)
    return one_line(value) if isinstance(value, str) else json.dumps(value)
