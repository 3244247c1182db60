# SPDX-License-Identifier: GPL-3.0-or-later
"""A run's report: every file that is made from the journals, and the text for the terminal."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from ..model import LabError
from .junit import junit_text
from .page import page_text
from .run_file import run_text
from .seen_deviations import SeenDeviation, seen_deviations
from .summary import RUN_FILE, Run, read_run
from .tap_file import tap_text
from .terminal import terminal_text

TAP_FILE = "results.tap"
JUNIT_FILE = "junit.xml"
PAGE_FILE = "index.html"


@dataclass(frozen=True)
class Report:
    """A report that was computed; nothing is written until ``write``."""

    run: Run
    files: dict[Path, str]
    text: str

    @property
    def deviations(self) -> list[SeenDeviation]:
        """The ledger that the run was judged by, with how often each entry was seen."""
        return seen_deviations(self.run)

    def outdated(self) -> list[Path]:
        """The files that are missing or have another content."""
        return [path for path, content in self.files.items() if not _holds(path, content.encode())]

    def write(self) -> list[Path]:
        """Write the files that are outdated, each at once or not at all.

        :returns: the files that were written.
        :raises LabError: when one cannot be written.
        """
        written = self.outdated()
        for path in written:
            _replace(path, self.files[path].encode())
        return written


def make_report(folder: Path, template: Path, explain: bool = False) -> Report:
    """Compute the report of a run from its journals.

    :param folder: ``results/<run>/``.
    :param template: of the page.
    :param explain: whether the text says of every case that is no pass which rule judged it.
    :raises LabError: when run.json, a journal or the template cannot be used.
    """
    run = read_run(folder)
    page = folder / PAGE_FILE
    files = {}
    for combination in run.combinations:
        files[folder / combination.name / TAP_FILE] = tap_text(run, combination)
        files[folder / combination.name / JUNIT_FILE] = junit_text(run, combination)
    files[folder / RUN_FILE] = run_text(run)
    files[page] = page_text(run, template)
    return Report(run, files, terminal_text(run, page, explain))


def _holds(path: Path, content: bytes) -> bool:
    try:
        return path.read_bytes() == content
    except OSError:
        return False


def _replace(path: Path, content: bytes) -> None:
    """Write a file beside its place and move it there: a reader, or a kill, never meets half a file."""
    try:
        path.parent.mkdir(exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(content)
                os.fchmod(stream.fileno(), 0o644)
                stream.flush()
                os.fsync(stream.fileno())
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink()
            raise
    except OSError as error:
        raise LabError(
            f"{path} cannot be written: {error.strerror}; the journals are whole, so put that right and make the report again"
        ) from error
