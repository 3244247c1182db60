# SPDX-License-Identifier: GPL-3.0-or-later
"""A run in one line, for a chat."""

from __future__ import annotations

from typing import Optional

from ..model.verdict import Verdict
from ..results.comparison import Comparison
from ..results.run import Run
from ..results.wording import count, one_line

# Characters; what a chat shows without folding it.
LONGEST = 300

# A name that a user chose can be as long as a file's name; of one it is the start that tells.
_LONGEST_NAME = 60


def chat_line(run: Run, comparison: Optional[Comparison] = None) -> str:
    """The run in a line of at most ``LONGEST`` characters.

    :returns: pair and versions, green or not, cases by verdict, what changed where there is a comparison, and the run's name.
    """
    name = f"run {_short(run.folder.name)}"
    changed = f"against {_short(comparison.base)}: {comparison.tally}" if comparison else ""
    parts = [f"{_what(run)}: {_sums(run)}", *run.notices.values(), changed]
    text = one_line("; ".join(part for part in parts if part))
    room = LONGEST - len(f"; {name}")
    return f"{text if len(text) <= room else text[:room - 3] + '...'}; {name}"


def _what(run: Run) -> str:
    """``debian, libvirt 9.0.0 -> 11.3.0``; of a run with one class of machines ``debian, new libvirt 11.3.0``."""
    name = _short(run.data["pair"]["name"])
    versions = {age: " and ".join(found) for age, found in run.class_versions.items() if found}
    only = f"{next(iter(versions))} " if len(versions) == 1 else ""
    return f"{name}, {only}libvirt {' -> '.join(versions.values())}" if versions else name


def _sums(run: Run) -> str:
    numbers = [f"{run.counts[verdict.key]} {verdict.value}" for verdict in Verdict if run.counts[verdict.key]]
    lost = sum(not combination.obtained for combination in run.combinations)
    if lost:
        numbers.append(f"{count(lost, 'combination')} not obtained")
    deaths = sum(len(combination.record.unexplained_deaths) for combination in run.combinations if combination.record)
    if deaths:
        numbers.append(f"{count(deaths, 'daemon death')} unexplained")
    return f"{'green' if run.green else 'NOT green'}, {', '.join(numbers)}"


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else f"{name[:_LONGEST_NAME - 3]}..."
