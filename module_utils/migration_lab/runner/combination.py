# SPDX-License-Identifier: GPL-3.0-or-later
"""A run of one combination from its arguments to its result: plan, refuse, resume, run."""

from __future__ import annotations

import hashlib
import json
import os
import re
import select
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Mapping, Optional
from urllib.parse import urlsplit

from ..cell.cell import Cell
from ..cell.leftovers import find_leftovers, remove_leftovers
from ..cell.machine import Machine
from ..cell.versions import check_versions, read_versions
from ..cell.witness import Witness
from ..guest.config import GuestConfig
from ..guest.kernel import build
from ..journal.case_result import HELD_BESIDE
from ..journal.journal import SCHEMA, Journal, Record, check_same, read_journal
from ..judging.deviation import Deviation
from ..model.case import ROLES, Case, select_cases
from ..model.errors import LabError
from ..model.profile import Profile
from ..model.version import parse_version
from ..relay.ceiling import ceiling
from ..relay.relay import Link
from ..relay.relays import Relays
from ..suites.migration.procedure import CaseRunner
from ..suites.migration.rules import Rules
from .workers import QUIET, Matrix

# libvirtd's port for unencrypted connections.
LIBVIRT_PORT = 16509


@dataclass(frozen=True)
class Settings:
    """What to run. ``expected`` is by role what ``cell_check.check_versions`` takes; times are in seconds.

    ``deviations`` is the ledger's data; ``tap`` and ``guest_checks`` say whether the tap and the witness
    are there.
    """

    run: str
    combination: str
    pair: Mapping[str, Any]
    expected: Mapping[str, Mapping[str, str]]
    cell: Cell
    guest: GuestConfig
    profile: Profile
    patterns: tuple[str, ...]
    folder: Path
    workers: int
    time_limit: float
    prefix: str
    clean: bool
    resume: bool
    owner: Optional[int]
    deviations: tuple[Mapping[str, Any], ...] = ()
    tap: bool = True
    guest_checks: bool = True


class Owner:
    """The process that a run belongs to. When it is gone, nobody waits for the result, and the run ends early."""

    def __init__(self, pid: Optional[int]) -> None:
        """:param pid: process number, or None for a run that belongs to nobody in particular."""
        self._descriptor: Optional[int] = None
        self._gone = False
        if pid is not None:
            try:
                self._descriptor = os.pidfd_open(pid)
            except ProcessLookupError:
                self._gone = True

    def gone(self) -> bool:
        """Whether the process has ended."""
        if self._descriptor is not None and not self._gone:
            self._gone = bool(select.select([self._descriptor], [], [], 0)[0])
        return self._gone


def planned_cases(settings: Settings) -> list[Case]:
    """The cases that the patterns choose, in order."""
    return select_cases(settings.profile.cases(), settings.patterns)


def run_combination(settings: Settings) -> dict[str, Any]:
    """Run the chosen cases of a combination and return the result as the module reports it.

    :raises LabError: when the settings, the cell or an earlier journal forbid the run, or the lab broke down in it.
    """
    cases = planned_cases(settings)
    path = settings.folder / "journal.jsonl"
    earlier = _earlier(path, settings.resume)
    versions = read_versions(settings.cell, wait=30)
    check_versions(versions, settings.expected, settings.pair["boundary"])
    header = _header(settings, cases, versions)
    check_same(earlier, header)

    with ExitStack() as ends:
        cell, tap, witness = settings.cell, None, None
        if settings.tap:
            cell, tap = _tapped(settings)
            ends.callback(tap.stop)
        if settings.guest_checks:
            witness = Witness(cell.source, cell.target, settings.guest)
            ends.callback(witness.close)
        runner = CaseRunner(
            cell, settings.guest, settings.prefix, settings.run, settings.combination, settings.time_limit, witness, tap
        )
        leftovers = find_leftovers(cell, settings.prefix)
        if leftovers and not settings.clean:
            raise LabError(
                f"domains of an earlier run are left on the cell: {', '.join(leftovers)}; look at them, then run again "
                "with clean=true to have them removed"
            )
        journal = Journal(path)
        ends.callback(journal.close)
        journal.append("header", **header)
        if leftovers:
            remove_leftovers(cell, runner, leftovers)
            journal.append("event", event="leftovers", removed=leftovers)
        rest = [case for case in cases if case.id not in earlier.cases]
        held = [attempt for attempt in earlier.attempts if attempt.held == HELD_BESIDE]
        beside = {attempt.case: f"failed beside others ({attempt.reason})" for attempt in held}
        setup = Setup(cell, runner, _rules(settings, versions), beside)
        seconds = _run_rest(settings, setup, journal, rest)
        for text in tap.oddities if tap else ():
            journal.append("event", event="tap-oddity", detail=text)
    return _result(settings, cases, read_journal(path), versions, len(rest), seconds)


