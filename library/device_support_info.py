#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE)

from __future__ import annotations

DOCUMENTATION = r"""
module: device_support_info
short_description: Ask a cell's daemons which devices they know
description:
  - Without O(guests), reads the domain capabilities of source and target.
  - With O(guests), has source and target define each of them and undefine it again; nothing is started.
options:
  machine_types: {description: Machine types to ask the domain capabilities of., type: list, elements: str, default: []}
  arch: {description: Their architecture., type: str, default: x86_64}
  guests: {description: "By name guests, as C(migration_plan) returns them.", type: dict, default: {}}
  prefix: {description: Start of the name of every domain of the lab., type: str, required: true}
extends_documentation_fragment: cell
attributes:
  check_mode: {support: full, description: What is defined is undefined again.}
author: The libvirt migration compatibility lab (!UNKNOWN)
"""

EXAMPLES = r"""
- name: Read the domain capabilities
  device_support_info:
    machines: "{{ cell_machines.oon }}"
    machine_types: [pc-i440fx-7.2, pc-q35-7.2]
    prefix: mlab-
"""

RETURN = r"""
capabilities:
  description:
    - By side the models that its domain capabilities list, by element and enum such as C(video/modelType); null where the side
      has no domain capabilities (libvirt before 1.2.7).
  returned: success
  type: dict
support:
  description: By guest and side why the side cannot have it; empty where it can.
  returned: success
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.migration_lab.cell.cell import CELL_ARGUMENT, Cell
from ansible.module_utils.migration_lab.cell.device_support import read_models, read_support
from ansible.module_utils.migration_lab.guest.config import GuestConfig
from ansible.module_utils.migration_lab.model.errors import LabError


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "machines": CELL_ARGUMENT,
            "machine_types": {"type": "list", "elements": "str", "default": []},
            "arch": {"type": "str", "default": "x86_64"},
            "guests": {"type": "dict", "default": {}},
            "prefix": {"type": "str", "required": True},
        },
        supports_check_mode=True,
    )
    given = module.params
    try:
        cell = Cell.from_data(given["machines"])
        if not given["prefix"]:
            raise LabError("prefix is empty: domains that are not the lab's could be touched; give one such as mlab-")
        # What a daemon knows is the same for KVM, which not every lab host has.
        guests = {name: GuestConfig.from_data(data, "tcg") for name, data in given["guests"].items()}
        capabilities = read_models(cell, given["arch"], given["machine_types"], "qemu") if given["machine_types"] else {}
        support = read_support(cell, guests, given["prefix"]) if guests else {}
    except LabError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, capabilities=capabilities, support=support)


if __name__ == "__main__":
    main()
