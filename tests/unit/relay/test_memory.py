# SPDX-License-Identifier: GPL-3.0-or-later
"""The memory stream through the relay: announced by a rewritten URI, counted, and open to faults at its points."""

from __future__ import annotations

import random
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Optional

import pytest

from fake_rpc import CONTINUE, DOMAIN, ERROR, OK, REPLY, STREAM, RelayedLab, domain_payload, fill, message, read, wait_for
from fake_stream import MIB, PREPARE, Script, StreamLab, device_state, stream_lab, uri_payload
from migration_lab.relay.interception import Action, Answer, Drop, End, Silence
from migration_lab.relay.stream_points import HELD_BACK

TUNNEL = 304


@pytest.fixture
def lab() -> Iterator[StreamLab]:
    with stream_lab() as lab:
        yield lab


def sent(source: socket.socket, data: bytes, close: bool = False) -> threading.Thread:
    """Send without waiting."""

    def send() -> None:
        source.sendall(data)
        if close:
            source.shutdown(socket.SHUT_WR)

    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    return thread


def nothing_comes(sock: socket.socket, seconds: float = 0.05) -> bool:
    sock.settimeout(seconds)
    try:
        return sock.recv(1, socket.MSG_PEEK) is None
    except (TimeoutError, socket.timeout):
        return True
    finally:
        sock.settimeout(10)


@pytest.mark.parametrize("procedure", [108, 214, 303])
@pytest.mark.parametrize("form", ["tcp:{}:{}", "tcp://{}:{}"])
def test_uri_is_rewritten_in_its_form(lab: StreamLab, procedure: int, form: str) -> None:
    reply = lab.prepare(form.format("a-target", lab.port), procedure)
    (port,) = {end for end in range(1024, 65536) if reply.rstrip(b"\0").endswith(b":%d" % end)}
    assert reply == message(procedure, uri_payload(form.format("127.0.0.1", port)), kind=REPLY)
    assert port != lab.port
    assert [(step.result, step.answer) for step in lab.relays.take(DOMAIN)] == [("ok", "ok")]


def test_bytes_pass_in_both_directions_and_are_counted(lab: StreamLab) -> None:
    source, target = lab.open()
    data = random.Random(1).randbytes(7 * MIB)
    sender = sent(source, data)
    assert read(target, len(data)) == data
    sender.join()
    target.sendall(b"return path")
    assert read(source, 11) == b"return path"
    assert lab.relays.stream_bytes(DOMAIN) == (len(data), None)
    before = time.monotonic()
    source.shutdown(socket.SHUT_WR)
    assert read(target, 1) == b""
    counted = lab.relays.stream_bytes(DOMAIN)
    assert counted is not None and counted[0] == len(data)
    assert counted[1] is not None and before - 10 < counted[1] < before
    target.close()
    assert read(source, 1) == b""
    wait_for(lambda: not lab.relays._memory.connections)
    assert lab.relays.oddities == []


def test_stream_nobody_announced_has_no_bytes(lab: StreamLab) -> None:
    assert lab.relays.stream_bytes(DOMAIN) is None


def test_target_that_does_not_read_stops_the_source(lab: StreamLab) -> None:
    source, target = lab.open()
    data = bytes(100_000)
    number = fill(source, data)
    (stream,) = lab.relays._memory.connections
    assert 0 < sum(map(len, stream.near._unread)) + stream.far.unsent < 600_000
    source.close()
    time.sleep(0.02)
    counted = lab.relays.stream_bytes(DOMAIN)
    assert counted is not None and counted[1] is None
    assert len(read(target, number)) == number


def test_one_stream_has_one_connection(lab: StreamLab) -> None:
    port = lab.stream_port()
    lab.pair(port)

    def refused() -> bool:
        try:
            with socket.create_connection(("127.0.0.1", port), 1) as second:
                return second.recv(1) == b""
        except OSError:
            return True

    wait_for(refused)
    assert len(lab.relays._memory.connections) == 1


@pytest.mark.parametrize("way", ["forget", "take", "again"])
def test_forgotten_stream_takes_no_connection(lab: StreamLab, way: str) -> None:
    port = lab.stream_port()
    if way == "again":
        lab.stream_port()
    else:
        getattr(lab.relays, way)(DOMAIN)
        assert lab.relays.stream_bytes(DOMAIN) is None
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), 1)


