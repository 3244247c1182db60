# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes a run's index.html from a jinja2 template, with autoescape on: libvirt's errors quote XML."""

from __future__ import annotations

from pathlib import Path

import jinja2

from ..model import LabError, Verdict
from .seen_deviations import seen_deviations
from .summary import Run
from .wording import combination_text, migration_text, step_text


def page_text(run: Run, template: Path) -> str:
    """The page.

    :param template: gets ``run`` (a ``summary.Run``), ``deviations`` (a list of ``SeenDeviation``), ``verdicts`` and the
        functions ``combination_text``, ``migration_text`` and ``step_text``.
    :raises LabError: when the template cannot be read or is faulty.
    """
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
    )
    try:
        return environment.from_string(template.read_text()).render(
            run=run, deviations=seen_deviations(run), verdicts=[verdict.value for verdict in Verdict],
            combination_text=combination_text, migration_text=migration_text, step_text=step_text,
        )
    except OSError as error:
        raise LabError(f"the page's template {template} cannot be read: {error.strerror}") from error
    except jinja2.TemplateSyntaxError as error:
        raise LabError(f"line {error.lineno} of the page's template {template} is faulty: {error.message}") from error
    except jinja2.TemplateError as error:
        raise LabError(f"the page's template {template} is faulty: {error.message}") from error
