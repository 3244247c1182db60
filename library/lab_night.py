#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE)
"""Begin and end a night of the lab."""

from __future__ import annotations

DOCUMENTATION = r"""
module: lab_night
short_description: Begin and end a night of the lab
description:
  - Keeps C(nightly.json) in the results folder, which says what the running or last night does, so that the next one can go on
    with what a kill or a power cut has left.
options:
  results_root:
    description: The results folder.
    type: path
    required: true
  step:
    description:
      - V(look) refuses a disk that is nearly full and says which run the last night has left to go on with. Changes nothing.
      - V(begin) keeps that this night works on O(run).
      - V(end) keeps what the night came to with its run, and says it in words.
    type: str
    choices: [look, begin, end]
    required: true
  run:
    description: The night's run, for V(begin) and V(end).
    type: str
    default: ""
  images:
    description:
      - By release the id of its image, as far as they are known, for V(look) and V(begin). Empty for one that was built again and
        whose id is not known.
    type: dict
    default: {}
  packages:
    description: The packages that were newer, each with C(release), C(name), C(old) and C(new), for V(begin).
    type: list
    elements: dict
    default: []
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
    description: Why a night that was cut off was not gone on with, for V(end).
    type: str
    default: ""
  problems:
    description: What the lab could not do, in sentences, for V(end).
    type: list
    elements: str
    default: []
  report:
    description:
      - C(green), C(summary), C(line), C(counts) and C(comparison) of M(migration_report), and C(lost), the number of combinations
        that were not obtained. Empty without a report.
    type: dict
    default: {}
  ended:
    description: Whether the run has come to its end, for V(end). Otherwise the next night goes on with it.
    type: bool
    default: false
attributes:
  check_mode:
    description: Writes nothing.
    support: full
author:
  - The libvirt migration compatibility lab
"""

EXAMPLES = r"""
- name: It is known what the last night has left
  lab_night:
    results_root: results
    step: look
    min_free: 0.5
  register: night_look
"""

RETURN = r"""
go_on:
  description: The run to go on with; empty for none.
  returned: for V(look)
  type: str
why:
  description: Why what was left is not gone on with; empty when nothing was left.
  returned: for V(look)
  type: str
free_gib:
  description: Free space in the results folder, in GiB.
  returned: for V(look)
  type: float
packages:
  description: Those that the night before has found when its run has not come to its end, and O(packages).
  returned: for V(begin)
  type: list
  elements: dict
night:
  description: The night, as it is kept with its run and posted to a webhook.
  returned: for V(end)
  type: dict
text:
  description: The night in a few lines.
  returned: for V(end)
  type: str
"""

from dataclasses import replace
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.migration_lab.model.errors import LabError
from ansible.module_utils.migration_lab.nightly.night import Night, begun, check_space, last_night, to_go_on_with


def main() -> None:
    """Read the arguments, take the step, exit."""
    module = AnsibleModule(
        argument_spec={
            "results_root": {"type": "path", "required": True},
            "step": {"type": "str", "choices": ["look", "begin", "end"], "required": True},
            "run": {"type": "str", "default": ""},
            "images": {"type": "dict", "default": {}},
            "packages": {"type": "list", "elements": "dict", "default": []},
            "min_free": {"type": "float", "default": 0.0},
            "attempts": {"type": "int", "default": 3},
            "host": {"type": "str", "default": ""},
            "why": {"type": "str", "default": ""},
            "problems": {"type": "list", "elements": "str", "default": []},
            "report": {"type": "dict", "default": {}},
            "ended": {"type": "bool", "default": False},
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
    """What the last night has left."""
    free = check_space(root, given["min_free"])
    state, unusable = last_night(root)
    run, why = to_go_on_with(root, state, given["images"], given["attempts"])
    return {"changed": False, "go_on": run, "why": unusable or why, "free_gib": round(free, 2)}


def begin(root: Path, given: dict, write: bool) -> dict:
    """This night works on a run."""
    before, _ = last_night(root)
    state = begun(before, given["run"], given["images"], given["packages"])
    if write:
        state.save(root)
    return {"changed": True, "packages": state.packages}


def end(root: Path, given: dict, write: bool) -> dict:
    """What the night came to. That it cannot be written is no reason not to say it."""
    state, _ = last_night(root)
    resumed = bool(state and state.run == given["run"] and state.attempts > 1)
    night = Night(
        given["run"], str(root.resolve() / given["run"]), given["host"], resumed, given["why"], given["packages"],
        given["problems"], given["report"] or None,
    )
    try:
        if write:
            night.save()
            if state and state.run == given["run"]:
                state.ended = given["ended"]
                state.save(root)
    except LabError as error:
        night = replace(night, problems=[*night.problems, str(error)])
    return {"changed": write, "night": night.to_data(), "text": night.text}


if __name__ == "__main__":
    main()
