# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes a combination's junit.xml with junitparser, as Jenkins' schema (xunit-plugin, junit-10.xsd) and GitLab take it."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any, Iterable, Optional

from junitparser import Error, Failure, JUnitXml, Skipped, TestCase, TestSuite

from ..journal.case_result import CaseResult
from ..journal.files import journal_path
from ..judging.check import NOT_RUN
from ..model.verdict import Verdict
from ..results.failure import Kind
from ..results.run import CombinationResult, Run
from ..results.wording import check_text, combination_text, migration_text, one_line, timestamp
from .grid import place

# The element that a verdict becomes; a verdict that is not here is a success.
_ELEMENTS = {
    Verdict.FAIL: Failure, Verdict.KNOWN: Skipped, Verdict.FIXED: Failure, Verdict.ERROR: Error, Verdict.SKIP: Skipped,
}


def junit_text(run: Run, combination: CombinationResult) -> str:
    """The combination's results as JUnit XML: a suite for each method (and guest, among several), a test case for each case.

    What keeps the combination from being green besides its cases is a test case of the suite ``<combination>.run``.
    Paths are relative to the file's folder; times are in seconds.
    """
    document = JUnitXml(one_line(f"{run.data['run']} {combination.name}"))
    by_method: dict[str, list[TestCase]] = {}
    for case in combination.selected:
        by_method.setdefault(place(run, case)[0].replace("/", "."), []).append(_test_case(run, case, combination))
    for method, cases in by_method.items():
        document.add_testsuite(_suite(run, combination, method, cases))
    beside = _beside_cases(combination)
    if beside:
        document.add_testsuite(_suite(run, combination, "run", beside))
    suites = list(document)
    # Not update_statistics(): it adds an attribute ``skipped``, which the schema has for suites only.
    document.tests = sum(suite.tests for suite in suites)
    document.failures = sum(suite.failures for suite in suites)
    document.errors = sum(suite.errors for suite in suites)
    document.time = round(sum(suite.time for suite in suites), 3)
    stream = io.BytesIO()
    document.write(stream, pretty=True)
    return stream.getvalue().decode()


def _suite(run: Run, combination: CombinationResult, name: str, cases: list[TestCase]) -> TestSuite:
    suite = TestSuite(f"{combination.name}.{name}")
    suite.hostname = one_line(run.data["host"])
    if combination.record:
        suite.timestamp = timestamp(combination.record.headers[0]["time"])
    suite.add_property("combination", combination_text(combination.name))
    suite.add_property("pair", one_line(run.data["pair"]["name"]))
    for topic, text in run.notices.items():
        suite.add_property(topic, one_line(text))
    for role, reported in combination.versions.items():
        for what, value in reported.items():
            suite.add_property(f"{role}.{what}", one_line(value))
    suite.add_testcases(cases)
    return suite


def _test_case(run: Run, case: str, combination: CombinationResult) -> TestCase:
    table, scenario = place(run, case)
    line = combination.results.get(case)
    test = TestCase(case, f"{combination.name}.{table.replace('/', '.')}.{scenario}", round(line.seconds, 3) if line else 0.0)
    if line is None:
        test.result = [_element(Error, Verdict.NOT_OBTAINED.value, combination.reason, [combination.reason])]
        return test
    element = _ELEMENTS.get(line.verdict)
    if element:
        message = f"known: {line.deviation}" if line.verdict is Verdict.KNOWN else line.reason
        test.result = [_element(element, line.verdict.value, message, _details(line))]
    return test


def _beside_cases(combination: CombinationResult) -> list[TestCase]:
    """Test cases for what no case shows: daemon deaths, and a combination of which not even the cases are known."""
    tests: list[TestCase] = []
    for failure in combination.failures:
        lost = failure.kind is Kind.COMBINATION_NOT_OBTAINED and not combination.selected
        if lost or failure.kind is Kind.DAEMON_DEATH:
            test = TestCase(f"{len(tests) + 1}: {failure.title}", f"{combination.name}.run", 0.0)
            where = [f"log: {log.partition('/')[2]}" for log in failure.logs]
            element, kind = (Error, Verdict.NOT_OBTAINED.value) if lost else (Failure, failure.kind.value)
            test.result = [_element(element, kind, failure.reason, [*failure.lines, *where])]
            tests.append(test)
    return tests


def _details(line: CaseResult) -> Iterable[str]:
    """The failed checks or else the reason, the checks that were not run, the migration as it was called, and where to look."""
    yield from [check_text(check) for check in line.failed] or [line.reason]
    not_run = [check.name for check in line.checks if check.result == NOT_RUN]
    if not_run:
        yield f"not run: {', '.join(not_run)}"
    yield f"migration: {migration_text(line.migration)}"
    if line.note:
        yield f"note: {line.note}"
    yield from (f"log: {log}" for log in line.logs)
    yield f"journal: {journal_path(Path(), line.cell)}"


def _element(element: type, kind: str, message: Optional[str], lines: Iterable[str]) -> Any:
    result = element(one_line(message), kind)
    result.text = "\n".join(one_line(line) for line in lines)
    return result
