#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE)

from __future__ import annotations

DOCUMENTATION = r"""
module: machine_daemon
short_description: Have the libvirt daemons of machines running
description:
  - Waits until each machine has started, undoes what an injected fault has left there, and starts its daemons that are dead.
  - Runs on the lab host.
options:
  machines:
    description: The machines.
    type: list
    elements: dict
    required: true
    suboptions:
      name: {description: Name of the machine., type: str, required: true}
      exec: {description: What to put before a command to run it there., type: list, elements: str, required: true}
      python: {description: Its Python interpreter with a libvirt binding., type: str, required: true}
      uri: {description: Where its daemon answers., type: str}
      daemon: {description: Command that takes V(repair)., type: list, elements: str}
      logs: {description: The folder with the log of each daemon there., type: str}
      address: {description: Its address in the cell's network., type: str}
      namespace: {description: Command that prints the path of its network namespace., type: list, elements: str}
      shortcut: {description: Command that prints a quicker C(exec) for the same., type: list, elements: str}
      replacement: {description: Version of the libvirt that can take the place of its own., type: str}
  may_fail:
    description: Return machines that cannot be repaired in RV(broken) instead of failing.
    type: bool
    default: false
attributes:
  check_mode: {support: none, description: Does nothing.}
author: The libvirt migration compatibility lab (!UNKNOWN)
"""

EXAMPLES = r"""
- name: Start dead daemons
  machine_daemon:
    machines: "{{ cell_machines['noo'].values() | selectattr('daemon', 'defined') }}"
"""

RETURN = r"""
repaired:
  description: Names of the machines that had a dead daemon, or had been left with a fault, and whose daemons were started.
  returned: always
  type: list
  elements: str
broken:
  description: By name of a machine that could not be repaired, the reason.
  returned: always
  type: dict
"""

from concurrent.futures import ThreadPoolExecutor

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.migration_lab.cell.machine import MACHINES_ARGUMENT, Machine
from ansible.module_utils.migration_lab.model.errors import LabError


def main() -> None:
    module = AnsibleModule(
        argument_spec={"machines": MACHINES_ARGUMENT, "may_fail": {"type": "bool", "default": False}},
    )
    machines = [Machine.from_data(data) for data in module.params["machines"]]
    repaired, broken = [], {}
    with ThreadPoolExecutor(len(machines) or 1) as pool:
        outcomes = [(machine.name, pool.submit(machine.repair_daemons)) for machine in machines]
        for name, outcome in outcomes:
            try:
                if outcome.result():
                    repaired.append(name)
            except LabError as error:
                broken[name] = str(error)
    if broken and not module.params["may_fail"]:
        module.fail_json(msg="; ".join(broken.values()), repaired=repaired, broken=broken)
    module.exit_json(changed=bool(repaired), repaired=repaired, broken=broken)


if __name__ == "__main__":
    main()
