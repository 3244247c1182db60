# SPDX-License-Identifier: GPL-3.0-or-later
"""A night of the lab: whether it resumes the one before, and its report.

``nightly.json`` in the results folder is the state of the running or last night. Each night's run has a file of the same name
with the night's result.
"""

from __future__ import annotations

import calendar
import json
import shutil
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Mapping, Optional, Sequence

from ..journal.files import RUN_FILE
from ..journal.whole_file import write_whole
from ..model.errors import LabError
from ..model.verdict import Verdict
from ..progress.follower import RunFollower
from ..results.comparison import ChangeKind
from ..results.wording import count

NIGHT_FILE = "nightly.json"
SCHEMA = 1
GIB = 1024**3

# The kinds of changes in a comparison, as migration_report returns it.
CHANGES = tuple(kind.key for kind in ChangeKind)
SHOWN = 40  # changes that a message lists

TIME = "%Y-%m-%dT%H:%M:%SZ"  # as in run.json


@dataclass(frozen=True)
class Found:
    """What a night knows of the images that it runs on."""

    images: dict[str, str] = field(default_factory=dict)  # id by release; empty for one that was rebuilt and has no known id
    packages: list[dict[str, str]] = field(default_factory=list)  # what was newer: release, name, old, new

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Found:
        """:param data: as refresh.yml keeps it: by release the ``newer`` packages in ``refreshed``, the ids in ``images``."""
        newer = {release: refreshed["newer"] for release, refreshed in data.get("refreshed", {}).items() if refreshed["newer"]}
        return cls(
            {**dict.fromkeys(newer, ""), **data.get("images", {})},
            [{"release": release, **package} for release, packages in newer.items() for package in packages],
        )


@dataclass
class NightState:
    """The content of ``nightly.json`` in the results folder."""

    run: str
    started: str
    attempts: int = 1  # nights that have worked on the run
    ended: bool = False  # whether the run reached its end, with a report
    images: dict[str, str] = field(default_factory=dict)  # by release the id of the image that the run began with
    packages: list[dict[str, str]] = field(default_factory=list)  # what was newer: release, name, old, new

    def save(self, root: Path) -> None:
        """Write the file, at once or not at all.

        :raises LabError: when it cannot be written.
        """
        _save(root / NIGHT_FILE, vars(self))


def last_night(root: Path) -> tuple[Optional[NightState], str]:
    """The last night, or why it is not known.

    :returns: None when there was none, or when the file cannot be used; then the second says why.
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
        return None, f"{path} cannot be used ({error}); a run that the last night left unfinished is not resumed"


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


def begun(before: Optional[NightState], run: str, found: Found) -> NightState:
    """The state of a night that begins to work on a run.

    :param before: the last night. A resumed run keeps the image ids that it started with. Newer packages that were not reported
        yet, because their run did not reach its end, are carried over.
    """
    known = {name: image for name, image in found.images.items() if image}
    state = NightState(run, time.strftime(TIME, time.gmtime()), images=known, packages=list(found.packages))
    if before and before.run == run:
        state.attempts = before.attempts + 1
        state.images = {**before.images, **known}
    if before and not before.ended:
        state.packages = [*before.packages, *found.packages]
    return state


def to_resume(root: Path, state: Optional[NightState], images: Mapping[str, str], attempts: int) -> tuple[str, str]:
    """The run that the last night left unfinished and that can be resumed, as far as can be seen without a plan.

    :param images: the present ids by release, as in ``Found``.
    :param attempts: nights that may work on one run.
    :returns: the run's name, or an empty one; and then why not, empty where there is nothing to resume.
    """
    if state is None or state.ended or not (root / state.run / RUN_FILE).exists():
        return "", ""
    if state.attempts >= attempts:
        return "", f"run {state.run} was interrupted {count(state.attempts, 'time')} and is left as it is"
    other = sorted(name for name, image in state.images.items() if images.get(name, image) != image)
    if other:
        return "", f"run {state.run} was interrupted and is left as it is: the image of {', '.join(other)} has changed"
    return state.run, ""


def reached_end(root: Path, state: NightState) -> bool:
    """Whether every combination of the night's run is done or not obtained, by what its journals and notes say since it began."""
    try:
        return RunFollower(root / state.run, since=calendar.timegm(time.strptime(state.started, TIME))).look(time.time()).over
    except (LabError, ValueError):
        return False


