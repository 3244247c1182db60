# SPDX-License-Identifier: GPL-3.0-or-later
"""Splitting of libvirt's RPC: what is wanted comes out whole, the rest as it came, and nothing is lost or changed."""

from __future__ import annotations

import random
from typing import Union

import pytest

from fake_rpc import EVENT, REPLY, STREAM, message
from migration_lab.relay.framing import MESSAGE_MAX, OK, Framer, Header, Message, reply_to

WANTED = 213


def wanted(header: Header) -> bool:
    return header.procedure == WANTED


def feed(framer: Framer, *chunks: bytes) -> list[Union[bytes, Message]]:
    """All that comes out, bytes as bytes."""
    return [
        piece if isinstance(piece, Message) else bytes(piece) for chunk in chunks for piece in framer.split(chunk)
    ]


def joined(pieces: list[Union[bytes, Message]]) -> bytes:
    return b"".join(piece.data if isinstance(piece, Message) else piece for piece in pieces)


def test_header_is_what_the_wire_has() -> None:
    data = message(60, b"\0\0\0\6", serial=9)
    header = Header.decode(data)
    assert header == (32, 0x20008086, 1, 60, 0, 9, 0)
    assert header.encode() == data[:28]
    assert Message(header, data).payload.tobytes() == b"\0\0\0\6"


def test_reply_takes_over_what_belongs_to_the_call() -> None:
    call = Header.decode(message(60, b"\0\0\0\6", serial=9))
    assert reply_to(call, OK, b"\0\0\0\0") == message(60, b"\0\0\0\0", kind=REPLY, serial=9)
    stream = Header.decode(message(148, b"data", kind=STREAM, serial=9))
    assert Header.decode(reply_to(stream, OK, b"")).type == STREAM


def test_wanted_message_split_at_every_boundary() -> None:
    before, call, after = message(1, b"open"), message(WANTED, b"x" * 40, serial=2), message(2, serial=3)
    data = before + call + after
    for first in range(len(data) + 1):
        for second in range(first, len(data) + 1):
            pieces = feed(Framer(wanted), data[:first], data[first:second], data[second:])
            assert joined(pieces) == data
            assert [piece.data for piece in pieces if isinstance(piece, Message)] == [call]


def test_byte_by_byte() -> None:
    call = message(WANTED, b"x" * 40)
    data = message(1) + call + message(WANTED) + call
    pieces = feed(Framer(wanted), *(data[n:n + 1] for n in range(len(data))))
    assert joined(pieces) == data
    assert [len(piece.data) for piece in pieces if isinstance(piece, Message)] == [68, 28, 68]


def test_unwanted_messages_of_a_chunk_come_out_in_one_piece() -> None:
    run = message(1) + message(2, b"abc") + message(3, b"d" * 1000, kind=EVENT)
    assert feed(Framer(wanted), run) == [run]
    call = message(WANTED)
    pieces = feed(Framer(wanted), run + call + run + call[:10], call[10:])
    assert pieces == [run, Message(Header.decode(call), call), run, Message(Header.decode(call), call)]


def test_unwanted_message_is_not_waited_for() -> None:
    framer = Framer(wanted)
    data = message(1, b"x" * 1_000_000)
    assert feed(framer, data[:28]) == [data[:28]]
    assert not framer.at_boundary
    assert feed(framer, data[28:5000]) == [data[28:5000]]
    assert feed(framer, data[5000:]) == [data[5000:]]
    assert framer.at_boundary


def test_boundary_is_kept_while_a_message_is_assembled() -> None:
    framer = Framer(wanted)
    data = message(1) + message(WANTED, b"x" * 10)
    assert feed(framer, data[:-1]) == [data[:28]]
    assert framer.at_boundary
    assert [type(piece) for piece in feed(framer, data[-1:])] == [Message]
    assert framer.at_boundary


@pytest.mark.parametrize("length", [0, 27, MESSAGE_MAX + 1, 0x16030102])
@pytest.mark.parametrize("size", [4, 20, 28, 100])
def test_other_things_than_rpc_come_out_as_they_are(length: int, size: int) -> None:
    odd = length.to_bytes(4, "big") + bytes(range(96))
    framer = Framer(wanted)
    good = message(1)
    assert joined(feed(framer, good + odd[:size])) == good + odd[:size]
    assert framer.oddity == f"a message of {length} bytes is not libvirt's RPC"
    call = message(WANTED)
    assert feed(framer, call) == [call]
    assert not framer.at_boundary


def test_odd_length_is_seen_with_its_last_byte() -> None:
    framer = Framer(wanted)
    assert feed(framer, b"\x16", b"\x03", b"\x01") == []
    assert feed(framer, b"\x02", b"tls") == [b"\x16\x03\x01\x02", b"tls"]


@pytest.mark.parametrize("size", [0, 3, 27, 28, 60])
def test_giving_up_returns_what_was_kept(size: int) -> None:
    framer = Framer(wanted)
    call = message(WANTED, b"x" * 40)
    assert feed(framer, call[:size]) == []
    assert framer.give_up() == call[:size]
    assert feed(framer, call[size:]) == ([call[size:]])


@pytest.mark.parametrize("seed", range(20))
def test_random_messages_in_random_chunks(seed: int) -> None:
    chance = random.Random(seed)
    messages = [
        message(chance.choice([1, 2, WANTED]), chance.randbytes(chance.choice([0, 1, 4, 30, 500, 70_000])), serial=n)
        for n in range(60)
    ]
    data = b"".join(messages)
    chunks, position = [], 0
    while position < len(data):
        size = chance.choice([1, 3, 27, 28, 29, 100, 5000, 200_000])
        chunks.append(data[position:position + size])
        position += size
    pieces = feed(Framer(wanted), *chunks)
    assert joined(pieces) == data
    whole = [piece.data for piece in pieces if isinstance(piece, Message)]
    assert whole == [each for each in messages if Header.decode(each).procedure == WANTED]
