# SPDX-License-Identifier: GPL-3.0-or-later
"""The saboteur: does to a machine what a fault does, and undoes it.

It runs as root on each machine. How it is asked and answers is in serving.py.

Whatever it changes can be undone by another saboteur, when this one was killed: mounts, names and stopped processes are found
by looking, and ports are free again when the process that has them ends.  ``machine repair`` undoes the same without Python
(roles/machine_files/templates/machine.j2).

A power cut ends every process of the machine but its first two, which are the container's, and those that came in from
outside (``podman exec``: their parent is not of this machine): inspector, storage agent and saboteur, which observe for the
lab and are no part of the machine.  Then it removes what is in memory on a real machine: /run.
"""

import errno
import os
import shutil
import signal
import socket
import stat
import time

from .processes import GUEST_DAEMONS, process_numbers, qemu_processes, read_file
from .serving import serve

# Where libvirt has configs and state of domains, and where each daemon writes its process number (machine.j2).
CONFIG = "etc/libvirt/qemu"
STATE = "run/libvirt/qemu"
PID_FILES = "run"
# What a boot finds empty.
VOLATILE = "run/libvirt"
# Names the folder below which a daemon that was built as a tree has its own.
TREE = "etc/migration-lab-tree"

# The device of the file systems that are full, and the file that fills each.
FULL = "migration-lab-full"
# What lies below a full file system is reached here.
BELOW = "var/tmp/migration-lab-below"
# Has the path of an emulator that is hidden; and where an emulator is while it is hidden, or stands behind a script.
HIDDEN = "etc/migration-lab-hidden"
ASIDE = ".migration-lab-aside"
SCRIPT = ".migration-lab-script"

SPARE = 64 * 1024  # bytes that a full file system has beside what is in it, before it is filled
BLOCK = 4096

END_LIMIT = 5.0  # seconds for a killed process to be gone
ROUNDS = 100  # a process may start others while all are being killed

# Starts the emulator, with too little memory where it is to receive a guest.
LIMITED = """#!/bin/sh
for word; do
    if [ "$word" = -incoming ]; then
        ulimit -v %d
    fi
done
exec "%s" "$@"
"""


