# SPDX-License-Identifier: GPL-3.0-or-later
"""A fault strikes once, at its point, for its domain, and while the message is held."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from migration_lab.model.case import Method
from migration_lab.relay.framing import ERROR, REPLY, Header, Message
from migration_lab.relay.interception import Action, Answer, Drop, End, Forward, Passage, Silence
from migration_lab.relay.remote_error import error_text
from migration_lab.suites.recovery.fault import Fault, Strike
from migration_lab.suites.recovery.observation import StrikeNote
from migration_lab.suites.recovery.point import Point, points
from migration_lab.suites.recovery.striker import ERROR_TEXT, Armed, Striker

DOMAIN = "mlab-nnn-001"
KILL = (Strike("kill-daemon", "target"),)
NOTE = StrikeNote("kill-daemon", "target", True)


def point(name: str = "finish-call") -> Point:
    return next(point for point in points(Method.P2P, "v3") if point.name == name)


def passage(name: str = "finish-call", link: str = "source-target", domain: str | None = DOMAIN) -> Passage:
    header = Header(28, 0x20008086, 1, 306, REPLY, 7, 0)
    message = None if name.startswith("stream") else Message(header, header.encode())
    return Passage(link, "finish3-params", domain, message, name)


def pass_by(striker: Striker, passing: Passage) -> Action:
    return asyncio.run(striker.passes(passing))


@pytest.mark.parametrize("passing", [
    passage("finish-reply"), passage(link="client-target"), passage(domain="mlab-nnn-002"), passage(domain=None),
])
def test_nothing_else_is_struck(passing: Passage) -> None:
    striker = Striker()
    armed = striker.arm(DOMAIN, point(), Fault("f", "g", "", KILL), lambda: [NOTE])
    assert pass_by(striker, passing) == Forward()
    armed.end(1)
    assert (armed.reached, armed.notes) == (None, None)


def test_the_message_waits_for_the_strike() -> None:
    striker = Striker()
    struck = []

    def strike() -> list[StrikeNote]:
        time.sleep(0.02)
        struck.append(threading.current_thread().name)
        return [NOTE]

    armed = striker.arm(DOMAIN, point(), Fault("f", "g", "", KILL), strike)
    assert pass_by(striker, passage()) == Forward()
    # Not in the relay's thread, whose network namespace new processes would inherit.
    assert struck == [f"strike {DOMAIN}"]
    assert armed.notes == [NOTE]
    assert armed.reached is not None
    armed.end(1)


def test_it_strikes_once() -> None:
    striker = Striker()
    struck: list[StrikeNote] = []

    def strike() -> list[StrikeNote]:
        struck.append(NOTE)
        return struck

    armed = striker.arm(DOMAIN, point(), Fault("f", "g", "", KILL), strike)
    pass_by(striker, passage())
    pass_by(striker, passage())
    armed.end(1)
    assert struck == [NOTE]


@pytest.mark.parametrize(("delivery", "seconds", "action"), [
    ("delivered", None, Forward()), ("dropped", None, Drop()), ("closed", None, End()), ("reset", None, End(reset=True)),
    ("silent", 3.0, Silence(3.0)), ("silent", None, Silence()),
])
def test_what_becomes_of_the_message(delivery: str, seconds: float | None, action: Action) -> None:
    assert armed_action(Fault("f", "g", "", delivery=delivery, seconds=seconds)) == action


def test_an_error_is_answered_in_the_daemons_place() -> None:
    action = armed_action(Fault("f", "g", "", delivery="error"))
    assert isinstance(action, Answer)
    header = Header.decode(action.data)
    assert (header.type, header.status, header.serial) == (REPLY, ERROR, 7)
    assert error_text(action.data[28:]) == ERROR_TEXT


def armed_action(fault: Fault) -> Action:
    striker = Striker()
    armed = striker.arm(DOMAIN, point(), fault, list)
    action = pass_by(striker, passage())
    armed.end(1)
    assert armed.struck
    return action


def test_a_strike_may_come_after_the_delivery() -> None:
    striker = Striker()
    struck = threading.Event()

    def strike() -> list[StrikeNote]:
        struck.set()
        return [NOTE]

    armed = striker.arm(DOMAIN, point(), Fault("f", "g", "", KILL, after=(20,)), strike, after=0.02)

    async def passes() -> tuple[Action, bool]:
        return await striker.passes(passage()), struck.is_set()

    async def whole() -> tuple[Action, bool]:
        passed = await passes()
        await asyncio.sleep(0.1)
        return passed

    assert asyncio.run(whole()) == (Forward(), False)
    armed.end(1)
    assert armed.notes == [NOTE]


def test_a_strike_that_fails_is_kept_for_the_case() -> None:
    striker = Striker()

    def strike() -> list[StrikeNote]:
        raise RuntimeError("no such process")

    armed = striker.arm(DOMAIN, point(), Fault("f", "g", "", KILL), strike)
    assert pass_by(striker, passage()) == Forward()
    armed.end(1)
    assert not armed.struck
    assert str(armed.error) == "no such process"


def test_a_disarmed_fault_does_not_strike() -> None:
    striker = Striker()
    armed: Armed = striker.arm(DOMAIN, point(), Fault("f", "g", "", KILL), lambda: [NOTE])
    striker.disarm(DOMAIN)
    assert pass_by(striker, passage()) == Forward()
    armed.end(1)
    assert armed.reached is None
