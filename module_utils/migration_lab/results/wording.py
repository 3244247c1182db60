# SPDX-License-Identifier: GPL-3.0-or-later
"""How results are put into words, the same in every output."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any, Mapping, Optional

from ..combinations import COMBINATIONS, classes
from ..model import ROLES


def one_line(text: Any) -> str:
    """The text on one line and printable: libvirt's errors may span lines, and XML 1.0 bears no control characters."""
    words = " ".join(str(text).split())
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in words)


def count(number: int, noun: str) -> str:
    """``1 case``, ``2 cases``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def timestamp(seconds: float) -> str:
    """Seconds since 1970 as ISO 8601 in UTC, to the second, without the zone (which JUnit's schema forbids)."""
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S")


def check_text(check: Mapping[str, Any]) -> str:
    """A check of the journal: its name, what was expected and what was got."""
    return f"{check['name']}: expected {one_line(check['expected'])}, got {one_line(check['got'])}"


def migration_text(migration: Optional[Mapping[str, Any]]) -> str:
    """The migrate call as it was made; seconds are those of the call."""
    if migration is None:
        return "not called"
    flags = ", ".join(migration["flags"]) or "none"
    call = f"{migration['call']} to {migration['uri']}, flags {flags} ({migration['bits']})"
    return one_line(f"{call}, {migration['seconds']:.3f} s")


def combination_text(name: str) -> str:
    """``2 noo: new client, old source, old target``."""
    ages = classes(name)
    return f"{COMBINATIONS.index(name) + 1} {name}: " + ", ".join(f"{ages[role]} {role}" for role in ROLES)
