# SPDX-License-Identifier: GPL-3.0-or-later
"""Lets a thread make its sockets inside a cell's isolated network."""

from __future__ import annotations

import ctypes
import os

from ..model.errors import LabError

_CLONE_NEWNET = 0x40000000  # linux/sched.h


def enter_network_namespace(path: str) -> None:
    """Move the calling thread, and no other, into a network namespace for good.

    :param path: a namespace's file, such as ``/run/netns/netns-1``.
    :raises LabError: when that cannot be done.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            _set_namespace(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise LabError(
            f"the relay cannot enter the network namespace {path}: {error.strerror}; "
            "the cell must be up, and the lab needs root on its lab host"
        ) from error


def _set_namespace(descriptor: int) -> None:
    setns = getattr(os, "setns", None)  # since Python 3.12
    if setns is not None:
        setns(descriptor, _CLONE_NEWNET)
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(descriptor, _CLONE_NEWNET) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
