# SPDX-License-Identifier: GPL-3.0-or-later
"""Keeps the garbage collector off what was imported and collected: all of it stays, and to look through it again takes time."""

from __future__ import annotations

import gc


def pytest_collection_finish() -> None:
    gc.freeze()
