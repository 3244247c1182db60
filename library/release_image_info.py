#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE)

from __future__ import annotations

DOCUMENTATION = r"""
module: release_image_info
short_description: Find out whether the reference of a release stands for another image now
description:
  - Pulls the image of a release of kind C(image) again, and compares it with the one that the release's image was made of.
  - An archive on disk and a reference with a digest stand for the same image always.
options:
  release: {description: "The release, as C(migration_plan) returns it.", type: dict, required: true}
  image: {description: Name of the release's image in podman's storage., type: str, required: true}
attributes:
  check_mode: {support: full, description: Pulls the image as well; what is used stays as it is.}
author: The libvirt migration compatibility lab (!UNKNOWN)
"""

EXAMPLES = r"""
- name: Compare with the registry
  release_image_info:
    release: {name: fedora-42, image: "fedora:42"}
    image: localhost/migration-lab/fedora-42:fedora-42-0123456789ab
"""

RETURN = r"""
newer:
  description: The reference, with the ids of the image before and now; empty when it is the same.
  returned: always
  type: list
  elements: dict
  contains:
    name: {description: The reference., type: str}
    old: {description: The image that the release's was made of., type: str}
    new: {description: The image of now., type: str}
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.migration_lab.model.errors import LabError
from ansible.module_utils.migration_lab.releases.image import newer


def main() -> None:
    module = AnsibleModule(
        argument_spec={"release": {"type": "dict", "required": True}, "image": {"type": "str", "required": True}},
        supports_check_mode=True,
    )
    release = module.params["release"]
    try:
        found = newer(release["name"], release, module.params["image"])
    except LabError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, newer=found)


if __name__ == "__main__":
    main()
