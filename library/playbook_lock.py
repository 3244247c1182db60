#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE)
# The action plugin of the same name does the work.

from __future__ import annotations

DOCUMENTATION = r"""
module: playbook_lock
short_description: Let one playbook at a time work on something
description:
  - Takes a lock on the controller and holds it until the running ansible-playbook ends, in whatever way it ends; a killed
    playbook leaves no lock behind.
  - Fails at once, with the holder's process number, when another playbook holds the lock. Taking a lock that this playbook
    already holds changes nothing.
options:
  path:
    description: The lock file. Its folder is created when it is missing.
    type: path
    required: true
  what:
    description: What holds the lock, for the sentence that refuses a second holder.
    type: str
    required: true
attributes:
  check_mode: {support: full, description: Checks whether the lock is free and does not take it.}
author: The libvirt migration compatibility lab (!UNKNOWN)
"""

EXAMPLES = r"""
- name: Lock the cell
  playbook_lock:
    path: /run/lock/migration-lab/a.lock
    what: run is active on this cell
"""

RETURN = r"""
holder:
  description: Process number of the ansible-playbook that the lock belongs to.
  returned: always
  type: int
"""
