# SPDX-License-Identifier: GPL-3.0-or-later
"""The error that a reply carries: remote_error of remote_protocol.x, virNetMessageError since 0.9.3; the same on the wire."""

from __future__ import annotations

import struct
from typing import Union

# Bytes of a message's text that are kept.
TEXT_MAX = 2000

# Words before the text: code, domain, whether there is a text, its length.
_START = struct.Struct(">iiII")
_LEVEL_ERROR = 2


def encode_error(code: int, domain: int, message: str) -> bytes:
    """The payload of an error reply as daemon/dispatch.c (v0.9.1) makes it for errors of its own.

    :param code: a number of virErrorNumber.
    :param domain: a number of virErrorDomain.
    """
    text = message.encode()
    string = struct.pack(">II", 1, len(text)) + text + bytes(-len(text) % 4)
    # The text again as str1; no domain, str2, str3 and network; int1 and int2 are 0.
    return struct.pack(">ii", code, domain) + string + struct.pack(">iI", _LEVEL_ERROR, 0) + string + bytes(5 * 4)


def error_text(payload: Union[bytes, memoryview]) -> str:
    """The text of an error reply, for people: never empty, cut at ``TEXT_MAX`` bytes, whatever the bytes are."""
    if len(payload) < 12:
        return "(an error that cannot be read)"
    code, domain, present = struct.unpack_from(">iiI", payload)
    if not present:
        return f"(no text; error {code}, domain {domain})"
    if present != 1 or len(payload) < _START.size:
        return "(an error that cannot be read)"
    length = _START.unpack_from(payload)[3]
    text = bytes(payload[_START.size:_START.size + min(length, TEXT_MAX)])
    return text.decode(errors="replace") or f"(no text; error {code}, domain {domain})"
