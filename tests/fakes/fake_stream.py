# SPDX-License-Identifier: GPL-3.0-or-later
"""A memory stream for tests: a QEMU on the target that is a listening socket, and one on the source that is another socket."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Optional

from fake_rpc import DOMAIN, NAMES, REPLY, TIMEOUT, RelayedLab, domain_payload, message, read, string
from migration_lab.relay.interception import Action, Forward, Interceptor, Passage
from migration_lab.relay.relay import Link
from migration_lab.relay.relays import Relays

MIB = 1024 * 1024
PREPARE = 303


def uri_payload(uri: Optional[str], cookie: bytes = b"<cookie/>") -> bytes:
    """What a daemon answers prepare with."""
    start = struct.pack(">I", len(cookie)) + cookie + bytes(-len(cookie) % 4)
    return start + (struct.pack(">I", 0) if uri is None else struct.pack(">I", 1) + string(uri))


def device_state(size: int) -> bytes:
    """The end of a stream as QEMU sends it: so many bytes of state, and their description."""
    description = b'{"page_size":4096,"devices":[]}'
    return b"s" * size + b"\x00\x06" + struct.pack(">I", len(description)) + description


class Script(Interceptor):
    """Does one thing at one point; notes what it is asked about."""

    def __init__(self, point: str = "", action: Optional[Action] = None) -> None:
        self.seen: list[tuple[str, str]] = []
        self.passages: list[Passage] = []
        self._point, self._action = point, action

    def wants(self, domain: str) -> Optional[str]:
        assert domain == DOMAIN
        return self._point

    async def passes(self, passage: Passage) -> Action:
        self.seen.append((passage.link, passage.point))
        self.passages.append(passage)
        return self._action if self._action is not None and passage.point == self._point else Forward()


@dataclass
class StreamLab(RelayedLab):
    """A relay before a target's daemon, and that target's QEMU."""

    qemu: Optional[socket.socket] = None

    @property
    def port(self) -> int:
        assert self.qemu is not None
        return int(self.qemu.getsockname()[1])

    def prepare(self, uri: Optional[str], procedure: int = PREPARE) -> bytes:
        """Prepare a migration; returns the reply that the client got."""
        client, daemon = self.connect()
        call, answer = message(procedure, domain_payload()), message(procedure, uri_payload(uri), kind=REPLY)
        client.sendall(call)
        assert read(daemon, len(call)) == call
        daemon.sendall(answer)
        size = read(client, 4)
        return size + read(client, int.from_bytes(size, "big") - 4)

    def stream_port(self) -> int:
        """Prepare a migration; returns the port that the source is to connect to."""
        text = self.prepare(f"tcp:a-target:{self.port}").rstrip(b"\0").decode(errors="replace")
        return int(text.rpartition(":")[2])

    def open(self) -> tuple[socket.socket, socket.socket]:
        """Prepare a migration and open its stream; both sides of it: source and target."""
        return self.pair(self.stream_port())

    def pair(self, port: int) -> tuple[socket.socket, socket.socket]:
        """The stream at a port of the relay."""
        assert self.qemu is not None
        source = socket.create_connection(("127.0.0.1", port), TIMEOUT)
        target, _ = self.qemu.accept()
        target.settimeout(TIMEOUT)
        self.sockets += [source, target]
        return source, target


@contextmanager
def stream_lab(*interceptors: Interceptor, carried: bool = True) -> Iterator[StreamLab]:
    """A relay with one link to a target's daemon, whose memory streams it carries; ends with everything it opened."""
    listener, qemu = socket.create_server(("127.0.0.1", 0)), socket.create_server(("127.0.0.1", 0))
    for sock in (listener, qemu):
        sock.settimeout(TIMEOUT)
    relays = Relays([Link("client-target", "127.0.0.1", listener.getsockname()[1])], "127.0.0.1", NAMES)
    if carried:
        relays.carry_memory()
    for interceptor in interceptors:
        relays.intercept(interceptor)
    host, port = relays.start()["client-target"].split(":")
    lab = StreamLab(relays, (host, int(port)), listener, qemu=qemu)
    try:
        yield lab
    finally:
        relays.stop()
        for sock in [*lab.sockets, listener, qemu]:
            sock.close()
