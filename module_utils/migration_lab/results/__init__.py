# SPDX-License-Identifier: GPL-3.0-or-later
"""Turns the journals of a run into its results: TAP, JUnit XML, run.json completed, a page, a picture, text for the terminal.

Runs on the controller and needs jinja2 and junitparser.  ``make_report`` is the way in.  The history of the runs,
history.sqlite, is kept beside them: ``plan_update`` and ``history_text``.  While a run goes on, ``progress`` follows its
journals, and ``live`` and ``watch`` show how far it is, with rich.
"""

from __future__ import annotations

from .history_text import history_text
from .history_update import HistoryUpdate, plan_update
from .report import Report, make_report
from .run_folders import run_of

__all__ = ["HistoryUpdate", "Report", "history_text", "make_report", "plan_update", "run_of"]
