# SPDX-License-Identifier: GPL-3.0-or-later
"""Completes a profile of the suite ``chain``: the chains that a run's guests take."""

from __future__ import annotations

from typing import Any, Mapping

from ..model.errors import LabError
from ..suites.chain.case import check, walk
from ..suites.chain.suite import ChainSuite


def follow(profile: Mapping[str, Any], hops: str, pair: Mapping[str, Any], releases: Mapping[str, Any]) -> dict[str, Any]:
    """A profile of the suite ``chain`` with the chains of a run.

    :param hops: the setting, entries with commas between them; empty for the profile's own chains.
    :param pair: the run's.
    :param releases: the catalogue's.
    :raises LabError: when a chain is none, its steps are not those of the first, or libvirt cannot be replaced in place.
    """
    given = [[hop.strip() for hop in hops.split(",")]] if hops.strip() else profile["chains"]
    for chain in given:
        check(chain)
    shapes = [[step.name for step in walk(chain).steps] for chain in given]
    if any(shape != shapes[0] for shape in shapes):
        raise LabError(f"profile '{profile['name']}': chains: all must have the same steps, so that their checks are the same")
    completed = {**profile, "chains": given}
    if ChainSuite().replaces(completed):
        _check_replaceable(pair, releases)
    return completed


def _check_replaceable(pair: Mapping[str, Any], releases: Mapping[str, Any]) -> None:
    trees = [pair[kind] for kind in ("old", "new") if releases[pair[kind]]["kind"] == "tree"]
    if trees:
        raise LabError(
            f"hops: libvirt cannot be replaced in place with release '{trees[0]}', which is a tree and has its state in a folder "
            "of its own; take a pair of releases of another kind"
        )
    if pair["old"] == pair["new"]:
        raise LabError(f"hops: pair '{pair['name']}' has only one release, so no other libvirt can replace it; take another pair")
