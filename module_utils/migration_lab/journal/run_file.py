# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads run.json, for those who report a run, follow it or resume it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..model.errors import LabError
from .journal import SCHEMA

# What the playbook writes into run.json when a run starts.
RUN_FIELDS = ("run", "started", "user", "host", "revision", "pair", "profile", "guest", "combinations", "cases")


def read_run_file(path: Path) -> dict[str, Any]:
    """What run.json says of a run.

    :raises LabError: when it cannot be read, has another schema, or lacks what the run's start writes into it.
    """
    data = read_object(path, "name the folder of one run, results/<run>")
    if data.get("schema") != SCHEMA:
        raise LabError(
            f"{path} has schema {data.get('schema')}, this lab reads schema {SCHEMA}; use the lab's version that wrote it"
        )
    for name in RUN_FIELDS:
        if name not in data:
            raise LabError(f"{path} has no field '{name}', which the run's start writes into it; restore the file or run again")
    return data


def read_object(path: Path, advice: str) -> dict[str, Any]:
    """The JSON object in a file.

    :param advice: what to do when it cannot be read, for the error.
    :raises LabError: when it cannot be read.
    """
    try:
        data = json.loads(path.read_bytes())
    except OSError as error:
        raise LabError(f"{path} cannot be read: {error.strerror}; {advice}") from error
    except ValueError as error:
        raise LabError(f"{path} is not JSON ({error}); restore the file or run again") from error
    if not isinstance(data, dict):
        raise LabError(f"{path} holds no JSON object; restore the file or run again")
    return data
