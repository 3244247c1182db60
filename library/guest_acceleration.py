#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE)

from __future__ import annotations

DOCUMENTATION = r"""
module: guest_acceleration
short_description: Find out whether KVM really runs the lab's guest, and no slower than TCG
description:
  - Starts the guest's kernel with each QEMU, with KVM and with TCG, and watches its counter in memory.
  - A KVM device is no proof. Some hosts have one on which this guest never starts, or starts later than with TCG.
options:
  emulators:
    description: Commands that start a QEMU, one for each release, up to and without its arguments.
    type: list
    elements: list
    required: true
  guest:
    description: The guest's C(arch), C(machine) type and C(cpu).
    type: dict
    required: true
  kernel:
    description: Path of the guest's kernel, as the commands see it.
    type: str
    required: true
attributes:
  check_mode: {support: full, description: Starts guests and ends them.}
author: The libvirt migration compatibility lab (!UNKNOWN)
"""

EXAMPLES = r"""
- name: Choose the acceleration
  guest_acceleration:
    emulators:
      - [podman, run, --rm, -i, --device, /dev/kvm, debian-12, qemu-system-x86_64]
    guest: {arch: x86_64, machine: pc-i440fx-7.2, cpu: ''}
    kernel: /lab/guest-x86_64.img
"""

RETURN = r"""
accel:
  description: V(kvm) or V(tcg).
  returned: always
  type: str
reason:
  description: Why, in a sentence.
  returned: always
  type: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.migration_lab.lab_host.acceleration import choose
from ansible.module_utils.migration_lab.model.errors import LabError

PATIENCE = 2.0  # seconds that a guest may take to its tenth tick


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "emulators": {"type": "list", "elements": "list", "required": True},
            "guest": {"type": "dict", "required": True},
            "kernel": {"type": "str", "required": True},
        },
        supports_check_mode=True,
    )
    given = module.params
    try:
        accel, reason = choose(given["emulators"], given["guest"], given["kernel"], PATIENCE)
    except LabError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, accel=accel, reason=reason)


if __name__ == "__main__":
    main()
