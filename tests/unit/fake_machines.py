# SPDX-License-Identifier: GPL-3.0-or-later
"""Machines on this machine: real agents and commands, with the fake libvirt, and a file in place of a daemon's process."""

from __future__ import annotations

import sys
from pathlib import Path

from fake_libvirt import lay
from migration_lab.case_run import Cell
from migration_lab.machine import Machine

# Keeps the process number in a file and adds one at each start, as a daemon that is started again has another.
CONTROL = """#!/bin/sh
case "$1" in
start)
    if [ -e "$0.pid" ]; then echo "it runs already" >&2; exit 1; fi
    read -r last < "$0.last"; echo $((last + 1)) | tee "$0.last" > "$0.pid"; echo "started $((last + 1))" >> "$0.log"
    ;;
stop) rm -f "$0.pid" ;;
status) if [ -e "$0.pid" ]; then cat "$0.pid"; fi ;;
esac
"""


def make_machine(folder: Path, role: str, uri: str = "") -> Machine:
    """A machine whose daemon, number 100, runs."""
    control = folder / role
    control.write_text(CONTROL)
    control.chmod(0o755)
    control.with_name(f"{role}.last").write_text("99\n")
    uri = uri or f"fake://a-{role}/"
    machine = Machine(f"a-{role}", ("env", f"PYTHONPATH={folder}"), sys.executable, uri, (str(control),), f"{control}.log")
    machine.run(*machine.daemon, "start")
    return machine


def make_cell(folder: Path) -> Cell:
    """Three machines in a folder."""
    lay(folder)
    client = Machine("a-client", ("env", f"PYTHONPATH={folder}"), sys.executable)
    return Cell(client, make_machine(folder, "source"), make_machine(folder, "target"))


def children() -> set[str]:
    """Process numbers of this process's children."""
    return {number for task in Path("/proc/self/task").iterdir() for number in (task / "children").read_text().split()}
