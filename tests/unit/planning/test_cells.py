# SPDX-License-Identifier: GPL-3.0-or-later
"""More cells on a lab host: as many as it carries, with names and networks that nobody has."""

from __future__ import annotations

from typing import Any

import pytest

from migration_lab.model.errors import LabError
from migration_lab.planning.cells import Cell, additional_cells, left_cells

A = Cell("a", "lab", "10.211.55.0/24")
B = Cell("b", "lab", "10.211.56.0/24")


def room(cores: int = 2, free_mib: int = 8000, **networks: str) -> dict[str, Any]:
    return {"cores": cores, "free_mib": free_mib, "networks": {name.replace("_", "-"): [net] for name, net in networks.items()}}


def names(wanted: str, cells: list[Cell], **rooms: dict[str, Any]) -> dict[str, str]:
    return {cell.name: cell.subnet for cell in additional_cells(wanted, cells, rooms)}


def test_by_default_a_lab_host_has_two_cells_a_core() -> None:
    assert names("auto", [A], lab=room()) == {"a-2": "10.211.56.0/24", "a-3": "10.211.57.0/24", "a-4": "10.211.58.0/24"}


@pytest.mark.parametrize(("free_mib", "number"), [(0, 0), (399, 0), (400, 1), (1199, 2), (10**6, 7)])
def test_free_memory_limits_the_cells(free_mib: int, number: int) -> None:
    assert len(names("auto", [A], lab=room(4, free_mib))) == number


def test_memory_of_cells_that_an_earlier_run_left_counts_as_theirs() -> None:
    left = room(4, 400, mlab_a="10.211.55.0/24", mlab_a_2="10.211.56.0/24")
    assert list(names("auto", [A], lab=left)) == ["a-2", "a-3"]


def test_a_number_is_of_all_cells_of_the_lab_host_and_takes_none_away() -> None:
    assert names("1", [A, B], lab=room()) == {}
    assert names("3", [A, B], lab=room()) == {"a-2": "10.211.57.0/24"}
    assert names("5", [A, B], lab=room()) == {"a-2": "10.211.57.0/24", "b-2": "10.211.58.0/24", "a-3": "10.211.59.0/24"}


def test_each_lab_host_has_its_own() -> None:
    far = Cell("c", "far", "10.211.60.0/24")
    assert names("2", [A, far], lab=room(), far=room(), idle=room()) == {"a-2": "10.211.56.0/24", "c-2": "10.211.61.0/24"}


def test_own_networks_of_an_earlier_run_are_no_obstacle() -> None:
    assert names("2", [A], lab=room(mlab_a="10.211.55.0/24", mlab_a_2="10.211.56.0/24")) == {"a-2": "10.211.56.0/24"}


@pytest.mark.parametrize(
    ("wanted", "cells", "there", "sentence"),
    [
        ("many", [A], room(), "recovery_cells is 'many'; it must be auto, or a number of cells on each lab host, at least 1"),
        ("0", [A], room(), "recovery_cells is '0'; it must be auto"),
        ("2", [A, Cell("a-2", "far", "10.9.9.0/24")], room(), "the additional cell a-2 has the name of a cell of the inventory"),
        ("2", [A], room(mine="10.211.56.0/22"), "a-2 needs 10.211.56.0/24, which podman's network mine has; set"),
        ("2", [Cell("z", "lab", "192.168.255.0/24")], room(), "z-2 would be 192.169.0.0/24, which is not private"),
        ("2", [Cell("z", "lab", "banana")], room(), "cell z: cell_subnet is 'banana'"),
    ],
)
def test_what_cannot_be_is_refused(wanted: str, cells: list[Cell], there: dict[str, Any], sentence: str) -> None:
    with pytest.raises(LabError) as refused:
        additional_cells(wanted, cells, {"lab": there})
    assert sentence in str(refused.value)


def test_cells_of_earlier_runs_are_found_by_their_networks() -> None:
    own: dict[str, list[str]] = {name: [] for name in ("mlab-a", "mlab-b", "mlab-b-2", "mlab-c-2", "podman", "mlab-a-b")}
    there = {**own, "mlab-a-3": ["10.211.57.0/24"], "mlab-a-12": []}
    cells = [A, B, Cell("b-2", "lab", "10.1.1.0/24")]
    assert left_cells([A, B], cells, there) == [Cell("a-3", "lab", "10.211.57.0/24", "a"), Cell("a-12", "lab", "", "a")]
