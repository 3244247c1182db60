# SPDX-License-Identifier: GPL-3.0-or-later
"""The one error that the lab reports to its user."""

from __future__ import annotations


class LabError(Exception):
    """What the user or the lab host has to put right, in one sentence: what, where, what to do."""
