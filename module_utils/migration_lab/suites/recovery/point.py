# SPDX-License-Identifier: GPL-3.0-or-later
"""The points of a migration at which a fault can strike: each message, and the memory stream, in the protocol's order. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from ...model.case import Method

MEMORY = "memory"  # the link of the memory stream between two QEMUs

# What of a stream has passed when each of its points is reached. At the end the source is paused and has sent everything; what
# it sent last is held back.
STREAM_POINTS = ("stream-opened", "stream-1mib", "stream-most", "stream-end")

# Steps in which Finish starts the target's copy, and the source kills its own.
_V3_NORMAL = ("begin", "prepare", "perform", "finish", "confirm")
_V2_NORMAL = ("prepare", "perform", "finish")


@dataclass(frozen=True)
class Point:
    """A place in a migration.

    Attributes:
        name: ``<step>-call``, ``<step>-reply``, or one of ``STREAM_POINTS``.
        link: the relayed path on which it is seen: ``client-source``, ``client-target``, ``source-target``, or ``memory``.
        stage: what has happened: 1 Perform has not ended; 2 Perform has ended, Finish not run; 3 Finish has run, its reply is
            not seen; 4 its reply is seen, Confirm not run; 5 Confirm has run.
        copies: the sides on which a QEMU process of the guest lives in a good run.
    """

    name: str
    link: str
    stage: int
    copies: frozenset[str]

    @property
    def step(self) -> str:
        """``begin``, ``prepare``, ``perform``, ``finish``, ``confirm`` or ``stream``."""
        return self.name.partition("-")[0]

    @property
    def kind(self) -> str:
        """``call``, ``reply`` or ``stream``."""
        return "stream" if self.step == "stream" else self.name.rpartition("-")[2]


def points(method: Method, protocol: str) -> tuple[Point, ...]:
    """The points of a migration, in the order in which they come.

    :param protocol: ``v2`` or ``v3``; v3 with parameters has the points of v3.
    """
    if method is Method.NORMAL:
        names = []
        for step in _V3_NORMAL if protocol == "v3" else _V2_NORMAL:
            names += [f"{step}-call", *(STREAM_POINTS if step == "perform" else ()), f"{step}-reply"]
    else:
        # The client sees Perform alone: the daemons do the rest inside it.
        names = [
            "perform-call", "prepare-call", "prepare-reply", *STREAM_POINTS, "finish-call", "finish-reply", "perform-reply",
        ]
    return tuple(_point(name, method, protocol, names[:number]) for number, name in enumerate(names))


def _point(name: str, method: Method, protocol: str, earlier: list[str]) -> Point:
    normal = method is Method.NORMAL
    # A call that is held has not arrived; a reply's work is done. Of v2, and of p2p, the source's work after Finish is inside
    # another step, or is none.
    done = {step.rpartition("-")[0] for step in (*earlier, name) if step.endswith("-reply")}
    if "confirm" in done or (not normal and "perform" in done):
        stage = 5
    elif name == "confirm-call":
        stage = 4
    elif "finish" in done:
        stage = 3
    else:
        stage = 2 if "perform" in done or name == "finish-call" else 1
    copies = {"source"} if stage < 5 else set()
    if protocol == "v2" and normal and stage >= 2:
        copies.discard("source")  # v2's Perform kills it; peer to peer, Finish comes inside of Perform
    if "prepare" in done:
        copies.add("target")
    return Point(name, _link(name, method), stage, frozenset(copies))


def _link(name: str, method: Method) -> str:
    step = name.partition("-")[0]
    if step == "stream":
        return "source-target" if method is Method.TUNNELLED else MEMORY
    if method is Method.NORMAL:
        return "client-target" if step in ("prepare", "finish") else "client-source"
    return "client-source" if step == "perform" else "source-target"
