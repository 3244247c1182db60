# SPDX-License-Identifier: GPL-3.0-or-later
"""The names of the files in a run's folder, which many write and read."""

from __future__ import annotations

from pathlib import Path

RUN_FILE = "run.json"
HISTORY_FILE = "history.sqlite"

# In a combination's folder, as labs left them that had one cell for a combination.
JOURNAL_FILE = "journal.jsonl"
NOT_OBTAINED_FILE = "not-obtained.json"


def journal_path(folder: Path, cell: str) -> Path:
    """The journal of what a cell did for a combination; with an empty name the one of a lab that had one cell for each.

    :param folder: of the combination, ``results/<run>/<combination>``.
    """
    return folder / (f"journal-{cell}.jsonl" if cell else JOURNAL_FILE)


def journal_paths(folder: Path) -> list[Path]:
    """All journals of a combination, by name."""
    return sorted([*folder.glob(JOURNAL_FILE), *folder.glob("journal-*.jsonl")])


def not_obtained_paths(folder: Path) -> list[Path]:
    """All notes why a cell could not do its share of a combination, by name; playbooks/parts/combination.yml writes them."""
    return sorted([*folder.glob(NOT_OBTAINED_FILE), *folder.glob("not-obtained-*.json")])
