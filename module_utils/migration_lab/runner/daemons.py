# SPDX-License-Identifier: GPL-3.0-or-later
"""The daemons of a cell: which died, which answer, and how they are restarted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Iterable, Mapping, Optional

from ..cell.cell import Cell
from ..cell.client import ClientAgent, DaemonSilent
from ..cell.machine import Machine
from ..model.errors import LabError
from ..suites.attempt import Attempt
from ..suites.procedure import Deaths


class RunBroken(LabError):
    """A daemon cannot be restarted: no case can run any more."""


@dataclass(frozen=True)
class Dead:
    """Daemons of a side that died, or may hang: the process numbers that they had, by name, and what is known in words."""

    processes: Mapping[str, int]
    text: str


class Daemons:
    """Knows the processes that the daemons should be. ``processes`` are their numbers by side and name."""

    def __init__(self, cell: Cell) -> None:
        self._cell = cell
        self._machines: dict[str, Machine] = cell.daemons
        self.processes = {side: machine.daemons() for side, machine in self._machines.items()}

    def dead(self, *, unsure: bool = False) -> dict[str, Dead]:
        """Daemons that died, by side.

        :param unsure: whether they may hang: those of a side that does not answer count as well.
        """
        dead = {}
        for side, machine in self._machines.items():
            known, now = self.processes[side], machine.daemons()
            lost = {name: process for name, process in known.items() if now.get(name) != process}
            if lost:
                dead[side] = Dead(lost, "; ".join(_death(side, known, name, now.get(name)) for name in lost))
            elif not now:
                # It was dead before anyone knew its process.
                dead[side] = Dead({}, f"no daemon runs on the {side}")
            elif unsure and not self._answers(machine):
                dead[side] = Dead(dict(known), _silent(side, known))
        return dead

    def restart(self, sides: Iterable[str]) -> None:
        """Restart the daemons of sides.

        :raises RunBroken: when one does not come up.
        """
        for side in sides:
            try:
                self.processes[side].update(self._machines[side].restart_daemons())
            except LabError as error:
                raise RunBroken(str(error)) from error

    def revival(self, expected: frozenset[str]) -> Callable[..., Deaths]:
        """What a case that runs alone restarts daemons with (``suites.procedure.Revive``).

        :param expected: the roles whose daemons the case kills on purpose.
        """

        def revive(attempt: Attempt, *, unsure: bool, both: bool) -> Deaths:
            started = attempt.daemons
            for side, processes in started.items():
                self.processes[side].update(processes)
            dead = self.dead(unsure=unsure)
            self.restart(self._machines if both else dead)
            attempt.daemons = {}
            # One that the case has started again may not die once more.
            meant = expected - set(started)
            return Deaths(
                {side: one.text for side, one in dead.items() if side not in meant},
                {side: one.text for side, one in dead.items() if side in meant},
            )

        return revive

    def _answers(self, machine: Machine) -> bool:
        with ClientAgent(replace(self._cell, source=machine, target=machine, relayed={})) as probe:
            try:
                probe.agent()
            except DaemonSilent:
                return False
        return True


def _death(side: str, known: Mapping[str, int], name: str, now: Optional[int]) -> str:
    """A daemon's death in words; ``now`` is the process that has its place."""
    what = "the daemon" if len(known) == 1 else name
    return f"{what} on the {side} (process {known[name]}) died" + (f" and was started again as {now}" if now else "")


def _silent(side: str, processes: Mapping[str, int]) -> str:
    if len(processes) == 1:
        return f"the daemon on the {side} (process {next(iter(processes.values()))}) does not answer"
    return f"the daemons on the {side} do not answer"
