# SPDX-License-Identifier: GPL-3.0-or-later
"""A night of the lab: whether it goes on with the one before, and what is to be said of it.

``nightly.json`` in the results folder says what the running or last night does. Each night's run has a file of the same name,
with what the night came to beside the run's own results.
"""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Mapping, Optional

from ..journal.whole_file import write_whole
from ..model.errors import LabError
from ..results.comparison import ChangeKind
from ..results.run import NOT_OBTAINED, RUN_FILE
from ..results.wording import count

NIGHT_FILE = "nightly.json"
SCHEMA = 1
GIB = 1024**3

# The kinds of changes in a comparison, as migration_report returns it.
CHANGES = tuple(kind.key for kind in ChangeKind)
SHOWN = 40  # changes that a message lists


@dataclass
class NightState:
    """What ``nightly.json`` in the results folder says."""

    run: str
    started: str
    attempts: int = 1  # nights that have worked on the run
    ended: bool = False  # whether it has come to its end, with a report
    images: dict[str, str] = field(default_factory=dict)  # by release the id of the image that the run began with
    packages: list[dict[str, str]] = field(default_factory=list)  # what was newer: release, name, old, new

    def save(self, root: Path) -> None:
        """Write the file, at once or not at all.

        :raises LabError: when it cannot be written.
        """
        _save(root / NIGHT_FILE, vars(self))


def last_night(root: Path) -> tuple[Optional[NightState], str]:
    """The last night, or why it is not known.

    :returns: None when there was none, or when the file cannot be used; then the second says so.
    """
    path = root / NIGHT_FILE
    try:
        data = json.loads(path.read_bytes())
        if data.pop("schema") != SCHEMA:
            raise ValueError("another schema")
        return _checked(NightState(**data)), ""
    except FileNotFoundError:
        return None, ""
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        return None, f"{path} cannot be used ({error}), so that it is not known what the last night has left"


def _checked(state: NightState) -> NightState:
    """The state itself.

    :raises ValueError: when a field is of another type.
    """
    right = {
        "run": isinstance(state.run, str), "started": isinstance(state.started, str),
        "attempts": type(state.attempts) is int, "ended": isinstance(state.ended, bool),
        "images": isinstance(state.images, dict) and all(isinstance(image, str) for image in state.images.values()),
        "packages": isinstance(state.packages, list) and all(isinstance(package, dict) for package in state.packages),
    }
    wrong = [name for name, so in right.items() if not so]
    if wrong:
        raise ValueError(f"wrong type of {', '.join(wrong)}")
    return state


def begun(before: Optional[NightState], run: str, images: Mapping[str, str], packages: list[dict[str, str]]) -> NightState:
    """What a night that works on a run keeps at its beginning.

    :param before: the last night. Of a run that is gone on with the images stay known, also those that this night does not know;
        packages that were newer for a run that is not at its end are still to be told with whatever run comes next.
    :param images: by release the id of the image that there is now, as far as they are known; empty for one that was built again
        and whose id is not known.
    :param packages: what was newer this night.
    """
    known = {name: image for name, image in images.items() if image}
    state = NightState(run, now_text(), images=known, packages=list(packages))
    if before and before.run == run:
        state.attempts = before.attempts + 1
        state.images = {**before.images, **known}
    if before and not before.ended:
        state.packages = [*before.packages, *packages]
    return state


def to_go_on_with(root: Path, state: Optional[NightState], images: Mapping[str, str], attempts: int) -> tuple[str, str]:
    """Whether the last night was cut off and can be gone on with, as far as can be told without a plan.

    :param images: by release the id of the image that there is now, as far as they are known; empty for one that was built again
        and whose id is not known.
    :param attempts: nights that may work on one run.
    :returns: the name of its run, or an empty one; and then why not, empty where there is nothing to go on with.
    """
    if state is None or state.ended or not (root / state.run / RUN_FILE).exists():
        return "", ""
    if state.attempts >= attempts:
        return "", f"run {state.run} was cut off {count(state.attempts, 'time')} and is left as it is"
    other = sorted(name for name, image in state.images.items() if images.get(name, image) != image)
    if other:
        return "", f"run {state.run} was cut off and is left as it is: the image of {', '.join(other)} is another one now"
    return state.run, ""


