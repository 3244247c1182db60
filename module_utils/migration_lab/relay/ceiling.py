# SPDX-License-Identifier: GPL-3.0-or-later
"""Ceilings: a daemon presented as one of an older version, by what it must not know."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Mapping

from ..model.errors import LabError
from .framing import CALL, ERROR, HEADER_SIZE, OK, Header, Message, reply_to
from .interception import Action, Answer, Forward
from .procedures import QEMU_PROGRAM, REMOTE_PROGRAM, SUPPORTS_FEATURE
from .remote_error import encode_error

# VIR_ERR_RPC and VIR_FROM_REMOTE. Libraries turn an error with these and a text that begins with "unknown procedure"
# into VIR_ERR_NO_SUPPORT (v1.3.5, src/rpc/virnetclientprogram.c).
_ERR_RPC = 39
_FROM_REMOTE = 13


@dataclass(frozen=True)
class Ceiling:
    """The most that a version's daemon knows.

    Attributes:
        version: the version, as users write it.
        feature: highest number of VIR_DRV_FEATURE_* (src/driver.h).
        procedures: highest procedure number, by program.
    """

    version: str
    feature: int
    procedures: Mapping[int, int]

    def concerns(self, header: Header) -> bool:
        """Whether a message to the daemon has to be seen whole to say what becomes of it."""
        highest = self.procedures.get(header.program)
        if highest is None:
            return True
        if header.type != CALL:
            return False
        return header.procedure > highest or _asks_for_feature(header)

    def decide(self, message: Message) -> Action:
        """Say what becomes of a message to the daemon, as that version's daemon/dispatch.c would have it."""
        header = message.header
        highest = self.procedures.get(header.program)
        if highest is None:
            # 0.9.1 had the remote and the qemu program, and answered messages of all others, keepalive and lxc among
            # them, with this error, whatever their type.
            known = " or ".join(f"{program:x}" for program in self.procedures)
            return _refuse(header, f"program mismatch (actual {header.program:x}, expected {known})")
        if header.type != CALL:
            return Forward()
        if header.procedure > highest:
            return _refuse(header, f"unknown procedure: {header.procedure}")
        if _asks_for_feature(header) and header.length >= HEADER_SIZE + 4:
            (feature,) = struct.unpack_from(">i", message.payload)
            if feature > self.feature:
                return Answer(reply_to(header, OK, struct.pack(">i", 0)))
        return Forward()


def _asks_for_feature(header: Header) -> bool:
    return header.program == REMOTE_PROGRAM and header.procedure == SUPPORTS_FEATURE


def _refuse(header: Header, text: str) -> Answer:
    return Answer(reply_to(header, ERROR, encode_error(_ERR_RPC, _FROM_REMOTE, text)))


# What the relay can present a daemon as, by version.
CEILINGS = {
    # Feature 6 is MIGRATION_V3; procedure 209 is STORAGE_VOL_DOWNLOAD. 0.9.1 also answered a feature query before the
    # connection was opened (keepalive's) with an error, which libraries take for the same "no".
    "0.9.1": Ceiling("0.9.1", feature=5, procedures={REMOTE_PROGRAM: 209, QEMU_PROGRAM: 1}),
}


def ceiling(version: str) -> Ceiling:
    """The ceiling of a version.

    :raises LabError: when the relay has none for it.
    """
    if version not in CEILINGS:
        raise LabError(f"ceiling '{version}' is not known; the relay can present a daemon as {' or '.join(CEILINGS)}")
    return CEILINGS[version]
