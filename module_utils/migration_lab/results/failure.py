# SPDX-License-Identifier: GPL-3.0-or-later
"""What can keep a run from being green."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from enum import Enum
from typing import Any, Mapping, Optional

from .wording import check_text, count, one_line


class Kind(str, Enum):
    """What can keep a run from being green."""

    CASE = "case"
    CASES_NOT_OBTAINED = "cases-not-obtained"
    COMBINATION_NOT_OBTAINED = "combination-not-obtained"
    DAEMON_DEATH = "daemon-death"


@dataclass(frozen=True)
class Failure:
    """One thing that keeps a run from being green. Paths are relative to the run's folder.

    ``rule`` is what judged a case, ``note`` a remark on its attempts, ``protocol`` the migration protocol that it
    was seen to use and ``steps`` its procedures; they are empty where there was no relay to see them.
    """

    kind: Kind
    combination: str
    reason: str
    case: str = ""
    verdict: str = ""
    checks: list[dict[str, Any]] = field(default_factory=list)
    cases: list[str] = field(default_factory=list)
    migration: Optional[Mapping[str, Any]] = None
    rule: str = ""
    note: str = ""
    protocol: str = ""
    steps: list[Mapping[str, Any]] = field(default_factory=list)
    logs: list[str] = field(default_factory=list)
    journal: str = ""

    @property
    def title(self) -> str:
        """What it is about, in a few words."""
        return {
            Kind.CASE: f"{self.case}: {self.verdict}",
            Kind.CASES_NOT_OBTAINED: f"{count(len(self.cases), 'case')} not obtained",
            Kind.COMBINATION_NOT_OBTAINED: "not obtained",
            Kind.DAEMON_DEATH: "a daemon died and no case alone explains it",
        }[self.kind]

    @property
    def lines(self) -> list[str]:
        """The failed checks, or where none failed the reason."""
        return [check_text(check) for check in self.checks] or [one_line(self.reason)]

    def to_data(self) -> dict[str, Any]:
        """The failure as run.json and the module's result have it."""
        return {**asdict(self), "kind": self.kind.value}
