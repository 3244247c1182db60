# SPDX-License-Identifier: GPL-3.0-or-later
"""What there is to see of earlier runs, on the page and on a terminal, and which cases are flaky."""

from __future__ import annotations

import sqlite3

import pytest

from migration_lab.history.entry import RunRecord
from migration_lab.history.history import History
from migration_lab.history.schema import migrate
from migration_lab.history.text import history_text
from migration_lab.history.view import Past, history_view
from migration_lab.model.errors import LabError
from past_runs import record


def history(*records: RunRecord) -> History:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    migrate(connection)
    made = History(connection)
    for run in records:
        made.put(run)
    return made


def nights(verdicts: str, conditions: str = "") -> list[RunRecord]:
    """Runs of one case: ``p`` pass, ``f`` fail, ``k`` known, ``e`` error, ``-`` not obtained, a blank not selected."""
    words = {"p": "pass", "f": "fail", "k": "known", "e": "error", "-": "not obtained"}
    conditions = conditions or "x" * len(verdicts)
    return [
        record(number, {"a": words[letter]} if letter in words else {"other": "pass"}, condition.strip())
        for number, (letter, condition) in enumerate(zip(verdicts, conditions), start=1)
    ]


def test_runs_oldest_first_up_to_the_one_that_is_looked_at() -> None:
    runs = [record(number) for number in (3, 1, 5, 2, 4)]
    view = history_view(history(*runs), record(4))
    assert [run.name for run in view.runs] == ["night-01", "night-02", "night-03", "night-04"]
    assert view.runs[0].started == "2026-01-01T02:00:00Z" and view.runs[0].green
    assert view.runs[0].combinations["noo"].counts["pass"] == 2
    assert view.runs[0].combinations["noo"].versions["source"] == {"libvirt": "9.0.0", "hypervisor": "7.2.22"}
    assert [past.run for past in view.case("noo", "a")] == ["night-01", "night-02", "night-03", "night-04"]
    assert view.case("noo", "nothing") == []


def test_only_so_many_runs_and_only_comparable_ones() -> None:
    runs = [record(number, pair="other" if number % 2 else "debian") for number in range(1, 29)]
    view = history_view(history(*runs), record(28), limit=3)
    assert [run.name for run in view.runs] == ["night-24", "night-26", "night-28"]
    assert len(view.case("noo", "a")) == 3


def test_runs_that_started_in_the_same_second_are_in_order_of_their_names() -> None:
    runs = [record(1, name=name) for name in "cab"]
    assert [run.name for run in history_view(history(*runs), runs[2]).runs] == ["a", "b"]


def test_a_case_in_the_past_has_its_reason() -> None:
    view = history_view(history(*nights("pf-")), record(3))
    assert view.case("noo", "a") == [
        Past("night-01", "2026-01-01T02:00:00Z", "pass"),
        Past("night-02", "2026-01-02T02:00:00Z", "fail", "why a is fail", True),
        Past("night-03", "2026-01-03T02:00:00Z", "not obtained", "why a is not obtained"),
    ]


@pytest.mark.parametrize(
    ("verdicts", "conditions", "changed"),
    [
        ("pppp", "", []),
        ("ppfp", "", [3, 4]),
        ("pf", "xy", []),  # a version changed
        ("pff", "xxy", [2]),
        ("p-f", "", [3]),  # a run that did not obtain it says nothing
        ("p--p", "", []),
        ("p-f", "xyx", [3]),  # compared are the two runs that have a verdict
        ("p f", "", [3]),  # nor does one that did not select it
        ("pk", "", [2]),
        ("ep", "", [2]),
        ("pf", "  ", []),  # not on record
        ("f", "", []),
    ],
)
def test_flaky_is_a_verdict_that_changes_with_nothing_else(verdicts: str, conditions: str, changed: list[int]) -> None:
    runs = nights(verdicts, conditions)
    view = history_view(history(*runs), runs[-1])
    assert [past.run for past in view.case("noo", "a") if past.changed] == [f"night-{number:02d}" for number in changed]
    assert (("noo", "a") in view.flaky) is bool(changed)
    assert view.changed_in("noo") == {f"night-{number:02d}": 1 for number in changed}


def test_a_view_of_one_case_has_no_other() -> None:
    view = history_view(history(record(1), record(2, combination="nnn")), record(2), only=("noo", "b"))
    assert list(view.cases) == [("noo", "b")]
    assert list(history_view(history(record(1)), record(1), only=("noo", "")).cases) == [("noo", "a"), ("noo", "b")]


def test_text_of_a_combination() -> None:
    runs = [record(1), record(2, {"a": "fail", "b": "pass"}), record(3, {"a": "pass", "b": "not obtained"}, "other")]
    assert history_text(history(*runs), "", "noo") == """\
history of noo (pair debian, profile canonical, guest x86_64), 3 runs

run       started               pass  fail  not obtained  client  source        target
night-01  2026-01-01T02:00:00Z  2     0     0             11.3.0  9.0.0/7.2.22  -
night-02  2026-01-02T02:00:00Z  1     1     0             11.3.0  9.0.0/7.2.22  -       1 flaky
night-03  2026-01-03T02:00:00Z  1     0     1             11.3.0  9.0.0/7.2.22  -

1 flaky case"""


def test_text_of_a_case() -> None:
    assert history_text(history(*nights("pf p")), "night-02", "noo/a") == """\
history of noo/a (pair debian, profile canonical, guest x86_64), 2 runs

run       started               verdict  client  source        target
night-01  2026-01-01T02:00:00Z  pass     11.3.0  9.0.0/7.2.22  -
night-02  2026-01-02T02:00:00Z  fail     11.3.0  9.0.0/7.2.22  -       (flaky) why a is fail

flaky: its verdict changed without a change of versions"""
    assert history_text(history(*nights("p")), "", "noo/a").endswith("-"), "nothing is flaky, nothing is said"


@pytest.mark.parametrize(
    ("run", "of", "words"),
    [
        ("", "nox", "there is no combination 'nox'"),
        ("", "nnn", "no run of pair debian, profile canonical, guest x86_64 up to night-01 has selected nnn"),
        ("", "noo/p2p", "has selected noo/p2p; name a combination"),
        ("never", "noo", "the history lacks run 'never'"),
    ],
)
def test_history_of_nothing(run: str, of: str, words: str) -> None:
    with pytest.raises(LabError, match=words):
        history_text(history(record(1)), run, of)


def test_history_without_a_run() -> None:
    with pytest.raises(LabError, match="there is no run in the history; run the matrix first"):
        history_text(history(), "", "noo")
