# SPDX-License-Identifier: GPL-3.0-or-later
"""A profile: a named matrix of cases."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Mapping

from .case import Case, FlagSet, Method, Scenario, State


@dataclass(frozen=True)
class Profile:
    """A named matrix of cases. ``in_turn``: each method and scenario has one of the flag sets, not all."""

    name: str
    methods: tuple[Method, ...]
    scenarios: tuple[Scenario, ...]
    flags: tuple[FlagSet, ...]
    in_turn: bool = False

    @classmethod
    def from_data(cls, data: Mapping) -> Profile:
        """Make a profile from the data of a file under scenarios/profiles/ (validated by ``catalogue.load_profile``)."""
        return cls(
            name=data["name"],
            methods=tuple(Method(method) for method in data["methods"]),
            scenarios=tuple(
                Scenario(entry["name"], entry["persistent"], State(entry["state"]), entry["target_config"])
                for entry in data["scenarios"]
            ),
            flags=tuple(FlagSet(entry["name"], tuple(entry["migrate"])) for entry in data["flags"]),
            in_turn=data.get("flags_in_turn", False),
        )

    def cases(self) -> list[Case]:
        """All cases in order: by method, then scenario, then flags, as libvirt-tck runs them."""
        combined = (
            (method, scenario, flags)
            for first, method in enumerate(self.methods)
            for place, scenario in enumerate(self.scenarios)
            for flags in self._flags(first + place + place // len(self.flags))
        )
        return [Case(number, m, s, f) for number, (m, s, f) in enumerate(combined, start=1)]

    def _flags(self, turn: int) -> tuple[FlagSet, ...]:
        """The flag sets of a method and scenario.

        :param turn: grows by one with the method and with the scenario, and by one more after as many scenarios as there are
            flag sets: a paused guest does not get the same as a running one.
        """
        return (self.flags[turn % len(self.flags)],) if self.in_turn else self.flags
