#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE)

from __future__ import annotations

DOCUMENTATION = r"""
module: guest_check_report
short_description: Answer whether the user's own guests move, and what stops those that do not
description:
  - Reads the run of the adapted guests, and that of the variants of those that did not move, and writes C(guest_check.html) and
    C(guest_check.json) into the folder of the first.
  - Runs on the controller.
options:
  results: {description: Folder of the run of the adapted guests., type: path, required: true}
  checks: {description: What C(guest_check_info) returned of the guests., type: list, elements: dict, required: true}
  search: {description: Folder of the run of the variants; empty when every guest moved., type: path}
  variants: {description: What C(guest_check_info) returned of the variants., type: list, elements: dict, default: []}
  templates: {description: The folder with the jinja2 templates of the page., type: path, required: true}
requirements:
  - jinja2
attributes:
  check_mode: {support: full, description: "Computes and returns the answer, and writes no file."}
author: The libvirt migration compatibility lab (!UNKNOWN)
"""

EXAMPLES = r"""
- name: Answer
  guest_check_report:
    results: results/20261128T120000Z
    checks: "{{ adapted.checks }}"
    templates: roles/report/templates
  register: answer
"""

RETURN = r"""
moves:
  description: Whether every guest moves in every direction, with every method, running and paused.
  returned: success
  type: bool
text:
  description: The answer.
  returned: success
  type: str
summary:
  description: The answer in a line.
  returned: success
  type: str
files:
  description: The files that were written.
  returned: success
  type: list
  elements: path
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible.module_utils.migration_lab.journal.whole_file import write_whole
from ansible.module_utils.migration_lab.model.errors import LabError

try:
    from ansible.module_utils.migration_lab.report.guest_check import answer_files, answer_text, summary
    from ansible.module_utils.migration_lab.results.guest_check import read_check
    from ansible.module_utils.migration_lab.results.run import read_run
except ModuleNotFoundError as error:
    MISSING = error.name
else:
    MISSING = None

ADVICE = "the journals are whole, so put that right and check the guest again"


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "results": {"type": "path", "required": True},
            "checks": {"type": "list", "elements": "dict", "required": True},
            "search": {"type": "path"},
            "variants": {"type": "list", "elements": "dict", "default": []},
            "templates": {"type": "path", "required": True},
        },
        supports_check_mode=True,
    )
    if MISSING:
        module.fail_json(msg=missing_required_lib(MISSING, reason="to make the answer; run make setup"))
    given = module.params
    try:
        search = read_run(Path(given["search"])) if given["search"] else None
        check = read_check(read_run(Path(given["results"])), given["checks"], search, given["variants"])
        files = answer_files(check, Path(given["templates"]))
        if not module.check_mode:
            for path, content in files.items():
                write_whole(path, content.encode(), ADVICE)
    except LabError as error:
        module.fail_json(msg=str(error))
    module.exit_json(
        changed=True, moves=check.moves, text="\n".join(answer_text(check)), summary=summary(check),
        files=[str(path) for path in files],
    )


if __name__ == "__main__":
    main()
