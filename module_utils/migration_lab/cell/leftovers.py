# SPDX-License-Identifier: GPL-3.0-or-later
"""Domains that an earlier run left on a cell: found, and removed on request."""

from __future__ import annotations

from typing import Iterable

from ..model.case import SIDES
from ..model.errors import LabError
from .agent_process import AgentFailure, AgentProcess
from .cell import Cell
from .client import CLEAN_LIMIT, ClientAgent
from .domains import Domains


def find_leftovers(agent: AgentProcess, prefix: str, sides: Iterable[str] = SIDES) -> list[str]:
    """Names of the lab's domains that are on source or target, or other sides, though no run is active.

    :param agent: connected to the daemons.
    :raises LabError: when a daemon does not answer.
    """
    try:
        found = {name for side in sides for name in agent.call("domains", CLEAN_LIMIT, connection=side)["names"]}
    except AgentFailure as error:
        raise LabError(f"the daemons could not be asked for left-over domains: {error}") from error
    return sorted(name for name in found if name.startswith(prefix))


def remove_leftovers(cell: Cell, domains: Domains, names: list[str]) -> None:
    """Remove the lab's domains of those names; where one stays, the daemons are restarted once: they may be stuck with it.

    :raises LabError: when one cannot be removed.
    """
    left = _remove(cell, domains, names)
    if left:
        for machine in cell.daemons.values():
            machine.restart_daemons()
        left = _remove(cell, domains, names)
    if left:
        raise LabError(f"left-over domains could not be removed: {'; '.join(left)}; re-provision the combination")


def _remove(cell: Cell, domains: Domains, names: list[str]) -> list[str]:
    """Remove domains, and return what is left of them, in words."""
    try:
        with ClientAgent(cell) as client:
            return [text for name in names for text in domains.remove(name, client)]
    except AgentFailure as error:
        return [str(error)]
