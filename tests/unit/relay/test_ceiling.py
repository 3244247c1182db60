# SPDX-License-Identifier: GPL-3.0-or-later
"""A daemon presented as 0.9.1: what that version did not know is refused as it refused it."""

from __future__ import annotations

import struct

import pytest

from fake_rpc import CALL, ERROR, EVENT, KEEPALIVE, QEMU, REMOTE, REPLY, STREAM, message
from migration_lab.model.errors import LabError
from migration_lab.relay.ceiling import ceiling
from migration_lab.relay.framing import Header, Message
from migration_lab.relay.interception import Action, Answer, Forward
from migration_lab.relay.procedures import MIGRATION
from migration_lab.relay.remote_error import encode_error


def decide(data: bytes) -> Action:
    """What becomes of a message; one that a ceiling is not concerned with must be forwarded by it, too."""
    seen = Message(Header.decode(data), data)
    action = ceiling("0.9.1").decide(seen)
    assert ceiling("0.9.1").concerns(seen.header) or action == Forward()
    return action


def refusal(text: str, procedure: int, program: int = REMOTE, kind: int = REPLY) -> Answer:
    return Answer(message(procedure, encode_error(39, 13, text), kind=kind, status=ERROR, program=program, serial=5))


def test_unknown_version_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(LabError, match=r"^ceiling '0\.9\.0' is not known; the relay can present a daemon as 0\.9\.1$"):
        ceiling("0.9.0")


@pytest.mark.parametrize("feature", [-1, 0, 1, 3, 5, 6, 10, 15])
def test_features(feature: int) -> None:
    call = message(60, struct.pack(">i", feature), serial=5)
    expected = Answer(message(60, struct.pack(">i", 0), kind=REPLY, serial=5)) if feature > 5 else Forward()
    assert decide(call) == expected


def test_feature_query_without_a_feature_is_left_to_the_daemon() -> None:
    assert decide(message(60)) == Forward()


@pytest.mark.parametrize("procedure", [1, 61, 108, 148, 209])
def test_procedures_that_it_had(procedure: int) -> None:
    assert decide(message(procedure, b"arguments")) == Forward()


@pytest.mark.parametrize("procedure", [210, 212, 213, 307, 450])
def test_procedures_that_it_had_not(procedure: int) -> None:
    assert decide(message(procedure, b"arguments", serial=5)) == refusal(f"unknown procedure: {procedure}", procedure)


def test_it_has_protocol_2_and_no_newer_one() -> None:
    forwarded = [name for number, name in MIGRATION.items() if decide(message(number)) == Forward()]
    assert forwarded == ["prepare", "perform", "finish", "prepare2", "finish2", "prepare-tunnel"]


def test_qemu_program() -> None:
    assert decide(message(1, program=QEMU)) == Forward()
    assert decide(message(3, program=QEMU, serial=5)) == refusal("unknown procedure: 3", 3, QEMU)
    assert decide(message(60, struct.pack(">i", 6), program=QEMU, serial=5)) == refusal("unknown procedure: 60", 60, QEMU)


@pytest.mark.parametrize(("kind", "reply"), [(CALL, REPLY), (EVENT, REPLY), (STREAM, STREAM)])
def test_programs_that_it_had_not(kind: int, reply: int) -> None:
    text = "program mismatch (actual 6b656570, expected 20008086 or 20008087)"
    assert decide(message(1, kind=kind, program=KEEPALIVE, serial=5)) == refusal(text, 1, KEEPALIVE, reply)


@pytest.mark.parametrize("procedure", [148, 213])
def test_stream_data_is_left_to_the_daemon(procedure: int) -> None:
    assert decide(message(procedure, b"memory", kind=STREAM)) == Forward()
