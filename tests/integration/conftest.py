# SPDX-License-Identifier: GPL-3.0-or-later
"""Integration tests run the playbooks on this machine, with real daemons in the tests' own cell."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

import pytest

ROOT = Path(__file__).resolve().parents[2]
INVENTORY = ROOT / "tests" / "integration" / "inventory" / "lab.yml"
PLAYBOOK = Path(sys.executable).with_name("ansible-playbook")
CELL = "t"

# What shows in the command lines of the processes that playbooks and tests start.
PROCESSES = ("libvirtd", "qemu-system", "mlab-", "ansible-playbook", "os.pidfd_open", "migration-lab-chromium")

# Filled in when the session ends, shown in the summary.
LEFT_BEHIND: Optional[list[str]] = None


@dataclass(frozen=True)
class Played:
    """How a playbook ended."""

    status: int
    output: str

    def message(self) -> str:
        """The output with its line breaks and indentation folded, to look for a sentence in."""
        return " ".join(self.output.split())

    def changed(self) -> int:
        """Number of changed tasks over all hosts, from the recap."""
        recap = self.output.rpartition("PLAY RECAP")[2]
        return sum(int(word.partition("=")[2]) for word in recap.split() if word.startswith("changed="))


@dataclass(frozen=True)
class Lab:
    """The playbooks with the tests' inventory and a results folder."""

    results: Path

    def start(self, playbook: str, *options: str, **settings: Any) -> subprocess.Popen[str]:
        """Start a playbook with extra variables."""
        settings = {"results_root": str(self.results), **settings}
        command = [str(PLAYBOOK), "-i", str(INVENTORY), str(ROOT / "playbooks" / f"{playbook}.yml"), *options]
        command += ["-e", json.dumps(settings)]
        return subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            start_new_session=True,
        )

    def play(self, playbook: str, *options: str, **settings: Any) -> Played:
        """Run a playbook to its end."""
        process = self.start(playbook, *options, **settings)
        try:
            output, _ = process.communicate(timeout=900)
        finally:
            if process.poll() is None:
                kill_all(process)
        return Played(process.returncode, output)

    def journal(self, run: str, combination: str) -> Path:
        """Path of a journal."""
        return self.results / run / combination / "journal.jsonl"


def machine(role: str) -> str:
    """Name of a machine of the tests' cell."""
    return f"mlab-{CELL}-{role}"


def cases_of(journal: Path) -> list[dict[str, Any]]:
    """The case lines of a journal, as they stand in the file."""
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    return [line for line in lines if line["type"] == "case"]


def events_of(journal: Path, event: str) -> list[dict[str, Any]]:
    """The events of one kind in a journal."""
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    return [line for line in lines if line.get("event") == event]


def wait_for(what: str, condition: Callable[[], bool], seconds: float = 120) -> None:
    """Wait for a condition, and fail the test when it does not come."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not come within {seconds} s"
        time.sleep(0.1)


def wait_for_cases(journal: Path, number: int, process: subprocess.Popen[str]) -> None:
    """Wait until a journal has so many case lines, as long as the playbook that writes it runs."""

    def come() -> bool:
        assert process.poll() is None, process.communicate()[0]
        return journal.exists() and journal.read_bytes().count(b'"type":"case"') >= number

    # The first playbook of a session builds the images.
    wait_for(f"case {number} in {journal}", come, 900)


def descendants(pid: int) -> list[int]:
    """Process numbers below a process, itself included."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = entry.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        children.setdefault(int(fields[1]), []).append(int(entry.parent.name))
    found, todo = [], [pid]
    while todo:
        process = todo.pop()
        found.append(process)
        todo += children.get(process, [])
    return found


def kill_all(process: subprocess.Popen[str]) -> None:
    """Kill a playbook and everything that it has started, at once."""
    for pid in descendants(process.pid):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    process.communicate()


def inventory_of_things() -> set[str]:
    """Containers, networks, network namespaces and lab processes on this machine."""
    things: set[str] = set()
    for kind, command in (
        ("container", ["podman", "ps", "--all", "--format", "{{.Names}}"]),
        ("network", ["podman", "network", "ls", "--format", "{{.Name}}"]),
    ):
        try:
            names = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
        except FileNotFoundError:
            continue  # before the first playbook has installed podman
        things.update(f"{kind} {name}" for name in names)
    things.discard("network podman")  # podman's default network appears with its first use
    namespaces = Path("/run/netns")
    things.update(f"namespace {entry.name}" for entry in (namespaces.iterdir() if namespaces.exists() else ()))
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = entry.read_bytes().split(b"\0")
        except (FileNotFoundError, ProcessLookupError):
            continue
        text = b" ".join(words).decode(errors="replace").strip()
        if any(name in text for name in PROCESSES):
            things.add(f"process {entry.parent.name} {text[:60]}")
    return things


@pytest.fixture(scope="session", autouse=True)
def nothing_left() -> Iterator[None]:
    """The suite leaves no container, network, namespace or process behind."""
    global LEFT_BEHIND
    assert os.geteuid() == 0, "the integration tests need root; run the unit tests alone with `make unit`"
    before = inventory_of_things()
    yield
    destroyed = Lab(Path("/nonexistent")).play("destroy")
    assert destroyed.status == 0, destroyed.output
    deadline = time.monotonic() + 10  # a killed process may take a moment to be gone
    while (new := inventory_of_things() - before) and time.monotonic() < deadline:
        time.sleep(0.5)
    LEFT_BEHIND = sorted(new)
    assert not LEFT_BEHIND


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """The lab with a results folder for the session."""
    return Lab(tmp_path_factory.mktemp("results"))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say what the suite left behind."""
    if LEFT_BEHIND is not None:
        left = ", ".join(LEFT_BEHIND) or "no container, network, namespace or process"
        terminalreporter.write_line(f"left behind by the integration tests: {left}")
