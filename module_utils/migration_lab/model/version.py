# SPDX-License-Identifier: GPL-3.0-or-later
"""libvirt's version numbers."""

from __future__ import annotations

import re

from .errors import LabError


def parse_version(text: str) -> int:
    """A version such as ``0.9.2`` as libvirt's number: major * 1,000,000 + minor * 1,000 + release.

    :raises LabError: when the text is no version.
    """
    match = re.fullmatch(r"(\d+)\.(\d{1,3})(?:\.(\d{1,3}))?", str(text))
    if not match:
        raise LabError(f"'{text}' is not a version; write it like 0.9.2")
    major, minor, release = (int(part or 0) for part in match.groups())
    return major * 1_000_000 + minor * 1_000 + release


def format_version(number: int) -> str:
    """libvirt's version number as text: 9000000 is ``9.0.0``."""
    return f"{number // 1_000_000}.{number // 1_000 % 1_000}.{number % 1_000}"
