# SPDX-License-Identifier: GPL-3.0-or-later
"""Which releases a run on record has seen: scenarios/recorded.yml. The others are marked as not run yet."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Mapping

import yaml

from ..journal.whole_file import write_whole
from .schema import read_yaml, validate

HEADER = """\
---
# The releases that a run on record has seen, with the last such run of each. A release that is not here is marked "not run yet"
# in catalogue and report. Written by a recorded run, never by hand.
"""


def recorded(release: Mapping[str, Any], scenarios: Path) -> bool:
    """Whether a run on record has seen a release, with the libvirt version that it has now.

    A tree or an image must be the very one that was seen: its name says nothing of what is in it.

    :param release: ``name``, ``id``, ``kind`` and ``libvirt``, as in the plan.
    :param scenarios: the folder with ``recorded.yml`` and ``schema/``.
    :raises LabError: naming file, entry and field, when the record is malformed.
    """
    entry = read_record(scenarios).get(release["name"])
    if entry is None or entry["libvirt"] != release["libvirt"]:
        return False
    return release["kind"] == "debootstrap" or bool(entry["id"] == release["id"])


def read_record(scenarios: Path) -> dict[str, Any]:
    """The record, by release name; empty when there is no file.

    :raises LabError: naming file, entry and field.
    """
    path = scenarios / "recorded.yml"
    if not path.exists():
        return {}
    data = read_yaml(path)
    record: dict[str, Any] = {} if data is None else data
    validate(record, scenarios / "schema" / "recorded.json", str(path))
    return record


def record(scenarios: Path, name: str, entry: Mapping[str, Any]) -> bool:
    """Put a release into the record, in place of its earlier entry.

    :param entry: ``id``, ``libvirt``, ``run``, ``date`` (YYYY-MM-DD), ``pair``, ``combinations`` and ``guest``.
    :returns: whether the file was changed.
    :raises LabError: when the entry is malformed, or the file cannot be written.
    """
    path = scenarios / "recorded.yml"
    before = read_record(scenarios)
    after = {**before, name: dict(entry)}
    validate(after, scenarios / "schema" / "recorded.json", f"the record's entry '{name}'")
    if after == before:
        return False
    text = HEADER + yaml.safe_dump(after, default_flow_style=None, width=120)
    write_whole(path, text.encode(), "make the record writable, or do not record")
    return True
