# SPDX-License-Identifier: GPL-3.0-or-later
"""More cells than an inventory has, side by side on its lab hosts: how many, and with which names and networks. Pure."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import asdict, dataclass
from typing import Any, Mapping, Sequence

from ..cell.providers.container import problem
from ..model.errors import LabError

# What the lab host's cores keep busy, waiting included, and what the six containers of a cell and its guests take.
CELLS_PER_CORE = 2
MIB_PER_CELL = 400


@dataclass(frozen=True)
class Cell:
    """A cell of the inventory, or one that is added beside it: ``beside`` is then the inventory's."""

    name: str
    lab_host: str
    subnet: str
    beside: str = ""

    def to_data(self) -> dict[str, str]:
        """The cell as the module ``additional_cells_info`` returns it."""
        return asdict(self)


def additional_cells(wanted: str, cells: Sequence[Cell], rooms: Mapping[str, Mapping[str, Any]]) -> list[Cell]:
    """The cells to add to those of the inventory.

    :param wanted: how many cells each lab host is to have, or ``auto``; its own cells are never fewer.
    :param cells: those of the inventory.
    :param rooms: by lab host what ``lab_host.room`` says.
    :raises LabError: when ``wanted`` is wrong, or a name or network is taken.
    """
    if wanted != "auto" and not (wanted.isdecimal() and int(wanted) >= 1):
        raise LabError(f"recovery_cells is '{wanted}'; it must be auto, or a number of cells on each lab host, at least 1")
    added: list[Cell] = []
    for lab_host, room in rooms.items():
        own = [cell for cell in cells if cell.lab_host == lab_host]
        for cell in own:
            wrong = problem(cell.subnet, "container")
            if wrong:
                raise LabError(f"cell {cell.name}: {wrong}")
        if not own:
            continue
        there = len(left_cells(own, cells, room["networks"]))
        number = int(wanted) if wanted != "auto" else min(
            CELLS_PER_CORE * room["cores"], len(own) + there + room["free_mib"] // MIB_PER_CELL
        )
        for turn in range(number - len(own)):
            beside = own[turn % len(own)]
            name = f"{beside.name}-{turn // len(own) + 2}"
            subnet = _next_subnet(beside, [*cells, *added])
            _refuse_taken(name, subnet, cells, lab_host, room["networks"])
            added.append(Cell(name, lab_host, subnet, beside.name))
    return added


def left_cells(own: Sequence[Cell], cells: Sequence[Cell], networks: Mapping[str, Sequence[str]]) -> list[Cell]:
    """The additional cells that a lab host still has from other runs, by its networks.

    :param own: the lab host's cells in the inventory.
    :param cells: all cells of the inventory.
    """
    names = {cell.name for cell in cells}
    found = []
    for network, subnets in networks.items():
        match = re.fullmatch(r"mlab-(.+)-\d+", network)
        beside = next((cell for cell in own if match and cell.name == match[1]), None)
        if beside and network.removeprefix("mlab-") not in names:
            found.append(Cell(network.removeprefix("mlab-"), beside.lab_host, next(iter(subnets), ""), beside.name))
    return found


def _next_subnet(beside: Cell, others: Sequence[Cell]) -> str:
    """The next /24 after a cell's own that none of the others has."""
    taken = {cell.subnet for cell in others}
    network = ipaddress.IPv4Network(beside.subnet)
    while str(network) in taken:
        network = ipaddress.IPv4Network((int(network.network_address) + network.num_addresses, network.prefixlen))
    return str(network)


def _refuse_taken(
    name: str, subnet: str, cells: Sequence[Cell], lab_host: str, networks: Mapping[str, Sequence[str]]
) -> None:
    advice = "set recovery_cells to 1, or give the inventory's cell another name or cell_subnet"
    if any(cell.name == name for cell in cells):
        raise LabError(f"lab host {lab_host}: the additional cell {name} has the name of a cell of the inventory; {advice}")
    wanted = ipaddress.IPv4Network(subnet)
    if not wanted.is_private:
        raise LabError(f"lab host {lab_host}: the additional cell {name} would be {subnet}, which is not private; {advice}")
    for network, subnets in networks.items():
        taken = [ipaddress.IPv4Network(other) for other in subnets if ":" not in other]
        if network != f"mlab-{name}" and any(map(wanted.overlaps, taken)):
            raise LabError(
                f"lab host {lab_host}: the additional cell {name} needs {subnet}, which podman's network {network} has; {advice}"
            )
