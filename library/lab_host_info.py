#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE)

from __future__ import annotations

DOCUMENTATION = r"""
module: lab_host_info
short_description: Detect what a lab host can do for containers and guests
description:
  - Detects, by trying, which OCI runtime can start a container here, and which limits a container may be given.
  - Some runtimes refuse some hosts. crun refuses hybrid v1/v2 cgroups; podman's default limits fail where root has no
    C(CAP_SYS_RESOURCE). A trial container with a one-program root tells.
  - Roots of releases from before 2012 need a kernel that serves vsyscalls, 32-bit ones a kernel that runs IA32 programs.
options:
  packages:
    description: Packages that a lab host needs. When some are missing, nothing else is looked at.
    type: list
    elements: str
    required: true
  init:
    description: Static init program of the containers; it is also the program of the trial container.
    type: path
    required: true
  runtimes:
    description: OCI runtimes to try, the preferred one first.
    type: list
    elements: str
    required: true
  path:
    description: Folder whose file system will hold images; it need not exist yet.
    type: path
    required: true
attributes:
  check_mode: {support: full, description: "Reads, and starts and removes a trial container."}
author: The libvirt migration compatibility lab (!UNKNOWN)
"""

EXAMPLES = r"""
- name: Detect the lab host's abilities
  lab_host_info:
    packages: [crun, podman]
    init: /usr/bin/catatonit
    runtimes: [crun, runc]
    path: /var/lib/containers
  register: lab_host_abilities
"""

RETURN = r"""
missing:
  description: The O(packages) that are not installed.
  returned: always
  type: list
  elements: str
runtime:
  description: The first runtime that started a container.
  returned: when no package is missing
  type: str
refused:
  description: What the runtimes before it answered.
  returned: when no package is missing
  type: dict
init:
  description: The init program, O(init).
  returned: when no package is missing
  type: str
ulimits:
  description: C(nofile) and C(nproc) limits for containers, below this process's own hard limits.
  returned: when no package is missing
  type: dict
cgroups:
  description: V(v1), V(v2) or V(hybrid).
  returned: when no package is missing
  type: str
cores:
  description: Processors that may be used.
  returned: when no package is missing
  type: int
free_gib:
  description: Free space on the file system of O(path), in GiB.
  returned: when no package is missing
  type: float
loop:
  description: Whether there are loop devices, which guests' disks are made of.
  returned: when no package is missing
  type: bool
kvm:
  description: Whether there is a KVM device. Whether it works is for C(guest_acceleration) to find out.
  returned: when no package is missing
  type: bool
vsyscall:
  description: Whether the kernel serves vsyscalls, which 64-bit programs with a glibc before 2.14 make.
  returned: when no package is missing
  type: bool
ia32:
  description: Whether the kernel runs 32-bit x86 programs.
  returned: when no package is missing
  type: bool
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.migration_lab.lab_host.abilities import abilities, missing_packages
from ansible.module_utils.migration_lab.model.errors import LabError


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "packages": {"type": "list", "elements": "str", "required": True},
            "init": {"type": "path", "required": True},
            "runtimes": {"type": "list", "elements": "str", "required": True},
            "path": {"type": "path", "required": True},
        },
        supports_check_mode=True,
    )
    given = module.params
    try:
        missing = missing_packages(given["packages"])
        facts = {} if missing else abilities(given["init"], given["runtimes"], given["path"])
    except LabError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, missing=missing, **facts)


if __name__ == "__main__":
    main()
