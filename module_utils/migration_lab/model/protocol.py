# SPDX-License-Identifier: GPL-3.0-or-later
"""Migration protocols, and which of them a migration uses."""

from __future__ import annotations

from typing import Mapping

from .case import ROLES, SIDES, Case, Method
from .version import parse_version

# The release that brought migration protocol v3 (driver feature VIR_DRV_FEATURE_MIGRATION_V3).
PROTOCOL_V3 = parse_version("0.9.2")


def expect_protocol(case: Case, libvirt: Mapping[str, int]) -> str:
    """The migration protocol that a case must use: ``v2`` or ``v3``.

    Under the client's control all three must know v3. Peer to peer, the source decides by what the target supports, and
    the client does not matter (doPeer2PeerMigrate in libvirt's qemu_migration.c).

    :param libvirt: by role libvirt's version as a number, as the others are shown it: an emulated old one counts as old.
    """
    deciding = ROLES if case.method is Method.NORMAL else SIDES
    return "v3" if all(libvirt[role] >= PROTOCOL_V3 for role in deciding) else "v2"
