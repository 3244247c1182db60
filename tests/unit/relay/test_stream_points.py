# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a memory stream is cut, and what of it is held back."""

from __future__ import annotations

import random

import pytest

from fake_rpc import CONTINUE, DOMAIN, STREAM, message
from fake_stream import MIB, device_state
from migration_lab.relay.framing import Header, Message
from migration_lab.relay.splitter import Reached
from migration_lab.relay.stream_points import HELD_BACK, StreamCount, StreamSplitter, TunnelledStream, is_end


def run(splitter: StreamSplitter, data: bytes, chunk: int, ending: bool = True) -> tuple[bytes, list[tuple[str, int]]]:
    """What comes out, and each point with the number of bytes that came out before it."""
    out, points = bytearray(), []
    pieces = [splitter.split(data[start:start + chunk]) for start in range(0, len(data), chunk)]
    for source in [*pieces, splitter.end()] if ending else pieces:
        for piece in source:
            if isinstance(piece, Reached):
                points.append((piece.point, len(out)))
            else:
                assert not isinstance(piece, Message)
                out += piece
    return bytes(out), points


@pytest.mark.parametrize("chunk", [65_536, 1_000_000, 9 * MIB])
def test_points_are_exact_and_nothing_is_lost(chunk: int) -> None:
    data, count = random.Random(1).randbytes(7 * MIB), StreamCount()
    out, points = run(StreamSplitter(count, hold_back=False), data, chunk)
    assert out == data and count.passed == len(data)
    assert points == [("stream-opened", 0), ("stream-1mib", MIB), ("stream-most", 6 * MIB)]


@pytest.mark.parametrize("chunk", [65_536, 1_000_000])
def test_newest_bytes_are_held_back_until_the_source_closes(chunk: int) -> None:
    data = random.Random(1).randbytes(7 * MIB)
    out, points = run(StreamSplitter(StreamCount(), hold_back=True), data, chunk, ending=False)
    assert out == data[:-HELD_BACK] and [name for name, _ in points] == ["stream-opened", "stream-1mib", "stream-most"]
    out, points = run(StreamSplitter(StreamCount(), hold_back=True), data, chunk)
    assert out == data and points[-1] == ("stream-end", len(data) - HELD_BACK)


def test_end_that_qemu_announces_needs_no_close() -> None:
    data = bytes(2 * MIB) + device_state(3000)
    splitter = StreamSplitter(StreamCount(), hold_back=True)
    out, points = run(splitter, data, 50_000, ending=False)
    assert out == data and points[-1] == ("stream-end", len(data) - HELD_BACK)
    assert run(splitter, b"more", 4) == (b"more", [])


def test_stream_shorter_than_what_is_held_back() -> None:
    out, points = run(StreamSplitter(StreamCount(), hold_back=True), device_state(10), 7)
    assert out == device_state(10) and points == [("stream-end", 0), ("stream-opened", 0)]


def test_what_is_given_up_at_the_end_does_not_come_out() -> None:
    splitter = StreamSplitter(StreamCount(), hold_back=True)
    assert list(splitter.split(b"the last")) == []
    pieces = splitter.end()
    assert next(pieces) == Reached("stream-end")
    assert splitter.give_up() == b"the last"
    assert list(pieces) == []


@pytest.mark.parametrize("data", [
    b"", b"}", b"\x00\x06\x00\x00\x00\x03{}", b"\x00\x06\x00\x00\x00\x02{}x", b"\x00\x06\x00\x00\x00\x02[}",
    b"\x01\x06\x00\x00\x00\x02{}",
])
def test_what_is_no_end(data: bytes) -> None:
    assert not is_end(bytearray(data))


def test_length_that_looks_like_the_start_of_a_description() -> None:
    assert is_end(bytearray(b"x\x00\x06" + (0x606).to_bytes(4, "big") + b"{" + b" " * 0x604 + b"}"))


def tunnelled(size: int) -> Message:
    data = message(304, bytes(size), kind=STREAM, status=CONTINUE)
    return Message(Header.decode(data), data)


def test_tunnelled_messages_are_held_back_whole() -> None:
    stream = TunnelledStream(DOMAIN, StreamCount(), hold_back=True)
    messages = [tunnelled(120_000) for _ in range(5)]
    assert [stream.take(each) for each in messages] == [[], [], [], [messages[0]], [messages[1]]]
    assert stream.give_up() == messages[2:]
    assert stream.give_up() == []


def test_tunnelled_messages_pass_at_once_otherwise() -> None:
    stream, first = TunnelledStream(DOMAIN, StreamCount(), hold_back=False), tunnelled(10)
    assert stream.take(first) == [first] and stream.give_up() == []
