# SPDX-License-Identifier: GPL-3.0-or-later
"""A cell's share of a combination, from its settings to its result: refuse, resume, run."""

from __future__ import annotations

import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Mapping, Optional

from ..cell.agent_process import AgentProcess
from ..cell.cell import Cell
from ..cell.domains import Domains
from ..cell.leftovers import find_leftovers, remove_leftovers
from ..cell.storage import Storage
from ..cell.versions import check_versions, read_versions
from ..cell.witness import Witness
from ..guest.config import GuestConfig
from ..guest.kernel import build
from ..journal.case_result import HELD_BESIDE
from ..journal.files import journal_path, journal_paths
from ..journal.journal import SCHEMA, Journal, Record, check_same, read_journal, read_journals
from ..judging.condition import reported_packages
from ..judging.deviation import Deviation
from ..model.case import ROLES, Case
from ..model.digest import bytes_id
from ..model.errors import LabError
from ..model.version import parse_version
from ..suites.procedure import Bench
from ..suites.suite import Rules, Suite
from .attempt_log import AttemptLog
from .daemons import Daemons
from .owner import Owner
from .relayed import relayed
from .stage import Stage
from .workers import QUIET, Workers


@dataclass(frozen=True)
class Settings:
    """What to run. ``expected`` is by role what ``cell.versions.check_versions`` takes; times are in seconds.

    ``guests`` are by name, in the order of their cases. ``profile`` and ``deviations`` are data, and ``profile_id`` and
    ``ledger_id`` identify them. ``cases`` are the ids of the share of the cell ``cell_name``; ``relay`` and ``guest_checks`` say
    whether relay and witness are used.
    """

    run: str
    combination: str
    pair: Mapping[str, Any]
    expected: Mapping[str, Mapping[str, str]]
    cell: Cell
    cell_name: str
    guests: Mapping[str, GuestConfig]
    suite: Suite
    profile: Mapping[str, Any]
    profile_id: str
    cases: tuple[str, ...]
    folder: Path
    workers: int
    time_limit: float
    prefix: str
    clean: bool
    resume: bool
    owner: Optional[int]
    deviations: tuple[Mapping[str, Any], ...] = ()
    ledger_id: str = ""
    relay: bool = True
    guest_checks: bool = True

    @property
    def ceilings(self) -> dict[str, str]:
        """By role the version as which the relay presents a machine, of those that have one."""
        return {role: facts["ceiling"] for role, facts in self.expected.items() if facts.get("ceiling")}

    def every_case(self) -> list[Case]:
        """The cases of all shares."""
        return self.suite.cases_of_guests(self.profile, self.combination, list(self.guests))

    def share(self) -> list[Case]:
        """The cases of the share, in the suite's order.

        :raises LabError: when the combination has no such case, or the suite lacks what it needs.
        """
        suite = self.suite
        if (suite.needs_relay and not self.relay) or (suite.needs_guest_checks and not self.guest_checks):
            raise LabError(f"suite '{suite.name}' does not work without relay or guest checks; do not switch them off")
        cases = self.every_case()
        unknown = set(self.cases) - {case.id for case in cases}
        if unknown:
            raise LabError(f"combination {self.combination} has no case '{min(unknown)}'; take the ids from the plan")
        return [case for case in cases if case.id in self.cases]


