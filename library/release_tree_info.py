#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE)

from __future__ import annotations

DOCUMENTATION = r"""
module: release_tree_info
short_description: Check an installed libvirt, a folder or a tarball, and find its parts
description:
  - Reads a release of kind C(tree) before anything is made of it. Refuses, with one sentence, a tree with another checksum,
    one without its daemons or library, with half a Python binding, with another version of libvirt in it, or with members that
    are not safe to unpack.
options:
  name: {description: "The release's name, for errors.", type: str, required: true}
  path: {description: The tarball or folder on this machine., type: path, required: true}
  plain: {description: Where to write the tree as a tarball without compression., type: path}
  source: {description: "Where the tree is from, for errors. Without it O(path).", type: str}
  sha256:
    description: SHA-256 checksum of the tarball, in hexadecimal, or of the one that C(migration_plan) makes of the folder.
    type: str
    required: true
  libvirt: {description: The libvirt version that must be in it., type: str, required: true}
  daemons:
    description: The kind of daemons that must be in it.
    type: str
    choices: [monolithic, modular]
    default: monolithic
  prefix:
    description: The folder with C(sbin/libvirtd) or C(sbin/virtqemud). Without it the only one that there is.
    type: str
    default: ''
  binding: {description: The folder with C(libvirt.py). Without it the only one that there is., type: str, default: ''}
attributes:
  check_mode: {support: full, description: "Only reads, and writes O(plain)."}
author: The libvirt migration compatibility lab (!UNKNOWN)
"""

EXAMPLES = r"""
- name: Compare the tree with the catalogue
  release_tree_info:
    name: my-libvirt
    path: /srv/libvirt-0.9.1.tar.gz
    sha256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
    libvirt: 0.9.1
  register: tree
"""

RETURN = r"""
prefix:
  description: The folder with C(sbin/libvirtd) or C(sbin/virtqemud), as on the machine that the tree is laid over.
  returned: always
  type: str
libraries:
  description: The folder with libvirt's shared library.
  returned: always
  type: str
binding:
  description: The folder with the Python binding; empty for a tree without one, which is used with its root's.
  returned: always
  type: str
libvirt:
  description: The version of libvirt that is in the tree.
  returned: always
  type: str
plain:
  description: The file that was written, or nothing.
  returned: always
  type: str
"""

from dataclasses import asdict
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.migration_lab.model.errors import LabError
from ansible.module_utils.migration_lab.releases.daemons import MONOLITHIC, NEEDED
from ansible.module_utils.migration_lab.releases.tree import inspect_tree


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "path": {"type": "path", "required": True},
            "plain": {"type": "path"},
            "source": {"type": "str"},
            "sha256": {"type": "str", "required": True},
            "libvirt": {"type": "str", "required": True},
            "daemons": {"type": "str", "choices": list(NEEDED), "default": MONOLITHIC},
            "prefix": {"type": "str", "default": ""},
            "binding": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    given = module.params
    what = f"the tree of release '{given['name']}' ({given['source'] or given['path']})"
    try:
        tree = inspect_tree(
            what, Path(given["path"]), given["sha256"], given["libvirt"], given["prefix"], given["binding"],
            Path(given["plain"]) if given["plain"] else None, given["daemons"],
        )
    except LabError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, plain=given["plain"], **asdict(tree))


if __name__ == "__main__":
    main()
