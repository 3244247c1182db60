#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE)

from __future__ import annotations

DOCUMENTATION = r"""
module: survey_report
short_description: Make the results of a device survey
description:
  - Writes C(survey.json) and C(survey.html) into the run's folder, from its journals and C(devices.json).
options:
  results: {description: "The run's folder.", type: path, required: true}
  templates: {description: "Folder of the page's templates.", type: path, required: true}
attributes:
  check_mode: {support: none, description: There is nothing to report.}
author: The libvirt migration compatibility lab (!UNKNOWN)
"""

EXAMPLES = r"""
- name: Make the survey's results
  survey_report:
    results: results/20261128T120000Z
    templates: roles/report/templates
  register: survey
"""

RETURN = r"""
text:
  description: The survey for a terminal.
  returned: success
  type: str
complete:
  description: Whether every device that was tried has a result, whatever it is.
  returned: success
  type: bool
advice:
  description: Which devices have no result, and how to obtain one; empty when the survey is complete.
  returned: success
  type: str
files:
  description: The files.
  returned: success
  type: list
  elements: path
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible.module_utils.migration_lab.model.errors import LabError
from ansible.module_utils.migration_lab.results.run import read_run
from ansible.module_utils.migration_lab.results.survey import read_survey

try:
    from ansible.module_utils.migration_lab.report.survey import survey_advice, survey_text, write_survey
except ModuleNotFoundError as error:
    MISSING = error.name
else:
    MISSING = None


def main() -> None:
    module = AnsibleModule(
        argument_spec={"results": {"type": "path", "required": True}, "templates": {"type": "path", "required": True}},
    )
    if MISSING:
        module.fail_json(msg=missing_required_lib(MISSING, reason="to make results; run make setup"))
    try:
        survey = read_survey(read_run(Path(module.params["results"])))
        files = write_survey(survey, Path(module.params["templates"]))
    except LabError as error:
        module.fail_json(msg=str(error))
    module.exit_json(
        changed=True, text=survey_text(survey), complete=survey.complete, advice=survey_advice(survey),
        files=[str(path) for path in files],
    )


if __name__ == "__main__":
    main()
