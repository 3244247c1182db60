# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults as data: what strikes, what becomes of the message, and where it makes sense. Pure."""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass
from typing import Any, Mapping, Optional

from .point import Point

# What becomes of the message, or of the stream, at which a fault strikes.
DELIVERIES = {
    "delivered": "the message is passed on when the fault has struck",
    "dropped": "the message is lost, its connection stays",
    "error": "the caller gets an error in place of the reply",
    "closed": "the connection is closed, and the message is lost with it",
    "reset": "the connection is reset, and the message is lost with it",
    "silent": "the connection passes nothing in either direction for a time, or until the fault is healed",
}


@dataclass(frozen=True)
class Strike:
    """One thing that a fault does.

    Attributes:
        do: the verb, one of ``injection.VERBS``.
        on: ``client``, ``source`` or ``target``.
        seconds: how long it lasts; None: until the fault is healed.
        options: what else the verb takes, as pairs.
    """

    do: str
    on: str
    seconds: Optional[float] = None
    options: tuple[tuple[str, Any], ...] = ()


@dataclass(frozen=True)
class Fault:
    """What happens at a point.

    Attributes:
        name: unique among all faults.
        group: the kind of fault, which is the file's name.
        strikes: what is done, in this order, while the message is held.
        delivery: one of ``DELIVERIES``: what then becomes of the message.
        seconds: how long a silence lasts; None: until the fault is healed.
        after: milliseconds between the delivery of the message and the strikes; several are taken in turn by the cases. Empty:
            the strikes come first.
        alone: whether nothing else may run on the cell meanwhile.
        points: shell patterns of the names of points at which it can strike.
        copies: sides that must have a QEMU process of the guest at the point.
        methods: the methods that it is for; empty: all.
        kills: sides on which the fault itself kills the guest's QEMU.
    """

    name: str
    group: str
    description: str
    strikes: tuple[Strike, ...] = ()
    delivery: str = "delivered"
    seconds: Optional[float] = None
    after: tuple[int, ...] = ()
    alone: bool = False
    points: tuple[str, ...] = ("*",)
    copies: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    kills: tuple[str, ...] = ()

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Fault:
        """From an entry of a file under scenarios/faults/, validated and with its ``group`` (``planning.faults``)."""
        values: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in data.items()}
        values["strikes"] = tuple(_strike(strike) for strike in data.get("strikes", ()))
        return cls(**values)

    def fits(self, point: Point, method: str) -> bool:
        """Whether the fault can strike there."""
        return (
            any(fnmatch.fnmatchcase(point.name, pattern) for pattern in self.points)
            and set(self.copies) <= point.copies
            and (not self.methods or method in self.methods)
            # A call is answered with an error in the daemon's place; a stream has no reply.
            and not (self.delivery == "error" and point.kind == "stream")
        )

    @property
    def cuts_power(self) -> bool:
        """Whether a machine goes down by it."""
        return any(strike.do == "power-cut" for strike in self.strikes)

    @property
    def daemons(self) -> frozenset[str]:
        """The sides whose daemon does not live through it."""
        killing = ("kill-daemon", "restart-daemon", "power-cut")
        return frozenset(strike.on for strike in self.strikes if strike.do in killing and strike.on != "client")


def _strike(data: Mapping[str, Any]) -> Strike:
    options = tuple(sorted((name, value) for name, value in data.items() if name not in ("do", "on", "seconds")))
    return Strike(data["do"], data["on"], data.get("seconds"), options)
