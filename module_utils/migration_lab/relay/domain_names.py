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
        :param pattern: regular expression of the names, such as ``mlab-noo-[0-9]+``. What follows a name in a call, a UUID,
            may look like more of it: there the length that XDR puts before a string says where the name ends.
        """
        self._pattern = re.compile(pattern.encode())

    def find(self, payload: Union[bytes, memoryview]) -> Optional[str]:
        """The first of the names in a call, None when there is none."""
        data = bytes(payload)
        for match in self._pattern.finditer(data):
            start, end = match.span()
            counted = self._pattern.fullmatch(data, start, start + int.from_bytes(data[max(0, start - 4):start], "big"))
            if counted:
                return counted.group().decode(errors="replace")
            if not (_NAME_CHARACTER.match(data[start - 1:start]) or _NAME_CHARACTER.match(data[end:end + 1])):
                return match.group().decode(errors="replace")
        return None
