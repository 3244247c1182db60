# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes a combination's results.tap: TAP version 13, a numbered test for each check of a case, in libvirt-tck's order.

A consumer of the file comes to the lab's own answer: failed checks that a recorded deviation explains are ``TODO``, and
whatever keeps a combination from being green, and shows in none of the numbered tests, ends the file with ``Bail out!``.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Iterator, Optional

from ..journal.case_result import CaseResult
from ..journal.files import journal_path
from ..judging.check import FAIL, PASS
from ..model.case import ROLES
from ..model.pair import pair_text
from ..model.verdict import Verdict
from ..results.run import CombinationResult, Run
from ..results.wording import check_text, combination_text, migration_text, one_line

# A failed test that a consumer is to let pass, with why.
_TODO = " # TODO known: "


def tap_text(run: Run, combination: CombinationResult) -> str:
    """The combination's results as TAP. Paths in it are relative to the file's folder."""
    lines = ["TAP version 13", f"1..{combination.checks_total or 1}"]
    lines += [f"# {line}" for line in _heading(run, combination)]
    for index, case in enumerate(combination.selected):
        lines += _case_lines(index * len(combination.checks) + 1, case, combination)
    if not combination.selected:
        # Not even the cases are known, and a plan of no tests would read as a success.
        lines += [f"not ok 1 - {combination.name}: obtained", *_diagnostics(None, None, combination.reason)]
    if not combination.green and not any(line.startswith("not ok") and _TODO not in line for line in lines):
        first = combination.failures[0]
        lines.append(f"Bail out! {first.title}: {_escape('; '.join(first.lines))}")
    return "\n".join(lines) + "\n"


def _heading(run: Run, combination: CombinationResult) -> Iterator[str]:
    yield f"run {run.data['run']}, {pair_text(run.data['pair'])}, profile {run.data['profile']}"
    yield combination_text(combination.name)
    yield from (one_line(text) for text in run.notices.values())
    for role in ROLES:
        reported = combination.versions.get(role, {})
        yield f"{role}: " + (", ".join(f"{name} {value}" for name, value in reported.items()) or "not obtained")
    for failure in combination.failures:
        if not failure.case:
            yield f"{failure.title}: {one_line(failure.reason)}"


def _case_lines(number: int, case: str, combination: CombinationResult) -> Iterator[str]:
    """The tests of a case, the first with the given number, and its further checks as comments."""
    line = combination.results.get(case)
    checks = {check["name"]: check for check in line.rows} if line else {}
    shown = line is not None and line.verdict is not Verdict.ERROR and any(
        check.result == FAIL for check in line.checks
    )
    todo = f"{_TODO}{line.deviation}" if line and line.verdict is Verdict.KNOWN else ""
    for offset, name in enumerate(combination.checks):
        check = checks.get(name)
        test = f"{number + offset} - {_escape(f'{case}: {name}')}"
        if check and check["result"] == PASS:
            yield f"ok {test}"
        elif shown and check and check["result"] != FAIL:
            # The case's failure is seen in the check that failed.
            yield f"ok {test} # SKIP not run: {_escape(check['got'])}"
        else:
            yield f"not ok {test}{todo}"
            yield from _diagnostics(check, line, combination.reason)
    for check in line.rows[len(line.checks):] if line else []:
        yield f"# {check['result']}: {check_text(check)}"
    if line and line.verdict in (Verdict.KNOWN, Verdict.FIXED):
        yield f"# {line.verdict.value}: {one_line(line.reason)}"
    if line and line.note:
        yield f"# note: {one_line(line.note)}"


def _diagnostics(check: Optional[dict[str, Any]], line: Optional[CaseResult], reason: str) -> Iterator[str]:
    """A YAML block. Strings are written as JSON, which is YAML and which readers of TAP's part of YAML know too."""
    yield "  ---"
    if check:
        yield f"  expected: {_quote(check['expected'])}"
        yield f"  got: {_quote(check['got'])}"
    else:
        yield '  got: "not obtained"'
    if line:
        yield f"  verdict: {_quote(line.verdict.value)}"
        yield f"  reason: {_quote(line.reason)}"
        yield f"  migration: {_quote(migration_text(line.migration))}"
        if line.logs:
            yield "  logs:"
            yield from (f"    - {_quote(log)}" for log in line.logs)
        yield f"  journal: {_quote(journal_path(Path(), line.cell).name)}"
    else:
        yield f"  reason: {_quote(reason)}"
    yield "  ..."


def _quote(text: str) -> str:
    return json.dumps(one_line(text), ensure_ascii=False)


def _escape(text: str) -> str:
    """A test's description: in TAP a ``#`` starts a directive."""
    return one_line(text).replace("#", "\\#")
