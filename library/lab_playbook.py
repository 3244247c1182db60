#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE)
# The action plugin of the same name does the work.

from __future__ import annotations

DOCUMENTATION = r"""
module: lab_playbook
short_description: Run a playbook of the lab inside another one
description:
  - Starts C(ansible-playbook) as a process of its own, with the inventory and the extra variables of the running playbook, and
    shows its output.
  - A failing play ends ansible-playbook. Running the playbook in its own process lets the caller continue.
  - Does not fail when that playbook fails; that is what RV(status) and RV(reason) are for.
  - The process ends when the running playbook is gone.
options:
  playbook:
    description: The playbook's file.
    type: path
    required: true
  settings:
    description: Extra variables, over those of the running playbook.
    type: dict
    default: {}
  without:
    description: Extra variables of the running playbook whose names begin so are not passed on.
    type: str
    default: ""
  time_limit:
    description: Seconds after which the playbook is stopped.
    type: float
    required: true
attributes:
  check_mode: {support: none, description: Not supported; the task is skipped.}
author: The libvirt migration compatibility lab (!UNKNOWN)
"""

EXAMPLES = r"""
- name: Run the matrix
  lab_playbook:
    playbook: "{{ playbook_dir }}/full_matrix.yml"
    settings: {run: 20261123T020000Z, clean: true}
    time_limit: 14400
  register: night_matrix
"""

RETURN = r"""
status:
  description: The exit status of ansible-playbook; negative, the signal that ended it.
  returned: always
  type: int
reason:
  description: The message of the failure that ended it, in a line; empty when it did not fail.
  returned: always
  type: str
timed_out:
  description: Whether it was stopped at O(time_limit).
  returned: always
  type: bool
"""
