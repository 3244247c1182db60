# SPDX-License-Identifier: GPL-3.0-or-later
"""Records the releases of a proven run in scenarios/recorded.yml."""

from __future__ import annotations

from pathlib import Path

from ..model.combination import classes
from ..model.errors import LabError
from ..model.pair import releases_of
from ..planning.recorded import record
from ..results.run import Run


def record_run(scenarios: Path, run: Run) -> list[str]:
    """Put the releases of a run into the record.

    :returns: the releases whose entries were changed.
    :raises LabError: when the run is not green, or chose only some of the cases: such a run proves too little.
    """
    data = run.data
    if not run.green or data["cases"] != ["*"]:
        raise LabError(
            f"run {data['run']} cannot be recorded: it is {'not green' if not run.green else 'a run of chosen cases'}; "
            "record a green run of all cases"
        )
    changed = []
    for name, release in data.get("releases", {}).items():
        ages = {kind for kind, side in releases_of(data["pair"]).items() if side == name}
        took_part = [result.name for result in run.combinations if ages & set(classes(result.name).values())]
        entry = {
            "id": release["id"], "libvirt": release["libvirt"], "run": data["run"], "date": data["started"][:10],
            "pair": data["pair"]["name"], "combinations": took_part, "guest": data["guest"],
        }
        if took_part and record(scenarios, name, entry):
            changed.append(name)
    return changed