def test_stream_that_flows_is_not_disturbed_when_it_is_forgotten(lab: StreamLab) -> None:
    source, target = lab.open()
    lab.relays.forget(DOMAIN)
    source.sendall(b"more")
    assert read(target, 4) == b"more"


@pytest.mark.parametrize("uri, why", [
    (None, "it names no migration URI"),
    ("rdma://a-target:1", "the migration URI 'rdma://a-target:1' cannot be led through it"),
])
def test_what_cannot_be_led_is_left_alone(lab: StreamLab, uri: Optional[str], why: str) -> None:
    assert lab.prepare(uri) == message(PREPARE, uri_payload(uri), kind=REPLY)
    assert lab.relays.oddities == [f"the memory stream of {DOMAIN} does not pass the relay, after prepare3-params: {why}"]


def test_failed_prepare_announces_nothing(lab: StreamLab) -> None:
    client, daemon = lab.connect()
    client.sendall(message(PREPARE, domain_payload()))
    read(daemon, 60)
    refusal = message(PREPARE, bytes(40), kind=REPLY, status=ERROR)
    daemon.sendall(refusal)
    assert read(client, len(refusal)) == refusal
    assert lab.relays.stream_bytes(DOMAIN) is None and lab.relays.oddities == []


def test_nothing_is_rewritten_unless_asked_for() -> None:
    with stream_lab(carried=False) as lab:
        uri = f"tcp:a-target:{lab.port}"
        assert lab.prepare(uri) == message(PREPARE, uri_payload(uri), kind=REPLY)
        assert lab.relays.stream_bytes(DOMAIN) is None


def test_target_that_is_not_there_resets_the_source(lab: StreamLab) -> None:
    port = lab.stream_port()
    assert lab.qemu is not None
    lab.qemu.close()
    # Where this process is slow, the reset is there before the connection has been given out.
    with pytest.raises(ConnectionResetError), socket.create_connection(("127.0.0.1", port), 10) as source:
        source.recv(1)
    assert lab.relays.oddities[0].startswith(f"link memory: no connection to the QEMU on the target for {DOMAIN} (")


# --- faults at its points


def test_interceptor_is_asked_at_each_point() -> None:
    script = Script("stream-end")
    with stream_lab(script) as lab:
        source, target = lab.open()
        data = bytes(7 * MIB) + device_state(100)
        sent(source, data)
        assert read(target, len(data)) == data  # the source has not closed
        points = ["stream-opened", "stream-1mib", "stream-most", "stream-end"]
        assert script.seen[2:] == [("memory", point) for point in points]
        assert {(each.procedure, each.domain, each.message) for each in script.passages[2:]} == {("stream", DOMAIN, None)}


@pytest.mark.parametrize("point, passed", [
    ("stream-opened", 0), ("stream-1mib", MIB), ("stream-most", 6 * MIB), ("stream-end", 7 * MIB - HELD_BACK),
])
@pytest.mark.parametrize("reset", [True, False])
def test_stream_ends_at_its_point(point: str, passed: int, reset: bool) -> None:
    with stream_lab(Script(point, End(reset))) as lab:
        source, target = lab.open()
        data = random.Random(1).randbytes(7 * MIB)
        sender = threading.Thread(target=_send_until_lost, args=(source, data), daemon=True)
        sender.start()
        got = b""
        if reset:
            with pytest.raises(ConnectionResetError):
                while True:
                    got += (more := target.recv(1 << 20))
                    assert more
        else:
            got = read(target, len(data))
            assert len(got) == passed
        assert data.startswith(got) and len(got) <= passed
        wait_for(lambda: not lab.relays._memory.connections)
        counted = lab.relays.stream_bytes(DOMAIN)
        assert counted is not None and counted[0] == passed and counted[1] is not None
        sender.join()


def _send_until_lost(source: socket.socket, data: bytes) -> None:
    with suppress(OSError):
        source.sendall(data)
        source.shutdown(socket.SHUT_WR)
        source.recv(1)


