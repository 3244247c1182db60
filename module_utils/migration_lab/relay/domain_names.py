# SPDX-License-Identifier: GPL-3.0-or-later
"""Finds which of the lab's domains a migration call is about, without decoding each version's form of each call."""

from __future__ import annotations

import re
from typing import Optional, Union

_NAME_CHARACTER = re.compile(rb"[\w.+-]", re.ASCII)


class DomainNames:
    """Begin, perform and confirm carry a domain's name, finish carries dname, prepare the domain's XML."""

    def __init__(self, pattern: str) -> None:
        """
        :param pattern: regular expression of the names, such as ``mlab-[a-z]{3}-[0-9]{3}``. It must end by itself: in a
            call the next bytes, a UUID's, may be letters or digits.
        """
        self._pattern = re.compile(pattern.encode())

    def find(self, payload: Union[bytes, memoryview]) -> Optional[str]:
        """The first of the names in a call, None when there is none."""
        data = bytes(payload)
        for match in self._pattern.finditer(data):
            start, end = match.span()
            counted = data[max(0, start - 4):start] == (end - start).to_bytes(4, "big")
            if counted or not (_NAME_CHARACTER.match(data[start - 1:start]) or _NAME_CHARACTER.match(data[end:end + 1])):
                return match.group().decode(errors="replace")
        return None
