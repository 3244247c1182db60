# SPDX-License-Identifier: GPL-3.0-or-later
"""Machines on this machine: real agents and commands, with the fake libvirt, and a file in place of a daemon's process.

Also what else there is around a case: processes that look like guests, and a witness and a relay that do what a test says.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from fake_libvirt import lay
from migration_lab.cell.cell import Cell
from migration_lab.cell.machine import Machine
from migration_lab.cell.witness import Watch, Witness
from migration_lab.guest.config import GuestConfig
from migration_lab.judging.observation import Copy, Survival
from migration_lab.model.errors import LabError
from migration_lab.relay.relays import Relays
from migration_lab.relay.steps import Step

# Keeps process numbers in files and adds one at each start, as a daemon that is started again has another.
CONTROL = """#!/bin/sh
command=$1
shift
cd "$0.daemons"
[ $# -gt 0 ] || set -- *.last
for name; do
    name=${name%.last}
    case $command in
    restart | replace | start)
        [ $command = start ] || rm -f $name.pid
        [ ! -e $name.pid ] || continue
        read -r last <$name.last
        echo $((last + 1)) >$name.last
        echo $((last + 1)) >$name.pid
        echo "started $((last + 1))" >>$name.log
        echo $name $((last + 1))
        ;;
    status) if [ -e $name.pid ]; then read -r pid <$name.pid; echo $name $pid; fi ;;
    esac
done
"""


def make_machine(folder: Path, role: str, uri: str = "", daemons: tuple[str, ...] = ("libvirtd",)) -> Machine:
    """A machine whose daemons run, the first one with number 100, the second one 200."""
    control = folder / role
    control.write_text(CONTROL)
    control.chmod(0o755)
    # What the script leaves at a start; the tests start many machines.
    files = folder / f"{role}.daemons"
    files.mkdir()
    for number, name in enumerate(daemons, 1):
        for ending, text in (("last", f"{number}00\n"), ("pid", f"{number}00\n"), ("log", f"started {number}00\n")):
            (files / f"{name}.{ending}").write_text(text)
    uri = uri or f"fake://a-{role}/"
    return Machine(f"a-{role}", ("env", f"PYTHONPATH={folder}"), sys.executable, uri, (str(control),), str(files))


def make_cell(folder: Path) -> Cell:
    """Three machines in a folder."""
    lay(folder)
    client = Machine("a-client", ("env", f"PYTHONPATH={folder}"), sys.executable)
    return Cell(client, make_machine(folder, "source"), make_machine(folder, "target"))


# Arguments: where RAM begins in a mapping, and whether the guest is ready. It puts its input into RAM from 4 MiB on, then
# counts, 100 times a second.
GUEST = """
import mmap, struct, sys, time
begin, ready = int(sys.argv[-2]), sys.argv[-1] == "ready"
memory = mmap.mmap(-1, begin + 16 * 2**20)
pattern = sys.stdin.buffer.read()
memory[begin + 4 * 2**20:begin + 4 * 2**20 + len(pattern)] = pattern
page = begin + 2 * 2**20
if ready:
    memory[page:page + 8] = b"MIGRLAB1"
print("begun", flush=True)
counter = 0
while True:
    time.sleep(0.01)
    counter += ready
    memory[page + 8:page + 16] = struct.pack("<Q", counter)
"""


class GuestProcess:
    """A process that looks like QEMU's, with the memory of a guest of 16 MiB."""

    def __init__(self, name: str, pattern: bytes, begin: int = 0, ready: bool = True) -> None:
        self.process = subprocess.Popen(
            ["/usr/bin/qemu-system-x86_64", "-c", GUEST, "-name", f"guest={name},debug-threads=on",
             str(begin), "ready" if ready else "not"],
            executable=sys.executable, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONHOME": sys.base_prefix},
        )
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(pattern)
        self.process.stdin.close()
        assert self.process.stdout.readline() == b"begun\n"

    @property
    def pid(self) -> int:
        return self.process.pid

    def halt(self) -> None:
        self.process.send_signal(signal.SIGSTOP)
        os.waitpid(self.pid, os.WUNTRACED)

    def end(self) -> None:
        """End it; may be called again."""
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


