# SPDX-License-Identifier: GPL-3.0-or-later
"""What was seen of a case. Whoever observes does not judge."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Optional


@dataclass(frozen=True)
class Outcome:
    """How a libvirt call ended. ``error`` is libvirt's own text with its numbers, empty when the call succeeded.

    ``code`` and ``domain`` are these numbers; None: the error is not libvirt's, or there is none.
    """

    ok: bool
    error: str = ""
    seconds: float = 0.0
    timed_out: bool = False
    code: Optional[int] = None
    domain: Optional[int] = None


@dataclass(frozen=True)
class Sight:
    """A domain as one daemon shows it. ``state`` is libvirt's word, empty when the domain does not exist."""

    exists: bool
    active: bool = False
    persistent: bool = False
    state: str = ""

    def __str__(self) -> str:
        if not self.exists:
            return "absent"
        kind = "persistent" if self.persistent else "transient"
        return f"{kind}, {self.state if self.active else 'inactive'}"


@dataclass(frozen=True)
class Copy:
    """A QEMU process of the guest on one machine: its counter when the migration call had returned, and by how much it grew
    while it was watched (``None``: the guest's memory was not there to be read)."""

    machine: str
    counter: Optional[int]
    moved: Optional[int]


@dataclass(frozen=True)
class Survival:
    """What was seen of the guest itself, where it must be after the migration.

    ``before`` and ``after`` are its counter (None: its memory was not there), ``pattern`` whether the pattern in its memory
    is whole (None: not read), ``copies`` all its QEMU processes.
    """

    before: int
    after: Optional[int]
    pattern: Optional[bool]
    copies: tuple[Copy, ...]


@dataclass
class Observation:
    """What was seen of one case. ``None`` means: not reached, or not needed. A suite that sees more extends it.

    ``protocol`` is the migration protocol that the relay saw on the target: ``v2``, ``v3``, ``v3-params``, or empty when no
    Prepare passed. ``target_config`` is whose config the target has: ``own``, ``guest``, ``another`` or ``absent``.
    ``expected_deaths`` are the daemons that the case killed on purpose, ``daemon_deaths`` all others.
    """

    source_defined: Optional[Outcome] = None
    source_started: Optional[Outcome] = None
    source_state: Optional[str] = None
    target_defined: Optional[Outcome] = None
    migrated: Optional[Outcome] = None
    source_after: Optional[Sight] = None
    target_after: Optional[Sight] = None
    protocol: Optional[str] = None
    survival: Optional[Survival] = None
    target_config: Optional[str] = None
    leftovers: Optional[list[str]] = None
    daemon_deaths: list[str] = field(default_factory=list)
    expected_deaths: list[str] = field(default_factory=list)
    lab_error: str = ""

    def details(self) -> dict[str, Any]:
        """What the journal keeps of it beside the checks: what a suite sees beyond these fields."""
        return {}