def check_space(root: Path, needed: float) -> float:
    """Refuse a disk that is nearly full.

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
    """The result of a night."""

    run: str
    folder: str
    host: str
    resumed: bool
    why: str  # why an interrupted night was not resumed; empty where there was none
    packages: list[dict[str, str]]
    problems: list[str]  # what the lab could not do, in sentences
    report: Optional[dict[str, Any]]  # green, summary, line, counts, lost and comparison; None without a report

    @property
    def green(self) -> bool:
        """Whether the run is green and the lab did not fail."""
        return bool(self.report and self.report["green"] and not self.problems)

    @property
    def failed(self) -> bool:
        """Whether the lab itself failed: then the results say less than they should."""
        if self.report is None or self.problems:
            return True
        counts = self.report["counts"]
        return bool(counts.get("error") or counts.get(Verdict.NOT_OBTAINED.key) or self.report.get("lost"))

    @property
    def changes(self) -> list[dict[str, Any]]:
        """The cases and combinations whose result differs from that of the last comparable run."""
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
        report = self.report or {}
        return {
            "schema": SCHEMA, "run": self.run, "folder": self.folder, "host": self.host, "resumed": self.resumed, "why": self.why,
            "green": self.green, "changed": self.changed, "failed": self.failed, "line": self.line,
            "packages": self.packages, "problems": self.problems,
            "summary": report.get("summary", ""), "counts": report.get("counts", {}), "comparison": report.get("comparison"),
        }

    def save(self) -> None:
        """Keep it with the run, when there is one.

        :raises LabError: when it cannot be written.
        """
        if self.run and (Path(self.folder) / RUN_FILE).exists():
            _save(Path(self.folder) / NIGHT_FILE, self.to_data())


def end_night(
    root: Path, run: str, host: str, why: str, found: Found, problems: Sequence[str], failure: str, report: Mapping[str, Any],
    reported: bool, write: bool = True,
) -> Night:
    """End a night and keep its result. A result that cannot be written is returned all the same, with that as a problem.

    :param run: empty when the night failed before it chose one.
    :param failure: why the run's playbook failed, or empty. It is a problem unless the run reached its end and is not green,
        which fails its playbook too.
    :param report: empty without one.
    :param reported: whether the report was written. Without it, or before its end, the next night resumes the run.
    :param write: whether to write anything.
    """
    state, _ = last_night(root)
    if state and state.run != run:
        state = None
    ended = bool(state and reported and reached_end(root, state))
    if failure and not (ended and report and not report["green"]):
        problems = [*problems, failure]
    night = Night(
        run, str(root.resolve() / run), host, bool(state and state.attempts > 1), why,
        state.packages if state else found.packages, list(dict.fromkeys(problems)), dict(report) or None,
    )
    try:
        if write:
            night.save()
            if state:
                state.ended = ended
                state.save(root)
    except LabError as error:
        night = replace(night, problems=[*night.problems, str(error)])
    return night


def package_text(package: Mapping[str, str]) -> str:
    """A newer package in words."""
    return f"{package['name']} {package['old']} -> {package['new']}"


def change_text(change: Mapping[str, Any]) -> str:
    """A change in words, with the reason of a failure."""
    what = f"{change['kind'].replace('_', ' ')}: {change['combination']} {change['case'] or 'as a whole'}"
    reason = f" ({change['reason_after']})" if change["reason_after"] else ""
    return f"{what}: {change['before']} -> {change['after']}{reason}"


def _save(path: Path, data: Mapping[str, Any]) -> None:
    text = json.dumps({"schema": SCHEMA, **data}, indent=2) + "\n"
    write_whole(path, text.encode(), "make room, or set results_root to a folder that can be written")
