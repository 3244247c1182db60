# SPDX-License-Identifier: GPL-3.0-or-later
"""Version combinations: old or new for client, source and target."""

from __future__ import annotations

from typing import Any, Iterable, Mapping, Sequence

from .case import ROLES
from .errors import LabError

# Numbered 1..8 in this order, which is libvirt-tck's; results are shown in it.
COMBINATIONS = ("ooo", "noo", "ono", "oon", "nno", "non", "onn", "nnn")

# A Gray code: only one machine changes from each to the next, so only one is made again.
RUNNING_ORDER = ("ooo", "noo", "nno", "ono", "onn", "nnn", "non", "oon")


def classes(combination: str) -> dict[str, str]:
    """The class (``old`` or ``new``) of each role: ``noo`` is a new client, an old source and an old target."""
    return {role: {"o": "old", "n": "new"}[letter] for role, letter in zip(ROLES, combination)}


def check_combinations(names: Iterable[str]) -> list[str]:
    """The named combinations in running order, each once.

    :raises LabError: when a name is no combination, or none is named.
    """
    wanted = list(names)
    for name in wanted:
        if name not in COMBINATIONS:
            raise LabError(
                f"there is no combination '{name}'; the combinations are {', '.join(COMBINATIONS)} "
                "(old or new for client, source, target)"
            )
    if not wanted:
        raise LabError(f"no combination is named; the combinations are {', '.join(COMBINATIONS)}")
    return [name for name in RUNNING_ORDER if name in wanted]


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
