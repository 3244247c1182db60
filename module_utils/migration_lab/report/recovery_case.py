# SPDX-License-Identifier: GPL-3.0-or-later
"""What the pages of a recovery run show of one case."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Iterator, Optional, Sequence

from markupsafe import Markup, escape

from ..journal.case_result import CaseResult
from ..judging.check import FAIL, PASS, Check
from ..model.verdict import RED_VERDICTS, Verdict
from ..results.recovery import Cell, Trial
from ..results.run import CombinationResult, Run
from ..results.wording import again_text, migration_text, one_line, step_text
from .grid import MARKS, Mark
from .log_tail import LogTail, log_tail
from .outcome_marks import outcome_mark

Facts = list[tuple[str, list[str]]]  # a heading, and what there is to say under it, line by line

# Checks that say whether the call reported the truth, and what is left of a guest that is gone.
_TRUTH, _LEFTOVERS = "told-truth", "no-leftovers"


@dataclass(frozen=True)
class RecoveryCaseView:
    """A case with what was done, seen and judged."""

    run: Run
    combination: CombinationResult
    trial: Trial
    promises: Mapping[str, list[str]]
    logs: Sequence[LogTail] = ()

    @property
    def mark(self) -> Mark:
        """Of the outcome."""
        return outcome_mark(self.trial.outcome)

    @property
    def verdict(self) -> Mark:
        result = self.trial.result
        return MARKS[(result.verdict if result else Verdict.NOT_OBTAINED).value]

    @property
    def title(self) -> str:
        """Scenario, flags and repetition, how the call ended, and when the world was steady."""
        trial, seen = self.trial, self.trial.result.details if self.trial.result else {}
        told, seconds = seen.get("told"), seen.get("steady_seconds")
        return "".join((
            f"{trial.scenario} / {trial.flags}", f" / {trial.repetition}" if trial.repetition else "",
            f"; told {_told_short(told)}" if told else "", "" if seconds is None else f"; steady after {seconds:.1f} s",
        ))

    @property
    def facts(self) -> list[tuple[str, str]]:
        """Everything that is known of the case: headings, and the lines under each."""
        result = self.trial.result
        found: Facts = [("Outcome", [f"the guest {self.mark.meaning}"])]
        if result is None:
            found = [("Not obtained", [self.combination.reason])]
        else:
            found += [
                *_judged(result), *(_seen(result, self.promises) if result.details else ()), *_checks(result),
                ("Migration", [migration_text(result.migration)]), ("Protocol", [result.protocol] if result.protocol else []),
                ("Steps", _steps(result)), ("Note", [result.note] if result.note else []),
            ]
        found.append(("Again", [again_text(self.run.data, self.combination.name, self.trial.case)]))
        return [(heading, "\n".join(map(_printable, lines))) for heading, lines in found if lines]

    @property
    def facts_html(self) -> Markup:
        """The facts as entries of a list of descriptions. Escaped at once, which is what a page of thousands has time for."""
        text = "".join(f"\x1e{heading}\x1f{lines}" for heading, lines in self.facts)
        return Markup(str(escape(text)).replace("\x1e", "\n<dt>").replace("\x1f", "<dd>"))


def recovery_case_views(
    run: Run, combination: CombinationResult, cell: Cell, promises: Mapping[str, list[str]], log_size: int
) -> list[RecoveryCaseView]:
    """The cases of a cell.

    :param promises: ``promise_lines`` of the run's.
    :param log_size: how much of each log of a red case is quoted, in characters of HTML; 0: the log is only named.
    """
    return [
        RecoveryCaseView(run, combination, trial, promises, [
            log_tail(run.folder / combination.name, log, log_size) if trial.red and log_size else LogTail(log)
            for log in (trial.result.logs if trial.result else ())
        ])
        for trial in cell.trials
    ]


def promises_of(run: Run) -> dict[str, list[str]]:
    """What libvirt promises, what it allows and where that is written, by the promise's id (scenarios/promises.yml)."""
    return {
        row["id"]: [
            row["says"], f"so the guest is {' or '.join(row['outcomes'])}", f"source: {row['source']}", f"row {row['id']}",
        ]
        for row in run.data.get("profile_data", {}).get("promises", ())
    }


def _promised(promise: str, promises: Mapping[str, list[str]]) -> list[str]:
    if not promise:
        return ["nothing is promised anywhere: judged by the invariants alone"]
    return promises.get(promise, [f"row {promise}, which is not in the run's profile"])


def _printable(line: str) -> str:
    return line if line.isprintable() else one_line(line)


def _judged(result: CaseResult) -> Facts:
    judged = [] if result.verdict is Verdict.PASS else [result.judged_by]
    if result.deviation:
        judged.append(f"deviation {result.deviation}")
    return [("Judged by", judged), ("The lab's error", [result.lab_error] if result.lab_error else [])]


