#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE)
"""Keep a cell for the running playbook. Carried out by the action plugin of the same name."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cell_lock
short_description: Keep a cell, or something else, for the running playbook
description:
  - Takes a lock on the controller and holds it until the running ansible-playbook ends, in whatever way it ends; a
    killed run leaves no lock behind.
  - Fails at once, with the holder's process number, when another playbook holds the lock. Taking a lock that this
    playbook holds already changes nothing.
options:
  path:
    description: The lock file. Its folder is made when it is missing.
    type: path
    required: true
  what:
    description: What the lock is for, in the sentence that refuses a second holder.
    type: str
    default: run is active on this cell
attributes:
  check_mode:
    description: Looks whether the lock is free and does not take it.
    support: full
author:
  - The libvirt migration compatibility lab
"""

EXAMPLES = r"""
- name: No other run is active on the cell
  cell_lock:
    path: /run/lock/migration-lab/a.lock
"""

RETURN = r"""
holder:
  description: Process number of the ansible-playbook that the lock belongs to.
  returned: always
  type: int
"""
