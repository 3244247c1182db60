#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE)

from __future__ import annotations

DOCUMENTATION = r"""
module: migration_record
short_description: Put the releases of a green run into the record of releases that somebody has run
description:
  - A release without an entry in C(recorded.yml) is marked as not run yet in every report. Only a green run of all combinations
    and cases takes the mark away, of a pair with profile C(canonical) or of a sweep with that or C(sweep).
  - Runs on the controller, with the Python that has jsonschema and PyYAML.
options:
  results:
    description: The folder of the run, C(results/<run>).
    type: path
    required: true
  scenarios:
    description: The folder with C(recorded.yml) and C(schema/).
    type: path
    required: true
attributes:
  check_mode: {support: none, description: Not supported; the task is skipped.}
author: The libvirt migration compatibility lab (!UNKNOWN)
"""

EXAMPLES = r"""
- name: Record the releases of the run
  migration_record:
    results: results/20261123T154200Z
    scenarios: scenarios
"""

RETURN = r"""
recorded:
  description: Releases whose entries were changed.
  returned: always
  type: list
  elements: str
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.migration_lab.model.errors import LabError
from ansible.module_utils.migration_lab.report.recording import record_run
from ansible.module_utils.migration_lab.results.run import read_run


def main() -> None:
    module = AnsibleModule(
        argument_spec={"results": {"type": "path", "required": True}, "scenarios": {"type": "path", "required": True}},
    )
    try:
        recorded = record_run(Path(module.params["scenarios"]), read_run(Path(module.params["results"])))
    except LabError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=bool(recorded), recorded=recorded)


if __name__ == "__main__":
    main()
