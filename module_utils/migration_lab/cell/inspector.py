# SPDX-License-Identifier: GPL-3.0-or-later
"""The inspector: looks at a machine's QEMU processes and at what domains leave behind, without asking libvirt.

It runs as root on source and target. How it is asked and answers is in serving.py.

    {"call": "copies", "limit": 10, "name": "mlab-noo-001", "memory_mib": 16, "status_offset": 2097152}
    {"ok": true, "result": [{"pid": 4711, "counter": 57}], "seconds": 0.001}

Guest memory is read from the QEMU process, /proc/<pid>/mem, so that it can be read whatever state libvirt is in.  Where in
the process the guest's RAM lies is found by its content: the magic of the status page (guest/__init__.py).  RAM without a
magic cannot be told from any other memory: a guest that has not begun to count, and a target's that has not received
the page, are "not ready".  A target that is receiving memory gets the source's counter, again and again: that a counter moves
says that a guest runs only when no migration of it is under way.
"""

import errno
import hashlib
import os
import re
import struct
import threading
import time

from .processes import open_file, qemu_processes, read_file
from .serving import serve

MAGIC = b"MIGRLAB1"
STATUS_SIZE = 16  # magic and 64-bit counter

PAGE = 4096
# QEMU places RAM at a multiple of this, or at the start of a mapping (util/mmap-alloc.c, util/oslib-posix.c); an old one
# without KVM wherever malloc() has it, which can be at any page of a mapping.
RAM_ALIGNMENT = 2 * 1024 * 1024
# A mapping that is greater than the RAM by more is not searched page by page: that would take longer than it is worth.
SEARCHED = 16 * 1024 * 1024

PIECE = 1024 * 1024  # bytes of guest memory read at once
SAMPLE_INTERVAL = 0.05  # seconds

# Where libvirt's QEMU driver keeps what belongs to a domain.  Logs and caches stay: they are not left behind by mistake.
DIRECTORIES = ("run/libvirt/qemu", "var/run/libvirt/qemu", "var/lib/libvirt/qemu", "etc/libvirt/qemu")
# libvirt shortens a domain's name to so many characters where it makes a path of it: domain-<id>-<name>, or <id>-<name>
# (VIR_DOMAIN_SHORT_NAME_MAX, virDomainDefGetShortName).
SHORT_NAME = 20


class QemuInspector(object):
    """Answers requests. Every public method is a call; its keyword arguments are the request's fields.

    Common fields: ``memory_mib`` is the size of the guest's RAM in MiB, and offsets are in bytes from the RAM's start.
    """

    def __init__(self, proc="/proc", root="/"):
        self._proc = proc
        self._root = root
        self._ram = {}  # process number: where the guest's RAM was last found
        self._digested = b""  # the memory of which a digest was last made
        self._sha1 = hashlib.sha1(self._digested).hexdigest()
        self._sampled = {}  # by a domain's name where its counter is, and the samples
        self._sampler = None  # the thread that takes them, while there is something to look at
        self._turn = threading.Lock()

    def begin_samples(self, name, memory_mib, status_offset):
        """Look at a domain's processes again and again from now on; the time here, in seconds."""
        self._turn.acquire()
        self._sampled[name] = {"memory_mib": memory_mib, "status_offset": status_offset, "samples": [], "failure": ""}
        if self._sampler is None:
            self._sampler = threading.Thread(target=self._sample)
            self._sampler.daemon = True
            self._sampler.start()
        self._turn.release()
        return time.time()

    def end_samples(self, name):
        """What was seen since then: when, in the time here, and process numbers with counters, null where it was not ready."""
        sampled = self._sampled.pop(name)
        if sampled["failure"]:
            raise RuntimeError(sampled["failure"])
        return sampled["samples"]

    def _sample(self):
        """Look at all domains that are to be, in a thread of its own: each look goes through all processes once."""
        while True:
            started = time.time()
            self._turn.acquire()
            sampled = self._sampled.copy()
            if not sampled:
                self._sampler = None
            self._turn.release()
            if not sampled:
                return
            try:
                seen = dict([(name, []) for name in sampled])
                for pid, _, name in qemu_processes(self._proc, *sampled):
                    of = sampled[name]
                    seen[name].append((pid, self._counter(pid, of["memory_mib"], of["status_offset"])))
                for name in sampled:
                    sampled[name]["samples"].append((started, seen[name]))
            except Exception as error:
                for of in sampled.values():
                    of["failure"] = "%s: %s" % (type(error).__name__, error)
            time.sleep(max(0, started + SAMPLE_INTERVAL - time.time()))

    def copies(self, name, memory_mib, status_offset):
        """A domain's processes with their counters, null where the guest is not ready."""
        return [{"pid": pid, "counter": self._counter(pid, memory_mib, status_offset)} for pid in self._pids(name)]

    def digest(self, name, memory_mib, status_offset, address_offset, size):
        """SHA-1 of a part of the guest's memory; null when the guest is not ready, or gone before all was read."""
        for pid in self._pids(name):
            memory = Memory(self._proc, pid)
            try:
                ram = self._locate(memory, pid, memory_mib, status_offset)
                if ram is not None:
                    content = memory.read(ram + address_offset, size)
                    return self._digest(content) if len(content) == size else None
            finally:
                memory.close()
        return None

    def _digest(self, content):
        """SHA-1 of memory. The guests of a run have the same pattern, and to compare it takes a fraction of the time."""
        if content != self._digested:
            self._digested, self._sha1 = content, hashlib.sha1(content).hexdigest()
        return self._sha1

    def leftovers(self, name):
        """What is left of a domain.

        Lines such as "process 123 mlab-noo-001", "file /run/libvirt/qemu/mlab-noo-001.xml" (sockets and links too) and
        "directory /var/lib/libvirt/qemu/domain-3-mlab-noo-001".
        """
        is_left = path_pattern(name)
        left = ["process %d %s" % (pid, name) for pid in self._pids(name)]
        # One of run and var/run is a link to the other.
        for directory in sorted(set([os.path.realpath(os.path.join(self._root, each)) for each in DIRECTORIES])):
            for path, inside, files in os.walk(directory):
                left.extend(["file " + os.path.join(path, each) for each in sorted(files) if is_left.search(each)])
                # UEFI variables are the guest's own storage, which the lab removes (storage_agent.py).
                inside[:] = [each for each in inside if each != "nvram"]
                whole = sorted([each for each in inside if is_left.search(each)])
                left.extend(["directory " + os.path.join(path, each) for each in whole])
                inside[:] = [each for each in inside if each not in whole]  # what is in it needs no line of its own
        return left

    def _pids(self, name):
        """Numbers of a domain's QEMU processes."""
        return [pid for pid, _, _ in qemu_processes(self._proc, name)]

    def _counter(self, pid, memory_mib, status_offset):
        """The guest's counter, None when the guest is not ready."""
        memory = Memory(self._proc, pid)
        try:
            ram = self._locate(memory, pid, memory_mib, status_offset)
            if ram is None:
                return None
            return counter_in(memory.read(ram + status_offset, STATUS_SIZE))
        finally:
            memory.close()

    def _locate(self, memory, pid, memory_mib, status_offset):
        """Address of the guest's RAM in the process, None when the guest is not ready."""
        known = self._ram.get(pid)
        if known is not None and memory.has_magic(known + status_offset):
            return known
        self._ram.pop(pid, None)
        mappings = writable_mappings(read_file(os.path.join(self._proc, str(pid), "maps")))
        for address in possible_addresses(mappings, memory_mib * 1024 * 1024):
            if memory.has_magic(address + status_offset):
                self._ram[pid] = address
                return address
        return None


