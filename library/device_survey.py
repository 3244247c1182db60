#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE)

from __future__ import annotations

DOCUMENTATION = r"""
module: device_survey
short_description: Choose the guests of a device survey
description:
  - Makes a guest for each device model of C(scenarios/survey.yml), and for those that the daemons list in addition, on each
    machine family.
  - Is called four times. Without O(releases), to choose the combinations; with O(releases), for guests without a device, to
    prepare the machines for; with O(capabilities), for the guests of all devices; with O(support), for those of the devices that
    a side knows.
  - Runs on the controller and changes nothing.
options:
  scenarios: {description: Folder with C(survey.yml) and its schema., type: path, required: true}
  devices: {description: Shell patterns of device models with commas between them. Empty for all., type: str, default: ''}
  machine_families: {description: Machine families with commas between them. Empty for all., type: str, default: ''}
  combinations:
    description: Combinations with commas between them; V(all) for one in each direction.
    type: str
    required: true
  relay: {description: Whether the run has the relay. A survey is refused without., type: bool, default: true}
  guest_checks: {description: Whether the run checks the guests. A survey is refused without., type: bool, default: true}
  releases:
    description:
      - Releases of the pair, as C(migration_plan) returns them. A device that needs a feature which one lacks is not tried,
        nor is a machine family that the older QEMU lacks.
    type: list
    elements: dict
    default: []
  capabilities: {description: "What C(device_support_info) returned as C(capabilities).", type: dict}
  support: {description: "What C(device_support_info) returned as C(support).", type: dict}
  classes:
    description: By side its class, old or new, in the combination in which the sides were asked.
    type: dict
    default: {}
attributes:
  check_mode: {support: full, description: Changes nothing.}
author: The libvirt migration compatibility lab (!UNKNOWN)
"""

EXAMPLES = r"""
- name: Choose the combinations
  device_survey:
    scenarios: scenarios
    devices: net-*,video-*
    combinations: all
  register: survey
"""

RETURN = r"""
combinations:
  description: The combinations of the survey with commas between them.
  returned: success
  type: str
guests:
  description: Names of the guests with commas between them.
  returned: success
  type: str
own_guests:
  description: The guests, as C(own_guests) takes them.
  returned: success
  type: dict
devices:
  description: With O(support), what C(devices.json) has of each device.
  returned: success
  type: list
  elements: dict
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible.module_utils.migration_lab.model.errors import LabError

try:
    from ansible.module_utils.migration_lab.planning.survey import plan_survey
except ModuleNotFoundError as error:
    MISSING = error.name
else:
    MISSING = None


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "scenarios": {"type": "path", "required": True},
            "devices": {"type": "str", "default": ""},
            "machine_families": {"type": "str", "default": ""},
            "combinations": {"type": "str", "required": True},
            "relay": {"type": "bool", "default": True},
            "guest_checks": {"type": "bool", "default": True},
            "releases": {"type": "list", "elements": "dict", "default": []},
            "capabilities": {"type": "dict"},
            "support": {"type": "dict"},
            "classes": {"type": "dict", "default": {}},
        },
        supports_check_mode=True,
    )
    if MISSING:
        module.fail_json(msg=missing_required_lib(MISSING, reason="to choose devices; run make setup"))
    given = module.params
    try:
        chosen = plan_survey({**given, "scenarios": Path(given["scenarios"])})
    except LabError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, **chosen)


if __name__ == "__main__":
    main()
