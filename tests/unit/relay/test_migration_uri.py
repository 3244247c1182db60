# SPDX-License-Identifier: GPL-3.0-or-later
"""The migration URI in a reply: found, taken apart, replaced."""

from __future__ import annotations

import struct

import pytest

from fake_rpc import REPLY, message
from fake_stream import uri_payload
from migration_lab.relay.framing import Header, Message
from migration_lab.relay.migration_uri import MigrationUri, uri_out, with_uri_out


@pytest.mark.parametrize("text, moved", [
    ("tcp:a-target:49152", "tcp:10.0.0.1:5"),
    ("tcp://a-target:49152", "tcp://10.0.0.1:5"),
    ("tcp://a-target.lab:49152/", "tcp://10.0.0.1:5/"),
    ("tcp://[2001:db8::1]:49152", "tcp://10.0.0.1:5"),
])
def test_form_is_kept(text: str, moved: str) -> None:
    uri = MigrationUri.parse(text)
    assert uri is not None and uri.port == 49152
    assert uri.at("10.0.0.1", 5) == moved


def test_numeric_ipv6_host_gets_brackets() -> None:
    uri = MigrationUri.parse("tcp://a-target:49152")
    assert uri is not None and uri.at("fd00::1", 5) == "tcp://[fd00::1]:5"


@pytest.mark.parametrize("text", ["", "rdma://a-target:49152", "unix:///run/x", "tcp://a-target", "tcp:49152", "tcp://a:1:2"])
def test_other_forms_are_not_taken_apart(text: str) -> None:
    assert MigrationUri.parse(text) is None


@pytest.mark.parametrize("cookie", [b"", b"1", b"1234", b"12345"])
@pytest.mark.parametrize("uri", ["tcp:a:1", "tcp:ab:1", "tcp:abc:1", "tcp:abcd:1"])
def test_uri_is_replaced_and_nothing_else(cookie: bytes, uri: str) -> None:
    data = message(303, uri_payload(uri, cookie) + b"tail", kind=REPLY, serial=9)
    reply = Message(Header.decode(data), data)
    assert uri_out(reply.payload) == uri
    moved = with_uri_out(reply, "tcp://10.0.0.1:12345")
    assert moved.data == message(303, uri_payload("tcp://10.0.0.1:12345", cookie) + b"tail", kind=REPLY, serial=9)
    assert moved.header == Header.decode(moved.data)


def test_reply_without_uri() -> None:
    assert uri_out(uri_payload(None)) is None


@pytest.mark.parametrize("payload", [
    b"", b"\0\0\0", struct.pack(">I", 100), struct.pack(">II", 0, 2), struct.pack(">III", 0, 1, 50) + b"short",
])
def test_payload_of_another_form_is_refused(payload: bytes) -> None:
    with pytest.raises(ValueError, match="the reply"):
        uri_out(payload)
