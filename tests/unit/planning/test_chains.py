# SPDX-License-Identifier: GPL-3.0-or-later
"""The chains of a run: those of the profile or the one that is asked for, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from default_catalogue import PAIRS, RELEASES, SCENARIOS, TREE
from migration_lab.model.errors import LabError
from migration_lab.planning.chains import follow
from migration_lab.planning.profiles import load_profile

DEBIAN = {"name": "debian", **PAIRS["debian"]}


def followed(hops: str = "", pair: dict[str, Any] = DEBIAN, **changes: Any) -> dict[str, Any]:
    return follow({**load_profile("chain", SCENARIOS), **changes}, hops, pair, {**RELEASES, "tree": TREE})


def test_hops_take_the_place_of_the_profiles_chains() -> None:
    assert followed()["chains"] == [["old", "new", "old", "new", "new"]]
    assert followed(" new, in-place:old,old")["chains"] == [["new", "in-place:old", "old"]]


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"hops": "old"}, "hops is 'old': nothing migrates"),
        ({"chains": [["old", "new"], ["new", "old", "new"]]}, "profile 'chain': chains: all must have the same steps"),
        ({"hops": "old,in-place:new,new", "pair": {**DEBIAN, "old": "tree"}}, "with release 'tree', which is a tree"),
        (
            {"hops": "old,in-place:new,new", "pair": {"name": "emulated-v2", **PAIRS["emulated-v2"]}},
            "pair 'emulated-v2' has only one release",
        ),
    ],
)
def test_chains_that_cannot_be_are_refused(given: dict[str, Any], problem: str) -> None:
    with pytest.raises(LabError) as refused:
        followed(**given)
    assert problem in str(refused.value)
