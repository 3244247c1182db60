# SPDX-License-Identifier: GPL-3.0-or-later
"""How often a run has seen each deviation of the ledger that it was judged by."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from ..judging.condition import conditions_text
from ..model.verdict import Verdict
from .run import Run
from .wording import effect_text


@dataclass(frozen=True)
class SeenDeviation:
    """An entry of the ledger, and the cases that it explained or that it was expected of in vain, by combination."""

    entry: dict[str, Any]
    known: dict[str, int]
    fixed: dict[str, int]

    @property
    def id(self) -> str:
        return str(self.entry["id"])

    @property
    def conditions(self) -> str:
        """When it is expected, in words."""
        return conditions_text(self.entry["when"])

    @property
    def effects(self) -> list[str]:
        """Its effects, in words; of an entry with alternatives a line for each."""
        if "any_of" not in self.entry:
            return [effect_text(effect) for effect in self.entry["effects"]]
        return [_alternative_text(way) for way in self.entry["any_of"]]

    def cell(self, combination: str) -> str:
        """How often a combination saw it, in words: ``32 known``; empty when it did not."""
        numbers = {Verdict.KNOWN: self.known.get(combination), Verdict.FIXED: self.fixed.get(combination)}
        return ", ".join(f"{number} {verdict.value}" for verdict, number in numbers.items() if number)

    def to_data(self) -> dict[str, Any]:
        """The counts as run.json and the module's result have them."""
        return {"id": self.id, "known": self.known, "fixed": self.fixed}


def _alternative_text(way: dict[str, Any]) -> str:
    effects = "; ".join(map(effect_text, way["effects"])) or "nothing"
    return f"{conditions_text(way['when'])}: {effects}" if "when" in way else effects


def seen_deviations(run: Run) -> list[SeenDeviation]:
    """The entries of the run's ledger, in its order; none of a run that is older than the ledger."""
    found: Counter[tuple[str, Verdict, str]] = Counter(
        (line.deviation, line.verdict, combination.name)
        for combination in run.combinations
        for line in combination.results.values()
    )
    names = [combination.name for combination in run.combinations]

    def numbers(entry: str, verdict: Verdict) -> dict[str, int]:
        return {name: found[entry, verdict, name] for name in names if found[entry, verdict, name]}

    return [
        SeenDeviation(entry, numbers(entry["id"], Verdict.KNOWN), numbers(entry["id"], Verdict.FIXED))
        for entry in run.data.get("deviations", [])
    ]
