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
# Ansible carries out a playbook on so many hosts at a time (forks in ansible.cfg); more cells would wait for their turn.
CELLS_AT_A_TIME = 20


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
        left = {cell.name: cell for cell in left_cells(own, cells, room["networks"])}
        number = int(wanted) if wanted != "auto" else min(
            CELLS_PER_CORE * room["cores"], len(own) + len(left) + room["free_mib"] // MIB_PER_CELL,
            len(own) + (CELLS_AT_A_TIME - len(cells)) // len({cell.lab_host for cell in cells}),
        )
        for turn in range(number - len(own)):
            beside = own[turn % len(own)]
            name = f"{beside.name}-{turn // len(own) + 2}"
            others = [*cells, *added]
            cell = left.get(name) or Cell(name, lab_host, _next_subnet(beside, others, room["networks"]), beside.name)
            _refuse_taken(cell, others, name in left, room["networks"])
            added.append(cell)
    return added


def left_cells(own: Sequence[Cell], cells: Sequence[Cell], networks: Mapping[str, Mapping[str, Any]]) -> list[Cell]:
    """The additional cells that a lab host still has from other runs, by the labels of its networks.

    :param own: the lab host's cells in the inventory.
    :param cells: all cells of the inventory.
    :param networks: as ``lab_host.room`` gives them.
    """
    names, by_name = {cell.name for cell in cells}, {cell.name: cell for cell in own}
    found = []
    for network, facts in networks.items():
        match, beside = re.fullmatch(r"mlab-(.+)-\d+", network), by_name.get(facts["beside"])
        name = network.removeprefix("mlab-")
        if match and beside and match[1] == beside.name and name not in names:
            found.append(Cell(name, beside.lab_host, next(iter(facts["subnets"]), ""), beside.name))
    return found


def _next_subnet(beside: Cell, others: Sequence[Cell], networks: Mapping[str, Mapping[str, Any]]) -> str:
    """The next /24 after a cell's own that none of the others and no network of podman has."""
    taken = [ipaddress.IPv4Network(cell.subnet) for cell in others]
    taken += [ipaddress.IPv4Network(net) for facts in networks.values() for net in facts["subnets"] if ":" not in net]
    network = ipaddress.IPv4Network(beside.subnet)
    while network.is_private and any(map(network.overlaps, taken)):
        network = ipaddress.IPv4Network((int(network.network_address) + network.num_addresses, network.prefixlen))
    return str(network)


def _refuse_taken(added: Cell, others: Sequence[Cell], left: bool, networks: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuse a cell whose name or network is somebody else's.

    :param left: whether an earlier run has left the cell.
    """
    where, network = f"lab host {added.lab_host}: the additional cell {added.name}", f"mlab-{added.name}"
    advice = "set recovery_cells to 1, or give the inventory's cell another name or cell_subnet"
    if any(cell.name == added.name for cell in others):
        raise LabError(f"{where} has the name of a cell of the inventory; {advice}")
    if network in networks and not left:
        raise LabError(f"{where} needs a network {network}, and podman has one that the lab did not make for it; {advice}")
    if not added.subnet or any(cell.subnet == added.subnet for cell in others):
        raise LabError(f"{where} is left of an earlier run with a network that does not fit; run playbooks/destroy.yml")
    if not ipaddress.IPv4Network(added.subnet).is_private:
        raise LabError(f"{where} would be {added.subnet}, which is not private; {advice}")
