# SPDX-License-Identifier: GPL-3.0-or-later
"""A machine of a cell as the matrix sees it: a prefix that runs commands there, a URI, and its daemons' controls."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass, replace
from typing import Any, Mapping, Optional, Sequence

from ..model.errors import LabError

# The modules' argument for a machine; the fields are those of Machine.
MACHINE_ARGUMENT: dict[str, Any] = {
    "type": "dict",
    "required": True,
    "options": {
        "name": {"type": "str", "required": True},
        "exec": {"type": "list", "elements": "str", "required": True},
        "python": {"type": "str", "required": True},
        "uri": {"type": "str"},
        "daemon": {"type": "list", "elements": "str"},
        "logs": {"type": "str"},
        "address": {"type": "str"},
        "namespace": {"type": "list", "elements": "str"},
        "shortcut": {"type": "list", "elements": "str"},
        "replacement": {"type": "str"},
    },
}
MACHINES_ARGUMENT = {**MACHINE_ARGUMENT, "type": "list", "elements": "dict"}

# The kernel; a digest of what is installed, on machines that have dpkg or rpm; the packages of libvirt and QEMU with their
# versions, as libvirt's own number is the same in all revisions; and whether a tree has taken the place of libvirt's.
SYSTEM = r"""
uname -r
if [ -e /var/lib/dpkg/status ]; then
    sha256sum </var/lib/dpkg/status
    dpkg-query -W -f 'deb ${Package} ${Version} ${Status}\n' libvirt0 'qemu-system*' qemu-kvm 2>/dev/null | grep ' installed$'
elif rpm --version >/dev/null 2>&1; then
    rpm -qa | sort | sha256sum
    rpm -qa --qf 'rpm %{NAME} %|EPOCH?{%{EPOCH}:}|%{VERSION}-%{RELEASE}\n' libvirt libvirt-libs 'qemu*' | sort
else
    echo
