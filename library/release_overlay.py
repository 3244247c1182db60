#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE)

from __future__ import annotations

DOCUMENTATION = r"""
module: release_overlay
short_description: Make a release's image of its root, a pulled image or that of another release
description:
  - Runs the release's C(install) commands in the root and lays its tree over it, with C(podman build). The layers of the root are
    shared.
  - Looks for what the lab's machines need of an image before the new one gets its name. When something is lacking, a command
    fails or the image cannot be pulled, nothing new is left, and the error says what it was in one sentence.
  - A release of kind C(image) is pulled first. Images keep the names that they had.
options:
  release: {description: "The release, of kind C(image) or C(tree), as C(migration_plan) returns it.", type: dict, required: true}
  image: {description: Name to give to the new image., type: str, required: true}
  root: {description: Name of the root's image; empty for a release that is pulled., type: str, default: ''}
  tree: {description: "The tree, as C(release_tree_info) returns it with its C(plain).", type: dict}
  adapter: {description: Script of the machine that is put before an emulator too new for the tree., type: str, required: true}
  abilities: {description: "What the lab host can do, as C(lab_host_info) returns it.", type: dict, required: true}
  inside:
    description: Command that runs a program in a container; the image and the program go after it.
    type: list
    elements: str
    required: true
attributes:
  check_mode: {support: full, description: Makes nothing.}
author: The libvirt migration compatibility lab (!UNKNOWN)
"""

EXAMPLES = r"""
- name: Pull the image and install libvirt in it
  release_overlay:
    release:
      name: fedora-42
      kind: image
      image: fedora:42
      install: [dnf install -y libvirt-daemon qemu-system-x86-core python3-libvirt]
      libvirt: 11.0.0
      python: /usr/bin/python3
      emulators: {x86_64: /usr/bin/qemu-system-x86_64}
    image: localhost/migration-lab/fedora-42:fedora-42-0123456789ab
    adapter: /lab/emulator
    abilities: {runtime: runc, ulimits: {nofile: 4096, nproc: 16384}}
    inside: [podman, run, --rm, -i]
"""

RETURN = r"""
image:
  description: Id of the new image; empty in check mode.
  returned: always
  type: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.migration_lab.model.errors import LabError
from ansible.module_utils.migration_lab.releases.overlay import build


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "release": {"type": "dict", "required": True},
            "image": {"type": "str", "required": True},
            "root": {"type": "str", "default": ""},
            "tree": {"type": "dict"},
            "adapter": {"type": "str", "required": True},
            "abilities": {"type": "dict", "required": True},
            "inside": {"type": "list", "elements": "str", "required": True},
        },
        supports_check_mode=True,
    )
    if module.check_mode:
        module.exit_json(changed=True, image="")
    try:
        image = build(**module.params)
    except LabError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=True, image=image)


if __name__ == "__main__":
    main()
