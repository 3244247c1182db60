# SPDX-License-Identifier: GPL-3.0-or-later
"""Numbers of libvirt's RPC that the relay goes by. A number never changes its meaning: versions only add higher ones.

Sources: src/remote/remote_protocol.x and qemu_protocol.x of v0.8.3 to v1.3.5, src/driver.h of v0.9.1.
"""

from __future__ import annotations

REMOTE_PROGRAM = 0x20008086
QEMU_PROGRAM = 0x20008087

# Since 1.1.0 libvirt's source calls it CONNECT_SUPPORTS_FEATURE.
SUPPORTS_FEATURE = 60

# Migration procedures of the remote program. Protocol v2 shares "perform" with v1, and has it without a begin or a
# confirm; the tunnelled form of v2 has no number, since there was none in v1. v3 came with 0.9.2, its form with typed
# parameters with 1.1.0.
MIGRATION = {
    61: "prepare",
    62: "perform",
    63: "finish",
    108: "prepare2",
    109: "finish2",
    148: "prepare-tunnel",
    213: "begin3",
    214: "prepare3",
    215: "prepare-tunnel3",
    216: "perform3",
    217: "finish3",
    218: "confirm3",
    302: "begin3-params",
    303: "prepare3-params",
    304: "prepare-tunnel3-params",
    305: "perform3-params",
    306: "finish3-params",
    307: "confirm3-params",
}

# Their replies name the place where the target's QEMU waits for the memory stream. v1's does so as well; nothing that the lab
# runs with a fault speaks v1.
PREPARES_WITH_URI = frozenset({"prepare2", "prepare3", "prepare3-params"})

# On these the memory stream is sent where it is tunnelled.
TUNNELS = frozenset(number for number, name in MIGRATION.items() if name.startswith("prepare-tunnel"))


def step_of(procedure: str) -> str:
    """The step that a procedure is in every protocol: ``begin``, ``prepare``, ``perform``, ``finish`` or ``confirm``.

    :param procedure: a name in ``MIGRATION``.
    """
    return procedure.partition("-")[0].rstrip("23")
