# SPDX-License-Identifier: GPL-3.0-or-later
"""Digests that identify data and files."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any


def files_id(paths: list[Path]) -> str:
    """A digest of files, by name and content."""
    return bytes_id(b"".join(path.name.encode() + b"\0" + path.read_bytes() + b"\0" for path in sorted(paths)))


def data_id(data: Any) -> str:
    """A digest of data that came from YAML or JSON."""
    return bytes_id(json.dumps(data, sort_keys=True).encode())


def bytes_id(data: bytes) -> str:
    """A digest of bytes."""
    return hashlib.sha256(data).hexdigest()[:12]
