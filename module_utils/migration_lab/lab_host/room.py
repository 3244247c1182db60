# SPDX-License-Identifier: GPL-3.0-or-later
"""What room a lab host has for more cells: cores, free memory, and the networks that are taken. Changes nothing."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

from ..model.errors import LabError

MEMORY = Path("/proc/meminfo")
# The label of an additional cell's network, as roles/cell/tasks/network.yml gives it.
BESIDE = "migration-lab.beside"


def room() -> dict[str, Any]:
    """Cores, MiB of free memory, and podman's networks as ``networks_of`` gives them; none where there is no podman yet.

    :raises LabError: when podman does not list its networks.
    """
    return {
        "cores": len(os.sched_getaffinity(0)),
        "free_mib": free_mib(MEMORY.read_text()),
        "networks": networks_of(_podman("network", "ls", "--format", "json")) if shutil.which("podman") else {},
    }


def free_mib(meminfo: str) -> int:
    """MiB that programs can have without swapping, from the text of /proc/meminfo (proc(5))."""
    found = re.search(r"^MemAvailable: +(\d+) kB$", meminfo, re.MULTILINE)
    assert found is not None, "Linux has had MemAvailable since 3.14"
    return int(found[1]) // 1024


def networks_of(listed: str) -> dict[str, dict[str, Any]]:
    """Podman's networks by name: ``subnets``, and ``beside``, the cell that an additional cell was added to, else empty.

    :param listed: what ``podman network ls --format json`` prints.
    """
    # Podman 3 has CNI's own form of them, without subnets.
    return {
        network.get("name") or network["Name"]: {
            "subnets": [entry["subnet"] for entry in network.get("subnets") or ()],
            "beside": (network.get("labels") or {}).get(BESIDE, ""),
        }
        for network in json.loads(listed) or ()
    }


def _podman(*arguments: str) -> str:
    done = subprocess.run(["podman", *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        error = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise LabError(f"podman cannot list its networks ({error}); see that 'podman network ls' works on the lab host")
    return done.stdout
