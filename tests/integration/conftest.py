# SPDX-License-Identifier: GPL-3.0-or-later
"""Integration tests run the playbooks on this machine, with real daemons in the tests' own cell."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Optional

import pytest

from lab import Lab

# What shows in the command lines of the processes that playbooks and tests start.
PROCESSES = ("libvirtd", "qemu-system", "mlab-", "ansible-playbook", "os.pidfd_open", "migration-lab-chromium")

# Filled in when the session ends, shown in the summary.
LEFT_BEHIND: Optional[list[str]] = None


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
