# SPDX-License-Identifier: GPL-3.0-or-later
"""What a lab host can do: the container runtime and limits that work there, found out by trying."""

from __future__ import annotations

import os
import resource
import shutil
import struct
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Sequence

from ..model.errors import LabError

CGROUP_ROOT = Path("/sys/fs/cgroup")
MEMORY_MAP = Path("/proc/self/maps")

# Enough for a libvirtd with a dozen QEMUs, and small enough for hosts with tight hard limits.
WANTED_LIMITS = {"nofile": (resource.RLIMIT_NOFILE, 4096), "nproc": (resource.RLIMIT_NPROC, 16384)}


def missing_packages(packages: Sequence[str]) -> list[str]:
    """Those of the Debian packages that are not installed.

    :raises LabError: when this is no Debian-like system, or the user is not root.
    """
    if os.geteuid() != 0:
        raise LabError(
            "the lab host's work needs root, for containers with networks of their own; run the playbook as root, or set "
            "ansible_become for the lab host"
        )
    if not shutil.which("dpkg-query"):
        raise LabError("this lab host has no dpkg; the lab installs its packages on Debian and Ubuntu, use such a machine")
    done = subprocess.run(
        ["dpkg-query", "--show", "--showformat", "${binary:Package} ${db:Status-Status}\n", *packages],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )
    lines = [line.split() for line in done.stdout.splitlines()]
    installed = {name.partition(":")[0] for name, status in lines if status == "installed"}
    return [package for package in packages if package not in installed]


def abilities(init: str, runtimes: Sequence[str], path: str) -> dict[str, Any]:
    """Look at the lab host. See the module ``lab_host_info`` for arguments and results.

    :raises LabError: when no runtime can start a container.
    """
    limits = {name: _below_hard_limit(number, wanted) for name, (number, wanted) in WANTED_LIMITS.items()}
    runtime, refused = _choose_runtime(init, runtimes, limits)
    return {
        "runtime": runtime,
        "refused": refused,
        "init": init,
        "ulimits": limits,
        "cgroups": cgroup_mode(CGROUP_ROOT),
        "cores": len(os.sched_getaffinity(0)),
        "free_gib": round(_free_bytes(Path(path)) / 1024**3, 1),
        "kvm": Path("/dev/kvm").exists(),
        "loop": Path("/dev/loop-control").exists(),
        "vsyscall": "[vsyscall]" in MEMORY_MAP.read_text(),
        "ia32": runs_ia32(),
    }


def cgroup_mode(root: Path) -> str:
    """``v2``, ``hybrid`` (v1 controllers with a v2 tree next to them) or ``v1``."""
    if (root / "cgroup.controllers").exists():
        return "v2"
    return "hybrid" if (root / "unified").is_dir() else "v1"


def runs_ia32() -> bool:
    """Whether the kernel runs 32-bit x86 programs: tries one that does nothing but exit."""
    with tempfile.TemporaryDirectory(prefix="migration-lab-trial-") as folder:
        program = Path(folder) / "exit"
        program.write_bytes(_ia32_program())
        program.chmod(0o700)
        try:
            return subprocess.run([program], stdin=subprocess.DEVNULL, check=False, timeout=60).returncode == 0
        except OSError:
            return False


def _ia32_program() -> bytes:
    """A static ELF executable for i386 that calls exit(0): an ELF header, one program header (elf(5)) and four instructions."""
    code = bytes.fromhex("31c0 40 31db cd80")  # xor eax,eax; inc eax (exit); xor ebx,ebx (0); int 0x80
    base, header, segment = 0x08048000, 52, 32
    size = header + segment + len(code)
    identity = b"\x7fELF" + bytes([1, 1, 1])  # 32 bits, little endian, version 1
    elf = struct.pack("<16sHHIIIIIHHHHHH", identity, 2, 3, 1, base + header + segment, header, 0, 0, header, segment, 1, 0, 0, 0)
    return elf + struct.pack("<8I", 1, 0, base, base, size, size, 5, 0x1000) + code


def _below_hard_limit(number: int, wanted: int) -> int:
    hard = resource.getrlimit(number)[1]
    return wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)


def _choose_runtime(init: str, runtimes: Sequence[str], limits: dict[str, int]) -> tuple[str, dict[str, str]]:
    if not shutil.which("podman"):
        raise LabError("podman is not on this lab host; install the package podman")
    if not os.access(init, os.X_OK):
        raise LabError(f"the containers' init {init} is not on this lab host; install the package catatonit")
    refused: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="migration-lab-trial-") as root:
        shutil.copy(init, root)
        for runtime in runtimes:
            if not shutil.which(runtime):
                refused[runtime] = "not installed"
                continue
            command = ["podman", "--runtime", runtime, "run", "--rm", "--network", "none"]
            command += [f"--ulimit={name}={limit}:{limit}" for name, limit in limits.items()]
            command += ["--rootfs", root, "/" + Path(init).name, "-V"]
            try:
                done = subprocess.run(
                    command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=60
                )
            except subprocess.TimeoutExpired:
                refused[runtime] = "did not start a container within 60 s"
                continue
            if done.returncode == 0:
                return runtime, refused
            refused[runtime] = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
    reasons = "; ".join(f"{name}: {reason}" for name, reason in refused.items())
    raise LabError(f"no OCI runtime can start a container on this lab host ({reasons})")


def _free_bytes(path: Path) -> int:
    while not path.exists():
        path = path.parent
    return shutil.disk_usage(path).free
