# SPDX-License-Identifier: GPL-3.0-or-later
"""The daemons of a cell: which died, which answer, and how they are restarted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Iterable

from ..cell.cell import Cell
from ..cell.client import ClientAgent, DaemonSilent
from ..cell.machine import Machine
from ..model.errors import LabError
from ..suites.attempt import Attempt
from ..suites.procedure import Deaths


class RunBroken(LabError):
    """A daemon cannot be restarted: no case can run any more."""


class Daemons:
    """Knows the process that each daemon should be."""

    def __init__(self, cell: Cell) -> None:
        self._cell = cell
        self._machines: dict[str, Machine] = cell.daemons
        self._processes = {side: machine.daemon_process() for side, machine in self._machines.items()}

    def dead(self, *, unsure: bool = False) -> dict[str, str]:
        """Daemons that died, by role, with what is known.

        :param unsure: whether they may hang: those that do not answer count as well.
        """
        dead = {}
        for side, machine in self._machines.items():
            known = self._processes[side]
            now = machine.daemon_process()
            if now is None:
                dead[side] = f"the daemon on the {side} (process {known}) died"
            elif now != known:
                dead[side] = f"the daemon on the {side} (process {known}) died and was started again as {now}"
            elif unsure and not self._answers(machine):
                dead[side] = f"the daemon on the {side} (process {known}) does not answer"
        return dead

    def restart(self, sides: Iterable[str]) -> None:
        """Restart daemons.

        :raises RunBroken: when one does not come up.
        """
        for side in sides:
            try:
                self._processes[side] = self._machines[side].restart_daemon()
            except LabError as error:
                raise RunBroken(str(error)) from error

    def revival(self, expected: frozenset[str]) -> Callable[..., Deaths]:
        """What a case that runs alone restarts daemons with (``suites.procedure.Revive``).

        :param expected: the roles whose daemons the case kills on purpose.
        """

        def revive(attempt: Attempt, *, unsure: bool, both: bool) -> Deaths:
            started = attempt.daemons
            self._processes.update(started)
            dead = self.dead(unsure=unsure)
            self.restart(self._machines if both else dead)
            attempt.daemons = {}
            # One that the case has started again may not die once more.
            meant = expected - set(started)
            return Deaths(
                {side: text for side, text in dead.items() if side not in meant},
                {side: text for side, text in dead.items() if side in meant},
            )

        return revive

    def _answers(self, machine: Machine) -> bool:
        with ClientAgent(replace(self._cell, source=machine, target=machine, relayed={})) as probe:
            try:
                probe.agent()
            except DaemonSilent:
                return False
        return True
