# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests count as left behind: everything of their own, and nothing of a cell that somebody uses meanwhile."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from lab import CELL, Lab
from leftovers import MARK, NAMESPACES, left_behind, namespaces

SLEEP = [sys.executable, "-c", "import sys; sys.stdin.read()"]


@pytest.fixture(scope="module")
def container(lab: Lab) -> list[str]:
    """A command that starts a container on this machine as the lab does, but for name and network; it waits."""
    assert lab.play("provision", combination="nnn").status == 0
    machines = ["podman", "ps", "--quiet", "--filter", f"label=migration-lab.cell={CELL}"]
    machine = subprocess.check_output(machines, text=True).split()[0]
    (found,) = json.loads(subprocess.check_output(["podman", "inspect", machine]))
    limits = [word for name in ("nofile", "nproc") for word in ("--ulimit", f"{name}=1024:1024")]
    return ["podman", "--runtime", found["OCIRuntime"], "run", "--detach", *limits, found["Image"], "sleep", "600"]


@contextmanager
def process(*words: str, mark: str = "") -> Iterator[str]:
    """A process with words in its command line, that runs until the end, and how it shows."""
    environment = {name: value for name, value in os.environ.items() if name != MARK} | ({MARK: mark} if mark else {})
    with subprocess.Popen([*SLEEP, *words], env=environment, stdin=subprocess.PIPE) as started:
        yield f"process {started.pid} "


@contextmanager
def cell(name: str, container: list[str]) -> Iterator[None]:
    """A network with a container that runs, as a cell has them."""
    subprocess.check_call(["podman", "network", "create", "--internal", name], stdout=subprocess.DEVNULL)
    try:
        place = container.index("--detach")
        named = [*container[:place], "--name", f"{name}-source", "--network", name, *container[place:]]
        subprocess.check_call(named, stdout=subprocess.DEVNULL)
        yield
    finally:
        subprocess.check_call(["podman", "rm", "--force", "--ignore", "--time", "0", f"{name}-source"], stdout=subprocess.DEVNULL)
        subprocess.check_call(["podman", "network", "rm", name], stdout=subprocess.DEVNULL)


def test_only_what_is_the_tests_own_is_left_behind(container: list[str]) -> None:
    mark, before = "test-of-leftovers", namespaces()
    known = left_behind(f"{MARK}={mark}", before)
    with ExitStack() as stack:
        for words in (["qemu-system-x86_64", "mlab-noo-001"], ["ansible-playbook", "mlab-tests-source"], ["libvirtd"]):
            stack.enter_context(process(*words))
        stack.enter_context(cell("mlab-someone", container))
        assert left_behind(f"{MARK}={mark}", before) <= known, "somebody else's cell comes"

        marked = stack.enter_context(process("chromium", mark=mark))
        named = stack.enter_context(process("-guest=mlab-t-source"))
        with cell("mlab-t-left", container):
            left = left_behind(f"{MARK}={mark}", before) - known
            assert {"container mlab-t-left-source", "network mlab-t-left"} <= left
            for start in (marked, named, "namespace "):
                assert any(thing.startswith(start) for thing in left), (start, left)
    assert left_behind(f"{MARK}={mark}", before) <= known, "it goes, and so do the tests' own"


def test_a_network_namespace_without_a_container_is_left_behind() -> None:
    before = namespaces()
    NAMESPACES.mkdir(exist_ok=True)
    left = NAMESPACES / "left-by-a-test"
    left.touch()
    try:
        assert f"namespace {left.name}" in left_behind(f"{MARK}=", before)
    finally:
        left.unlink()
