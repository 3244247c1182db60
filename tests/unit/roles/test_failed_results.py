# SPDX-License-Identifier: GPL-3.0-or-later
"""What a rescue asks of the result that failed: any task of its block may have, with a module of its own."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import yaml

from synthetic_run import ROOT

RESCUE = ROOT / "playbooks/parts/combination.yml"


def returned(module: Path) -> set[str]:
    """The keys that a module documents as returned."""
    for node in ast.parse(module.read_text()).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "RETURN":
            return set(yaml.safe_load(ast.literal_eval(node.value)) or {})
    return set()


def test_key_that_says_a_cell_is_broken_is_of_one_module_alone() -> None:
    """``broken`` of machine_daemon is a dict of machines: as a condition it ended the playbook, and hid why."""
    asked = set(re.findall(r"ansible_failed_result\.(\w+)", RESCUE.read_text())) - {"msg"}
    assert asked == {"cell_broken"}
    assert [path.stem for path in sorted((ROOT / "library").glob("*.py")) if asked & returned(path)] == ["migration_matrix"]