class Saboteur(object):
    """Answers requests. Every public method is a call; its keyword arguments are the request's fields.

    ``undo`` and ``thaw`` say in words what they did, and may be called again.
    """

    def __init__(self, proc="/proc", root="/"):
        self._proc = proc
        self._root = root
        self._sockets = []

    def daemon(self):
        """The daemon that runs guests: its name and process number, nothing when it does not run."""
        for name in GUEST_DAEMONS:
            text = read_file(self._path(pid_file(name))).strip()
            # Another process may have got the number of a daemon that was killed.
            if text.isdigit() and name.encode("ascii") in read_file(self._of(int(text), "cmdline")):
                return {name: int(text)}
        return {}

    def kill_daemon(self):
        """Kill the daemon that runs guests and wait until it is gone; what it was, nothing when there was none."""
        found = self.daemon()
        self._end(list(found.values()))
        return found

    def freeze_daemon(self):
        """Stop the process of the daemon that runs guests; what it is, nothing when there is none."""
        found = self.daemon()
        for pid in found.values():
            self.freeze_process(pid)
        return found

    def kill_process(self, pid):
        """Kill a process and wait until it is gone; whether there was one."""
        return self._end([pid]) == [pid]

    def freeze_process(self, pid):
        """Stop a process and wait until it stands still; whether there is one."""
        there = send(pid, signal.SIGSTOP)
        while there and self._stat(pid)[:1] not in ([], ["T"], ["Z"], ["X"]):
            time.sleep(0.001)
        return there

    def qemu(self, name):
        """A domain's processes: number, program, and the most memory that each had mapped, in KiB."""
        found = []
        for pid, command_line, _ in qemu_processes(self._proc, name):
            program = command_line.split(b"\0")[0].decode("utf-8", "replace")
            found.append({"pid": pid, "program": program, "peak_kib": self._peak(pid)})
        return found

    def kill_qemu(self, name):
        """Kill a domain's processes and wait until they are gone; their numbers."""
        return self._end([process["pid"] for process in self.qemu(name)])

    def thaw(self, pid=None):
        """Let a process that was stopped go on, or all of them."""
        done = []
        for pid in pid is None and process_numbers(self._proc) or [pid]:
            if self._stat(pid)[:1] == ["T"] and send(pid, signal.SIGCONT):
                done.append("process %d goes on" % pid)
        return done

    def power_cut(self):
        """End everything that runs on the machine, and forget what a boot forgets; the number of processes ended."""
        ended = set()
        for _ in range(ROUNDS):
            victims = self._victims()
            if not victims:
                break
            # None of them gets to see that another one is gone.
            for pid in victims:
                send(pid, signal.SIGSTOP)
            ended.update(victims)
            self._end(self._victims())
        self._uncover()
        for prefix in self._prefixes():
            shutil.rmtree(os.path.join(prefix, "var", VOLATILE), True)
        shutil.rmtree(self._path(VOLATILE), True)
        for entry in os.listdir(self._path(PID_FILES)):
            if entry.endswith(".pid"):
                remove(self._path(os.path.join(PID_FILES, entry)))
        return len(ended)

    def occupy_ports(self, first, last):
        """Listen at ports, all of which are wanted; the number of those that were free until now."""
        for port in range(first, last + 1):
            for family, address in ((socket.AF_INET6, "::"), (socket.AF_INET, "0.0.0.0")):
                taken = listen(family, address, port)
                if taken is not None:
                    self._sockets.append(taken)
        return len(set([taken.getsockname()[1] for taken in self._sockets]))

    def limit_memory(self, emulator, kib):
        """Have an emulator that is to receive a guest start with so much memory at most that it can map, in KiB."""
        aside, script = emulator + ASIDE, emulator + SCRIPT
        write_file(script, LIMITED % (kib, aside))
        os.chmod(script, int("755", 8))
        write_file(aside, "")
        # Mounts, because libvirt keeps in mind what it knows of a program by the program's times.
        run("mount", "--bind", emulator, aside)
        run("mount", "--bind", script, emulator)

    def hide_emulator(self, emulator):
        """Have an emulator not be there."""
        write_file(self._path(HIDDEN), emulator)
        os.rename(emulator, emulator + ASIDE)

    def fill_space(self, what):
        """Have no space where domains' ``config`` or ``state`` is; what is there can be read and removed as before."""
        for folder in self._places(what):
            if not os.path.isdir(folder):
                os.makedirs(folder)
            below = self._below(folder)
            if not os.path.isdir(below):
                os.makedirs(below)
            run("mount", "--bind", folder, below)
            run("mount", "-t", "tmpfs", "-o", "mode=755,size=%d" % (size_of(below) + SPARE), FULL, folder)
            copy_in(below, folder)
            fill(os.path.join(folder, FULL))

    def undo(self):
        """Undo all that a saboteur did to the machine: what is dead stays dead."""
        done = []
        if self._sockets:
            done.append("ports are free")
        while self._sockets:
            self._sockets.pop().close()
        done.extend(self._uncover())
        for point in [point for device, point in self._mounts() if point.endswith(ASIDE)]:
            emulator = point[:-len(ASIDE)]
            run("umount", "-l", emulator)
            run("umount", "-l", point)
            remove(point)
            remove(emulator + SCRIPT)
            done.append("%s has memory" % emulator)
        hidden = read_file(self._path(HIDDEN)).decode("utf-8")
        if hidden:
            if os.path.lexists(hidden + ASIDE):
                os.rename(hidden + ASIDE, hidden)
                done.append("%s is there" % hidden)
            remove(self._path(HIDDEN))
        return done + self.thaw()

    def _uncover(self):
        """Unmount what is full, with everything that was written or removed there carried over."""
        done = []
        for folder in [point for device, point in self._mounts() if device == FULL]:
            below = self._below(folder)
            carry_over(folder, below)
            run("umount", "-l", folder)
            run("umount", "-l", below)
            os.rmdir(below)
            done.append("%s has space" % folder)
        return done

    def _mounts(self):
        """Device and mount point of each mount, the latest first."""
        lines = read_file(os.path.join(self._proc, "mounts")).decode("utf-8", "replace").splitlines()
        return [tuple(line.split()[:2]) for line in reversed(lines)]

    def _places(self, what):
        """Where the daemon has configs or state: a tree may have been made for folders of its own, or for the machine's."""
        below = what == "config" and CONFIG or os.path.join("var", STATE)
        own = [os.path.join(prefix, below) for prefix in self._prefixes()]
        return [folder for folder in own if os.path.isdir(folder)] or [self._path(what == "config" and CONFIG or STATE)]

    def _prefixes(self):
        """The prefix of the tree, where the daemon is of one."""
        lines = read_file(self._path(TREE)).decode("utf-8").splitlines()
        return [line[len("prefix="):].strip("\"'") for line in lines if line.startswith("prefix=")]

    def _below(self, folder):
        return os.path.join(self._path(BELOW), folder.strip("/").replace("/", "_"))

    def _victims(self):
        """Processes that a power cut ends."""
        parents = {}
        for pid in process_numbers(self._proc):
            fields = self._stat(pid)
            if fields and fields[0] not in ("Z", "X"):
                parents[pid] = int(fields[1])
        victims = []
        for pid in parents:
            top = pid
            while parents.get(top, 0) not in (0, 1):
                top = parents[top]
            if pid != 1 and parents.get(top) == 1 and read_file(self._of(pid, "cmdline")) != b"sleep\0infinity\0":
                victims.append(pid)
        return sorted(victims)

    def _end(self, pids):
        """Kill processes and wait until they are gone; those that were there."""
        there = [pid for pid in pids if send(pid, signal.SIGKILL)]
        deadline = time.time() + END_LIMIT
        for pid in there:
            while not self._gone(pid):
                if time.time() > deadline:
                    raise RuntimeError("process %d does not end" % pid)
                time.sleep(0.002)
        return there

    def _gone(self, pid):
        """Whether a process has ended, all of its threads: only then the locks on its files are free."""
        fields = self._stat(pid)
        # A zombie is gone, whoever has to reap it. The 18th is the number of threads.
        return not fields or fields[0] in "ZX" and int(fields[17]) <= 1

    def _stat(self, pid):
        """State, parent and what follows of /proc/<pid>/stat; nothing when the process has gone."""
        # The name before them may have spaces and parentheses.
        return read_file(self._of(pid, "stat")).decode("utf-8", "replace").rpartition(")")[2].split()

    def _peak(self, pid):
        for line in read_file(self._of(pid, "status")).decode("utf-8", "replace").splitlines():
            if line.startswith("VmPeak:"):
                return int(line.split()[1])
        return None

    def _of(self, pid, what):
        return os.path.join(self._proc, str(pid), what)

    def _path(self, path):
        return os.path.join(self._root, path)


