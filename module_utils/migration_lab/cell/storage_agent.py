# SPDX-License-Identifier: GPL-3.0-or-later
"""The storage agent: makes and removes what the lab's domains have on a machine's disks, for libvirt does not.

It runs as root on source and target. How it is asked and answers is in serving.py.

A disk is a block device: libvirt refuses to migrate a file that is not on a network file system ("Migration without shared
storage is unsafe", qemuMigrationSrcIsSafe), and takes a block device for shared whatever is behind it.  It is a loop device
over a sparse file.  File and device node are in the folder that source and target share, so both have the same disk.  The
kernel detaches the loop device when nobody has it open any more (LO_FLAGS_AUTOCLEAR): until then the agent has, and after a
kill of everything only the files stay.  The kernel gives a detached device to whoever asks next, so an agent that ends removes
its nodes first: a guest that is started later finds none, and not the device of somebody else.

Sources: include/uapi/linux/loop.h and drivers/block/loop.c of Linux (numbers, struct loop_info64).
"""

import errno
import fcntl
import os
import shutil
import signal
import stat
import struct
import sys

from .serving import serve

LOOP_SET_FD = 0x4C00
LOOP_CLR_FD = 0x4C01
LOOP_SET_STATUS64 = 0x4C04
LOOP_CTL_GET_FREE = 0x4C82
LO_FLAGS_AUTOCLEAR = 4
LOOP_MAJOR = 7
CONTROL = "/dev/loop-control"
TRIES = 100  # another machine may take a free device first

# Where libvirt keeps the variables of a domain's UEFI firmware, and the state of its TPM by UUID.
NVRAM = "var/lib/libvirt/qemu/nvram"
TPM = "var/lib/libvirt/swtpm"


class StorageAgent(object):
    """Answers requests. Every public method is a call; its keyword arguments are the request's fields."""

    def __init__(self, root="/"):
        self._root = root
        self._open = {}  # by path of a disk the descriptor that keeps its loop device

    def make_disks(self, folder, disks):
        """Make empty disks in a folder; disks that are there are replaced. ``disks`` are MiB by name."""
        for name, size in sorted(disks.items()):
            path = os.path.join(folder, name)
            self._remove_disk(path)
            backing = os.open(path + ".img", os.O_RDWR | os.O_CREAT | os.O_EXCL, int("600", 8))
            try:
                os.ftruncate(backing, size * 1024 * 1024)
                self._open[path] = attach(path, backing)
            finally:
                os.close(backing)

    def remove_disks(self, folder, disks):
        """Remove disks of these names; what is not there is no error."""
        for name in disks:
            self._remove_disk(os.path.join(folder, name))

    def has_disks(self, folder, disks):
        """Whether this agent keeps the devices of all disks of these names, as it has since it made them."""
        return all([os.path.join(folder, name) in self._open for name in disks])

    def clear_disks(self, folder, prefix):
        """Remove all disks whose names begin so, and return how many files that were."""
        if not os.path.isdir(folder):
            return 0
        left = [name for name in os.listdir(folder) if name.startswith(prefix)]
        for name in left:
            self._remove_disk(os.path.join(folder, name[:-len(".img")] if name.endswith(".img") else name))
        return len(left)

    def remove_state(self, name, uuid):
        """Remove a domain's UEFI variables and the state of its TPM; what is not there is no error."""
        folder = os.path.join(self._root, NVRAM)
        if os.path.isdir(folder):
            for found in os.listdir(folder):
                if found.startswith(name + "_VARS."):
                    os.unlink(os.path.join(folder, found))
        shutil.rmtree(os.path.join(self._root, TPM, uuid), ignore_errors=True)

    def remove_nodes(self):
        """Remove the nodes of all disks, so that nobody opens what the kernel gives their devices to next."""
        for path in self._open:
            if os.path.lexists(path):
                os.unlink(path)

    def _remove_disk(self, path):
        if path in self._open:
            os.close(self._open.pop(path))
        for each in (path, path + ".img"):
            if os.path.lexists(each):
                os.unlink(each)


def attach(path, backing):
    """Make a node for a free loop device at a path, put a file behind it, and return the device's descriptor.

    The machine's /dev may lack the devices that the kernel has made since the machine was started.
    """
    for _ in range(TRIES):
        control = os.open(CONTROL, os.O_RDWR)
        try:
            number = fcntl.ioctl(control, LOOP_CTL_GET_FREE)
        finally:
            os.close(control)
        # The time limit must not end the agent while a device is attached that would stay so.
        left = signal.alarm(0)
        try:
            try:
                return _attach(path, number, backing)
            finally:
                signal.alarm(left)
        except (IOError, OSError) as error:
            if error.errno != errno.EBUSY:
                raise
    raise OSError(errno.EBUSY, "others took every free loop device")


def _attach(path, number, backing):
    """Make a node for a loop device and put a file behind it; nothing stays of what fails."""
    device, attached = -1, False
    os.mknod(path, stat.S_IFBLK | int("600", 8), os.makedev(LOOP_MAJOR, number))
    try:
        device = os.open(path, os.O_RDWR)
        fcntl.ioctl(device, LOOP_SET_FD, backing)
        attached = True
        fcntl.ioctl(device, LOOP_SET_STATUS64, loop_info(LO_FLAGS_AUTOCLEAR))
        return device
    except (IOError, OSError):
        os.unlink(path)
        if attached:
            fcntl.ioctl(device, LOOP_CLR_FD)
        if device >= 0:
            os.close(device)
        raise


def loop_info(flags):
    """A struct loop_info64 with these flags: five 64-bit and three 32-bit fields before them, 176 bytes after them."""
    return struct.pack("52xI176x", flags)


def leave(number, frame):
    """End when a call has outlasted its limit, in order: the nodes are removed."""
    sys.exit("a call outlasted its limit")


def main():
    """Answer requests, and remove the nodes however that ends."""
    signal.signal(signal.SIGALRM, leave)
    agent = StorageAgent()
    try:
        serve(agent)
    finally:
        agent.remove_nodes()