class Memory(object):
    """The memory of a process, by its own addresses. A process that has gone has none."""

    def __init__(self, proc, pid):
        self._descriptor = open_file(os.path.join(proc, str(pid), "mem"))

    def read(self, address, size):
        """Bytes at an address; fewer than asked for where no memory is."""
        if self._descriptor is None:
            return b""
        pieces = []
        try:
            os.lseek(self._descriptor, address, os.SEEK_SET)
            while size:
                piece = os.read(self._descriptor, min(size, PIECE))
                if not piece:
                    break
                pieces.append(piece)
                size -= len(piece)
        except OSError as error:
            if error.errno not in (errno.EIO, errno.EFAULT, errno.ESRCH):
                raise
        return b"".join(pieces)

    def has_magic(self, address):
        """Whether a status page begins at this address."""
        return self.read(address, len(MAGIC)) == MAGIC

    def close(self):
        """Let go of the process."""
        if self._descriptor is not None:
            os.close(self._descriptor)


def counter_in(status):
    """The counter in the bytes of a status page, None when the page is not whole or not one."""
    if len(status) < STATUS_SIZE or not status.startswith(MAGIC):
        return None
    return struct.unpack("<Q", status[len(MAGIC):STATUS_SIZE])[0]


def writable_mappings(maps):
    """Begin and end of the mappings in a /proc/<pid>/maps that can be a guest's RAM: written to, not executed."""
    found = []
    for line in maps.decode("utf-8", "replace").splitlines():
        addresses, permissions = line.split()[:2]
        if permissions.startswith("rw-"):
            begin, end = addresses.split("-")
            found.append((int(begin, 16), int(end, 16)))
    return found


def possible_addresses(mappings, size):
    """Addresses at which RAM of a size may begin, the likely ones first."""
    large = [(begin, end) for begin, end in mappings if end - begin >= size]
    for begin, end in large:
        yield begin
        for address in range(begin - begin % RAM_ALIGNMENT + RAM_ALIGNMENT, end - size + 1, RAM_ALIGNMENT):
            yield address
    for begin, end in large:
        if end - begin - size <= SEARCHED:
            for address in range(begin, end - size + 1, PAGE):
                if address != begin and address % RAM_ALIGNMENT:
                    yield address


def path_pattern(name):
    """What a file's name matches that belongs to a domain: the name as a whole word, or shortened after the domain's id."""
    whole, short = re.escape(name), re.escape(name[:SHORT_NAME])
    return re.compile(r"(?<![A-Za-z0-9])%s(?![A-Za-z0-9-])|^(domain-)?[0-9]+-%s$" % (whole, short))


def main():
    """Answer requests."""
    serve(QemuInspector())
