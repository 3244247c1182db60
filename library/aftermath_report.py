#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE)

from __future__ import annotations

DOCUMENTATION = r"""
module: aftermath_report
short_description: Compare what recovery runs did after failed migrations
description:
  - >-
    Reads the journals of recovery runs that differ in their C(aftermath), and writes C(aftermath.html) beside them. For each
    point and fault whose migrations failed or were never answered it has the number of cases in which exactly one whole copy
    of the guest is left after the run's reaction.
options:
  results_root: {description: "The folder with the runs' folders.", type: path, required: true}
  runs: {description: "Names of the runs, all of the same pair and guest.", type: list, elements: str, required: true}
  templates: {description: "Folder of the page's templates.", type: path, required: true}
attributes:
  check_mode: {support: none, description: There is nothing to compare.}
author: The libvirt migration compatibility lab (!UNKNOWN)
"""

EXAMPLES = r"""
- name: Compare the reactions
  aftermath_report:
    results_root: results
    runs: [20261128T120000Z, 20261128T140000Z]
    templates: roles/report/templates
  register: aftermath
"""

RETURN = r"""
text:
  description: The table for a terminal.
  returned: success
  type: str
file:
  description: The page.
  returned: success
  type: str
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible.module_utils.migration_lab.model.errors import LabError
from ansible.module_utils.migration_lab.results.aftermath import read_aftermath

try:
    from ansible.module_utils.migration_lab.report.aftermath import aftermath_text, write_aftermath
except ModuleNotFoundError as error:
    MISSING = error.name
else:
    MISSING = None


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "results_root": {"type": "path", "required": True},
            "runs": {"type": "list", "elements": "str", "required": True},
            "templates": {"type": "path", "required": True},
        },
    )
    if MISSING:
        module.fail_json(msg=missing_required_lib(MISSING, reason="to make results; run make setup"))
    root = Path(module.params["results_root"])
    try:
        aftermath = read_aftermath([root / run for run in module.params["runs"]])
        page = write_aftermath(aftermath, root, Path(module.params["templates"]))
    except LabError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=True, text=aftermath_text(aftermath, page), file=str(page))


if __name__ == "__main__":
    main()
