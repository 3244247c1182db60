# SPDX-License-Identifier: GPL-3.0-or-later
"""Errors on the wire: written as 0.9.1's daemon writes its own, and read whatever the bytes are."""

from __future__ import annotations

import random
import struct

import pytest

from fake_rpc import error_payload, string
from migration_lab.relay.remote_error import TEXT_MAX, encode_error, error_text


def test_error_has_all_fields_of_remote_error() -> None:
    text = "unknown procedure: 213"
    assert encode_error(39, 13, text) == (
        struct.pack(">iiI", 39, 13, 1) + string(text)  # code, domain, message
        + struct.pack(">iI", 2, 0)  # level: error; no domain
        + struct.pack(">I", 1) + string(text)  # str1
        + struct.pack(">II", 0, 0)  # str2, str3
        + struct.pack(">ii", 0, 0)  # int1, int2
        + struct.pack(">I", 0)  # no network
    )


@pytest.mark.parametrize("text", ["a", "four", "Timed out during operation: cannot acquire state change lock", "für"])
def test_text_is_read_back(text: str) -> None:
    assert error_text(encode_error(1, 10, text)) == text
    assert error_text(memoryview(error_payload(text))) == text


def test_error_without_a_text() -> None:
    assert error_text(struct.pack(">iiI", 38, 10, 0)) == "(no text; error 38, domain 10)"
    assert error_text(error_payload("")[:16]) == "(no text; error 38, domain 10)"


@pytest.mark.parametrize("payload", [b"", b"abc", struct.pack(">iiI", 1, 2, 1), struct.pack(">iiII", 1, 2, 77, 4) + b"text"])
def test_error_that_is_none(payload: bytes) -> None:
    assert error_text(payload) == "(an error that cannot be read)"


def test_text_is_cut() -> None:
    assert error_text(error_payload("x" * 10_000)) == "x" * TEXT_MAX
    assert error_text(struct.pack(">iiII", 1, 2, 1, 0xFFFFFFFF) + b"cut off") == "cut off"


def test_any_bytes_give_a_text() -> None:
    chance = random.Random(1)
    for _ in range(500):
        payload = chance.randbytes(chance.randrange(40))
        assert error_text(payload)
        assert error_text(struct.pack(">iiI", 1, 2, 1) + payload)
