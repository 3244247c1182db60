# SPDX-License-Identifier: GPL-3.0-or-later
"""Combinations: their numbering, the order in which they run, and how cells share them."""

from __future__ import annotations

from itertools import pairwise, product

import pytest

from migration_lab.model.combination import (
    COMBINATIONS,
    LETTERS,
    RUNNING_ORDER,
    check_combinations,
    classes,
    deal,
    label,
    number,
    running_order,
    shown_order,
    spread,
)
from migration_lab.model.errors import LabError

CELLS = ["a", "b", "c", "d", "e", "f", "g", "h"]


def changes(one: str, other: str) -> int:
    """Number of machines whose class differs."""
    return sum(a != b for a, b in zip(one, other))


def test_numbering_is_the_designs() -> None:
    assert " ".join(COMBINATIONS) == "ooo noo ono oon nno non onn nnn"


@pytest.mark.parametrize("order", [COMBINATIONS, RUNNING_ORDER])
def test_every_combination_is_there_once(order: tuple[str, ...]) -> None:
    assert sorted(order) == sorted("".join(letters) for letters in product("no", repeat=3))


def test_running_order_changes_one_machine_at_a_time() -> None:
    assert [changes(one, other) for one, other in pairwise(RUNNING_ORDER)] == [1] * 7


@pytest.mark.parametrize(
    ("name", "client", "source", "target"),
    [("ooo", "old", "old", "old"), ("noo", "new", "old", "old"), ("ono", "old", "new", "old"), ("oon", "old", "old", "new")],
)
def test_letters_stand_for_client_source_target(name: str, client: str, source: str, target: str) -> None:
    assert classes(name) == {"client": client, "source": source, "target": target}


@pytest.mark.parametrize(
    ("names", "order"),
    [
        (list(COMBINATIONS), list(RUNNING_ORDER)),
        (["nnn", "onn", "ooo"], ["ooo", "onn", "nnn"]),
        (["noo", "noo"], ["noo"]),
    ],
)
def test_chosen_combinations_run_in_running_order_each_once(names: list[str], order: list[str]) -> None:
    assert check_combinations(names) == order


@pytest.mark.parametrize("name", ["xyz", "NOO", "no", "nooo", "", "all"])
def test_unknown_combination_is_refused_with_the_known_ones(name: str) -> None:
    with pytest.raises(LabError) as refusal:
        check_combinations(["noo", name])
    assert f"no combination '{name}'" in str(refusal.value)
    assert "ooo, noo, ono, oon, nno, non, onn, nnn" in str(refusal.value)


@pytest.mark.parametrize(("releases", "combinations"), [(2, 8), (3, 21), (4, 40), (13, 481)])
def test_a_sweep_has_the_combinations_of_any_two_releases_once(releases: int, combinations: int) -> None:
    kinds = tuple(LETTERS[:releases])
    order = running_order(kinds)
    assert sorted(order) == sorted("".join(name) for name in product(kinds, repeat=3) if len(set(name)) <= 2)
    assert len(order) == combinations


def test_a_sweep_adds_one_release_after_the_other() -> None:
    order = running_order(("a", "b", "c", "d"))
    assert order[:8] == ["aaa", "bbb", "baa", "bba", "aba", "abb", "bab", "aab"]
    newest = [max(name) for name in order]
    assert newest == sorted(newest)


def test_a_sweep_is_shown_by_source_target_and_client() -> None:
    shown = sorted(running_order(("a", "b")), key=shown_order)
    assert shown == ["aaa", "baa", "aab", "bab", "aba", "bba", "abb", "bbb"]
    assert sorted([*shown, *RUNNING_ORDER], key=shown_order) == [*COMBINATIONS, *shown]


def test_only_the_combinations_of_a_pair_are_numbered() -> None:
    assert [number(name) for name in COMBINATIONS] == list(range(1, 9)) and number("aab") is None
    assert label("noo") == "2 noo" and label("aab") == "aab"


def test_letters_of_a_sweep_are_its_classes() -> None:
    assert classes("abd") == {"client": "a", "source": "b", "target": "d"}
    assert not set(LETTERS) & {"o", "n"}


def test_chosen_combinations_of_a_sweep_run_in_its_order() -> None:
    assert check_combinations(["cac", "aab", "bbb", "aab"], ("a", "b", "c")) == ["bbb", "aab", "cac"]


