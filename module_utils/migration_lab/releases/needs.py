# SPDX-License-Identifier: GPL-3.0-or-later
"""What a machine of the lab needs of its image: looked for in a container of the image before anything is made of it."""

from __future__ import annotations

import shlex
import subprocess
from typing import Mapping, Sequence

from ..model.errors import LabError
from ..model.version import format_version, parse_version
from .daemons import NEEDED

# Programs of the machine's control script (roles/machine_files/templates/machine.j2).
PROGRAMS = ("cat", "cp", "grep", "mkdir", "mv", "rm", "rmdir", "sed", "sleep", "touch", "tr", "umount")

# Finds what is lacking; a line for each, and one for the version of libvirt.
SCRIPT = """\
folder=
if [ -s /etc/migration-lab-tree ]; then
    . /etc/migration-lab-tree
    folder=$prefix/sbin/
    export LD_LIBRARY_PATH="$libraries" PYTHONPATH="$binding"
fi
for program in $programs; do
    command -v "$program" >/dev/null || echo "lacks the program $program"
done
for emulator in $emulators; do
    [ -x "$emulator" ] || [ -x "$emulator.real" ] || echo "lacks the emulator $emulator"
done
for daemon in $daemons; do
    daemon=$folder$daemon
    if command -v "$daemon" >/dev/null; then
        # ld.so(8): the daemon is not run. A line is: libxml2.so.2 => not found
        LD_TRACE_LOADED_OBJECTS=1 "$daemon" 2>/dev/null | while read -r library _ found; do
            [ "$found" != "not found" ] || echo "lacks the library $library"
        done
    else
        echo "lacks the daemon $daemon"
    fi
done
if ! command -v "$python" >/dev/null; then
    echo "lacks the interpreter $python"
elif said=$("$python" -c 'import json, libvirt; print("libvirt %d" % libvirt.getVersion())' 2>&1); then
    echo "$said"
else
    echo "lacks a libvirt binding of $python that works ($(echo "$said" | sed -n '$p'))"
fi
"""


def check_needs(
    name: str, command: Sequence[str], kind: str, python: str, emulators: Mapping[str, str], libvirt: str, remedy: str
) -> None:
    """Look into an image for what the lab's machines need.

    :param name: the release, for the error.
    :param command: runs a program in a container of the image, with the program after it.
    :param kind: of the daemons that it must have.
    :param python: the interpreter that has, or is given, the libvirt binding.
    :param emulators: by guest architecture, the QEMU binary.
    :param libvirt: the version that the library must have.
    :param remedy: what to do about what is lacking.
    :raises LabError: with all that is lacking, in one sentence.
    """
    given = {
        "programs": " ".join(PROGRAMS), "daemons": " ".join(NEEDED[kind]), "emulators": " ".join(emulators.values()),
        "python": python,
    }
    script = "".join(f"{variable}={shlex.quote(value)}\n" for variable, value in given.items()) + SCRIPT
    done = subprocess.run([*command, "sh", "-s"], input=script, capture_output=True, text=True, check=False)
    lines = done.stdout.splitlines()
    lacking = list(dict.fromkeys(line.removeprefix("lacks ") for line in lines if line.startswith("lacks ")))
    if done.returncode and not lacking:
        said = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
        raise LabError(f"the image of release '{name}' cannot run a shell ({said}); give one that is a whole system")
    if lacking:
        raise LabError(f"the image of release '{name}' lacks {'; '.join(lacking)}: {remedy}")
    found = next(format_version(int(line.split()[1])) for line in lines if line.startswith("libvirt "))
    if parse_version(found) != parse_version(libvirt):
        raise LabError(f"the image of release '{name}' has libvirt {found}, its entry says {libvirt}; correct 'libvirt'")
