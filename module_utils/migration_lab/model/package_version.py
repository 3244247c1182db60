# SPDX-License-Identifier: GPL-3.0-or-later
"""Versions of packages in the order of dpkg and rpm: one number of libvirt's comes in several revisions. Pure."""

from __future__ import annotations

import re
from functools import cache
from typing import Any, Callable

from .errors import LabError

# What a machine reports of a package: the format, which decides the order, and the version.
PACKAGE = re.compile(r"(deb|rpm) ((?:(\d+):)?([\w.+~^-]+))", re.ASCII)

_Key = tuple[Any, ...]


@cache
def package_key(text: str) -> _Key:
    """What a package's version is ordered by; those of another format are all before or all after it.

    :param text: such as ``deb 1:7.2+dfsg-7+deb12u18`` or ``rpm 11.3.0-1.fc42``.
    :raises LabError: when the text is not one.
    """
    match = PACKAGE.fullmatch(text)
    if not match:
        raise LabError(f"'{text}' is not a package's version; write it like 'deb 9.0.0-4+deb12u2' or 'rpm 11.3.0-1.fc42'")
    version, _, revision = match[4].rpartition("-") if "-" in match[4] else (match[4], "", "")
    order: Callable[[str], _Key] = _deb if match[1] == "deb" else _rpm
    return (match[1], int(match[3] or 0), order(version), order(revision))


def _deb(text: str) -> _Key:
    """Order of deb-version(7): characters and numbers in turn, ``~`` before the end, letters before the others."""
    parts = [
        ((*((-1 if char == "~" else ord(char) + (0 if char.isalpha() else 256)) for char in chars), 0), int(digits or 0))
        for chars, digits in re.findall(r"([^0-9]*)([0-9]*)", text)
    ]
    nothing = ((0,), 0)
    while parts and parts[-1] == nothing:
        parts.pop()
    return (*parts, nothing)


def _rpm(text: str) -> _Key:
    """Order of rpmvercmp: ``~`` before the end, ``^`` after it, then letters, then numbers; what is between them is ignored."""
    special = {"~": (-1,), "^": (1,)}
    parts = (
        special.get(part) or ((3, int(part)) if part.isdigit() else (2, part))
        for part in re.findall("[0-9]+|[A-Za-z]+|[~^]", text)
    )
    return (*parts, (0,))
