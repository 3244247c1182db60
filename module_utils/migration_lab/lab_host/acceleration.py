# SPDX-License-Identifier: GPL-3.0-or-later
"""KVM or TCG: decided by running the lab's own guest with each and watching its counter."""

from __future__ import annotations

import json
import os
import platform
import re
import select
import subprocess
import time
from pathlib import Path
from typing import Any, Optional, Sequence

from ..guest.kernel import build
from ..model.errors import LabError

# A guest that has come so far runs; one that was only started may hang in its firmware.
TICKS = 10


def choose(emulators: Sequence[Sequence[str]], arch: str, machine: str, kernel: str, patience: float) -> tuple[str, str]:
    """Choose the acceleration for guests of an architecture. See the module ``guest_acceleration`` for arguments and results.

    :raises LabError: when the guest does not run even with TCG.
    """
    if arch != platform.machine():
        return "tcg", f"they are emulated on a {platform.machine()} host"
    if not Path("/dev/kvm").exists():
        return "tcg", "the lab host has no /dev/kvm"
    total = {"kvm": 0.0, "tcg": 0.0}
    for emulator in emulators:
        for accel in total:
            seconds = _seconds_to_run(emulator, arch, machine, kernel, accel, patience)
            if seconds is None and accel == "kvm":
                return "tcg", "/dev/kvm is there, but the guest does not run with it"
            if seconds is None:
                raise LabError(
                    f"the guest did not run within {patience:.0f} s with '{' '.join(emulator)}' and no acceleration; "
                    "look at what that QEMU says, or set accel"
                )
            total[accel] += seconds
    measured = f"the guest runs after {total['kvm']:.2f} s with KVM and {total['tcg']:.2f} s with TCG"
    return ("kvm" if total["kvm"] <= total["tcg"] else "tcg"), measured


def _seconds_to_run(
    emulator: Sequence[str], arch: str, machine: str, kernel: str, accel: str, patience: float
) -> Optional[float]:
    """Seconds from the start of a QEMU to the guest's tenth tick, None when that did not come in time."""
    guest = build(arch)
    command = [*emulator, "-accel", accel, "-machine", machine, "-m", "16", "-nodefaults", "-display", "none"]
    command += ["-kernel", kernel, "-qmp", "stdio"]
    command += ["-cpu", guest.cpu] if guest.cpu else []
    address = guest.counter_address
    started = time.monotonic()
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0
    )
    monitor = _Monitor(process, started + patience)
    try:
        monitor.ask("qmp_capabilities")
        while time.monotonic() < started + patience:
            text = monitor.ask("human-monitor-command", **{"command-line": f"xp /1wx {address:#x}"})
            match = re.search(r": 0x([0-9a-f]+)", text)
            if match and int(match.group(1), 16) >= TICKS:
                return time.monotonic() - started
            time.sleep(0.01)
        return None
    except EOFError:
        return None
    finally:
        # A signal that podman passes on to the container; one that it cannot catch would leave the container behind.
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class _Monitor:
    """QEMU's machine protocol over its standard input and output."""

    def __init__(self, process: subprocess.Popen[bytes], deadline: float) -> None:
        self._process = process
        self._deadline = deadline
        self._buffer = b""

    def ask(self, command: str, **arguments: Any) -> str:
        """Run a command and return its answer as text.

        :raises EOFError: when QEMU ended, or did not answer before the deadline.
        """
        assert self._process.stdin is not None
        request = {"execute": command, **({"arguments": arguments} if arguments else {})}
        try:
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
        except BrokenPipeError:
            raise EOFError from None
        while True:
            answer = json.loads(self._line())
            if "return" in answer:
                return str(answer["return"])
            if "error" in answer:
                raise EOFError(answer["error"])

    def _line(self) -> bytes:
        assert self._process.stdout is not None
        descriptor = self._process.stdout.fileno()
        while b"\n" not in self._buffer:
            ready, _, _ = select.select([descriptor], [], [], max(0.0, self._deadline - time.monotonic()))
            data = os.read(descriptor, 65536) if ready else b""
            if not data:
                raise EOFError
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line