def check_space(root: Path, needed: float) -> float:
    """Refuse to begin on a disk that is nearly full.

    :param needed: free space to ask for, in GiB.
    :returns: the free space of the results folder's file system, in GiB.
    :raises LabError: saying how much is needed, and where.
    """
    existing = root
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    free = shutil.disk_usage(existing).free / GIB
    if free < needed:
        raise LabError(
            f"{free:.2f} GiB are free in the results folder {root}, a night needs {needed:g}; make room, or lower "
            "nightly_min_free"
        )
    return free


@dataclass(frozen=True)
class Night:
    """What a night came to."""

    run: str
    folder: str
    host: str
    resumed: bool
    why: str  # why a night that was cut off was not gone on with; empty where there was none
    packages: list[dict[str, str]]
    problems: list[str]  # what the lab could not do, in sentences
    report: Optional[dict[str, Any]]  # green, summary, line, counts, lost and comparison; None without a report

    @property
    def green(self) -> bool:
        """Whether the run is green and the lab has done all that it had to."""
        return bool(self.report and self.report["green"] and not self.problems)

    @property
    def failed(self) -> bool:
        """Whether the lab itself failed: then the results say less than they should."""
        if self.report is None or self.problems:
            return True
        counts = self.report["counts"]
        return bool(counts.get("error") or counts.get(NOT_OBTAINED) or self.report.get("lost"))

    @property
    def changes(self) -> list[dict[str, Any]]:
        """The cases and combinations that have another result than in the last comparable run."""
        comparison = (self.report or {}).get("comparison") or {}
        return [{"kind": kind, **change} for kind in CHANGES for change in comparison.get(kind, [])]

    @property
    def changed(self) -> bool:
        """Whether there is something new: other results, newer packages, or a first run that is not green."""
        if self.report is None:
            return bool(self.packages)
        first = not self.report.get("comparison")
        return bool(self.changes or self.packages or (first and not self.report["green"]))

    @property
    def line(self) -> str:
        """The night in a line, for chat and subject."""
        report = self.report or {}
        run = f"run {self.run}" if self.run else "no run"
        parts = [report.get("line") or f"{run}: {report.get('summary') or 'no result'}"]
        if report.get("comparison") and not report.get("line"):
            parts.append(report["comparison"]["line"])
        if self.packages:
            parts.append(f"{count(len(self.packages), 'package')} newer")
        if self.problems:
            parts.append(f"the lab failed: {self.problems[0]}")
        return f"migration lab on {self.host}: {'; '.join(parts)}"

    @property
    def text(self) -> str:
        """The night in a few lines, for a mail."""
        lines = [self.line, ""]
        lines += [f"{package['release']}: {package_text(package)}" for package in self.packages]
        lines += [change_text(change) for change in self.changes[:SHOWN]]
        if len(self.changes) > SHOWN:
            lines.append(f"... and {len(self.changes) - SHOWN} further changes")
        lines += self.problems
        lines += [self.why] if self.why else []
        lines += [f"results: {self.folder}"] if self.run else []
        return "\n".join(lines) + "\n"

    def to_data(self) -> dict[str, Any]:
        """As it is kept with the run and posted to a webhook."""
        return {
            "schema": SCHEMA, "run": self.run, "folder": self.folder, "host": self.host, "resumed": self.resumed, "why": self.why,
            "green": self.green, "changed": self.changed, "failed": self.failed, "line": self.line,
            "packages": self.packages, "problems": self.problems,
            "summary": (self.report or {}).get("summary", ""), "counts": (self.report or {}).get("counts", {}),
            "comparison": (self.report or {}).get("comparison"),
        }

    def save(self) -> None:
        """Keep it with the run, when there is one.

        :raises LabError: when it cannot be written.
        """
        if self.run and (Path(self.folder) / RUN_FILE).exists():
            _save(Path(self.folder) / NIGHT_FILE, self.to_data())


def package_text(package: Mapping[str, str]) -> str:
    """A newer package in words."""
    return f"{package['name']} {package['old']} -> {package['new']}"


def change_text(change: Mapping[str, Any]) -> str:
    """A change in words, with the reason of what is not as it should be."""
    what = f"{change['kind'].replace('_', ' ')}: {change['combination']} {change['case'] or 'as a whole'}"
    reason = f" ({change['reason_after']})" if change["reason_after"] else ""
    return f"{what}: {change['before']} -> {change['after']}{reason}"


def now_text() -> str:
    """The time, as run.json has it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def _save(path: Path, data: Mapping[str, Any]) -> None:
    text = json.dumps({"schema": SCHEMA, **data}, indent=2) + "\n"
    write_whole(path, text.encode(), "make room, or set results_root to a folder that can be written")
