# SPDX-License-Identifier: GPL-3.0-or-later
"""What a check of the user's own guests found: which move, in which direction, and what stops the others."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any, Mapping, Optional, Sequence

from ..journal.case_result import CaseResult
from ..judging.condition import PACKAGES, RANGES, Conditions, reported_as
from ..judging.deviation import Deviation
from ..model.case import Method
from ..model.combination import classes
from ..model.errors import LabError
from ..model.package_version import package_key
from ..model.verdict import Verdict
from ..model.version import parse_version
from ..own_guest.adaptation import OwnGuest
from ..own_guest.variants import BARE, PROCESSOR_WORDS, Variant, variants
from .run import CombinationResult, Run
from .wording import one_line

# The case that a variant is tried with, where it is one of those that failed.
PREFERRED = f"{Method.P2P.value}/transient-running/live"


@dataclass(frozen=True)
class Tried:
    """One migration of a guest. ``moves`` is None when it was not obtained; ``words`` are libvirt's where it does not."""

    case: str
    method: str
    state: str
    moves: Optional[bool]
    words: str


@dataclass(frozen=True)
class Culprit:
    """Lines of the user's file without which the guest moves: their numbers, the first of them, and what was done to them."""

    lines: tuple[int, ...]
    source: str
    what: str


@dataclass(frozen=True)
class Advice:
    """An entry of the ledger that knows the failure."""

    id: str
    title: str
    cause: str
    advice: str


@dataclass(frozen=True)
class Direction:
    """A guest's migrations in one direction, from one release to the other.

    ``culprits`` are of the variants that move; ``remark`` says why there are none of a guest that does not move.
    """

    combination: str
    source: str
    target: str
    tried: tuple[Tried, ...]
    culprits: tuple[Culprit, ...] = ()
    remark: str = ""
    advice: tuple[Advice, ...] = ()

    @property
    def moves(self) -> bool:
        return bool(self.tried) and all(tried.moves for tried in self.tried)

    @property
    def failed(self) -> list[Tried]:
        """The migrations that failed; those that were not obtained are not among them."""
        return [tried for tried in self.tried if tried.moves is False]

    @property
    def missing(self) -> list[Tried]:
        """The migrations that were not obtained."""
        return [tried for tried in self.tried if tried.moves is None]


@dataclass(frozen=True)
class CheckedGuest:
    """A guest of the user's: its name, its file, what the lab changed (as data), and what was found."""

    name: str
    path: str
    changes: tuple[Mapping[str, Any], ...]
    directions: tuple[Direction, ...]

    @property
    def moves(self) -> bool:
        return bool(self.directions) and all(direction.moves for direction in self.directions)


@dataclass(frozen=True)
class GuestCheck:
    """A check of guests. ``releases`` has by class what its machines reported: release, libvirt and QEMU."""

    run: Run
    guests: tuple[CheckedGuest, ...]
    releases: Mapping[str, str]

    @property
    def moves(self) -> bool:
        return all(guest.moves for guest in self.guests)

    def to_data(self) -> dict[str, Any]:
        """The check as ``guest_check.json`` has it."""
        return {
            "run": self.run.data["run"], "pair": self.run.data["pair"], "releases": self.releases, "moves": self.moves,
            "guests": [
                {
                    "name": guest.name, "file": guest.path, "moves": guest.moves, "changes": list(guest.changes),
                    "directions": [{**asdict(direction), "moves": direction.moves} for direction in guest.directions],
                }
                for guest in self.guests
            ],
        }


def read_check(
    run: Run, guests: Sequence[Mapping[str, Any]], searched: Optional[Run] = None,
    left_out: Sequence[Mapping[str, Any]] = (),
) -> GuestCheck:
    """Make a check of its runs.

    :param guests: the ``checks`` of the module ``guest_check_info``.
    :param searched: the run of the variants of guests that do not move; None when all moved.
    :param left_out: the ``variants`` of the module.
    """
    found = []
    for guest in guests:
        directions = [_direction(run, combination, guest["name"], searched, left_out) for combination in run.combinations]
        found.append(CheckedGuest(guest["name"], guest["path"], tuple(guest["changes"]), tuple(directions)))
    return GuestCheck(run, tuple(found), _releases(run))


@dataclass(frozen=True)
class Search:
    """What to run to find what stops guests: variants, each with the name of its guest, case patterns and combinations."""

    variants: tuple[tuple[str, Variant], ...]
    cases: tuple[str, ...]
    combinations: tuple[str, ...]


def search(run: Run, guests: Sequence[OwnGuest]) -> Search:
    """The variants of the guests that did not move in a run. All of them need the images that the run had.

    :param guests: of the run.
    """
    needs = sorted({need for guest in guests for need in guest.data["needs"]})
    found: list[tuple[str, Variant]] = []
    cases: set[str] = set()
    combinations: set[str] = set()
    for guest in guests:
        failed = [
            (combination.name, tried)
            for combination in run.combinations for tried in _tried(run, combination, guest.name) if tried.moves is False
        ]
        if not failed:
            continue
        combinations.update(name for name, _ in failed)
        for name in dict(failed):
            ids = [tried.case for combination, tried in failed if combination == name]
            cases.add(PREFERRED if PREFERRED in ids else ids[0])
        words = [tried.words for _, tried in failed]
        processor = all(any(part in text for part in PROCESSOR_WORDS) for text in words)
        for variant in variants(guest, devices=not processor):
            found.append((guest.name, replace(variant, data={**variant.data, "needs": needs})))
    # Only among several guests does a case's id begin with its guest.
    patterns = tuple(f"*/{case}" if len(found) > 1 else case for case in sorted(cases))
    return Search(tuple(found), patterns, tuple(sorted(combinations)))


