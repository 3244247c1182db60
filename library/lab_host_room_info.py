#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE)

from __future__ import annotations

DOCUMENTATION = r"""
module: lab_host_room_info
short_description: Look at the room that a lab host has for more cells
description:
  - Reads cores, free memory and podman's networks. A lab host that has no podman yet has no networks.
options: {}
attributes:
  check_mode: {support: full, description: Only reads.}
author: The libvirt migration compatibility lab (!UNKNOWN)
"""

EXAMPLES = r"""
- name: Look at the room on the lab host
  lab_host_room_info:
  register: lab_host_room
"""

RETURN = r"""
cores:
  description: Processors that may be used.
  returned: always
  type: int
free_mib:
  description: Memory that programs can have without swapping, in MiB.
  returned: always
  type: int
networks:
  description: >-
    Podman's networks by name, each with its C(subnets), and C(beside), the cell that an additional cell was added to, else empty.
  returned: always
  type: dict
  sample: {mlab-a-2: {subnets: [10.211.56.0/24], beside: a}}
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.migration_lab.lab_host.room import room
from ansible.module_utils.migration_lab.model.errors import LabError


def main() -> None:
    module = AnsibleModule(argument_spec={}, supports_check_mode=True)
    try:
        found = room()
    except LabError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, **found)


if __name__ == "__main__":
    main()
