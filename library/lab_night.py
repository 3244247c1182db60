#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE)

from __future__ import annotations

DOCUMENTATION = r"""
module: lab_night
short_description: Begin and end a night of the lab
description:
  - Keeps the state of the running or last night in C(nightly.json) in the results folder, so that the next one can resume what
    a kill or a power cut interrupted.
options:
  results_root:
    description: The results folder.
    type: path
    required: true
  step:
    description:
      - V(look) refuses a disk that is nearly full and returns the run that the last night left to be resumed. Changes nothing.
      - V(begin) records that this night works on O(run).
      - V(end) decides by the run's journals whether it reached its end, keeps the night's result with it, and puts it into words.
    type: str
    choices: [look, begin, end]
    required: true
  run:
    description: The night's run, for V(begin) and V(end).
    type: str
    default: ""
  found:
    description: What C(playbooks/refresh.yml) wrote to its C(refresh_file). Empty when it wrote nothing.
    type: dict
    default: {}
  min_free:
    description: Free space to ask for, in GiB, for V(look).
    type: float
    default: 0
  attempts:
    description: How many nights may work on one run, for V(look).
    type: int
    default: 3
  host:
    description: Where the lab is, for V(end).
    type: str
    default: ""
  why:
    description: Why an interrupted night was not resumed, for V(end).
    type: str
    default: ""
  problems:
    description: What the lab could not do, in sentences, for V(end).
    type: list
    elements: str
    default: []
  failure:
    description:
      - Why the run's playbook failed, for V(end). Empty when it did not.
      - It is one of the problems unless the run reached its end and is not green, which fails its playbook too.
    type: str
    default: ""
  report:
    description:
      - C(green), C(summary), C(line), C(counts) and C(comparison) of C(migration_report), and C(lost), the number of combinations
        that were not obtained. Empty without a report.
    type: dict
    default: {}
  reported:
    description: Whether the report was written, for V(end). Without it, or before its end, the next night resumes the run.
    type: bool
    default: false
attributes:
  check_mode: {support: full, description: Writes nothing.}
author: The libvirt migration compatibility lab (!UNKNOWN)
"""

EXAMPLES = r"""
- name: Look up what the last night left
  lab_night:
    results_root: results
    step: look
    min_free: 0.5
  register: night_look
"""

RETURN = r"""
resume:
  description: The run to resume; empty for none.
  returned: for V(look)
  type: str
why:
  description: Why an unfinished run is not resumed; empty when there is none.
  returned: for V(look)
  type: str
free_gib:
  description: Free space in the results folder, in GiB.
  returned: for V(look)
  type: float
newer:
  description: The packages that were newer, in words.
  returned: for V(look)
  type: list
  elements: str
night:
  description: The night, as it is kept with its run and posted to a webhook.
  returned: for V(end)
  type: dict
text:
  description: The night in a few lines.
  returned: for V(end)
  type: str
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.migration_lab.model.errors import LabError
from ansible.module_utils.migration_lab.nightly.night import (
    Found,
    begun,
    check_space,
    end_night,
    last_night,
    package_text,
    to_resume,
)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "results_root": {"type": "path", "required": True},
            "step": {"type": "str", "choices": ["look", "begin", "end"], "required": True},
            "run": {"type": "str", "default": ""},
            "found": {"type": "dict", "default": {}},
            "min_free": {"type": "float", "default": 0.0},
            "attempts": {"type": "int", "default": 3},
            "host": {"type": "str", "default": ""},
            "why": {"type": "str", "default": ""},
            "problems": {"type": "list", "elements": "str", "default": []},
            "failure": {"type": "str", "default": ""},
            "report": {"type": "dict", "default": {}},
            "reported": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    root = Path(module.params["results_root"])
    try:
        result = {"look": look, "begin": begin, "end": end}[module.params["step"]](root, module.params, not module.check_mode)
    except LabError as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


def look(root: Path, given: dict, write: bool) -> dict:
    """What the last night left."""
    free, found = check_space(root, given["min_free"]), Found.from_data(given["found"])
    state, unusable = last_night(root)
    run, why = to_resume(root, state, found.images, given["attempts"])
    newer = [f"{package['release']}: {package_text(package)}" for package in found.packages]
    return {"changed": False, "resume": run, "why": unusable or why, "free_gib": round(free, 2), "newer": newer}


def begin(root: Path, given: dict, write: bool) -> dict:
    """This night works on a run."""
    before, _ = last_night(root)
    if write:
        begun(before, given["run"], Found.from_data(given["found"])).save(root)
    return {"changed": True}


def end(root: Path, given: dict, write: bool) -> dict:
    """The night's result."""
    night = end_night(
        root, given["run"], given["host"], given["why"], Found.from_data(given["found"]), given["problems"], given["failure"],
        given["report"], given["reported"], write,
    )
    return {"changed": write, "night": night.to_data(), "text": night.text}


if __name__ == "__main__":
    main()
