# SPDX-License-Identifier: GPL-3.0-or-later
"""The relay between two sockets: nothing is changed or kept waiting, slowness and endings are passed on."""

from __future__ import annotations

import random
import socket
import struct
import threading
import time
from collections.abc import Iterator

import pytest

from fake_rpc import DOMAIN, NAMES, REPLY, STREAM, TIMEOUT, RelayedLab, domain_payload, fill, message, read, relayed_lab, wait_for
from migration_lab.model.errors import LabError
from migration_lab.relay.relay import Link
from migration_lab.relay.relays import Relays


@pytest.fixture
def lab() -> Iterator[RelayedLab]:
    with relayed_lab() as lab:
        yield lab


def quiet(sock: socket.socket, seconds: float = 0.05) -> bool:
    """Whether nothing comes for a while."""
    sock.settimeout(seconds)
    try:
        return sock.recv(1, socket.MSG_PEEK) is None
    except (TimeoutError, socket.timeout):
        return True
    finally:
        sock.settimeout(TIMEOUT)


def random_messages(chance: random.Random, kind: int) -> bytes:
    """Calls or replies, with and without migration among them."""
    return b"".join(
        message(
            chance.choice([1, 60, 148, 213, 216]), domain_payload() + chance.randbytes(chance.choice([0, 4, 300, 40_000])),
            kind=chance.choice([kind, kind, STREAM]), serial=chance.randrange(40),
        )
        for _ in range(40)
    )


def send_in_chunks(sock: socket.socket, data: bytes, chance: random.Random) -> None:
    position = 0
    while position < len(data):
        size = chance.choice([1, 5, 28, 100, 3000, 60_000])
        sock.sendall(data[position:position + size])
        position += size


@pytest.mark.parametrize("seed", range(5))
def test_both_directions_are_passed_on_byte_for_byte(lab: RelayedLab, seed: int) -> None:
    chance = random.Random(seed)
    client, daemon = lab.connect()
    calls, replies = random_messages(chance, 0), random_messages(chance, REPLY)
    senders = [
        threading.Thread(target=send_in_chunks, args=(sock, data, random.Random(seed)))
        for sock, data in ((client, calls), (daemon, replies))
    ]
    for sender in senders:
        sender.start()
    assert read(daemon, len(calls)) == calls
    assert read(client, len(replies)) == replies
    for sender in senders:
        sender.join()
    assert quiet(client) and quiet(daemon)
    assert lab.relays.oddities == []


def test_call_is_passed_on_at_every_split(lab: RelayedLab) -> None:
    client, daemon = lab.connect()
    data = message(1, b"open") + message(213, domain_payload(), serial=2) + message(2, serial=3)
    for split in range(1, len(data)):
        client.sendall(data[:split])
        time.sleep(0.0005)
        client.sendall(data[split:])
        assert read(daemon, len(data)) == data
    assert len(lab.relays.take(DOMAIN)) == len(data) - 1


def test_unwanted_message_is_passed_on_before_it_is_complete(lab: RelayedLab) -> None:
    client, daemon = lab.connect()
    data = message(148, bytes(100_000), kind=STREAM)
    client.sendall(data[:1000])
    assert read(daemon, 1000) == data[:1000]
    client.sendall(data[1000:])
    assert read(daemon, len(data) - 1000) == data[1000:]


def test_wanted_message_waits_to_be_complete(lab: RelayedLab) -> None:
    client, daemon = lab.connect()
    call = message(216, domain_payload())
    client.sendall(call[:-1])
    assert quiet(daemon)
    client.sendall(call[-1:])
    assert read(daemon, len(call)) == call


def test_what_comes_before_the_daemon_is_connected_waits() -> None:
    with relayed_lab() as lab:
        client = socket.create_connection(lab.address, TIMEOUT)
        lab.sockets.append(client)
        client.sendall(message(66))
        client.shutdown(socket.SHUT_WR)
        daemon, _ = lab.listener.accept()
        lab.sockets.append(daemon)
        daemon.settimeout(TIMEOUT)
        assert read(daemon, 29) == message(66)


def test_small_messages_are_not_held_back(lab: RelayedLab) -> None:
    """With Nagle's algorithm, or without one of the flushes, a round trip would take 40 ms."""
    client, daemon = lab.connect()
    call, reply = message(216, domain_payload()), message(216, kind=REPLY)
    started = time.monotonic()
    for _ in range(50):
        client.sendall(call[:40])
        client.sendall(call[40:])
        read(daemon, len(call))
        daemon.sendall(reply)
        read(client, len(reply))
    assert time.monotonic() - started < 1.0


