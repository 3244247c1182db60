# SPDX-License-Identifier: GPL-3.0-or-later
"""More cells on a lab host: as many as it carries, with names and networks that nobody has."""

from __future__ import annotations

import configparser
from dataclasses import replace
from typing import Any

import pytest

from migration_lab.lab_host.room import BESIDE
from migration_lab.model.errors import LabError
from migration_lab.planning.cells import CELLS_AT_A_TIME, Cell, additional_cells, left_cells
from synthetic_run import ROOT

A = Cell("a", "lab", "10.211.55.0/24")
B = Cell("b", "lab", "10.211.56.0/24")


def room(cores: int = 2, free_mib: int = 8000, **networks: str) -> dict[str, Any]:
    return {"cores": cores, "free_mib": free_mib, "networks": {
        name.replace("_", "-"): {"subnets": [net], "beside": "a" if name.startswith("mlab_a_") else ""}
        for name, net in networks.items()
    }}


def somebodys(name: str) -> dict[str, Any]:
    return {**room(), "networks": {name: {"subnets": ["10.211.99.0/24"], "beside": ""}}}


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
        ("2", [A], somebodys("mlab-a-2"), "a-2 needs a network mlab-a-2, and podman has one that the lab did not make for it"),
        ("3", [A, B], room(mlab_a_2="10.211.56.0/24"), "a-2 is left of an earlier run with a network that does not fit; run"),
        ("2", [Cell("z", "lab", "192.168.255.0/24")], room(), "z-2 would be 192.169.0.0/24, which is not private"),
        ("2", [Cell("z", "lab", "banana")], room(), "cell z: cell_subnet is 'banana'"),
    ],
)
def test_what_cannot_be_is_refused(wanted: str, cells: list[Cell], there: dict[str, Any], sentence: str) -> None:
    with pytest.raises(LabError) as refused:
        additional_cells(wanted, cells, {"lab": there})
    assert sentence in str(refused.value)


def test_a_subnet_that_somebody_has_is_skipped() -> None:
    there = room(mlab_a="10.211.55.0/24", mine="10.211.56.0/23")
    assert names("3", [A], lab=there) == {"a-2": "10.211.58.0/24", "a-3": "10.211.59.0/24"}


def test_a_cell_of_an_earlier_run_keeps_its_subnet() -> None:
    assert names("3", [A], lab=room(mlab_a_2="10.211.70.0/24")) == {"a-2": "10.211.70.0/24", "a-3": "10.211.56.0/24"}


def test_all_cells_are_at_most_what_ansible_carries_out_at_a_time() -> None:
    settings = configparser.ConfigParser()
    settings.read(ROOT / "ansible.cfg")
    assert settings.getint("defaults", "forks") == CELLS_AT_A_TIME
    far = Cell("c", "far", "10.212.60.0/24")
    assert len(names("auto", [A, far], lab=room(64, 10**6), far=room(64, 10**6))) == CELLS_AT_A_TIME - 2
    assert names("auto", [replace(A, name=f"a{n}", subnet=f"10.211.{n}.0/24") for n in range(21)], lab=room(64, 10**6)) == {}


def test_cells_of_earlier_runs_are_known_by_the_labels_of_their_networks() -> None:
    beside = {"mlab-a": "", "mlab-a-2": "", "mlab-b-2": "b", "mlab-c-2": "c", "podman": "", "mlab-a-3": "a", "mlab-a-12": "a"}
    subnets: dict[str, list[str]] = {"mlab-a-3": ["10.211.57.0/24"]}
    there = {name: {"subnets": subnets.get(name, []), "beside": label} for name, label in beside.items()}
    cells = [A, B, Cell("b-2", "lab", "10.1.1.0/24")]
    assert left_cells([A, B], cells, there) == [Cell("a-3", "lab", "10.211.57.0/24", "a"), Cell("a-12", "lab", "", "a")]


def test_the_label_is_what_the_role_gives() -> None:
    assert f"--label={BESIDE}=" in (ROOT / "roles/cell/tasks/network.yml").read_text()
