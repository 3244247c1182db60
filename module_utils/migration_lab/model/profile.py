# SPDX-License-Identifier: GPL-3.0-or-later
"""A profile: a named matrix of cases."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Mapping

from .case import Case, FlagSet, Method, Scenario, State


@dataclass(frozen=True)
class Profile:
    """A named matrix of cases."""

    name: str
    methods: tuple[Method, ...]
    scenarios: tuple[Scenario, ...]
    flags: tuple[FlagSet, ...]

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
        )

    def cases(self) -> list[Case]:
        """All cases in order: by method, then scenario, then flags, as libvirt-tck runs them."""
        combined = ((m, s, f) for m in self.methods for s in self.scenarios for f in self.flags)
        return [Case(number, m, s, f) for number, (m, s, f) in enumerate(combined, start=1)]
