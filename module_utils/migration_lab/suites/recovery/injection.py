# SPDX-License-Identifier: GPL-3.0-or-later
"""What a fault does to the machines of a cell, and how the world is healed afterwards."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Mapping

from ...model.case import SIDES


@dataclass(frozen=True)
class Verb:
    """What a strike can do.

    Attributes:
        on: the roles on which it can be done.
        lasts: whether it takes ``seconds``.
        options: by name of each further field, all of which it must have, the values that it can have.
    """

    on: tuple[str, ...]
    lasts: bool = False
    options: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)


VERBS: dict[str, Verb] = {
    # A daemon is killed and started again, or restarted in order, or stands still.
    "kill-daemon": Verb(SIDES),
    "restart-daemon": Verb(SIDES),
    "freeze-daemon": Verb(SIDES, lasts=True),
    "kill-qemu": Verb(SIDES),
    # The agent that called for the migration.
    "kill-agent": Verb(("client",)),
    "freeze-agent": Verb(("client",), lasts=True),
    "power-cut": Verb(("client", *SIDES)),
    # Third parties' calls; to migrate again is asked of the source.
    "abort-job": Verb(SIDES),
    "destroy-guest": Verb(SIDES),
    "suspend-guest": Verb(SIDES),
    "resume-guest": Verb(SIDES),
    "undefine-guest": Verb(SIDES),
    "migrate-again": Verb(("source",)),
    # What a side has no longer.
    "occupy-ports": Verb(SIDES),
    "limit-memory": Verb(SIDES),
    "fill-space": Verb(SIDES, options={"what": ("config", "state")}),
    "hide-emulator": Verb(SIDES),
    "take-name": Verb(("target",), options={"active": (True, False)}),
    "take-uuid": Verb(("target",), options={"active": (True, False)}),
}