def _releases(run: Run) -> dict[str, str]:
    found: dict[str, str] = {}
    for combination in run.combinations:
        for role, side in classes(combination.name).items():
            facts = combination.versions.get(role, {})
            if "hypervisor" in facts:
                found[side] = f"{run.data['pair'][side]} (libvirt {facts['libvirt']}, QEMU {facts['hypervisor']})"
    return {side: found.get(side, run.data["pair"][side]) for side in ("old", "new")}


def _tried(run: Run, combination: CombinationResult, guest: str) -> list[Tried]:
    prefix = f"{guest}/" if len(run.guests) > 1 else ""
    tried = []
    for case in combination.selected:
        if not case.startswith(prefix):
            continue
        own = case[len(prefix):]
        method, scenario, _ = own.split("/")
        line = combination.results.get(case)
        tried.append(Tried(own, method, scenario.rpartition("-")[2], *_fate(line, combination.reason)))
    return tried


def _fate(line: Optional[CaseResult], reason: str) -> tuple[Optional[bool], str]:
    """Whether the guest moved, and libvirt's words when it did not. ``fixed`` is one that moved against the ledger."""
    if line is None:
        return None, one_line(reason)
    if line.verdict is Verdict.ERROR:
        return None, one_line(line.reason)
    if not line.failed:
        return True, ""
    first = line.failed[0]
    got = one_line(first["got"])
    if first["name"] == "migrated":
        return False, got
    if line.migration is None:
        return False, f"does not start: {got}"
    return False, f"arrives, but {first['name']} is {got}, not {one_line(first['expected'])}"


def _direction(
    run: Run, combination: CombinationResult, guest: str, searched: Optional[Run], left_out: Sequence[Mapping[str, Any]]
) -> Direction:
    sides, pair = classes(combination.name), run.data["pair"]
    tried = tuple(_tried(run, combination, guest))
    untried = "" if tried else "not tried: no case was chosen"
    direction = Direction(combination.name, pair[sides["source"]], pair[sides["target"]], tried, remark=untried)
    if not direction.failed:
        return direction
    lines = [
        line for case, line in combination.results.items()
        if line.failed and (len(run.guests) == 1 or case.startswith(f"{guest}/"))
    ]
    own = [variant for variant in left_out if variant["guest"] == guest]
    culprits, remark = _culprits(searched, combination.name, own)
    advice = tuple(_advice(run.data.get("deviations", ()), combination, lines))
    return Direction(combination.name, direction.source, direction.target, tried, culprits, remark, advice)


def _culprits(
    searched: Optional[Run], combination: str, left_out: Sequence[Mapping[str, Any]]
) -> tuple[tuple[Culprit, ...], str]:
    """What the variants show: those that move and change least."""
    found = next((one for one in searched.combinations if one.name == combination), None) if searched else None
    if searched is None or found is None:
        return (), "the lab did not look for the line that stops it"
    fates = [(variant, [tried.moves for tried in _tried(searched, found, variant["name"])]) for variant in left_out]
    moved = [variant for variant, moves in fates if any(moves)]
    if not moved:
        if any(None in moves or not moves for _, moves in fates):
            return (), "not every part could be left out in turn, and none of those that were lets it move"
        return (), f"none of {len(fates)} variants with a part left out moves: the machine type stops it, or several parts do"
    least = min(variant["breadth"] for variant in moved)
    if least == BARE:
        return (), "no single part stops it: without any of its devices it moves, so several of them do"
    return tuple(
        Culprit(tuple(variant["lines"]), variant["source"], variant["what"]) for variant in moved if variant["breadth"] == least
    ), ""


def _advice(
    ledger: Sequence[Mapping[str, Any]], combination: CombinationResult, lines: Sequence[CaseResult]
) -> list[Advice]:
    """The entries of the ledger whose versions and effects are those of a failure, whatever guest they were seen with."""
    found = []
    for entry in ledger:
        if any(
            way.needed and way.among(line.failed_checks) and _versions_fit(way.when, combination)
            for way in Deviation.from_data(entry).alternatives for line in lines
        ):
            found.append(Advice(entry["id"], entry["title"], entry["cause"], entry.get("advice", "")))
    return found


def _versions_fit(when: Conditions, combination: CombinationResult) -> bool:
    for name in RANGES:
        if name in when.values:
            role, key = reported_as(name)
            version = combination.versions.get(role, {}).get(key, "")
            try:
                number: Any = package_key(version) if name in PACKAGES else parse_version(version)
                if number not in when.values[name]:
                    return False
            except (LabError, ValueError):
                return False
    return True
