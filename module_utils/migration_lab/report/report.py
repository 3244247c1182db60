# SPDX-License-Identifier: GPL-3.0-or-later
"""A run's report: every file that is made from the journals, and the text for the terminal."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from ..history.base_run import base_run
from ..history.entry import record_of
from ..history.update import HistoryUpdate, plan_update
from ..history.view import history_view
from ..journal.files import HISTORY_FILE, RUN_FILE
from ..journal.whole_file import write_whole
from ..model.errors import LabError
from ..results.comparison import Comparison, compare
from ..results.recovery import is_recovery, read_recovery
from ..results.run import Run, read_run
from ..results.seen_deviations import SeenDeviation, seen_deviations
from .chat import chat_line
from .junit import junit_text
from .page import page_text
from .picture import picture_text
from .recovery_page import recovery_pages
from .recovery_picture import recovery_picture
from .recovery_text import findings_text
from .run_json import run_text
from .sweep import read_sweep
from .sweep_picture import sweep_picture
from .tap import tap_text
from .terminal import terminal_text

TAP_FILE = "results.tap"
JUNIT_FILE = "junit.xml"
PAGE_FILE = "index.html"
PICTURE_FILE = "matrix.svg"

ADVICE = "the journals are whole, so put that right and make the report again"


@dataclass(frozen=True)
class Report:
    """A report that was computed; nothing is written until ``write``.

    ``remarks`` are sentences on the history and the choice of the base. ``line`` is the run in a line for a chat,
    ``comparison`` None when there is no run to compare with, ``update`` None when there is no history to keep.
    """

    run: Run
    files: dict[Path, str]
    text: str
    line: str
    remarks: list[str]
    comparison: Optional[Comparison] = None
    update: Optional[HistoryUpdate] = None

    @property
    def deviations(self) -> list[SeenDeviation]:
        """The ledger that the run was judged by, with how often each entry was seen."""
        return seen_deviations(self.run)

    def outdated(self) -> list[Path]:
        """The files that are missing or have another content."""
        return self._outdated_files() + (self.update.outdated_files() if self.update else [])

    def write(self) -> list[Path]:
        """Write the files that are outdated, each at once or not at all, and bring the history up to date.

        :returns: the files that were written.
        :raises LabError: when one cannot be written.
        """
        written = self._outdated_files()
        for path in written:
            write_whole(path, self.files[path].encode(), ADVICE)
        return written + (self.update.write() if self.update else [])

    def _outdated_files(self) -> list[Path]:
        return [path for path, content in self.files.items() if not _holds(path, content.encode())]


def make_report(
    folder: Path, templates: Path, explain: bool = False, base: Optional[str] = None, history: Optional[Path] = None
) -> Report:
    """Compute the report of a run from its journals.

    :param folder: ``results/<run>/``.
    :param templates: the folder of the page's.
    :param explain: whether the text has, for every case that did not pass, the rule that judged it.
    :param base: a run beside this one to compare with, or ``last``: the last comparable one before it; None or empty: none.
    :param history: the file of the history, ``history.sqlite`` beside the run; None: none is kept.
    :raises LabError: when run.json, a journal, the base, the history's file or a template cannot be used.
    """
    run = read_run(folder.resolve())
    folder = run.folder
    update = _plan_update(run, history) if history else None
    other, notices = base_run(run, base, update) if base else (None, [])
    comparison = compare(run, other) if other else None
    view = history_view(update.history, record_of(run)) if update else None
    line = chat_line(run, comparison)
    page = folder / PAGE_FILE
    files = {}
    for combination in run.combinations:
        files[folder / combination.name / TAP_FILE] = tap_text(run, combination)
        files[folder / combination.name / JUNIT_FILE] = junit_text(run, combination)
    files[folder / RUN_FILE] = run_text(run, line, comparison)
    findings: list[str] = []
    if is_recovery(run):
        recovery = read_recovery(run)
        findings = findings_text(recovery, page)
        files[folder / PICTURE_FILE] = recovery_picture(recovery)
        for path, text in recovery_pages(recovery, templates, comparison, view).items():
            files[folder / path] = text
    else:
        sweep = read_sweep(run)
        files[folder / PICTURE_FILE] = sweep_picture(run, sweep) if sweep else picture_text(run)
        files[page] = page_text(run, templates, comparison, view)
    remarks = [*(update.notices if update else []), *notices]
    text = terminal_text(run, page, explain, comparison, remarks, findings)
    return Report(run, files, text, line, remarks, comparison, update)


def _plan_update(run: Run, history: Path) -> HistoryUpdate:
    if history.parent.resolve() / history.name != run.folder.parent / HISTORY_FILE:
        raise LabError(f"the history of {run.folder} is {run.folder.parent / HISTORY_FILE}, beside the run, not {history}")
    return plan_update(run.folder.parent, run)


def _holds(path: Path, content: bytes) -> bool:
    try:
        return path.read_bytes() == content
    except OSError:
        return False