def pid_file(name):
    """Where a daemon writes its process number, seen from the root."""
    return os.path.join(PID_FILES, name + ".pid")


def send(pid, number):
    """Send a process a signal; whether there is one."""
    try:
        os.kill(pid, number)
    except OSError as error:
        if error.errno != errno.ESRCH:
            raise
        return False
    return True


def run(*command):
    """Run a command of the machine."""
    status = os.spawnvp(os.P_WAIT, command[0], command)
    if status:
        raise RuntimeError("'%s' failed with status %d" % (" ".join(command), status))


def listen(family, address, port):
    """A socket that listens; None where the port is taken."""
    taken = socket.socket(family, socket.SOCK_STREAM)
    try:
        if family == socket.AF_INET6:
            taken.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        taken.bind((address, port))
        taken.listen(1)
    except socket.error as error:
        taken.close()
        # A machine without IPv6 has no such address.
        if error.errno not in (errno.EADDRINUSE, errno.EADDRNOTAVAIL):
            raise
        return None
    return taken


def size_of(folder):
    """Bytes of blocks that a copy of a folder takes."""
    size = BLOCK
    for path, inside, files in os.walk(folder):
        size += BLOCK * len(inside)
        for each in files:
            size += os.lstat(os.path.join(path, each)).st_size // BLOCK * BLOCK + BLOCK
    return size


def copy_in(original, folder):
    """Copy folders and files; for sockets and all else there is a link to the original."""
    for path, inside, files in os.walk(original):
        there = folder + path[len(original):]
        for each in inside:
            if not os.path.lexists(os.path.join(there, each)):
                os.mkdir(os.path.join(there, each))
            shutil.copystat(os.path.join(path, each), os.path.join(there, each))
        for each in files:
            if is_file(os.path.join(path, each)):
                shutil.copy2(os.path.join(path, each), os.path.join(there, each))
            else:
                os.symlink(os.path.join(path, each), os.path.join(there, each))


def carry_over(folder, original):
    """Make what was done in a copy be done in the original; a socket that was made in the copy goes with it."""
    for path, inside, files in os.walk(original, False):
        there = folder + path[len(original):]
        for each in files:
            if not os.path.lexists(os.path.join(there, each)):
                os.unlink(os.path.join(path, each))
        for each in inside:
            if not os.path.lexists(os.path.join(there, each)):
                shutil.rmtree(os.path.join(path, each))
    for path, inside, files in os.walk(folder):
        there = original + path[len(folder):]
        for each in inside:
            if not os.path.lexists(os.path.join(there, each)):
                os.mkdir(os.path.join(there, each))
        for each in files:
            if each != FULL and is_file(os.path.join(path, each)):
                shutil.copy2(os.path.join(path, each), os.path.join(there, each))


def is_file(path):
    """Whether this is a regular file, and no link to one."""
    return stat.S_ISREG(os.lstat(path).st_mode)


def fill(path):
    """Write to a file until there is no space."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, int("600", 8))
    try:
        while True:
            os.write(descriptor, b"\0" * BLOCK)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
    finally:
        os.close(descriptor)


def remove(path):
    """Remove a file that may not be there."""
    if os.path.lexists(path):
        os.unlink(path)


def write_file(path, text):
    """Make a file of this content."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, int("644", 8))
    os.write(descriptor, text.encode("utf-8"))
    os.close(descriptor)


def main():
    """Answer requests."""
    serve(Saboteur())
