# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes a file at once or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from ..model.errors import LabError


def write_whole(path: Path, content: bytes, advice: str) -> None:
    """Write a file beside its place and move it there: a reader, or a kill, never meets half a file. Its folder is made.

    :param advice: what to do when it cannot be written, for the error.
    :raises LabError: when it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(content)
                os.fchmod(stream.fileno(), 0o644)
                stream.flush()
                os.fsync(stream.fileno())
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink()
            raise
    except OSError as error:
        raise LabError(f"{path} cannot be written: {error.strerror}; {advice}") from error
