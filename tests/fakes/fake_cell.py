# SPDX-License-Identifier: GPL-3.0-or-later
"""A cell whose cases do what a test says: for the engine that deals cases to workers, not for what libvirt does."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from migration_lab.cell.cell import Cell
from migration_lab.cell.client import ClientAgent, DaemonSilent
from migration_lab.cell.machine import Machine
from migration_lab.journal.journal import Journal, Record, read_journal
from migration_lab.judging.deviation import Deviation
from migration_lab.model.case import ROLES, Case
from migration_lab.model.errors import LabError
from migration_lab.runner.attempt_log import AttemptLog
from migration_lab.runner.daemons import Daemons
from migration_lab.runner.stage import Stage
from migration_lab.runner.workers import Workers
from migration_lab.suites.attempt import Attempt
from migration_lab.suites.migration.procedure import Migration
from migration_lab.suites.migration.suite import MigrationRules
from migration_lab.suites.procedure import Bench, Revive
from migration_lab.suites.suite import Rules
from synthetic_run import CASES, as_expected, lab_error, refused

PATIENCE = 5.0  # seconds until a test that waits for something gives up


class FakeMachine:
    """A machine with daemons that can die, hang, and be started again, each time with other process numbers.

    ``beside`` are those beside the one that runs guests, with their process numbers.
    """

    def __init__(self, name: str, process: int) -> None:
        self.name = name
        self.uri = f"fake://{name}/"
        self.process = process
        self.alive = True
        self.hangs = False
        self.reachable = True
        self.restarts = 0
        self.log = f"{name} started\n"
        self.crash = ""
        self.beside: dict[str, int] = {}
        self.logs_beside: dict[str, str] = {}

    def daemons(self) -> dict[str, int]:
        if not self.reachable:
            raise LabError(f"machine {self.name}: no such container")
        return {**({"libvirtd": self.process} if self.alive else {}), **self.beside}

    def restart_daemons(self, *names: str) -> dict[str, int]:
        self.restarts += 1
        self.process += 1000
        self.alive, self.hangs = True, False
        self.beside = {name: process + 1000 for name, process in self.beside.items()}
        return self.daemons()

    def crash_since(self, seconds: float) -> str:
        return self.crash

    def log_size(self, daemon: str) -> int:
        return len(self.logs_beside.get(daemon, self.log))

    def log_since(self, daemon: str, offset: int) -> bytes:
        return self.logs_beside.get(daemon, self.log)[offset:].encode()


class FakeClientAgent:
    """A connection that reaches a daemon unless that is dead or hangs."""

    made: list[FakeClientAgent] = []
    dropped = threading.Event()

    def __init__(self, cell: Cell) -> None:
        self._machines = [cast(FakeMachine, machine) for machine in (cell.source, cell.target)]
        self.drops = 0
        self.call_seconds = 0.0
        FakeClientAgent.made.append(self)

    def agent(self) -> Any:
        for machine in self._machines:
            if machine.hangs or not machine.alive:
                raise DaemonSilent(f"could not connect to {machine.name}")
        return self

    def __enter__(self) -> FakeClientAgent:
        return self

    def __exit__(self, *error: object) -> None:
        self.drop()

    def drop(self) -> None:
        self.drops += 1
        FakeClientAgent.dropped.set()


# What happens while a case is in flight. It changes the attempt, which is at first one that went as expected.
Behaviour = Callable[[Attempt], None]


class FakeDomains:
    """Removes what it is asked to, if the daemons answer."""

    def __init__(self) -> None:
        self.cleaned: list[str] = []

    def name(self, number: int, attempt: int = 1) -> str:
        return f"mlab-{number}"

    def remove(self, name: str, client: ClientAgent, limit: float = 0) -> list[str]:
        self.cleaned.append(name)
        client.agent()
        return []


class FakeRunner(Migration):
    """Runs cases as ``behaviours`` says, by case and number of the attempt; those that it does not name pass."""

    def __init__(self) -> None:
        self.domains = FakeDomains()
        self.bench = cast(Bench, SimpleNamespace(domains=self.domains))
        self.behaviours: dict[tuple[str, int], Behaviour] = {}
        self.together = threading.Barrier(1)
        self.lock = threading.Lock()
        self.started: list[str] = []
        self.in_flight: set[str] = set()
        self.most = 0
        self.seen_beside: dict[tuple[str, int], set[str]] = {}
        self.attempts: dict[str, int] = defaultdict(int)

    def run(self, case: Case, connection: ClientAgent, revive: Revive | None = None, number: int = 1) -> Attempt:
        attempt = Attempt(case, number, seen=as_expected(case), seconds=0.5, call_seconds=0.25)
        with self.lock:
            first = len(self.started) < self.together.parties
            self.started.append(case.id)
            self.attempts[case.id] += 1
            begun = self.attempts[case.id]
            self.in_flight.add(case.id)
            self.most = max(self.most, len(self.in_flight))
            self.seen_beside[case.id, begun] = self.in_flight - {case.id}
        try:
            if first:
                self.together.wait(PATIENCE)
            self.behaviours.get((case.id, begun), lambda attempt: None)(attempt)
        finally:
            with self.lock:
                self.in_flight.discard(case.id)
        lost = bool(attempt.seen.lab_error) or not (attempt.seen.migrated and attempt.seen.migrated.ok)
        if revive and lost:
            self.survive(attempt, connection, revive)
        return attempt


class FakeCell:
    """A matrix on two fake machines with its journal."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.source, self.target = FakeMachine("a-source", 11), FakeMachine("a-target", 22)
        self.runner = FakeRunner()
        self.stop = threading.Event()
        self.died = threading.Event()
        client = Machine("a-client", (), "python3")
        self.cell = Cell(client, cast(Machine, self.source), cast(Machine, self.target))
        self.stage: Stage | None = None
        # Of the pair: both sides know protocol v3, and the ledger is empty.
        versions = dict.fromkeys(ROLES, 9000000)
        self.rules: Rules = MigrationRules(versions, {"source": 7002000, "target": 7002000}, versions)
        self.alone_again = False

    def know(self, **deviation: Any) -> None:
        """Put a deviation into the ledger."""
        about = {"id": "known-one", "cause": "a bug", "reference": "a commit"}
        entry = Deviation.from_data({**about, **deviation})
        self.rules = replace(self.rules, ledger=(*self.rules.ledger, entry))

    def behave(self, case: Case, *behaviours: Behaviour | None) -> None:
        """Say what happens in the attempts at a case, in order; None and later ones: it passes."""
        for number, behaviour in enumerate(behaviours, start=1):
            if behaviour:
                self.runner.behaviours[case.id, number] = behaviour

    def run(self, cases: Iterable[Case], workers: int = 1, together: int = 1) -> bool:
        """Run cases with that many workers, and fail rather than hang.

        :param together: the first so many cases wait until all of them are in flight.
        """
        self.runner.together = threading.Barrier(together)
        journal = Journal(self.folder / "journal.jsonl")
        daemons = Daemons(self.cell)
        stage = self.stage = Stage(
            self.cell, self.runner, self.rules, daemons, AttemptLog(self.cell, self.folder, daemons.processes), journal
        )
        matrix = Workers(stage, list(cases), workers, stop=self.stop.is_set, alone_again=self.alone_again)
        ended: list[bool | BaseException] = []

        def run() -> None:
            try:
                ended.append(matrix.run())
            except BaseException as error:  # handed on to the test
                ended.append(error)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        thread.join(2 * PATIENCE)
        journal.close()
        assert ended, "the matrix hangs"
        if isinstance(ended[0], BaseException):
            raise ended[0]
        return ended[0]

    @property
    def record(self) -> Record:
        return read_journal(self.folder / "journal.jsonl")

    def attempts(self) -> list[tuple[str, int, bool, str]]:
        """The journal's attempts: case, number, whether final, verdict."""
        return [(line.case, line.attempt, line.final, line.verdict) for line in self.record.attempts]

    # Behaviours

    def kill_target(self, attempt: Attempt) -> None:
        """The case brings the target's daemon down."""
        self._kill(self.target, attempt)

    def kill_source(self, attempt: Attempt) -> None:
        """The case brings the source's daemon down."""
        self._kill(self.source, attempt)

    def _kill(self, machine: FakeMachine, attempt: Attempt) -> None:
        machine.alive = False
        machine.log += f"{attempt.case.id} killed me\n"
        self.died.set()
        refused("end of file while reading data")(attempt.case, attempt.seen)

    def need_daemons(self, attempt: Attempt) -> None:
        """The case passes if both daemons are there."""
        if not (self.source.alive and self.target.alive):
            lab_error("could not connect")(attempt.case, attempt.seen)

    def suffer(self, attempt: Attempt) -> None:
        """The case is cut off by the death that another brings about."""
        assert self.died.wait(PATIENCE)
        lab_error("the connection was lost")(attempt.case, attempt.seen)

    def survive(self, attempt: Attempt) -> None:
        """The case passes though a daemon dies meanwhile."""
        assert self.died.wait(PATIENCE)


def refuse(attempt: Attempt) -> None:
    """The migration is refused."""
    refused("operation failed")(attempt.case, attempt.seen)


def break_lab(attempt: Attempt) -> None:
    """The lab fails."""
    lab_error("the agent was ended by SIGKILL")(attempt.case, attempt.seen)


@contextmanager
def fake_cell(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeCell]:
    """A cell with fake connections, each of which must have been ended at the end."""
    for module in ("runner.workers", "runner.daemons", "runner.suspects"):
        monkeypatch.setattr(f"migration_lab.{module}.ClientAgent", FakeClientAgent)
    monkeypatch.setattr("migration_lab.cell.leftovers.ClientAgent", FakeClientAgent)
    monkeypatch.setattr(FakeClientAgent, "made", [])
    monkeypatch.setattr(FakeClientAgent, "dropped", threading.Event())
    yield FakeCell(folder)
    assert all(connection.drops for connection in FakeClientAgent.made), "every connection that was made is ended"


A, B, C, D, E, *_ = CASES