@pytest.mark.parametrize("healed", [True, False])
def test_silent_stream_passes_nothing_until_it_is_over(healed: bool) -> None:
    with stream_lab(Script("stream-1mib", Silence(None if healed else 0.1))) as lab:
        source, target = lab.open()
        sent(source, bytes(MIB) + b"rest", close=True)
        assert read(target, MIB) == bytes(MIB)
        target.sendall(b"return path")
        if healed:
            assert nothing_comes(target) and nothing_comes(source)
            lab.relays.heal(DOMAIN)
        assert read(target, 100) == b"rest"
        assert read(source, 11) == b"return path"


def test_drop_loses_what_is_held_back() -> None:
    with stream_lab(Script("stream-end", Drop())) as lab:
        source, target = lab.open()
        sent(source, bytes(2 * MIB), close=True)
        assert len(read(target, 3 * MIB)) == 2 * MIB - HELD_BACK


@pytest.mark.parametrize("action", [Answer(b"x"), Drop()])
def test_nothing_is_lost_where_nothing_is_held_back(action: Action) -> None:
    with stream_lab(Script("stream-1mib", action)) as lab:
        source, target = lab.open()
        sent(source, bytes(2 * MIB), close=True)
        assert len(read(target, 3 * MIB)) == 2 * MIB


def test_point_in_a_direction_does_not_stop_the_other() -> None:
    with stream_lab(Script("stream-end", Silence(0.0))) as lab:
        source, target = lab.open()
        source.sendall(b"held back")
        assert nothing_comes(target)
        target.sendall(b"return path")
        assert read(source, 11) == b"return path"


# --- tunnelled


def tunnel(lab: RelayedLab) -> tuple[socket.socket, socket.socket]:
    client, daemon = lab.connect()
    call = message(TUNNEL, domain_payload(), serial=5)
    client.sendall(call)
    read(daemon, len(call))
    answer = message(TUNNEL, struct.pack(">I", 0), kind=REPLY, serial=5)
    daemon.sendall(answer)
    assert read(client, len(answer)) == answer
    return client, daemon


def packets(size: int, count: int) -> bytes:
    return b"".join(
        message(TUNNEL, bytes([number % 256]) * size, kind=STREAM, serial=5, status=CONTINUE) for number in range(count)
    )


LAST = message(TUNNEL, kind=STREAM, serial=5, status=OK)


@pytest.mark.parametrize("interceptors", [(), (Script(),), (Script("stream-end"),)])
def test_tunnelled_stream_is_passed_on_and_counted(interceptors: tuple[Script, ...]) -> None:
    with stream_lab(*interceptors) as lab:
        client, daemon = tunnel(lab)
        data = packets(65_000, 110) + LAST
        sent(client, data)
        assert read(daemon, len(data)) == data
        counted = lab.relays.stream_bytes(DOMAIN)
        assert counted is not None and counted[0] == 65_000 * 110 and counted[1] is not None
        for script in interceptors:
            points = ["stream-opened", "stream-1mib", "stream-most", "stream-end"]
            assert script.seen[2:] == [("client-target", point) for point in points]


def test_tunnelled_stream_that_fails_is_over() -> None:
    script = Script("stream-end")
    with stream_lab(script) as lab:
        client, daemon = tunnel(lab)
        data = packets(100, 3) + message(TUNNEL, bytes(40), kind=STREAM, serial=5, status=ERROR)
        client.sendall(data)
        assert read(daemon, len(data)) == data
        assert ("client-target", "stream-end") not in script.seen
        assert lab.relays.stream_bytes(DOMAIN)[1] is not None  # type: ignore[index]


def test_end_of_a_tunnelled_stream_is_held_back_and_lost() -> None:
    with stream_lab(Script("stream-end", End())) as lab:
        client, daemon = tunnel(lab)
        client.sendall(packets(120_000, 5) + LAST)
        assert read(daemon, 600_000) == packets(120_000, 2)
        assert read(client, 1) == b""


def test_silent_tunnel_passes_its_message_first() -> None:
    with stream_lab(Script("stream-1mib", Silence(None))) as lab:
        client, daemon = tunnel(lab)
        data = packets(65_536, 20) + LAST
        sent(client, data)
        assert read(daemon, len(packets(65_536, 16))) == packets(65_536, 16)
        assert nothing_comes(daemon)
        lab.relays.heal(DOMAIN)
        rest = data[len(packets(65_536, 16)):]
        assert read(daemon, len(rest)) == rest
