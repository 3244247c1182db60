# SPDX-License-Identifier: GPL-3.0-or-later
"""Puts a cell's paths through a relay."""

from __future__ import annotations

from dataclasses import replace
from typing import Mapping
from urllib.parse import urlsplit

from ..cell.cell import Cell
from ..model.version import parse_version
from ..relay.ceiling import ceiling
from ..relay.relay import Link
from ..relay.relays import Relays

# libvirtd's port for unencrypted connections.
LIBVIRT_PORT = 16509


def relayed(cell: Cell, ceilings: Mapping[str, str], names: str) -> tuple[Cell, Relays]:
    """Start the relays in the client's network, and return the cell with its paths through them.

    A path shows what its older end knows: an old client does not ask an old or a new daemon for more than it knows itself.

    :param ceilings: by role the version as which a machine is presented, of those that have one.
    :param names: regular expression of the domains' names.
    :raises LabError: when a relay cannot start.
    """
    links = []
    for name in cell.paths:
        ends = name.split("-")
        shown = [ceilings[end] for end in ends if end in ceilings]
        machine = cell.daemons[ends[1]]
        port = urlsplit(machine.uri).port or LIBVIRT_PORT
        links.append(Link(name, machine.address, port, ceiling(min(shown, key=parse_version)) if shown else None))
    relays = Relays(links, listen=cell.client.address, names=names, namespace=cell.client.network_namespace())
    return replace(cell, relayed=relays.start()), relays