def run_combination(settings: Settings) -> dict[str, Any]:
    """Run the share's cases and return the result as the module ``migration_matrix`` reports it.

    :raises LabError: when the settings, the cell or an earlier journal forbid the run, or the lab broke down in it.
    """
    cases = settings.share()
    path = journal_path(settings.folder, settings.cell_name)
    if path.exists() and not settings.resume:
        raise LabError(f"there is a journal already: {path}; resume it with resume=true, or start another run")
    settings = replace(settings, cell=settings.cell.direct())
    with ExitStack() as ends:
        agent = AgentProcess(settings.cell.client.exec, settings.cell.client.python)
        ends.callback(agent.close)
        versions = read_versions(agent, settings.cell, 30, [(guest.arch, guest.machine) for guest in settings.guests.values()])
        check_versions(versions, settings.expected, settings.pair.get("boundary", ""))
        leftovers = find_leftovers(agent, settings.prefix, settings.cell.daemons)
        agent.end()
        header = _header(settings, versions)
        if settings.resume:
            for other in journal_paths(settings.folder):
                check_same(read_journal(other), header)
        earlier = read_journals(settings.folder) if settings.resume else Record(path)
        if leftovers and not settings.clean:
            raise LabError(
                f"domains of an earlier run are left on the cell: {', '.join(leftovers)}; look at them, then run again "
                "with clean=true to have them removed"
            )

        witness = Witness(**settings.cell.daemons) if settings.guest_checks else None
        if witness:
            ends.callback(witness.close)
            witness.start()
        domains = Domains(settings.prefix, settings.run, settings.combination, witness, tuple(settings.cell.daemons))
        cell, relays = replace(settings.cell, keepalive=settings.profile.get("keepalive")), None
        if settings.relay:
            cell, relays = relayed(cell, settings.ceilings, domains.pattern)
            ends.callback(relays.stop)
        journal = Journal(path)
        ends.callback(journal.close)
        journal.append("header", **header)
        if leftovers:
            remove_leftovers(cell, domains, leftovers)
            journal.append("event", event="leftovers", removed=leftovers)
        storage = ends.enter_context(Storage(settings.cell))
        if any(guest.disks for guest in settings.guests.values()):
            storage.clear(settings.prefix)
        bench = Bench(cell, domains, settings.guests, settings.time_limit, storage, witness, relays, settings.profile)
        procedure = settings.suite.procedure(bench)
        ends.enter_context(procedure.opened())
        daemons = Daemons(cell)
        journal.append("event", event="daemons", processes=daemons.processes)
        stage = Stage(
            cell, procedure, _rules(settings, versions), daemons, AttemptLog(cell, settings.folder, daemons.processes), journal,
            settings.suite.name, settings.cell_name,
        )
        rest = [case for case in cases if case.id not in earlier.cases]
        held = [attempt for attempt in earlier.attempts if attempt.held == HELD_BESIDE]
        beside = {attempt.case: f"failed concurrently with others ({attempt.reason})" for attempt in held}
        try:
            seconds = _run_rest(settings, stage, rest, beside)
        finally:
            for text in relays.oddities if relays else ():
                journal.append("event", event="relay-oddity", detail=text)
    return _result(settings, cases, path, versions, len(rest), seconds)


def _rules(settings: Settings, versions: Mapping[str, Mapping[str, str]]) -> Rules:
    reported = {role: parse_version(told["libvirt"]) for role, told in versions.items()}
    ceilings = {role: parse_version(version) for role, version in settings.ceilings.items()}
    shown = {role: min(version, ceilings.get(role, version)) for role, version in reported.items()}
    qemu = {role: parse_version(told["hypervisor"]) for role, told in versions.items() if "hypervisor" in told}
    ledger = tuple(map(Deviation.from_data, settings.deviations))
    return settings.suite.rules(reported, qemu, shown, settings.relay, ledger, settings.profile, reported_packages(versions))


def _header(settings: Settings, versions: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "run": settings.run,
        "combination": settings.combination,
        "cell": settings.cell_name,
        "suite": settings.suite.name,
        "pair": dict(settings.pair),
        "versions": versions,
        "profile": {
            "name": settings.profile["name"], "cases": len(settings.every_case()),
            "id": settings.profile_id,
        },
        "selected": list(settings.cases),
        "guests": {name: _guest_data(guest) for name, guest in settings.guests.items()},
        "ledger": settings.ledger_id,
        "guest_checks": settings.guest_checks,
        "tap": settings.relay,
        "commands": {role: " ".join(getattr(settings.cell, role).exec[:2]) for role in ROLES},
        "workers": settings.workers,
        "time_limit": settings.time_limit,
    }


def _guest_data(guest: GuestConfig) -> dict[str, Any]:
    return {**asdict(guest), **({"image": bytes_id(build(guest.arch).image)} if guest.witness else {})}


def _run_rest(settings: Settings, stage: Stage, cases: list[Case], failed_beside: Mapping[str, str]) -> float:
    """Run the cases that have no result yet; returns the seconds it took."""
    workers = Workers(
        stage, cases, settings.workers, stop=Owner(settings.owner).gone,
        alone_again=bool(settings.pair.get("alone_again")), failed_beside=failed_beside,
    )
    complete, started = False, time.monotonic()
    try:
        complete = workers.run()
    finally:
        seconds = time.monotonic() - started
        stage.journal.append(
            "event", event="end", complete=complete, seconds=round(seconds, 3),
            call_seconds=round(stage.call_seconds, 3), workers=settings.workers,
        )
    if not complete:
        raise LabError("the playbook that this run belongs to is gone; resume it with resume=true")
    return seconds


def _result(
    settings: Settings, cases: list[Case], path: Path, versions: Mapping[str, Any], ran: int, seconds: float
) -> dict[str, Any]:
    done = read_journals(settings.folder).cases
    chosen = [done[case.id] for case in cases]
    counts = Counter(result.verdict.value for result in chosen)
    return {
        "journal": str(path),
        "versions": versions,
        "counts": dict(counts),
        "ran": ran,
        "not_passed": [
            {"case": result.case, "verdict": result.verdict.value, "reason": result.reason}
            for result in chosen
            if result.verdict not in QUIET
        ],
        "unexplained_deaths": [death.detail for death in read_journal(path).unexplained_deaths],
        "seconds": round(seconds, 3),
        "call_seconds": round(sum(result.call_seconds for result in chosen), 3),
        "workers": settings.workers,
    }
