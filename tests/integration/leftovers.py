# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests leave on this machine, told apart from what others do here at the same time."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

# The cells of the tests' inventory and of the molecule scenario.
OWN = re.compile(r"mlab-[tm](?![a-z0-9])")

NAMESPACES = Path("/run/netns")

# In the environment of a session's processes and of all that they start. Processes in containers do not have it.
MARK = "MIGRATION_LAB_TESTS"


def mark_processes() -> str:
    """Mark what this process starts from now on, and return the mark."""
    os.environ[MARK] = str(os.getpid())
    return f"{MARK}={os.getpid()}"


def podman(*words: str) -> str:
    """What podman prints; nothing before the first playbook has installed it."""
    try:
        return subprocess.run(["podman", *words], capture_output=True, text=True, check=True).stdout
    except FileNotFoundError:
        return ""


def namespaces() -> set[str]:
    """The names of the network namespaces on this machine."""
    return {entry.name for entry in NAMESPACES.iterdir()} if NAMESPACES.exists() else set()


def left_behind(mark: str, namespaces_before: set[str]) -> set[str]:
    """The tests' containers, networks and processes, and new network namespaces that are not of somebody else's container."""
    others = namespaces_before.copy()
    things = set()
    new = namespaces()
    for container in json.loads(podman("ps", "--all", "--format", "json") or "[]"):
        name = container["Names"][0]
        if OWN.match(name):
            things.add(f"container {name}")
        else:
            others.add(Path(container_namespace(container["Id"])).name)
    things |= {f"namespace {name}" for name in (new - others) & namespaces()}
    things |= {f"network {name}" for name in podman("network", "ls", "--format", "{{.Name}}").split() if OWN.match(name)}
    for entry in Path("/proc").glob("[0-9]*"):
        text = " ".join(words(entry / "cmdline"))
        if text and (mark in words(entry / "environ") or OWN.search(text)):
            things.add(f"process {entry.name} {text[:60]}")
    return things


def words(path: Path) -> list[str]:
    """The strings in a file of a process; none when the process has ended, or is not to be read by anybody."""
    try:
        return path.read_bytes().decode(errors="replace").rstrip("\0").split("\0")
    except (FileNotFoundError, PermissionError, ProcessLookupError):
        return []


def container_namespace(container: str) -> str:
    """Path of a container's network namespace; empty when it has none, or is gone by now."""
    command = ["podman", "inspect", "--format", "{{.NetworkSettings.SandboxKey}}", container]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
