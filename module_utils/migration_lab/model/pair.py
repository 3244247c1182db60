# SPDX-License-Identifier: GPL-3.0-or-later
"""The releases that a run migrates between: those of a pair, or any number of them in a sweep.

Both are the run's ``pair`` in plan, run.json and journals: ``old`` and ``new``, or ``releases``, a list. Each release has a
class, by which a combination names it: ``old`` and ``new``, or in a sweep a letter.
"""

from __future__ import annotations

from typing import Any, Mapping

from .combination import LETTERS, PAIR_CLASSES

# The name of every sweep in place of a pair's.
SWEEP = "sweep"


def is_sweep(pair: Mapping[str, Any]) -> bool:
    """Whether it is a sweep."""
    return "releases" in pair


def classes_of(pair: Mapping[str, Any]) -> tuple[str, ...]:
    """The classes of its machines, in order."""
    return tuple(LETTERS[:len(pair["releases"])]) if is_sweep(pair) else PAIR_CLASSES


def releases_of(pair: Mapping[str, Any]) -> dict[str, str]:
    """By class the release, in order."""
    return dict(zip(classes_of(pair), pair["releases"] if is_sweep(pair) else (pair[kind] for kind in PAIR_CLASSES)))


def between(pair: Mapping[str, Any]) -> str:
    """``debian-12 and debian-13``; of a sweep ``debian-11, debian-12 and debian-13``."""
    *others, last = releases_of(pair).values()
    return f"{', '.join(others)} and {last}"


def pair_in_full(pair: Mapping[str, Any]) -> str:
    """``debian (debian-12, debian-13, boundary 11.3.0)``, all that it is made of."""
    words = {"boundary": "boundary", "ceiling": "old presented as"}
    facts = [*releases_of(pair).values(), *(f"{word} {pair[field]}" for field, word in words.items() if pair.get(field))]
    return f"{pair['name']} ({', '.join(facts)})"


def pair_text(pair: Mapping[str, Any]) -> str:
    """``pair debian``; of a sweep its releases with their letters: ``sweep of a debian-11, b debian-12``."""
    if is_sweep(pair):
        return f"sweep of {', '.join(f'{kind} {release}' for kind, release in releases_of(pair).items())}"
    return f"pair {pair['name']}"
