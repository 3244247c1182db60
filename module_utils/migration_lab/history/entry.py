# SPDX-License-Identifier: GPL-3.0-or-later
"""What the history keeps of a run."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any, Optional

from ..journal.journal import IDENTITY
from ..model.case import ROLES
from ..model.combination import classes
from ..model.pair import releases_of
from ..results.comparable import question
from ..results.comparison import case_state
from ..results.run import CombinationResult, Run
from ..results.run_folders import journal_bytes

# Fields of run.json that are kept as they are.
_TEXTS = ("started", "profile", "guest")

# What a verdict can come from, of all that a machine reports. The kernel is the lab host's: it changes under all machines
# at once and says nothing of one combination's. Host names say nothing at all.
_VERSIONS = ("libvirt", "hypervisor", "packages")


@dataclass(frozen=True)
class CombinationRecord:
    """A combination of a run.

    ``counts`` are its cases by verdict, ``versions`` what its machines reported, by role. ``conditions`` stands for all that
    a verdict can come from: where it is the same in two runs, nothing was changed between them. ``cases`` has the verdict of
    each selected case, or ``not obtained``, and the reason.
    """

    green: bool
    counts: dict[str, int]
    versions: dict[str, dict[str, str]]
    conditions: str
    cases: dict[str, tuple[str, str]]


@dataclass(frozen=True)
class RunRecord:
    """A run. ``pair`` and ``asked`` are JSON.

    ``journal_bytes`` is the size of the journals that it was made from, in bytes; None where an older version wrote the history.
    """

    name: str
    started: str
    green: bool
    pair: str
    profile: str
    guest: str
    asked: str
    journal_bytes: Optional[int]
    combinations: dict[str, CombinationRecord]


def record_of(run: Run) -> RunRecord:
    """What the history keeps of a run.

    :raises TypeError: when a text in its run.json or a case's name is something else; damage may lead to other errors as well.
    """
    data = run.data
    texts = [data[field] for field in _TEXTS] + [case for combination in run.combinations for case in combination.selected]
    for text in texts:
        if not isinstance(text, str):
            raise TypeError(f"{text!r} is no text")
    asked = question(data)
    return RunRecord(
        run.folder.name, data["started"], run.green, _text(asked["pair"]), data["profile"], data["guest"], _text(asked["asked"]),
        journal_bytes(run.folder), {combination.name: _combination(run, combination) for combination in run.combinations},
    )


def _combination(run: Run, combination: CombinationResult) -> CombinationRecord:
    versions = {
        role: {what: reported[what] for what in _VERSIONS if what in reported}
        for role, reported in combination.versions.items()
    }
    return CombinationRecord(
        combination.green, combination.counts, versions, _conditions(run, combination, versions),
        {case: case_state(combination, case) for case in combination.selected},
    )


def _conditions(run: Run, combination: CombinationResult, versions: dict[str, dict[str, str]]) -> str:
    """A digest of what a resume asks to be the same, with the releases that the machines were made from; empty if not known."""
    if combination.record is None:
        return ""
    header = combination.record.headers[0]
    ages, sides, releases = classes(combination.name), releases_of(run.data["pair"]), run.data.get("releases", {})
    facts = {
        **{field: header.get(field) for field in IDENTITY},
        "versions": versions,
        "releases": {role: releases.get(sides[ages[role]]) for role in ROLES},
    }
    return hashlib.sha256(_text(facts).encode()).hexdigest()[:12]


def _text(data: Any) -> str:
    return json.dumps(data, sort_keys=True)