@dataclass(frozen=True)
class Setup:
    """What the cases of a run go through: the cell as the agents reach it, what carries cases out, what judges them, and those
    that failed beside others before the run was cut off (id and note)."""

    cell: Cell
    runner: CaseRunner
    rules: Rules
    failed_beside: Mapping[str, str]


def _tapped(settings: Settings) -> tuple[Cell, Relays]:
    """Start the tap in the client's network, and the cell with its paths through it.

    A path shows what its older end knows: an old client does not ask an old or a new daemon for more than it knows itself.

    :raises LabError: when the tap cannot start.
    """
    cell = settings.cell
    links = []
    for name in ("client-source", "client-target", "source-target"):
        ends = name.split("-")
        shown = [version for end in ends if (version := settings.expected[end].get("ceiling"))]
        machine: Machine = getattr(cell, ends[1])
        port = urlsplit(machine.uri).port or LIBVIRT_PORT
        links.append(Link(name, machine.address, port, ceiling(min(shown, key=parse_version)) if shown else None))
    names = re.escape(f"{settings.prefix}{settings.combination}-") + r"\d+(?:-\d+)?"
    tap = Relays(links, listen=cell.client.address, names=names, namespace=cell.client.network_namespace())
    return replace(cell, tapped=tap.start()), tap


def _rules(settings: Settings, versions: Mapping[str, Mapping[str, str]]) -> Rules:
    reported = {role: parse_version(versions[role]["libvirt"]) for role in ROLES}
    shown = {
        role: min(reported[role], parse_version(settings.expected[role].get("ceiling") or versions[role]["libvirt"]))
        for role in ROLES
    }
    qemu = {role: parse_version(versions[role]["hypervisor"]) for role in ("source", "target")}
    return Rules(reported, qemu, shown, settings.tap, tuple(map(Deviation.from_data, settings.deviations)))


def _earlier(path: Path, resume: bool) -> Record:
    """The journal to go on with; an existing one is never gone over."""
    if not path.exists():
        return Record(path)
    if not resume:
        raise LabError(f"there is a journal already: {path}; go on with it with resume=true, or start another run")
    return read_journal(path)


def _header(settings: Settings, cases: list[Case], versions: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "run": settings.run,
        "combination": settings.combination,
        "pair": dict(settings.pair),
        "versions": versions,
        "profile": {
            "name": settings.profile.name, "cases": len(settings.profile.cases()), "id": _digest(repr(settings.profile).encode()),
        },
        "selected": [case.id for case in cases],
        "guest": {**asdict(settings.guest), "image": _digest(build(settings.guest.arch).image)},
        "ledger": _digest(json.dumps(settings.deviations, sort_keys=True).encode()),
        "guest_checks": settings.guest_checks,
        "tap": settings.tap,
        "workers": settings.workers,
        "time_limit": settings.time_limit,
    }


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:12]


def _run_rest(settings: Settings, setup: Setup, journal: Journal, cases: list[Case]) -> float:
    """Run the cases that have no result yet; returns the seconds it took."""
    owner = Owner(settings.owner)
    matrix = Matrix(
        setup.cell, setup.runner, setup.rules, journal, settings.folder, cases, settings.workers, stop=owner.gone,
        alone_again=bool(settings.pair.get("alone_again")), failed_beside=setup.failed_beside,
    )
    complete, started = False, time.monotonic()
    try:
        complete = matrix.run()
    finally:
        seconds = time.monotonic() - started
        journal.append(
            "event", event="end", complete=complete, seconds=round(seconds, 3),
            call_seconds=round(matrix.tally.call_seconds, 3), workers=settings.workers,
        )
    if not complete:
        raise LabError("the playbook that this run belongs to is gone; go on with resume=true")
    return seconds


def _result(
    settings: Settings, cases: list[Case], record: Record, versions: Mapping[str, Any], ran: int, seconds: float
) -> dict[str, Any]:
    chosen = [record.cases[case.id] for case in cases]
    counts = Counter(result.verdict.value for result in chosen)
    return {
        "journal": str(record.path),
        "versions": versions,
        "counts": dict(counts),
        "ran": ran,
        "not_passed": [
            {"case": result.case, "verdict": result.verdict.value, "reason": result.reason}
            for result in chosen
            if result.verdict not in QUIET
        ],
        "unexplained_deaths": [death.detail for death in record.unexplained_deaths],
        "seconds": round(seconds, 3),
        "call_seconds": round(sum(result.call_seconds for result in chosen), 3),
        "workers": settings.workers,
    }
