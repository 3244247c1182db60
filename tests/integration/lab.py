# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbooks as the tests run them, on the tests' own cell, and what is read of their runs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
INVENTORY = ROOT / "tests" / "integration" / "inventory" / "lab.yml"
PLAYBOOK = Path(sys.executable).with_name("ansible-playbook")
CELL = "t"


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
        return self.results / run / combination / f"journal-{CELL}.jsonl"


def machine(role: str, combination: str) -> str:
    """Name of the machine of the tests' cell that a combination uses."""
    letter = combination[("client", "source", "target").index(role)]
    return f"mlab-{CELL}-{role}-{'old' if letter == 'o' else 'new'}"


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
    # Stopped first: what is killed one by one may start another process meanwhile.
    stopped: set[int] = set()
    while started := set(descendants(process.pid)) - stopped:
        stopped |= started
        send(signal.SIGSTOP, started)
    send(signal.SIGKILL, stopped)
    process.communicate()


def send(number: signal.Signals, processes: set[int]) -> None:
    """Send a signal to those of the processes that are still there."""
    for pid in processes:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue
