# SPDX-License-Identifier: GPL-3.0-or-later
"""A machine of a cell as the matrix sees it: a prefix that runs commands there, a URI, and its daemon's controls."""

from __future__ import annotations

import subprocess
import time
from dataclasses import dataclass
from typing import Any, Mapping, Optional

from .model import ROLES, LabError

# The modules' argument for the machines of a cell, by role; the fields are those of Machine.
_MACHINE_ARGUMENT = {
    "type": "dict",
    "required": True,
    "options": {
        "name": {"type": "str", "required": True},
        "exec": {"type": "list", "elements": "str", "required": True},
        "python": {"type": "str", "required": True},
        "uri": {"type": "str"},
        "daemon": {"type": "list", "elements": "str"},
        "log": {"type": "str"},
    },
}
CELL_ARGUMENT = {"type": "dict", "required": True, "options": dict.fromkeys(ROLES, _MACHINE_ARGUMENT)}


@dataclass(frozen=True)
class Machine:
    """One machine.

    ``exec`` runs a command on it (``podman exec -i a-source``), ``python`` is its interpreter with a libvirt binding.
    A client has no daemon, so the rest is empty there: ``uri`` is where the daemon answers, for the client and for the
    other daemon alike; ``daemon`` is the command that takes ``start`` and ``status`` (prints the daemon's process
    number, or nothing); ``log`` is the daemon's log file on the machine.
    """

    name: str
    exec: tuple[str, ...]
    python: str
    uri: str = ""
    daemon: tuple[str, ...] = ()
    log: str = ""

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Machine:
        """Make a machine from a module's argument."""
        return cls(
            name=data["name"],
            exec=tuple(data["exec"]),
            python=data["python"],
            uri=data.get("uri") or "",
            daemon=tuple(data.get("daemon") or ()),
            log=data.get("log") or "",
        )

    def run(self, *command: str, timeout: float = 30) -> bytes:
        """Run a command on the machine and return its standard output.

        :raises LabError: when it cannot be run, fails, or takes longer than ``timeout`` seconds.
        """
        try:
            done = subprocess.run(
                [*self.exec, *command], stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise LabError(f"machine {self.name}: '{' '.join(command)}' could not be run: {error}") from error
        if done.returncode:
            detail = done.stderr.decode(errors="replace").strip() or f"exit status {done.returncode}"
            raise LabError(f"machine {self.name}: '{' '.join(command)}' failed: {detail}")
        return done.stdout

    def daemon_process(self) -> Optional[int]:
        """The daemon's process number, or None when it does not run."""
        text = self.run(*self.daemon, "status").strip()
        return int(text) if text else None

    def restart_daemon(self) -> int:
        """Start the daemon, ending one that still runs, and return its process number.

        :raises LabError: when it does not come up.
        """
        self.run(*self.daemon, "stop")
        self.run(*self.daemon, "start")
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            process = self.daemon_process()
            if process is not None:
                return process
            time.sleep(0.1)
        raise LabError(f"machine {self.name}: the daemon could not be started; look at {self.log} there")

    def log_size(self) -> int:
        """Size of the daemon's log in bytes."""
        return int(self.run("wc", "-c", self.log).split()[0])

    def log_since(self, offset: int) -> bytes:
        """The daemon's log from a byte offset on."""
        return self.run("tail", "-c", f"+{offset + 1}", self.log)
