# SPDX-License-Identifier: GPL-3.0-or-later
"""libvirt's RPC for tests: messages made by hand, and a daemon that is a listening socket, with a relay before it."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Optional

from migration_lab.relay.ceiling import Ceiling
from migration_lab.relay.relay import Link
from migration_lab.relay.relays import Relays

REMOTE, QEMU, KEEPALIVE = 0x20008086, 0x20008087, 0x6B656570
CALL, REPLY, EVENT, STREAM = range(4)
OK, ERROR, CONTINUE = range(3)

NAMES = "mlab-[a-z]{3}-[0-9]{3}"
DOMAIN = "mlab-noo-001"
LINK = "client-source"
TIMEOUT = 10.0
# Bytes. The kernel takes some MB for each of the four sockets of a connection through a relay.
FILL_MAX = 64_000_000


def message(
    procedure: int, payload: bytes = b"", *, kind: int = CALL, serial: int = 1, status: int = OK, program: int = REMOTE
) -> bytes:
    """A whole message."""
    return struct.pack(">IIIiiIi", 28 + len(payload), program, 1, procedure, kind, serial, status) + payload


def string(text: str) -> bytes:
    """A string as XDR writes it."""
    data = text.encode()
    return struct.pack(">I", len(data)) + data + bytes(-len(data) % 4)


def domain_payload(name: str = DOMAIN) -> bytes:
    """The start of a call that is about a domain: its name, UUID and id. The UUID begins with a digit's code."""
    return string(name) + b"0123456789abcdef" + struct.pack(">i", 7)


def error_payload(text: str) -> bytes:
    """The start of an error reply's payload."""
    return struct.pack(">iiI", 38, 10, 1) + string(text) + struct.pack(">i", 2)


def read(sock: socket.socket, size: int) -> bytes:
    """Exactly so many bytes, or what came before the end of the connection."""
    data = b""
    while len(data) < size:
        more = sock.recv(size - len(data))
        if not more:
            break
        data += more
    return data


def wait_for(condition: Callable[[], Any]) -> Any:
    """Wait until something is so, and give out what made it so."""
    deadline = time.monotonic() + TIMEOUT
    while not (result := condition()):
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.002)
    return result


@dataclass
class RelayedLab:
    """A relay before a daemon. ``connect`` gives both sides of a new connection through it: client and daemon."""

    relays: Relays
    address: tuple[str, int]
    listener: socket.socket
    sockets: list[socket.socket] = field(default_factory=list)

    def connect(self) -> tuple[socket.socket, socket.socket]:
        client = socket.create_connection(self.address, TIMEOUT)
        self.sockets.append(client)
        daemon, _ = self.listener.accept()
        self.sockets.append(daemon)
        for sock in (client, daemon):
            sock.settimeout(TIMEOUT)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return client, daemon

    def kept_bytes(self) -> int:
        """Bytes that the relay itself, not the kernel, has taken and not passed on."""
        ends = [end for relay in self.relays._relays for end in (relay.near, relay.far)]
        return sum(
            sum(map(len, [*end._unread, *end._answers])) + (end._transport.get_write_buffer_size() if end._transport else 0)
            for end in ends
        )


def fill(sock: socket.socket, data: bytes) -> int:
    """Send the same again and again until nothing more is taken.

    :returns: the number of bytes that were.
    """
    sent = 0
    sock.settimeout(0.3)
    try:
        while sent < FILL_MAX:
            sent += sock.send(memoryview(data)[sent % len(data):])
    except (TimeoutError, socket.timeout):
        sock.settimeout(TIMEOUT)
        return sent
    raise AssertionError("it never stops taking")


@contextmanager
def relayed_lab(ceiling: Optional[Ceiling] = None, **fields: Any) -> Iterator[RelayedLab]:
    """A relay with one link to a daemon of the test's own; ends with everything it opened."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(TIMEOUT)
    relays = Relays([Link(LINK, "127.0.0.1", listener.getsockname()[1], ceiling)], "127.0.0.1", NAMES, **fields)
    host, port = relays.start()[LINK].split(":")
    lab = RelayedLab(relays, (host, int(port)), listener)
    try:
        yield lab
    finally:
        relays.stop()
        for sock in [*lab.sockets, listener]:
            sock.close()
