# SPDX-License-Identifier: GPL-3.0-or-later
"""What a rescue asks of the result that failed: any task of its block may have, with a module of its own."""

from __future__ import annotations

import re

from ansible.parsing.plugin_docs import read_docstring

from synthetic_run import ROOT

RESCUE = ROOT / "playbooks/parts/combination.yml"


def test_key_that_says_a_cell_is_broken_is_of_one_module_alone() -> None:
    """``broken`` of machine_daemon is a dict of machines: as a condition it ended the playbook, and hid why."""
    asked = set(re.findall(r"ansible_failed_result\.(\w+)", RESCUE.read_text())) - {"msg"}
    assert asked == {"cell_broken"}
    returned = {path.stem: read_docstring(str(path))["returndocs"] or {} for path in (ROOT / "library").glob("*.py")}
    assert "broken" in returned["machine_daemon"]
    assert [module for module, keys in returned.items() if asked & set(keys)] == ["migration_matrix"]
