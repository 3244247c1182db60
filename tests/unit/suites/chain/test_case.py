# SPDX-License-Identifier: GPL-3.0-or-later
"""Chains: which machines a guest goes over, and what each step finds."""

from __future__ import annotations

import itertools

import pytest

from migration_lab.model.case import FlagSet, Method, Scenario, State
from migration_lab.model.errors import LabError
from migration_lab.suites.chain.case import IN_PLACE, MOST, ChainCase, check, walk

NONE, MOVES = FlagSet("none", ()), FlagSet("undefine-source+persist-dest", ("undefine-source", "persist-dest"))


def way(*hops: str) -> list[tuple[str, str, str]]:
    return [(step.name, step.source, step.target) for step in walk(hops).steps]


def chain(*hops: str, flags: FlagSet = NONE, persistent: bool = True, state: State = State.RUNNING) -> ChainCase:
    return ChainCase(7, Method.P2P, Scenario("s", persistent, state, False), flags, hops=hops)


def test_a_guest_goes_there_and_back_and_on_to_a_third_machine() -> None:
    assert way("old", "new", "old", "new", "new") == [
        ("hop-1", "source", "target"), ("hop-2", "target", "source"), ("hop-3", "source", "third"), ("hop-4", "third", "target"),
    ]
    assert walk(("old", "new", "old", "new", "new")).machines == {"source": "old", "target": "new", "third": "new"}


def test_machines_of_one_class_are_a_source_and_a_target() -> None:
    assert way("new", "new", "old", "old") == [
        ("hop-1", "source", "target"), ("hop-2", "target", "third"), ("hop-3", "third", "fourth"),
    ]
    assert walk(("new", "new", "old", "old")).machines == {"source": "new", "target": "new", "third": "old", "fourth": "old"}


@pytest.mark.parametrize("hops", list(itertools.product(("old", "new"), repeat=7)))
def test_no_guest_goes_to_where_it_is_and_each_hop_ends_on_its_class(hops: tuple[str, ...]) -> None:
    found = walk(hops)
    assert [found.machines[step.target] for step in found.steps] == list(hops[1:])
    for step, following in itertools.pairwise(found.steps):
        assert step.source != step.target == following.source
    assert found.steps[0].source == "source" and found.steps[0].target == "target"


def test_a_machine_whose_libvirt_was_replaced_is_left_for_good() -> None:
    assert way("old", f"{IN_PLACE}new", "new", "old") == [
        ("in-place", "source", ""), ("hop-1", "source", "target"), ("hop-2", "target", "fourth"),
    ]


def test_each_hop_finds_what_the_one_before_leaves() -> None:
    first, second, third, _ = (part.scenario for part in chain("old", "new", "old", "new", "new").parts)
    assert (first.persistent, first.target_config) == (True, False)
    assert (second.persistent, second.target_config) == (False, True), "transient there; its config is where it came from"
    assert (third.persistent, third.target_config) == (True, False)


def test_a_guest_that_takes_its_config_along_finds_none() -> None:
    parts = chain("old", "new", "old", flags=MOVES).parts
    assert [(part.scenario.persistent, part.scenario.target_config) for part in parts] == [(True, False), (True, False)]


def test_a_guest_that_is_to_arrive_paused_stays_so() -> None:
    parts = chain("old", "new", "old", flags=FlagSet("paused", ("paused",))).parts
    assert [part.scenario.state for part in parts] == [State.RUNNING, State.PAUSED]


def test_a_replacement_finds_the_guest_and_leaves_it_as_it_is() -> None:
    case = chain("old", f"{IN_PLACE}new", "new", state=State.PAUSED)
    assert [part.scenario for part in case.parts] == [case.scenario, case.scenario]
    assert "hops" in case.parts[0].own_axes and "hops" not in case.parts[1].own_axes, "the ledger tells them apart"
    assert case.id == "p2p/s/none/old-in-place:new-new"


@pytest.mark.parametrize(
    ("hops", "problem"),
    [
        ("old", "hops is 'old': nothing migrates; name the classes of at least two machines, such as old,new"),
        ("old,in-place:new", "nothing migrates"),
        ("old,newer", "'newer' is not a class of machines; write old or new, and from the second on also in-place:old or"),
        ("old,,new", "'' is not a class"),
        ("in-place:new,old", "'in-place:new' is not a class"),
        (",".join(["old"] * (MOST + 1)), "it has 17 entries; at most 16 are possible"),
        ("old,in-place:new,new,in-place:old,old", "libvirt is replaced 2 times; once is possible"),
        ("old,in-place:old,new", "the machine before in-place:old has that libvirt already; name the other class"),
        ("old,in-place:new,new,old,old", "there is no old machine left to go to after in-place:new"),
    ],
)
def test_hops_that_no_guest_can_take_are_refused(hops: str, problem: str) -> None:
    with pytest.raises(LabError) as refused:
        check(hops.split(","))
    assert problem in str(refused.value) and str(refused.value).startswith(f"hops is '{hops}': ")


def test_the_longest_chain_is_possible() -> None:
    check(["old", "new"] * (MOST // 2))
