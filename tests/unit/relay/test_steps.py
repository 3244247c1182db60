# SPDX-License-Identifier: GPL-3.0-or-later
"""What the relay records, presents and lets be decided, seen from both sides of a connection."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
import time
from collections.abc import Iterator

import pytest

from fake_rpc import (
    DOMAIN,
    ERROR,
    EVENT,
    LINK,
    QEMU,
    REPLY,
    STREAM,
    RelayedLab,
    domain_payload,
    error_payload,
    fill,
    message,
    read,
    relayed_lab,
    string,
    wait_for,
)
from migration_lab.relay.ceiling import ceiling
from migration_lab.relay.interception import Action, Answer, Forward, Interceptor, Passage
from migration_lab.relay.procedures import MIGRATION
from migration_lab.relay.remote_error import encode_error
from migration_lab.relay.steps import Step


@pytest.fixture
def lab() -> Iterator[RelayedLab]:
    with relayed_lab() as lab:
        yield lab


def call(lab_sockets: tuple[socket.socket, socket.socket], data: bytes, reply: bytes) -> None:
    """A call and its reply, through the relay."""
    client, daemon = lab_sockets
    client.sendall(data)
    assert read(daemon, len(data)) == data
    daemon.sendall(reply)
    assert read(client, len(reply)) == reply


def ended(steps: list[Step]) -> list[tuple[str, str]]:
    return [(step.procedure, step.result) for step in steps]


def test_every_migration_procedure_is_recorded_in_order(lab: RelayedLab) -> None:
    sockets = lab.connect()
    before = time.time()
    for serial, number in enumerate(MIGRATION, start=10):
        call(sockets, message(number, domain_payload(), serial=serial), message(number, kind=REPLY, serial=serial))
        call(sockets, message(1, domain_payload(), serial=100 + serial), message(1, kind=REPLY, serial=100 + serial))
    steps = lab.relays.take(DOMAIN)
    assert ended(steps) == [(name, "ok") for name in MIGRATION.values()]
    assert {step.link for step in steps} == {LINK}
    starts = [step.started for step in steps]
    assert starts == sorted(starts) and before <= starts[0] <= starts[-1] <= time.time()
    assert all(step.seconds is not None and 0 <= step.seconds < 5 for step in steps)
    assert lab.relays.take(DOMAIN) == []


def test_step_as_data() -> None:
    assert Step(LINK, "begin3", 1700000000.123456, 0.98765432, "ok").to_data() == {
        "link": LINK, "procedure": "begin3", "started": 1700000000.1235, "seconds": 0.9877, "result": "ok",
    }
    assert Step(LINK, "begin3", 1.0, None, "no reply").to_data()["seconds"] is None


def test_replies_are_matched_by_serial(lab: RelayedLab) -> None:
    client, daemon = lab.connect()
    other = DOMAIN.replace("001", "002")
    calls = message(216, domain_payload(), serial=1) + message(216, domain_payload(other), serial=2)
    client.sendall(calls)
    read(daemon, len(calls))
    first = (
        message(216, kind=REPLY, serial=2, program=QEMU)  # another program's reply
        + message(216, domain_payload(), kind=EVENT, serial=2)
        + message(216, b"memory", kind=STREAM, serial=2)
        + message(216, error_payload("no luck"), kind=REPLY, serial=2, status=ERROR)
    )
    daemon.sendall(first)
    assert read(client, len(first)) == first
    assert ended(lab.relays.take(other)) == [("perform3", "error: no luck")]
    assert ended(lab.relays.take(DOMAIN)) == [("perform3", "no reply")]


def test_reply_to_a_taken_step_is_passed_on_and_forgotten(lab: RelayedLab) -> None:
    client, daemon = lab.connect()
    client.sendall(message(216, domain_payload()))
    read(daemon, len(message(216, domain_payload())))
    assert ended(lab.relays.take(DOMAIN)) == [("perform3", "no reply")]
    daemon.sendall(message(216, kind=REPLY))
    assert read(client, 28) == message(216, kind=REPLY)
    assert lab.relays.take(DOMAIN) == []


@pytest.mark.parametrize("payload", [b"", b"\0", struct.pack(">iiII", 1, 1, 1, 2**31), bytes(range(256))])
def test_error_that_cannot_be_read_is_still_one(lab: RelayedLab, payload: bytes) -> None:
    call(lab.connect(), message(217, domain_payload()), message(217, payload, kind=REPLY, status=ERROR))
    (step,) = lab.relays.take(DOMAIN)
    assert step.result.startswith("error: ")


def test_prepare_of_v1_belongs_to_the_domain_before_it(lab: RelayedLab) -> None:
    sockets = lab.connect()
    prepare = message(61, string("tcp://a-target:49152"), serial=1)
    call(sockets, prepare, message(61, kind=REPLY, serial=1))
    call(sockets, message(62, domain_payload(), serial=2), message(62, kind=REPLY, serial=2))
    call(sockets, prepare, message(61, kind=REPLY, serial=1))
    assert ended(lab.relays.take(DOMAIN)) == [("perform", "ok"), ("prepare", "ok")]


def test_domains_that_are_not_the_labs_are_passed_over(lab: RelayedLab) -> None:
    call(lab.connect(), message(216, domain_payload("somebody-elses")), message(216, kind=REPLY))
    assert lab.relays._steps._steps == {}


@pytest.mark.parametrize("reset", [False, True])
def test_connection_that_ends_before_the_reply(lab: RelayedLab, reset: bool) -> None:
    client, daemon = lab.connect()
    data = message(108, domain_payload())
    client.sendall(data)
    read(daemon, len(data))
    daemon.sendall(message(108, bytes(100), kind=REPLY)[:50])
    if reset:
        daemon.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        daemon.close()
        with pytest.raises(ConnectionResetError):
            while client.recv(100):
                pass
    else:
        daemon.close()
        assert read(client, 1000) == message(108, bytes(100), kind=REPLY)[:50]
    (step,) = lab.relays.take(DOMAIN)
    assert (step.result, step.seconds) == ("no reply", None)


def test_steps_are_taken_whole_by_several_threads(lab: RelayedLab) -> None:
    """No step is lost and none is given out twice."""
    number, taken, done = 400, [], threading.Event()

    def taker() -> None:
        while not done.is_set():
            taken.extend(lab.relays.take(DOMAIN))

    threads = [threading.Thread(target=taker) for _ in range(3)]
    for thread in threads:
        thread.start()
    client, daemon = lab.connect()
    data = b"".join(message(216, domain_payload(), serial=serial) for serial in range(number))
    client.sendall(data)
    read(daemon, len(data))
    done.set()
    for thread in threads:
        thread.join()
    taken.extend(lab.relays.take(DOMAIN))
    assert len(taken) == number


# --- a ceiling


@pytest.fixture
def old() -> Iterator[RelayedLab]:
    with relayed_lab(ceiling("0.9.1")) as lab:
        yield lab


def test_ceiling_answers_without_asking_the_daemon(old: RelayedLab) -> None:
    client, daemon = old.connect()
    query = message(60, struct.pack(">i", 6), serial=3)
    client.sendall(message(60, struct.pack(">i", 3), serial=2) + query + message(66, serial=4))
    assert read(client, 32) == message(60, struct.pack(">i", 0), kind=REPLY, serial=3)
    passed = message(60, struct.pack(">i", 3), serial=2) + message(66, serial=4)
    assert read(daemon, len(passed)) == passed


def test_ceiling_refuses_new_procedures_and_that_is_recorded(old: RelayedLab) -> None:
    client, daemon = old.connect()
    client.sendall(message(213, domain_payload(), serial=3) + message(1, serial=4))
    header = struct.unpack(">IIIiiIi", read(client, 28))
    assert header[3:] == (213, REPLY, 3, ERROR)
    assert b"unknown procedure: 213" in read(client, header[0] - 28)
    assert ended(old.relays.take(DOMAIN)) == [("begin3", "error: unknown procedure: 213")]
    assert read(daemon, 28) == message(1, serial=4)


def test_ceiling_leaves_protocol_2_alone(old: RelayedLab) -> None:
    sockets = old.connect()
    for serial, number in enumerate((108, 62, 109)):
        call(sockets, message(number, domain_payload(), serial=serial), message(number, kind=REPLY, serial=serial))
    assert ended(old.relays.take(DOMAIN)) == [("prepare2", "ok"), ("perform", "ok"), ("finish2", "ok")]


def test_answer_waits_for_the_end_of_a_message_that_is_passing(old: RelayedLab) -> None:
    client, daemon = old.connect()
    large, small = message(70, bytes(300_000), kind=REPLY, serial=1), message(71, kind=REPLY, serial=2)
    answer = message(60, struct.pack(">i", 0), kind=REPLY, serial=3)
    daemon.sendall(large[:1000])
    assert read(client, 1000) == large[:1000]
    client.sendall(message(60, struct.pack(">i", 6), serial=3) + message(1, serial=4))
    assert read(daemon, 28) == message(1, serial=4)
    daemon.sendall(large[1000:-1])
    assert read(client, len(large) - 1001) == large[1000:-1]
    daemon.sendall(large[-1:] + small)
    rest = read(client, 1 + len(answer) + len(small))
    assert rest[:1] == large[-1:]
    assert rest[1:] in (answer + small, small + answer)
    client.sendall(message(2, serial=5))
    assert read(daemon, 28) == message(2, serial=5)


def test_answers_to_a_client_that_does_not_read_do_not_pile_up(old: RelayedLab) -> None:
    client, _ = old.connect()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 * 1024)
    number = fill(client, message(300) * 1000) // 28
    wait_for(old.kept_bytes)
    # A chunk of 256 KiB is answered with 1.2 MB: one such batch is being sent, one waits, and nothing more is read.
    assert old.kept_bytes() < 2_600_000
    answer = message(300, encode_error(39, 13, "unknown procedure: 300"), kind=REPLY, status=ERROR)
    assert read(client, 100 * len(answer)) == answer * 100
    client.close()
    assert number > 100


def test_query_after_the_daemon_has_ended_is_dropped(old: RelayedLab) -> None:
    client, daemon = old.connect()
    daemon.shutdown(socket.SHUT_WR)
    assert read(client, 1) == b""
    client.sendall(message(60, struct.pack(">i", 6)) + message(2, serial=5))
    assert read(daemon, 28) == message(2, serial=5)
    client.close()
    assert read(daemon, 1) == b""
    wait_for(lambda: not old.relays._relays)


# --- interceptors


class Scripted(Interceptor):
    """Notes what passes; waits, answers or fails at the procedures named."""

    def __init__(self, waits: str = "", answers: str = "", fails: str = "") -> None:
        self.seen: list[tuple[str, bool]] = []
        self._waits, self._answers, self._fails = waits, answers, fails

    async def passes(self, passage: Passage) -> Action:
        self.seen.append((passage.procedure, passage.to_daemon))
        assert (passage.link, passage.domain) == (LINK, DOMAIN)
        if passage.procedure == self._fails:
            raise RuntimeError("a fault of its own")
        if passage.procedure == self._waits:
            await asyncio.sleep(0.1)
        if passage.procedure == self._answers and passage.to_daemon:
            assert passage.message is not None
            header = passage.message.header
            return Answer(message(header.procedure, error_payload("made up"), kind=REPLY, serial=header.serial, status=ERROR))
        return Forward()


def test_interceptor_sees_calls_and_replies_of_migrations_alone() -> None:
    script = Scripted()
    with relayed_lab(interceptors=[script]) as lab:
        sockets = lab.connect()
        call(sockets, message(1, domain_payload(), serial=1), message(1, kind=REPLY, serial=1))
        call(sockets, message(213, domain_payload(), serial=2), message(213, kind=REPLY, serial=2))
        call(sockets, message(2, domain_payload(), serial=3), message(2, kind=REPLY, serial=3))
        assert ended(lab.relays.take(DOMAIN)) == [("begin3", "ok")]
    assert script.seen == [("begin3", True), ("begin3", False)]


def test_what_comes_after_a_message_waits_for_its_interceptor() -> None:
    with relayed_lab(interceptors=[Scripted(waits="begin3")]) as lab:
        client, daemon = lab.connect()
        held = message(213, domain_payload(), serial=2)
        data = message(1) + held + message(3, serial=3) + message(214, domain_payload(), serial=4)
        client.sendall(data)
        client.sendall(message(4, serial=5))
        client.shutdown(socket.SHUT_WR)
        assert read(daemon, 28) == message(1)
        assert read(daemon, 10_000) == data[28:] + message(4, serial=5)


def test_interceptor_answers_in_the_daemons_place() -> None:
    with relayed_lab(interceptors=[Scripted(), Scripted(answers="perform3")]) as lab:
        client, daemon = lab.connect()
        client.sendall(message(216, domain_payload(), serial=7) + message(2, serial=8))
        answer = message(216, error_payload("made up"), kind=REPLY, serial=7, status=ERROR)
        assert read(client, len(answer)) == answer
        assert read(daemon, 28) == message(2, serial=8)
        assert ended(lab.relays.take(DOMAIN)) == [("perform3", "error: made up")]


def test_interceptor_that_fails_changes_nothing() -> None:
    with relayed_lab(interceptors=[Scripted(fails="begin3")]) as lab:
        call(lab.connect(), message(213, domain_payload()), message(213, kind=REPLY))
        assert lab.relays.oddities == [
            f"link {LINK}: an interceptor failed at begin3 (RuntimeError('a fault of its own'))"
        ] * 2