def _seen(result: CaseResult, promises: Mapping[str, list[str]]) -> Iterator[tuple[str, list[str]]]:
    """The facts that the suite keeps, in the order in which they happened."""
    seen = result.details
    checks = {check.name: check for check in result.checks + result.further}
    yield "What was done", _struck(seen.get("struck"))
    yield "The caller was told", _told(seen.get("told"), checks.get(_TRUTH))
    yield "libvirt promises", _promised(seen.get("promise", ""), promises)
    yield "Copies", list(_copies(seen))
    for side in ("source", "target"):
        if seen.get(side) is not None or seen.get(f"{side}_config") is not None:
            yield f"The {side} has", [f"{seen.get(side) or 'not asked'}; config: {seen.get(f'{side}_config') or 'not asked'}"]
    yield "Killed by the fault", [f"the copy on the {' and on the '.join(seen['killed'])}"] if seen.get("killed") else []
    yield "Jobs left", [f"{side}: {job}" for side, job in seen.get("jobs", {}).items()]
    left = checks.get(_LEFTOVERS)
    yield "Leftovers", [left.got if left.result == FAIL else "none"] if left and left.result in (PASS, FAIL) else []
    yield "Does not come back", list(seen.get("stuck", ()))
    yield "Daemons that died", [str(death) for death in seen.get("deaths", ())]
    yield "Healed by", list(seen.get("healed", ()))
    steady = seen.get("steady_seconds")
    yield "Steady", ["never"] if steady is None else [f"{steady:.3f} s after the fault, healing included"]
    yield "The manager", list(_reaction(seen))
    yield "Migrates again", [_again(seen)]


def _struck(notes: Optional[Sequence[Mapping[str, Any]]]) -> list[str]:
    if notes is None:
        return ["nothing: the point never came"]
    return [
        f"{note['do']} on the {note['on']}{'' if note['done'] else ', which FAILED'} ({note['seconds']:.3f} s)"
        + (f": {note['detail']}" if note["detail"] else "")
        for note in notes
    ] or ["what became of the message is all of the fault"]


def _told_short(told: Mapping[str, Any]) -> str:
    if told["answer"] == "error" and told.get("code") is not None:
        return f"error {told['code']}"
    return {"nothing": "no answer"}.get(told["answer"], str(told["answer"]))


def _told(told: Optional[Mapping[str, Any]], truth: Optional[Check]) -> list[str]:
    if told is None:
        return []
    domain = "" if told.get("domain") is None else f" of domain {told['domain']}"
    text = f": {told['text']}" if told.get("text") else ""
    lines = [f"{_told_short(told)}{domain} after {told['seconds']:.3f} s{text}"]
    if truth and truth.result in (PASS, FAIL):
        lines.append("which is true" if truth.result == PASS else f"which is NOT true: {truth.got}")
    return lines


def _copies(seen: Mapping[str, Any]) -> Iterator[str]:
    copies = seen.get("copies")
    for copy in copies or ():
        counter = "its counter was not read" if copy["counter"] is None else f"counter {copy['counter']}"
        moved = "" if copy["moved"] is None else f", {'runs' if copy['moved'] else 'stands still'} (grew by {copy['moved']})"
        yield f"{copy['machine']}: {counter}{moved}"
    if not copies:
        yield "not looked for" if copies is None else "none"
    if seen.get("pattern") is not None:
        yield f"memory {'whole' if seen['pattern'] else 'NOT whole'}"
    if seen.get("twice_seconds"):
        yield f"two copies ran at a time for {seen['twice_seconds']:.3f} s"


def _reaction(seen: Mapping[str, Any]) -> Iterator[str]:
    if seen.get("reaction"):
        left = ", ".join(f"{side} ({state})" for side, state in seen.get("reaction_left", {}).items())
        yield str(seen["reaction"])
        yield f"copies after that: {left or 'none'}"


def _again(seen: Mapping[str, Any]) -> str:
    if seen.get("again") is None:
        return f"not tried: {seen.get('again_why_not') or 'no reason is recorded'}"
    return f"no: {seen['again']}" if seen["again"] else "yes"


def _checks(result: CaseResult) -> Facts:
    every = result.checks + result.further
    other = [check for check in every if check.result not in (PASS, FAIL)] if result.verdict in RED_VERDICTS else ()
    failed = [f"{check.name}: expected {check.expected}, got {check.got}" for check in every if check.result == FAIL]
    return [
        ("Checks that failed", failed),
        ("Not checked", [f"{check.name}: {check.got}" for check in other]),
        ("Checks that passed", [", ".join(check.name for check in every if check.result == PASS)]),
    ]


def _steps(result: CaseResult) -> list[str]:
    return [f"+{step['started'] - result.steps[0]['started']:.3f} s {step_text(step)}" for step in result.steps]
