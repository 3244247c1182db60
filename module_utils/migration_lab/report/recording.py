# SPDX-License-Identifier: GPL-3.0-or-later
"""Records the releases of a proven run in scenarios/recorded.yml."""

from __future__ import annotations

from pathlib import Path

from ..model.combination import classes, running_order
from ..model.errors import LabError
from ..model.pair import classes_of, is_sweep, releases_of
from ..planning.recorded import record
from ..results.run import Run

# The whole matrix of a pair, and of a sweep the one that it has unless it is given another.
_PROFILE, _OF_SWEEPS = "canonical", "sweep"


def record_run(scenarios: Path, run: Run) -> list[str]:
    """Put the releases of a run into the record.

    :returns: the releases whose entries were changed.
    :raises LabError: when the run is not green, or not of all cases of the matrix: such a run proves too little.
    """
    data = run.data
    lacking = _lacking(run)
    if lacking:
        raise LabError(
            f"run {data['run']} cannot be recorded: it is {lacking}; record a green run of all combinations and cases, of a pair "
            f"with profile {_PROFILE} or of a sweep with that or {_OF_SWEEPS}"
        )
    changed = []
    for name, release in data.get("releases", {}).items():
        ages = {kind for kind, side in releases_of(data["pair"]).items() if side == name}
        took_part = [result.name for result in run.combinations if ages & set(classes(result.name).values())]
        entry = {
            "id": release["id"], "libvirt": release["libvirt"], "run": data["run"], "date": data["started"][:10],
            "pair": data["pair"]["name"], "combinations": took_part, "guest": data["guest"],
        }
        if record(scenarios, name, entry):
            changed.append(name)
    return changed


def _lacking(run: Run) -> str:
    """What a run is that proves too little, in words; empty when it proves enough."""
    data = run.data
    if not run.green:
        return "not green"
    if data["profile"] != _PROFILE and not (is_sweep(data["pair"]) and data["profile"] == _OF_SWEEPS):
        return f"of profile {data['profile']}"
    if data["cases"] != ["*"]:
        return "a run of chosen cases"
    if set(data["combinations"]) != set(running_order(classes_of(data["pair"]))):
        return "a run of chosen combinations"
    return ""
