# SPDX-License-Identifier: GPL-3.0-or-later
"""Turns the journals of a run into its results: TAP, JUnit XML, the completed run.json, a page, and text for the terminal.

Runs on the controller and needs jinja2 and junitparser.  ``make_report`` is the way in.  While a run goes on, ``progress``
follows its journals, and ``live`` and ``watch`` show how far it is, with rich.
"""

from __future__ import annotations

from .report import Report, make_report

__all__ = ["Report", "make_report"]