@pytest.mark.parametrize("name", ["abc", "aad", "noo", "aa", ""])
def test_what_a_sweep_does_not_have_is_refused(name: str) -> None:
    with pytest.raises(LabError) as refusal:
        check_combinations(["aab", name], ("a", "b", "c"))
    assert str(refusal.value) == (
        f"there is no combination '{name}'; a combination is three letters of a, b, c, for client, source and target, "
        "at most two of them different"
    )


def test_no_combination_at_all_is_refused() -> None:
    with pytest.raises(LabError, match="no combination is named"):
        check_combinations([])


@pytest.mark.parametrize("cells", [CELLS[:count] for count in range(1, 9)], ids=len)
def test_dealing_gives_each_combination_to_one_cell(cells: list[str]) -> None:
    shares = {
        cell: [share["combination"] for share in dealt]
        for cell, dealt in deal({name: ["case"] for name in RUNNING_ORDER}, cells).items()
    }
    assert list(shares) == cells
    assert [name for cell in cells for name in shares[cell]] == list(RUNNING_ORDER), "each once, and in running order"
    sizes = [len(share) for share in shares.values()]
    assert max(sizes) - min(sizes) <= 1
    for share in shares.values():
        assert all(changes(one, other) == 1 for one, other in pairwise(share))


def test_cells_without_a_share_are_told_so() -> None:
    assert deal({"noo": ["x"]}, ["a", "b"]) == {"a": [{"combination": "noo", "cases": ["x"]}], "b": []}


@pytest.mark.parametrize("cells", [CELLS[:count] for count in range(1, 9)], ids=len)
@pytest.mark.parametrize("sizes", [(96,) * 8, (96,), (5, 0, 1, 96), (1, 2, 3), (22816, 7)], ids=str)
def test_cases_are_dealt_in_stretches_of_nearly_equal_length(sizes: tuple[int, ...], cells: list[str]) -> None:
    cases = {name: [f"{name}/{number}" for number in range(size)] for name, size in zip(RUNNING_ORDER, sizes)}
    shares = deal(cases, cells)
    dealt = [case for cell in cells for share in shares[cell] for case in share["cases"]]
    assert dealt == [case for ids in cases.values() for case in ids], "each once, and in order"
    lengths = [sum(len(share["cases"]) for share in shares[cell]) for cell in cells]
    assert max(lengths) - min(lengths) <= 1
    for cell in cells:
        names = [share["combination"] for share in shares[cell]]
        assert len(set(names)) == len(names) and all(share["cases"] for share in shares[cell]), "one share of each, none empty"


def test_two_cells_halve_one_combination() -> None:
    halves = deal({"noo": ["1", "2", "3", "4"]}, ["a", "b"])
    assert [share["cases"] for cell in "ab" for share in halves[cell]] == [["1", "2"], ["3", "4"]]


@pytest.mark.parametrize("cells", [CELLS[:count] for count in range(1, 9)], ids=len)
def test_each_combination_is_spread_over_all_cells_by_effort(cells: list[str]) -> None:
    efforts = [30.0, *[2.0] * 40, *[6.0] * 9]
    cases = {name: {f"{name}/{number}": effort for number, effort in enumerate(efforts)} for name in RUNNING_ORDER}
    shares = spread(cases, cells)
    assert list(shares) == cells
    loads = []
    for cell in cells:
        assert [share["combination"] for share in shares[cell]] == list(RUNNING_ORDER), "one share of each, in running order"
        for share in shares[cell]:
            order = list(cases[share["combination"]])
            assert share["cases"] == sorted(share["cases"], key=order.index)
        loads.append(sum(cases[share["combination"]][case] for share in shares[cell] for case in share["cases"]))
    assert max(loads) - min(loads) <= max(efforts)
    for name in RUNNING_ORDER:
        dealt = [case for cell in cells for share in shares[cell] if share["combination"] == name for case in share["cases"]]
        assert sorted(dealt) == sorted(cases[name]), "each once"


def test_cell_that_got_nothing_of_a_combination_has_no_share_of_it() -> None:
    assert spread({"noo": {"x": 1.0}, "nnn": {}}, ["a", "b"]) == {"a": [{"combination": "noo", "cases": ["x"]}], "b": []}