fi
if [ -e /etc/migration-lab-tree ]; then echo tree; fi
"""
# Whose version a machine reports; all that are made of one source package have the same.
_LIBVIRT = re.compile(r"(deb|rpm) (?:libvirt0|libvirt-libs|libvirt) (\S+)")
_QEMU = re.compile(r"(deb|rpm) (?:qemu-system\S*|qemu-kvm-core|qemu-kvm|qemu-x86|qemu) (\S+)")

# A daemon, or a thread of one, in a line of the kernel's: rpc-libvirtd[7], rpc-virtqemud[7].
_CRASHED = re.compile(r"\b(libvirtd|virtqemud|virtproxyd)\[\d+\]")


@dataclass(frozen=True)
class Machine:
    """One machine.

    ``exec`` runs a command on it (``podman exec -i a-source``), ``python`` is its interpreter with a libvirt binding.
    A client has no daemon, so the rest is empty there: ``uri`` is where libvirt answers, for the client and for the other
    machine's daemon alike; ``daemon`` is the command that takes ``restart`` and ``status`` (both print daemons, a name and a
    process number a line); ``logs`` is the folder on the machine where each daemon has its log, such as ``libvirtd.log``.  The
    daemons are libvirtd, or virtqemud and virtproxyd.  ``address`` is the machine's in the cell's network.  ``namespace`` is a
    command on the lab host that prints the path of the machine's network namespace, where it has one of its own: the relay
    works there.  ``shortcut`` is one that prints another ``exec`` for the same, which costs less (``direct``).
    ``replacement`` is the libvirt version of the release that the daemons can be replaced by in place, where there is one.
    """

    name: str
    exec: tuple[str, ...]
    python: str
    uri: str = ""
    daemon: tuple[str, ...] = ()
    logs: str = ""
    address: str = ""
    namespace: tuple[str, ...] = ()
    shortcut: tuple[str, ...] = ()
    replacement: str = ""

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Machine:
        """Make a machine from a module's argument."""
        given: dict[str, Any] = {name: value for name, value in data.items() if value is not None}
        given.update((name, tuple(value)) for name, value in given.items() if isinstance(value, list))
        return cls(**given)

    def run(self, *command: str, timeout: float = 30) -> bytes:
        """Run a command on the machine and return its standard output.

        :raises LabError: when it cannot be run, fails, or takes longer than ``timeout`` seconds.
        """
        return _run(self.name, [*self.exec, *command], timeout, shown=command)

    def direct(self) -> Machine:
        """The machine with the ``exec`` that its ``shortcut`` prints; as it is where there is none, or it does not work here."""
        if not self.shortcut:
            return self
        try:
            prefix = tuple(_run(self.name, self.shortcut, timeout=30).decode().split())
            shorter = replace(self, exec=prefix)
            works = prefix and shorter.run("echo", "works").split() == [b"works"]
        except LabError:
            return self
        return shorter if works else self

    def network_namespace(self) -> Optional[str]:
        """Path of the machine's network namespace on the lab host; None when it has none of its own there.

        :raises LabError: when it cannot be found out.
        """
        if not self.namespace:
            return None
        path = _run(self.name, self.namespace, timeout=30).decode().strip()
        if not path:
            raise LabError(f"machine {self.name} has no network namespace: it does not run; provision the combination again")
        return path

    def system(self) -> dict[str, str]:
        """What the machine runs on and is made of.

        :returns: ``kernel``, its release, which containers have from their lab host, and where dpkg or rpm installs the packages
            ``packages``, a digest of all that are installed and their versions, ``libvirt_package`` and ``qemu_package``, the
            versions of theirs with the format before them (``deb 9.0.0-4+deb12u2``).
        :raises LabError: when it does not say.
        """
        kernel, digest, *packages = self.run("sh", "-c", SYSTEM).decode(errors="replace").splitlines()
        found = {"kernel": kernel, "packages": digest[:12]}
        for name, pattern in (("libvirt_package", _LIBVIRT), ("qemu_package", _QEMU)):
            match = next(filter(None, map(pattern.match, packages)), None)
            if match and not (pattern is _LIBVIRT and "tree" in packages):
                found[name] = f"{match[1]} {match[2]}"
        return {name: value for name, value in found.items() if value}

    def daemons(self) -> dict[str, int]:
        """Process numbers of the daemons that run, by name."""
        return self._daemons("status")

    def restart_daemons(self, *names: str) -> dict[str, int]:
        """Start daemons, ending those that still run, and return their process numbers by name.

        :param names: which ones; none: all of the machine's.
        :raises LabError: when one does not come up.
        """
        started = self._daemons("restart", *names)
        if not started:
            raise LabError(f"machine {self.name}: no daemon could be started; look at {self.logs} there")
        return started

    def replace_daemons(self) -> dict[str, int]:
        """End the daemons and start those of another release in their place; ``restart_daemons`` undoes it. QEMU stays as it is.

        :returns: their process numbers by name; none when one ended by itself as soon as it was started.
        :raises LabError: when they cannot be started.
        """
        return self._daemons("replace", timeout=60)

    def start_daemons(self) -> dict[str, int]:
        """Start the daemons that do not run, and return their process numbers by name.

        :raises LabError: when one does not come up.
        """
        return self._daemons("start")

    def repair_daemons(self) -> bool:
        """Once the machine itself has started, undo what an injected fault has left, and start the daemons that are dead.

        :returns: whether one was started.
        :raises LabError: when the machine does not run, or a daemon does not come up.
        """
        return bool(self._daemons("repair", timeout=60))

    def set_keepalive(self, keepalive: Optional[Mapping[str, int]]) -> dict[str, int]:
        """Have the daemons notice silent peers and clients, where they know how (0.9.8); they are restarted where that changes.

        :param keepalive: ``interval`` in seconds and ``count``, the probes that may stay without an answer; None: as shipped.
        :returns: the process numbers of those that were restarted, by name.
        :raises LabError: when one does not come up.
        """
        wanted = ("default",) if keepalive is None else (str(keepalive["interval"]), str(keepalive["count"]))
        return self._daemons("keepalive", *wanted)

    def _daemons(self, *command: str, timeout: float = 30) -> dict[str, int]:
        """Have the daemons' control do something, and return the daemons that it prints."""
        lines = self.run(*self.daemon, *command, timeout=timeout).decode().splitlines()
        return {name: int(process) for name, process in map(str.split, lines)}

    def crash_since(self, seconds: float) -> str:
        """What the machine's kernel has logged of daemons that crashed in the last so many seconds: address, library, offset.

        :raises LabError: when the kernel's log cannot be read.
        """
        uptime, _, log = self.run("sh", "-c", "cat /proc/uptime; dmesg").decode(errors="replace").partition("\n")
        since = float(uptime.split()[0]) - seconds
        stamped = ((re.match(r"\[ *(\d+\.\d+)\]", line), line) for line in log.splitlines())
        return "".join(f"{line}\n" for match, line in stamped if match and float(match[1]) >= since and _CRASHED.search(line))

    def log_size(self, daemon: str) -> int:
        """Size of a daemon's log in bytes."""
        return int(self.run("wc", "-c", self._log(daemon)).split()[0])

    def log_since(self, daemon: str, offset: int) -> bytes:
        """A daemon's log from a byte offset on."""
        return self.run("tail", "-c", f"+{offset + 1}", self._log(daemon))

    def _log(self, daemon: str) -> str:
        return f"{self.logs}/{daemon}.log"


def _run(machine: str, argv: Sequence[str], timeout: float, shown: Sequence[str] = ()) -> bytes:
    """Run a command and return its standard output; in errors it is ``shown`` without its exec prefix."""
    text = " ".join(shown or argv)
    try:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise LabError(f"machine {machine}: '{text}' could not be run: {error}") from error
    if done.returncode:
        detail = done.stderr.decode(errors="replace").strip() or f"exit status {done.returncode}"
        raise LabError(f"machine {machine}: '{text}' failed: {detail}")
    return done.stdout
