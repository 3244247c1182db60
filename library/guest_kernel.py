#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE)

from __future__ import annotations

DOCUMENTATION = r"""
module: guest_kernel
short_description: Write the lab's guest kernels into a folder
description:
  - Generates the tiny kernels that the lab's guests boot, one for each architecture, and the EFI application
    of those that have one; writes those that differ.
options:
  path:
    description: Folder to write to. It must exist.
    type: path
    required: true
attributes:
  check_mode: {support: full, description: Reports what would be written.}
author: The libvirt migration compatibility lab (!UNKNOWN)
"""

EXAMPLES = r"""
- name: Write the guests' kernels
  guest_kernel:
    path: /var/lib/migration-lab/files
"""

RETURN = r"""
kernels:
  description: By architecture the kernel's path.
  returned: always
  type: dict
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.migration_lab.guest.kernel import ARCHITECTURES, build


def main() -> None:
    module = AnsibleModule(argument_spec={"path": {"type": "path", "required": True}}, supports_check_mode=True)
    changed = False
    kernels = {}
    for arch in ARCHITECTURES:
        guest = build(arch)
        kernels[arch] = str(Path(module.params["path"]) / guest.file_name)
        files = {guest.file_name: guest.image, **({guest.application_name: guest.application} if guest.application else {})}
        for name, content in files.items():
            path = Path(module.params["path"]) / name
            if not path.exists() or path.read_bytes() != content:
                changed = True
                if not module.check_mode:
                    try:
                        path.write_bytes(content)
                    except OSError as error:
                        module.fail_json(msg=f"the guest kernel {path} cannot be written: {error.strerror}")
    module.exit_json(changed=changed, kernels=kernels)


if __name__ == "__main__":
    main()
