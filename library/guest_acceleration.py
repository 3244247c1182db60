#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE)

from __future__ import annotations

DOCUMENTATION = r"""
module: guest_acceleration
short_description: Find out whether KVM really runs the lab's guests, and no slower than TCG
description:
  - Starts the kernel of each architecture with each QEMU, with KVM and with TCG, and watches its counter in memory.
  - A KVM device is no proof. Some hosts have one on which this guest never starts, or starts later than with TCG.
options:
  guests:
    description: What to try, one for each architecture.
    type: list
    elements: dict
    required: true
    suboptions:
      arch: {description: Architecture., type: str, required: true}
      machine: {description: QEMU machine type., type: str, required: true}
      kernel: {description: "Path of the guest's kernel, as the commands see it.", type: str, required: true}
      emulators:
        description: Commands that start a QEMU, one for each release, up to and without its arguments.
        type: list
        elements: list
        required: true
attributes:
  check_mode: {support: full, description: Starts guests and ends them.}
author: The libvirt migration compatibility lab (!UNKNOWN)
"""

EXAMPLES = r"""
- name: Choose the acceleration
  guest_acceleration:
    guests:
      - arch: x86_64
        machine: pc-i440fx-7.2
        kernel: /lab/guest-x86_64.img
        emulators:
          - [podman, run, --rm, -i, --device, /dev/kvm, debian-12, qemu-system-x86_64]
"""

RETURN = r"""
accels:
  description: By architecture, V(kvm) or V(tcg).
  returned: always
  type: dict
reasons:
  description: For each architecture what was chosen and why, in a sentence.
  returned: always
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.migration_lab.lab_host.acceleration import choose
from ansible.module_utils.migration_lab.model.errors import LabError

PATIENCE = 2.0  # seconds that a guest may take to its tenth tick


def main() -> None:
    guest = {
        **{name: {"type": "str", "required": True} for name in ("arch", "machine", "kernel")},
        "emulators": {"type": "list", "elements": "list", "required": True},
    }
    module = AnsibleModule(
        argument_spec={"guests": {"type": "list", "elements": "dict", "required": True, "options": guest}},
        supports_check_mode=True,
    )
    accels, reasons = {}, []
    try:
        for given in module.params["guests"]:
            accel, reason = choose(given["emulators"], given["arch"], given["machine"], given["kernel"], PATIENCE)
            accels[given["arch"]] = accel
            reasons.append(f"{given['arch']} guests run with {accel}: {reason}")
    except LabError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, accels=accels, reasons=reasons)


if __name__ == "__main__":
    main()
