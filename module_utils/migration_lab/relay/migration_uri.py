# SPDX-License-Identifier: GPL-3.0-or-later
"""The migration URI in a reply to prepare: where the target's QEMU waits for the memory stream. Pure.

The results of prepare2, prepare3 and prepare3-params are the same on the wire, in all versions: a cookie (``opaque<>``) and
``uri_out`` (``remote_string``, which may be absent); see remote_protocol.x.
"""

from __future__ import annotations

import re
import struct
from typing import NamedTuple, Optional, Union

from .framing import Header, Message

# ``tcp:HOST:PORT`` up to libvirt 1.1, whose QEMU takes it as it is, ``tcp://HOST:PORT`` later; a numeric IPv6 host has brackets.
_URI = re.compile(r"(?P<start>tcp:(?://)?)(?P<host>\[[^\]]*\]|[^:/\[\]]+):(?P<port>\d{1,5})(?P<rest>/?)")


class MigrationUri(NamedTuple):
    """A migration URI in its parts; ``start`` is the scheme with what follows it."""

    start: str
    host: str
    port: int
    rest: str

    @classmethod
    def parse(cls, text: str) -> Optional[MigrationUri]:
        """Take a URI apart; None when it is of another form."""
        match = _URI.fullmatch(text)
        return match and cls(match["start"], match["host"], int(match["port"]), match["rest"])

    def at(self, host: str, port: int) -> str:
        """The same URI for another place, in the same form; ``host`` is numeric."""
        shown = f"[{host}]" if ":" in host else host
        return f"{self.start}{shown}:{port}{self.rest}"


def uri_out(payload: Union[bytes, memoryview]) -> Optional[str]:
    """The URI in the payload of a successful reply to prepare; None where the target has given none.

    :raises ValueError: when the payload is not such a reply's.
    """
    start, end = _place(bytes(payload))
    return None if start == end else bytes(payload[start + 4:end]).rstrip(b"\0").decode(errors="replace")


def with_uri_out(message: Message, uri: str) -> Message:
    """The same reply with another URI in it; ``message`` must have one."""
    payload = bytes(message.payload)
    start, end = _place(payload)
    text = uri.encode()
    payload = payload[:start] + struct.pack(">I", len(text)) + text + bytes(-len(text) % 4) + payload[end:]
    header: Header = message.header._replace(length=message.header.length - len(message.payload) + len(payload))
    return Message(header, header.encode() + payload)


def _place(payload: bytes) -> tuple[int, int]:
    """Where the URI's length begins and its padding ends; the two are the same where there is none."""
    try:
        (cookie,) = struct.unpack_from(">I", payload)
        flag = 4 + cookie + -cookie % 4
        (present,) = struct.unpack_from(">I", payload, flag)
        start = end = flag + 4
        if present == 1:
            (length,) = struct.unpack_from(">I", payload, start)
            end = start + 4 + length + -length % 4
    except struct.error as error:
        raise ValueError("the reply is too short") from error
    if present > 1 or end > len(payload):
        raise ValueError("the reply has another form")
    return start, end
