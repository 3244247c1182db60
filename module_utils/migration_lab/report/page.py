# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes a run's index.html from jinja2 templates, with autoescape on: libvirt's errors quote XML."""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, Mapping, Optional

import jinja2

from ..history.view import HistoryView
from ..journal.files import RUN_FILE
from ..model.combination import label
from ..model.errors import LabError
from ..model.pair import between, pair_text, releases_of
from ..model.verdict import Verdict
from ..results.comparison import Comparison
from ..results.machine_versions import machine_versions
from ..results.run import Run
from ..results.seen_deviations import seen_deviations
from ..results.wording import combination_text, count, duration_text, migration_text, one_line
from .case_view import case_views
from .grid import MARKS, SEVERITY, Mark, address, grid, mark_of, rest
from .sweep import read_sweep

# The template that includes the others.
MAIN = "index.html.j2"


def page_text(
    run: Run, templates: Path, comparison: Optional[Comparison] = None, history: Optional[HistoryView] = None
) -> str:
    """The page, whole in itself: style and script are in it, and its only links are to files of the results folder.

    :param templates: the folder of ``index.html.j2`` and of what it includes.
    :param comparison: with a base run; shown first when there is one.
    :param history: of comparable runs.
    :raises LabError: when a template cannot be read or is faulty.
    """
    changed = {(change.combination, change.case) for change in comparison.changes if change.case} if comparison else set()
    return render(
        templates, MAIN, run=run, comparison=comparison, history=history, grid=grid(run), cases=case_views(run), marks=MARKS,
        counts={verdict.value: run.counts[verdict.key] for verdict in Verdict}, versions=machine_versions(run),
        deviations=seen_deviations(run),
        titles={entry["id"]: entry["title"] for entry in run.data.get("deviations", [])}, duration=duration(run),
        sweep=read_sweep(run), changed=changed, flaky=history.flaky if history else (),
    )


def render(templates: Path, main: str, **values: Any) -> str:
    """A page from its template.

    :param templates: the folder of ``main`` and of what it includes.
    :raises LabError: when a template cannot be read or is faulty.
    """
    try:
        return _environment(templates).get_template(main).render(**values)
    except jinja2.TemplateNotFound as error:
        raise LabError(f"the page's template {templates / str(error.name)} cannot be read: there is no such file") from error
    except OSError as error:
        raise LabError(f"the page's template {error.filename} cannot be read: {error.strerror}") from error
    except jinja2.TemplateSyntaxError as error:
        where = error.filename or templates / main
        raise LabError(f"line {error.lineno} of the page's template {where} is faulty: {error.message}") from error
    except jinja2.TemplateError as error:
        raise LabError(f"a template of the page in {templates} is faulty: {error.message}") from error


@lru_cache(maxsize=1)
def _environment(templates: Path) -> jinja2.Environment:
    """What compiles the templates of a folder, and has them compiled until a file changes."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(templates), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True,
        lstrip_blocks=True, keep_trailing_newline=True,
    )
    environment.globals.update(
        address=address, between=between, combination_text=combination_text, count=count, label=label, mark_of=mark_of,
        migration_text=migration_text, most_serious=most_serious, one_line=one_line, pair_text=pair_text,
        releases_of=releases_of, rest=rest,
    )
    return environment


def most_serious(counts: Mapping[str, int]) -> Mark:
    """The mark that stands for a combination's cases: the worst result of any of them.

    :param counts: cases by verdict, as ``CombinationResult.counts`` has them.
    """
    return MARKS[next((verdict for verdict in SEVERITY if counts.get(verdict.key)), Verdict.NOT_OBTAINED).value]


def duration(run: Run) -> str:
    """From the start of the run to its last result, in words; empty when there is none."""
    if run.finished is None:
        return ""
    try:
        # Python 3.9 and 3.10 do not read the Z.
        start, end = (datetime.fromisoformat(time.replace("Z", "+00:00")) for time in (run.data["started"], run.finished))
    except ValueError as error:
        raise LabError(
            f"{run.folder / RUN_FILE} has '{run.data['started']}' as the start of the run, which is no time; write it like "
            "2026-11-25T18:07:45Z"
        ) from error
    return duration_text((end - start).total_seconds())
