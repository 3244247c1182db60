# SPDX-License-Identifier: GPL-3.0-or-later
"""Combinations: which release client, source and target have. A letter each, in that order, stands for a class of machines.

Of a pair the classes are ``old`` and ``new``, with the letters o and n; in a sweep each release has a letter from a on.
"""

from __future__ import annotations

from typing import Any, Iterable, Mapping, Optional, Sequence

from .case import ROLES
from .errors import LabError

PAIR_CLASSES = ("old", "new")

# Classes of a sweep, before the letters of old and new.
LETTERS = "abcdefghijklm"

# Numbered 1..8 in this order, which is libvirt-tck's; results are shown in it.
COMBINATIONS = ("ooo", "noo", "ono", "oon", "nno", "non", "onn", "nnn")

# A Gray code: only one machine changes from each to the next, so only one is made again.
RUNNING_ORDER = ("ooo", "noo", "nno", "ono", "onn", "nnn", "non", "oon")


def classes(combination: str) -> dict[str, str]:
    """The class of each role: ``noo`` is a new client, an old source and an old target, ``abd`` a client of class a."""
    return {role: {"o": "old", "n": "new"}.get(letter, letter) for role, letter in zip(ROLES, combination)}


def number(combination: str) -> Optional[int]:
    """libvirt-tck's number of a pair's combination, 1 to 8; None in a sweep."""
    return COMBINATIONS.index(combination) + 1 if combination in COMBINATIONS else None


def label(combination: str) -> str:
    """The name, after its number where it has one: ``2 noo``, ``abd``."""
    return combination if number(combination) is None else f"{number(combination)} {combination}"


def shown_order(combination: str) -> tuple[bool, str]:
    """What combinations are sorted by where they are shown: a pair's by number, a sweep's by source, target and client."""
    found = number(combination)
    return (True, combination[1:] + combination[0]) if found is None else (False, str(found))


def running_order(kinds: tuple[str, ...]) -> list[str]:
    """All combinations of the classes, each once, in the order in which they run.

    In a sweep those of any two classes. What begins with few classes stays with few for long, so that a cell that gets only a
    stretch of it needs few machines.

    :param kinds: the classes, ``old`` and ``new`` or letters.
    """
    if kinds == PAIR_CLASSES:
        return list(RUNNING_ORDER)
    mixed = [name for name in RUNNING_ORDER if len(set(name)) > 1]
    order = []
    for place, kind in enumerate(kinds):
        order.append(kind * len(ROLES))
        for other in kinds[:place]:
            order += [name.translate(str.maketrans("on", other + kind)) for name in mixed]
    return order


def check_combinations(names: Iterable[str], kinds: tuple[str, ...] = PAIR_CLASSES) -> list[str]:
    """The named combinations in running order, each once.

    :param kinds: the classes that there are.
    :raises LabError: when a name is no combination of them, or none is named.
    """
    wanted, order = list(names), running_order(kinds)
    if kinds == PAIR_CLASSES:
        known, meaning = f"the combinations are {', '.join(COMBINATIONS)}", " (old or new for client, source, target)"
    else:
        known = f"a combination is three letters of {', '.join(kinds)}, for client, source and target"
        meaning = ", at most two of them different"
    for name in wanted:
        if name not in order:
            raise LabError(f"there is no combination '{name}'; {known}{meaning}")
    if not wanted:
        raise LabError(f"no combination is named; {known}")
    return [name for name in order if name in wanted]


def deal(cases: Mapping[str, Iterable[str]], cells: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
    """Deal the cases of combinations (in running order) out among cells, in stretches of nearly equal numbers of cases.

    Stretches, not every n-th: inside a stretch only one machine changes at a time.

    :param cases: by combination the ids of the cases to run.
    :returns: by cell its shares in order: ``combination`` and ``cases``, at least one.
    """
    everything = [(combination, case) for combination, ids in cases.items() for case in ids]
    bounds = [-(-len(everything) * index // len(cells)) for index in range(len(cells) + 1)]
    shares: dict[str, list[dict[str, Any]]] = {}
    for cell, start, end in zip(cells, bounds, bounds[1:]):
        stretches: dict[str, list[str]] = {}
        for combination, case in everything[start:end]:
            stretches.setdefault(combination, []).append(case)
        shares[cell] = [{"combination": combination, "cases": ids} for combination, ids in stretches.items()]
    return shares


def spread(cases: Mapping[str, Mapping[str, float]], cells: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
    """Deal the cases of each combination out among all cells, so that all of them have about as much to do.

    The most expensive case goes first, always to the cell with the least to do, and a cell runs what it got in the given order.

    :param cases: by combination (in running order) and case id how much of a cell's time the case takes, in any unit.
    :returns: as ``deal``.
    """
    shares: dict[str, list[dict[str, Any]]] = {cell: [] for cell in cells}
    loads = dict.fromkeys(cells, 0.0)
    for combination, efforts in cases.items():
        dealt: dict[str, set[str]] = {cell: set() for cell in cells}
        for case in sorted(efforts, key=lambda case: -efforts[case]):
            cell = min(cells, key=loads.__getitem__)
            dealt[cell].add(case)
            loads[cell] += efforts[case]
        for cell, ids in dealt.items():
            if ids:
                shares[cell].append({"combination": combination, "cases": [case for case in efforts if case in ids]})
    return shares
