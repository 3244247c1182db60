#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE)

from __future__ import annotations

DOCUMENTATION = r"""
module: additional_cells_info
short_description: Choose cells beside those of the inventory
description:
  - Says which cells a lab host can carry beside those that the inventory has, with their names and networks, and which it
    still has from earlier runs.
  - Runs on the controller.
options:
  wanted: {description: "Number of cells on each lab host, or V(auto).", type: str, required: true}
  cells:
    description: The cells of the inventory.
    type: list
    elements: dict
    required: true
    suboptions:
      name: {description: Name of the cell., type: str, required: true}
      lab_host: {description: Its lab host., type: str, required: true}
      subnet: {description: "Its network, a /24 of private space.", type: str, required: true}
  rooms:
    description: By lab host C(cores), C(free_mib) and C(networks), as C(lab_host_room_info) returns them.
    type: dict
    required: true
attributes:
  check_mode: {support: full, description: Only computes.}
author: The libvirt migration compatibility lab (!UNKNOWN)
"""

EXAMPLES = r"""
- name: Choose the additional cells
  additional_cells_info:
    wanted: auto
    cells: [{name: a, lab_host: lab, subnet: 10.211.55.0/24}]
    rooms: {lab: {cores: 2, free_mib: 8000, networks: {mlab-a: {subnets: [10.211.55.0/24], beside: ""}}}}
"""

RETURN = r"""
cells:
  description: The cells to add, each with C(name), C(lab_host), C(subnet) and C(beside), the inventory's cell that it is like.
  returned: always
  type: list
  elements: dict
left:
  description: The same of additional cells of earlier runs whose networks are still there.
  returned: always
  type: list
  elements: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.migration_lab.model.errors import LabError
from ansible.module_utils.migration_lab.planning.cells import Cell, additional_cells, left_cells


def main() -> None:
    text, fields = {"type": "str", "required": True}, ("name", "lab_host", "subnet")
    module = AnsibleModule(
        argument_spec={
            "wanted": {"type": "str", "required": True},
            "cells": {"type": "list", "elements": "dict", "required": True, "options": dict.fromkeys(fields, text)},
            "rooms": {"type": "dict", "required": True},
        },
        supports_check_mode=True,
    )
    cells = [Cell(**cell) for cell in module.params["cells"]]
    try:
        left = [
            cell for lab_host, room in module.params["rooms"].items()
            for cell in left_cells([own for own in cells if own.lab_host == lab_host], cells, room["networks"])
        ]
        added = additional_cells(module.params["wanted"], cells, module.params["rooms"])
    except LabError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, cells=[cell.to_data() for cell in added], left=[cell.to_data() for cell in left])


if __name__ == "__main__":
    main()
