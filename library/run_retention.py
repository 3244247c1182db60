#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE)

from __future__ import annotations

DOCUMENTATION = r"""
module: run_retention
short_description: Remove old runs that changed nothing
description:
  - Keeps the runs that something was written to in the last O(days), every run that changed something, the last green one of each
    pair, profile, guest and selection, the newest one and O(running), and removes the others.
  - A run changed something when its verdicts, its known deviations, or the reasons of its failures differ from those of the
    comparable run before it, when the comparison in its report has a change, when its night made images of newer
    packages, or when there is no comparable run before it.
  - A run without results cannot be judged and is kept.
  - A run is a folder in O(results_root) with a C(run.json) that has the lab's schema and the folder's name. Links, damaged runs
    and all other folders and files are left alone.
options:
  results_root:
    description: The folder with the runs.
    type: path
    required: true
  days:
    description: For how many days every run is kept.
    type: float
    required: true
  running:
    description: A run that is in progress, or the night's own.
    type: str
    default: ""
attributes:
  check_mode: {support: full, description: Returns what would be removed.}
author: The libvirt migration compatibility lab (!UNKNOWN)
"""

EXAMPLES = r"""
- name: Remove old runs
  run_retention:
    results_root: results
    days: 30
"""

RETURN = r"""
removed:
  description: The runs that were removed.
  returned: always
  type: list
  elements: str
kept:
  description: The runs that were kept, and why.
  returned: always
  type: dict
  sample: {"20261123T020000Z": "it is the newest"}
problems:
  description: What could not be removed, and why.
  returned: always
  type: list
  elements: str
"""

import time
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.migration_lab.model.errors import LabError
from ansible.module_utils.migration_lab.nightly.retention import choose, find_runs, remove_run


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "results_root": {"type": "path", "required": True},
            "days": {"type": "float", "required": True},
            "running": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    root, problems, removed = Path(module.params["results_root"]), [], []
    try:
        kept, outdated = choose(find_runs(root), time.time(), module.params["days"], module.params["running"])
    except LabError as error:
        module.fail_json(msg=str(error))
    for name in outdated:
        try:
            if not module.check_mode:
                remove_run(root, name)
            removed.append(name)
        except LabError as error:
            problems.append(str(error))
    module.exit_json(changed=bool(removed), removed=removed, kept=kept, problems=problems)


if __name__ == "__main__":
    main()