@pytest.mark.parametrize("from_client", [True, False])
@pytest.mark.parametrize("procedure", [70, 213])
def test_reader_that_does_not_read_stops_the_sender(lab: RelayedLab, from_client: bool, procedure: int) -> None:
    client, daemon = lab.connect()
    sender, reader = (client, daemon) if from_client else (daemon, client)
    data = message(procedure, domain_payload() + bytes(50_000), kind=0 if from_client else REPLY)
    sent = fill(sender, data)
    assert 0 < lab.kept_bytes() < 500_000
    # A slow reader does not stop what goes the other way.
    reader.sendall(message(1))
    assert read(sender, 28) == message(1)
    whole = sent // len(data) * len(data)
    assert read(reader, whole) == data * (sent // len(data))
    wait_for(lambda: lab.kept_bytes() <= sent - whole)


def test_half_close_is_passed_on(lab: RelayedLab) -> None:
    client, daemon = lab.connect()
    client.sendall(message(1, b"last")[:30])
    client.shutdown(socket.SHUT_WR)
    assert read(daemon, 100) == message(1, b"last")[:30]
    daemon.sendall(message(1, kind=REPLY))
    assert read(client, 28) == message(1, kind=REPLY)
    daemon.shutdown(socket.SHUT_WR)
    assert read(client, 1) == b""


@pytest.mark.parametrize("size", [3, 20, 40])
def test_end_in_the_middle_of_a_wanted_message_passes_on_what_there_was(lab: RelayedLab, size: int) -> None:
    client, daemon = lab.connect()
    client.sendall(message(213, domain_payload())[:size])
    client.close()
    assert read(daemon, 100) == message(213, domain_payload())[:size]


def test_reset_is_passed_on_as_a_reset(lab: RelayedLab) -> None:
    client, daemon = lab.connect()
    client.sendall(message(1))
    read(daemon, 28)
    daemon.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    daemon.close()
    with pytest.raises(ConnectionResetError):
        client.recv(1)


def test_closed_connections_leave_nothing_behind(lab: RelayedLab) -> None:
    for _ in range(20):
        client, daemon = lab.connect()
        client.close()
        assert read(daemon, 1) == b""
        daemon.close()
    wait_for(lambda: not lab.relays._relays)


def test_daemon_that_is_not_there_closes_the_connection() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    relays = Relays([Link("client-target", "127.0.0.1", port)], "127.0.0.1", NAMES)
    host, own = relays.start()["client-target"].split(":")
    try:
        with socket.create_connection((host, int(own)), TIMEOUT) as client:
            assert read(client, 1) == b""
        assert len(relays.oddities) == 1
        assert relays.oddities[0].startswith("link client-target: no connection to its daemon (")
        wait_for(lambda: not relays._relays)
    finally:
        relays.stop()


@pytest.mark.parametrize("from_client", [True, False])
def test_what_is_no_rpc_is_passed_on_and_noted(lab: RelayedLab, from_client: bool) -> None:
    client, daemon = lab.connect()
    sender, reader = (client, daemon) if from_client else (daemon, client)
    reader.sendall(message(213, domain_payload())[:40])  # the start of a message that is kept back on its way to a daemon
    hello = b"\x16\x03\x01\x02\x00" + bytes(300)
    sender.sendall(message(1) + hello)
    assert read(reader, 28 + len(hello)) == message(1) + hello
    assert read(sender, 40) == message(213, domain_payload())[:40]
    side = "client" if from_client else "daemon"
    assert lab.relays.oddities == [
        f"link client-source: a message of {0x16030102} bytes is not libvirt's RPC (sent by the {side}); passed on unseen"
    ]
    client.sendall(message(213, domain_payload())[:40])
    assert read(daemon, 40) == message(213, domain_payload())[:40]
    other_client, other_daemon = lab.connect()
    other_client.sendall(message(213, domain_payload()))
    assert read(other_daemon, 60) == message(213, domain_payload())[:60]
    assert len(lab.relays.take(DOMAIN)) == 1


def test_stop_ends_everything_and_may_be_called_again() -> None:
    with relayed_lab() as lab:
        client, daemon = lab.connect()
        idle_client, _ = lab.connect()
        client.sendall(message(213, domain_payload()))
        lab.relays.stop()
        for sock in (client, daemon, idle_client):
            with pytest.raises(ConnectionResetError):
                while sock.recv(1000):
                    pass
        assert not [thread for thread in threading.enumerate() if thread.name == "relays"]
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(lab.address, TIMEOUT)
        lab.relays.stop()
        assert len(lab.relays.take(DOMAIN)) == 1
        assert lab.relays.oddities == []


def test_stop_before_start_does_nothing() -> None:
    Relays([], "127.0.0.1", NAMES).stop()


def test_each_link_has_a_port_of_its_own() -> None:
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
    names = ["client-source", "client-target", "source-target"]
    links = [Link(name, "127.0.0.1", each.getsockname()[1]) for name, each in zip(names, listeners)]
    relays = Relays(links, "127.0.0.1", NAMES)
    addresses = relays.start()
    try:
        assert sorted(addresses) == sorted(names)
        for name, listener in zip(names, listeners):
            host, port = addresses[name].split(":")
            with socket.create_connection((host, int(port)), TIMEOUT) as client:
                daemon, _ = listener.accept()
                client.sendall(name.encode())
                client.shutdown(socket.SHUT_WR)
                assert read(daemon, 100) == name.encode()
                daemon.close()
    finally:
        relays.stop()
        for listener in listeners:
            listener.close()


def test_address_that_is_not_here_is_refused() -> None:
    relays = Relays([Link("client-source", "127.0.0.1", 1)], "192.0.2.1", NAMES)
    with pytest.raises(LabError, match=r"^the relay cannot listen at 192\.0\.2\.1 for link client-source: "):
        relays.start()
    relays.stop()


def test_namespace_that_is_not_there_is_refused() -> None:
    relays = Relays([], "127.0.0.1", NAMES, namespace="/run/netns/none-such")
    with pytest.raises(LabError, match=r"^the relay cannot enter the network namespace /run/netns/none-such: No such file"):
        relays.start()


def test_file_that_is_no_namespace_is_refused() -> None:
    relays = Relays([], "127.0.0.1", NAMES, namespace="/dev/null")
    with pytest.raises(LabError, match=r"^the relay cannot enter the network namespace /dev/null: .*the cell must be up"):
        relays.start()
