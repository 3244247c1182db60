#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE)

from __future__ import annotations

DOCUMENTATION = r"""
module: migration_cell_info
short_description: Read the versions of a cell's machines and compare them with what was asked for
description:
  - Waits until all daemons really answer, then asks the client library and the daemons for their own versions.
  - Fails with a sentence when a machine is not of the release and class that was asked for, or when one of the
    hypervisors does not know a guest's machine type.
options:
  expected:
    description: By role C(release), C(libvirt) and C(class), as C(migration_plan) returns them.
    type: dict
    required: true
  boundary:
    description: libvirt version that class old is below. Empty where the question has none.
    type: str
    default: ''
  guests:
    description: C(arch) and C(machine) type of each guest.
    type: list
    elements: dict
    required: true
  wait:
    description: Seconds to wait for a daemon to answer.
    type: float
    default: 30
extends_documentation_fragment: cell
attributes:
  check_mode: {support: full, description: "Only reads. Where the machines do not exist yet, use a condition."}
author: The libvirt migration compatibility lab (!UNKNOWN)
"""

EXAMPLES = r"""
- name: Compare the versions that the machines report
  migration_cell_info:
    machines: "{{ cell_machines }}"
    expected: "{{ plan.expected['noo'] }}"
    boundary: 11.3.0
    guests: [{arch: x86_64, machine: pc-i440fx-7.2}]
"""

RETURN = r"""
versions:
  description:
    - By role the versions of libvirt and of the kernel; where dpkg or rpm has the packages, a digest of those that are installed,
      and the version of libvirt's (C(libvirt_package), such as C(deb 9.0.0-4+deb12u2)) and of QEMU's (C(qemu_package), not of the
      client); for the client also the version of Python, for source and target also that of the hypervisor, and their host name.
  returned: always
  type: dict
"""

from contextlib import closing

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.migration_lab.cell.agent_process import AgentProcess
from ansible.module_utils.migration_lab.cell.cell import CELL_ARGUMENT, Cell
from ansible.module_utils.migration_lab.cell.versions import check_versions, read_versions
from ansible.module_utils.migration_lab.model.errors import LabError


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "machines": CELL_ARGUMENT,
            "expected": {"type": "dict", "required": True},
            "boundary": {"type": "str", "default": ""},
            "guests": {"type": "list", "elements": "dict", "required": True},
            "wait": {"type": "float", "default": 30},
        },
        supports_check_mode=True,
    )
    given = module.params
    try:
        cell = Cell.from_data(given["machines"])
        machine_types = [(guest["arch"], guest["machine"]) for guest in given["guests"]]
        with closing(AgentProcess(cell.client.exec, cell.client.python)) as agent:
            versions = read_versions(agent, cell, given["wait"], machine_types)
        check_versions(versions, given["expected"], given["boundary"])
    except LabError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, versions=versions)


if __name__ == "__main__":
    main()