def fake_guest(kernel: str = "/lab/guest.img", **fields: Any) -> GuestConfig:
    """A guest for the fake libvirt; ``fields`` replace some of its own."""
    xml = (
        "<domain type='@type@'><name>@name@</name><uuid>@uuid@</uuid><description>@description@</description>"
        f"<memory>16384</memory><vcpu>1</vcpu><os><kernel>{kernel}</kernel></os></domain>"
    )
    return GuestConfig(**{
        "name": "x86_64", "arch": "x86_64", "accel": "tcg", "machine": "pc-i440fx-7.2", "memory": 16, "xml": xml, **fields,
    })


class FakeWitness(Witness):
    """Sees the guests as a test says; what it was asked is in ``asked``."""

    def __init__(self, source: Machine, target: Machine) -> None:
        self.asked: list[tuple[object, ...]] = []
        self.counts = True
        self.counters: dict[str, int | None] = {"source": 20, "target": 20}
        self.copies: tuple[Copy, ...] | None = None
        self.whole: bool | None = True
        self.left: list[str] = []

    def start(self) -> None:
        self.asked.append(("start",))

    def wait_until_counting(self, guest: GuestConfig, side: str, name: str, limit: float) -> None:
        assert 1 <= limit <= 60
        self.asked.append(("wait", side, name))
        if not self.counts:
            raise LabError(f"guest {name} on the {side} did not begin to count")

    def counter(self, guest: GuestConfig, side: str, name: str) -> int | None:
        self.asked.append(("counter", side, name))
        return self.counters[side]

    def watch(self, guest: GuestConfig, name: str) -> Watch:
        self.asked.append(("watch", name))
        return Watch(guest, name, {}, 0.0)

    def survival(self, watch: Watch, side: str, running: bool, before: int) -> Survival:
        """All that a test did not say is well: one process, which counts when it should."""
        self.asked.append(("survival", side, watch.name, running))
        copies = (Copy(side, 30, 3 if running else 0),) if self.copies is None else self.copies
        return Survival(before, self.counters[side], self.whole, copies)

    def leftovers(self, name: str) -> list[str]:
        self.asked.append(("leftovers", name))
        return self.left

    def close(self) -> None:
        self.asked.append(("close",))


class FakeRelays(Relays):
    """Where it listens are other daemons; it has seen the same procedures of every domain."""

    made: list[FakeRelays] = []
    oddities: list[str] = []

    def __init__(self, *given: Any, **fields: Any) -> None:
        self.given, self.fields = given, fields
        self.procedures = ["begin3", "prepare3", "perform3", "finish3", "confirm3"]
        self.taken: list[str] = []
        self.stopped = 0
        FakeRelays.made.append(self)

    def start(self) -> dict[str, str]:
        return {"client-source": "relayed-source", "client-target": "relayed-target", "source-target": "relayed-target"}

    def take(self, domain: str) -> list[Step]:
        self.taken.append(domain)
        return [Step("source-target", procedure, 1764000000.0, 0.1, "ok") for procedure in self.procedures]

    def stop(self) -> None:
        self.stopped += 1


def kill_daemon(machine: Machine, name: str = "libvirtd") -> None:
    """Let a machine's daemon be gone."""
    Path(f"{machine.logs}/{name}.pid").unlink()


def children() -> set[str]:
    """Process numbers of this process's children."""
    found = set()
    for task in Path("/proc/self/task").iterdir():
        # A thread may end meanwhile, and its children become another's.
        with suppress(FileNotFoundError, ProcessLookupError):
            found.update((task / "children").read_text().split())
    return found
