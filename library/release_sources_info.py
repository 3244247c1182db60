#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE)

from __future__ import annotations

DOCUMENTATION = r"""
module: release_sources_info
short_description: Find out where a release of several suites takes its packages from
description:
  - Returns apt's lines for the suites of a release, those of C(mmdebstrap) where the release has no mirror for one, and apt's
    preferences.
  - With O(command), lets C(mmdebstrap) simulate the build and refuses a release whose suites cannot be had, lack a package, or
    have another libvirt or QEMU than the release says. Nothing is downloaded but the suites' lists of packages.
options:
  release:
    description: The release with its C(name) and C(sources), as C(migration_plan) returns it.
    type: dict
    required: true
  command:
    description: The build up to the lines of its suites. Empty not to simulate it.
    type: list
    elements: str
    default: []
attributes:
  check_mode: {support: full, description: Only reads.}
author: The libvirt migration compatibility lab (!UNKNOWN)
"""

EXAMPLES = r"""
- name: Check the sources of a release
  release_sources_info:
    release:
      name: newer
      suite: trixie
      mirror: ""
      keyring: ""
      sources: [{suite: trixie-backports, packages: ["libvirt*"]}]
      libvirt: 12.9.0
      qemu: "10.0"
    command: [mmdebstrap, --variant=minbase, --include=libvirt-daemon, trixie, /tmp/root.tar]
"""

RETURN = r"""
lines:
  description: What apt reads as its sources.list, the release's own suite first.
  returned: always
  type: list
  elements: str
preferences:
  description: What apt reads as its preferences. Empty when nothing is pinned.
  returned: always
  type: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.migration_lab.model.errors import LabError
from ansible.module_utils.migration_lab.releases.sources import check_sources, resolve_sources


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "release": {"type": "dict", "required": True},
            "command": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    release, command = module.params["release"], module.params["command"]
    try:
        sources = resolve_sources(release)
        if command:
            check_sources(release, sources, command)
    except LabError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, lines=list(sources.lines), preferences=sources.preferences)


if __name__ == "__main__":
    main()
