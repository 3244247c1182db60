# SPDX-License-Identifier: GPL-3.0-or-later
"""How all programs on the machines answer; that they do so there is tested in test_agent_protocol.py and test_inspector.py."""

from __future__ import annotations

import io
import json
import signal
import sys

import pytest

from migration_lab.cell.serving import answer, serve


class Calls:
    """Answers two calls, one of which is refused."""

    def add(self, one: int, other: int) -> int:
        return one + other

    def refuse(self) -> None:
        raise ValueError("not today")


def test_requests_are_answered_in_turn_until_there_are_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    requests = (
        {"call": "add", "one": 1, "other": 2}, {"call": "add", "one": 1}, {"call": "refuse"},
        {"call": "add", "one": 3, "other": 4},
    )
    monkeypatch.setattr(sys, "stdin", io.StringIO("".join(json.dumps({**request, "limit": 10}) + "\n" for request in requests)))
    monkeypatch.setattr(sys, "stdout", said := io.StringIO())
    serve(Calls())
    added, missing, refused, again = (json.loads(line) for line in said.getvalue().splitlines())
    assert 0 <= added.pop("seconds") < 10 and added == {"ok": True, "result": 3} and again["result"] == 7
    assert missing["ok"] is False and missing["error"]["message"].startswith("TypeError: ")
    assert 0 <= refused.pop("seconds") < 10
    assert refused == {"ok": False, "error": {"code": None, "domain": None, "message": "ValueError: not today"}}


def test_program_may_have_its_own_words_for_a_failure() -> None:
    assert answer(Calls(), {"call": "refuse", "limit": 10}, str)["error"] == "not today"


@pytest.mark.parametrize("fails", [False, True])
def test_limit_does_not_outlive_its_call(fails: bool) -> None:
    class Quick:
        def nothing(self) -> None:
            assert signal.alarm(10) in (9, 10), "the limit is running"
            if fails:
                raise ValueError

    assert answer(Quick(), {"call": "nothing", "limit": 10})["ok"] is not fails
    assert signal.alarm(0) == 0
