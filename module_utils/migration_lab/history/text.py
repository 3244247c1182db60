# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes the history of a combination or of a case for a terminal."""

from __future__ import annotations

import json
from typing import Sequence

from ..model.case import ROLES
from ..model.combination import check_combinations
from ..model.errors import LabError
from ..model.pair import classes_of, pair_text
from ..model.verdict import Verdict
from ..results.wording import count, table_lines
from .entry import CombinationRecord, RunRecord
from .history import History
from .view import HistoryView, history_view

# How many runs the text shows.
RUNS_SHOWN = 100


def history_text(history: History, run: str, of: str) -> str:
    """The runs that are comparable with one, up to it, oldest first, with the result of a combination or a case in each.

    :param run: name of a run; empty: the one that was started last.
    :param of: a combination (``noo``), or a case of it (``noo/p2p/transient-paused/none``).
    :raises LabError: when there is no such run or combination, or no result of it in these runs.
    """
    combination, _, case = of.partition("/")
    record = _record(history, run)
    pair = json.loads(record.pair)
    check_combinations([combination], classes_of(pair))
    view = history_view(history, record, RUNS_SHOWN, (combination, case))
    about = f"{pair_text(pair)}, profile {record.profile}, guest {record.guest}"
    past = {entry.run: entry for entry in view.case(combination, case)}
    runs = [run for run in view.runs if (run.name in past if case else combination in run.combinations)]
    if not runs:
        raise LabError(
            f"no run of {about} up to {record.name} has selected {of}; name a combination (noo) or a case of it "
            "(noo/p2p/transient-paused/none), and with run=... a run to compare with"
        )
    if case:
        header = ["run", "started", "verdict", *ROLES, ""]
        rows = [
            [run.name, run.started, past[run.name].verdict, *_versions(run.combinations[combination]),
             " ".join(part for part in ("(flaky)" if past[run.name].changed else "", past[run.name].reason) if part)]
            for run in runs
        ]
    else:
        header, rows = _of_combination(view, runs, combination)
    flaky = sum(name == combination for name, _ in view.flaky)
    last = "flaky: its verdict changed without a change of versions" if case else f"{count(flaky, 'flaky case')}"
    return "\n".join([
        f"history of {of} ({about}), {count(len(runs), 'run')}", "", *table_lines([header, *rows], len(header)),
        *(["", last] if flaky else []),
    ])


def _record(history: History, run: str) -> RunRecord:
    name = run or history.newest()
    if name is None:
        raise LabError("there is no run in the history; run the matrix first, or set results_root")
    record = history.record(name)
    if record is None:
        raise LabError(f"the history lacks run '{name}'; name another run, or make its report first")
    return record


def _of_combination(view: HistoryView, runs: Sequence[RunRecord], combination: str) -> tuple[list[str], list[list[str]]]:
    results = [(run, run.combinations[combination]) for run in runs]
    shown = [
        verdict.key for verdict in Verdict if verdict is Verdict.PASS or any(result.counts[verdict.key] for _, result in results)
    ]
    changed = view.changed_in(combination)
    rows = [
        [run.name, run.started, *(str(result.counts[number]) for number in shown), *_versions(result),
         f"{changed[run.name]} flaky" if run.name in changed else ""]
        for run, result in results
    ]
    return ["run", "started", *(number.replace("_", " ") for number in shown), *ROLES, ""], rows


def _versions(combination: CombinationRecord) -> list[str]:
    """For each role libvirt's version, with QEMU's where there is one."""
    found = [combination.versions.get(role, {}) for role in ROLES]
    return ["/".join(versions[what] for what in ("libvirt", "hypervisor") if what in versions) or "-" for versions in found]
