# SPDX-License-Identifier: GPL-3.0-or-later
"""What inspector and saboteur read of a machine's processes. Sent to the machine with each program (serving.py)."""

import errno
import os

# The daemons that run guests: a machine has one of them. Where it is virtqemud, virtproxyd runs beside it.
GUEST_DAEMONS = ("libvirtd", "virtqemud")


def process_numbers(proc):
    """Numbers of all processes."""
    return [int(entry) for entry in os.listdir(proc) if entry.isdigit()]


def qemu_processes(proc, *names):
    """Numbers, command lines and names of these domains' QEMU processes, by number; a zombie has no command line any more."""
    found = []
    for pid in sorted(process_numbers(proc)):
        command_line = read_file(os.path.join(proc, str(pid), "cmdline"))
        domain = domain_name(command_line)
        if domain in names:
            found.append((pid, command_line, domain))
    return found


def domain_name(command_line):
    """The domain that a command line, as /proc shows it, runs in QEMU; None for any other program.

    libvirt writes ``-name NAME`` (0.8), ``-name NAME,process=...`` or ``-name guest=NAME,debug-threads=on`` (2.0).
    """
    arguments = command_line.decode("utf-8", "replace").split("\0")
    program = os.path.basename(arguments[0])
    if not program.startswith("qemu-system-") and program not in ("qemu", "qemu-kvm", "kvm"):
        return None
    if "-name" not in arguments[:-1]:
        return None  # libvirt asks such a process for capabilities
    fields = arguments[arguments.index("-name") + 1].split(",")
    for field in fields:
        if field.startswith("guest="):
            return field[len("guest="):]
    return fields[0] or None


def open_file(path):
    """A descriptor to read from, None when the file is not there or its process has gone."""
    try:
        return os.open(path, os.O_RDONLY)
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ESRCH):
            raise
        return None


def read_file(path):
    """All bytes of a file; none when it is not there or its process has gone."""
    descriptor = open_file(path)
    if descriptor is None:
        return b""
    pieces = [b""]
    try:
        while True:
            piece = os.read(descriptor, 65536)
            if not piece:
                return b"".join(pieces)
            pieces.append(piece)
    except OSError as error:
        if error.errno != errno.ESRCH:
            raise
        return b""
    finally:
        os.close(descriptor)
