#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE)

from __future__ import annotations

DOCUMENTATION = r"""
module: release_packages_info
short_description: Find out which packages of a release's image have newer versions
description:
  - Lets C(mmdebstrap) simulate the build of the image, which asks the suite what it would install today, and compares that
    with the packages that are installed in the image.
  - Nothing is downloaded but the suite's lists of packages, and nothing is built.
options:
  name:
    description: The release, for messages.
    type: str
    required: true
  image:
    description: Name of the image in podman's storage.
    type: str
    required: true
  command:
    description: The build, which is only simulated.
    type: list
    elements: str
    required: true
  preferences:
    description: Text of apt's preferences for the build.
    type: str
    default: ""
attributes:
  check_mode: {support: full, description: Only reads.}
author: The libvirt migration compatibility lab (!UNKNOWN)
"""

EXAMPLES = r"""
- name: Ask for newer packages
  release_packages_info:
    name: debian-12
    image: localhost/migration-lab/debian-12:debian-12-0123456789ab
    command: [mmdebstrap, --variant=minbase, --include=libvirt-daemon, bookworm, /tmp/root.tar]
"""

RETURN = r"""
image:
  description: Id of the image.
  returned: always
  type: str
newer:
  description: The packages of which there is a newer version, by name.
  returned: always
  type: list
  elements: dict
  contains:
    name: {description: The package., type: str}
    old: {description: The version in the image., type: str}
    new: {description: The version in the suite., type: str}
  sample: [{"name": "libvirt0", "old": "9.0.0-4+deb12u1", "new": "9.0.0-4+deb12u2"}]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.migration_lab.model.errors import LabError
from ansible.module_utils.migration_lab.releases.packages import ask


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "image": {"type": "str", "required": True},
            "command": {"type": "list", "elements": "str", "required": True},
            "preferences": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    try:
        image, newer = ask(*(module.params[name] for name in ("name", "image", "command", "preferences")))
    except LabError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, image=image, newer=newer)


if __name__ == "__main__":
    main()
