# SPDX-License-Identifier: GPL-3.0-or-later
"""An attempt at a case as the journal keeps it: the one place where a case's line is written and read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Mapping, Optional

from ..judging.check import FAIL, Check
from ..model.verdict import JUDGED, Verdict

# Why an attempt is not final: a daemon died around it, or it failed concurrently with others and is rerun alone.
HELD_DEATH, HELD_BESIDE = "death", "beside"


@dataclass(frozen=True)
class CaseResult:
    """One attempt at a case; only a final one is the case's result. Durations are in seconds, ``time`` is since 1970.

    ``checks`` are the suite's own, which every case has, ``further`` those that had something to judge. ``migration`` is the
    migrate call as it was made, ``protocol`` and ``steps`` are what the relay saw of it, ``beside`` the ids of cases that ran
    at the same time, and ``logs`` paths relative to the combination's folder.  ``details`` are the facts of a suite that sees
    more than checks say (``Observation.details``).
    """

    number: int
    case: str
    verdict: Verdict
    checks: tuple[Check, ...]
    further: tuple[Check, ...] = ()
    reason: str = ""
    rule: str = ""
    deviation: str = ""
    final: bool = True
    held: str = ""
    attempt: int = 1
    note: str = ""
    migration: Optional[Mapping[str, Any]] = None
    protocol: str = ""
    steps: tuple[Mapping[str, Any], ...] = ()
    lab_error: str = ""
    seconds: float = 0.0
    call_seconds: float = 0.0
    worker: int = 0
    beside: tuple[str, ...] = ()
    logs: tuple[str, ...] = ()
    time: float = 0.0
    suite: str = "migration"
    cell: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_data(cls, line: Mapping[str, Any]) -> CaseResult:
        """Read a journal's line. Lines of older labs lack some fields, and have only attempts that a death interrupted.

        :raises KeyError, TypeError, ValueError, AttributeError: when the line is not as any version of the lab writes it.
        """
        final = line["final"]
        migration = line.get("migration")
        verdict = Verdict(line["verdict"])
        if verdict not in JUDGED:
            raise ValueError(f"no case is judged '{verdict.value}'")
        return cls(
            number=_typed(line.get("number", 0), int),
            case=_typed(line["case"], str),
            verdict=verdict,
            checks=_checks(line["checks"]),
            further=_checks(line.get("further", ())),
            reason=_typed(line.get("reason", ""), str),
            rule=_typed(line.get("rule", ""), str),
            deviation=_typed(line.get("deviation", ""), str),
            final=_typed(final, bool),
            held=_typed(line.get("held", "" if final else HELD_DEATH), str),
            attempt=_typed(line.get("attempt", 1), int),
            note=_typed(line.get("note", ""), str),
            migration=None if migration is None else _typed(migration, dict),
            protocol=_typed(line.get("seen_protocol", ""), str),
            steps=tuple(_typed(step, dict) for step in line.get("steps", ())),
            lab_error=_typed(line.get("lab_error", ""), str),
            seconds=float(line.get("seconds", 0.0)),
            call_seconds=float(line.get("call_seconds", 0.0)),
            worker=_typed(line.get("worker", 0), int),
            beside=tuple(_typed(case, str) for case in line.get("beside", ())),
            logs=tuple(_typed(log, str) for log in line.get("logs", ())),
            time=float(line["time"]),
            suite=_typed(line.get("suite", "migration"), str),
            cell=_typed(line.get("cell", ""), str),
            details=_typed(line.get("details", {}), dict),
        )

    def to_data(self) -> dict[str, Any]:
        """The journal's line, without its type and time; checks are numbered from 1."""
        return {
            "number": self.number, "case": self.case, "suite": self.suite, "cell": self.cell,
            "final": self.final, "held": self.held, "attempt": self.attempt,
            "verdict": self.verdict.value, "reason": self.reason, "rule": self.rule, "deviation": self.deviation,
            "checks": self.rows[: len(self.checks)], "further": self.rows[len(self.checks):],
            "note": self.note, "migration": self.migration, "seen_protocol": self.protocol, "steps": list(self.steps),
            "lab_error": self.lab_error, "seconds": round(self.seconds, 3), "call_seconds": round(self.call_seconds, 3),
            "worker": self.worker, "beside": list(self.beside), "logs": list(self.logs),
            **({"details": dict(self.details)} if self.details else {}),
        }

    @property
    def rows(self) -> list[dict[str, Any]]:
        """All checks as data, numbered from 1."""
        return [
            {"number": number, "name": check.name, "result": check.result, "expected": check.expected, "got": check.got}
            for number, check in enumerate(self.checks + self.further, start=1)
        ]

    @property
    def failed_checks(self) -> list[Check]:
        """The checks that failed."""
        return [check for check in self.checks + self.further if check.result == FAIL]

    @property
    def failed(self) -> list[dict[str, Any]]:
        """The failed checks as data, with their numbers."""
        return [row for row in self.rows if row["result"] == FAIL]

    @property
    def judged_by(self) -> str:
        """What judged a case that did not pass; older journals have the reason alone."""
        return self.rule or self.reason


def _checks(rows: Any) -> tuple[Check, ...]:
    return tuple(Check(*(_typed(row[name], str) for name in ("name", "result", "expected", "got"))) for row in rows)


def _typed(value: Any, kind: type) -> Any:
    if not isinstance(value, kind):
        raise TypeError(f"{value!r} is not {kind.__name__}")
    return value
