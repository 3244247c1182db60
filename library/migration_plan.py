#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE)

from __future__ import annotations

DOCUMENTATION = r"""
module: migration_plan
short_description: Check the inputs of a run and resolve them into a plan
description:
  - Validates catalogue, profile, pair, guest, combinations and case patterns before anything is changed, and refuses the
    first that is wrong with one sentence that says what, where, and what to do.
  - Runs on the controller.
options:
  settings: {description: What the site sets; a value C($name) in the catalogue stands for one., type: dict, default: {}}
  own_releases: {description: "Releases of the user's own, in addition to those of O(scenarios).", type: dict, default: {}}
  own_pairs: {description: Pairs of the user's own., type: dict, default: {}}
  own_guests: {description: "Guests of the user's own, or the paths of their files.", type: dict, default: {}}
  pair: {description: Name of the pair to run., type: str, required: true}
  sweep:
    description: Names of the releases to run all against all with commas between them; they take the place of O(pair).
    type: str
    default: ''
  profile: {description: Name of the profile to run., type: str, required: true}
  guest: {description: Names of the guests to run with commas between them., type: str, required: true}
  guest_machine: {description: Machine type for the one guest; empty for its own pattern., type: str, default: ''}
  combinations: {description: Combinations with commas between them or V(all)., type: str, required: true}
  cases: {description: Patterns of case ids with commas between them., type: str, default: '*'}
  selection:
    description: Of suite C(recovery), V(smoke), V(pairwise) or V(full); empty for the profile's own, as for the options after it.
    type: str
    default: ''
  repeat: {description: "Of suite C(recovery), how often each case runs.", type: str, default: ''}
  aftermath: {description: "Of suite C(recovery), what the manager does when the migration failed.", type: str, default: ''}
  faults:
    description: Of suite C(recovery), patterns of faults or their groups with commas between them; empty for all.
    type: str
    default: ''
  keepalive_interval: {description: "Of suite C(recovery), seconds between two probes.", type: str, default: ''}
  keepalive_count: {description: "Of suite C(recovery), probes that may stay without an answer.", type: str, default: ''}
  hops:
    description: >-
      Of suite C(chain), the classes of the machines that guests go over, with commas between them; V(in-place:new) has libvirt
      replaced where the guest is. Empty for the profile's chains.
    type: str
    default: ''
  call_limit: {description: "Of suite C(recovery), seconds that the call may take that migrates.", type: str, default: ''}
  cells:
    description: Names of the cells that the combinations are dealt out among.
    type: list
    elements: str
    required: true
  scenarios: {description: "Folder with catalogue, profiles, ledger and schemas.", type: path, required: true}
  lab_files:
    description: Files that go onto every machine; the plan has a digest of them.
    type: list
    elements: path
    default: []
  results_root: {description: Folder that holds the results of all runs., type: path, required: true}
  run: {description: "Name of the run, not V(last). Empty for a new name made from the time.", type: str, default: ''}
  resume: {description: Resume the run O(run) or the newest one., type: bool, default: false}
  workers: {description: "Cases at a time, or V(auto).", type: str, required: true}
  relay: {description: Whether connections go through the relay; a pair with a ceiling needs it., type: bool, required: true}
  time_limit: {description: Seconds that a case may take., type: float, required: true}
  prefix: {description: Start of the name of every domain of the lab., type: str, required: true}
  start:
    description: Make the run's folder and its C(run.json). Without it nothing is written.
    type: bool
    default: false
  about: {description: Further fields for C(run.json)., type: dict, default: {}}
  given:
    description:
      - >-
        What C(ansible-playbook) was given, for C(run.json): C(inventories), C(vars_files) and C(settings), those of the other
        extra variables that a run depends on. The action plugin of the same name fills it in; leave it out.
    type: dict
    default: {"inventories": [], "vars_files": [], "settings": {}}
attributes:
  check_mode: {support: full, description: Checks everything and writes nothing.}
author: The libvirt migration compatibility lab (!UNKNOWN)
"""

EXAMPLES = r"""
- name: Plan the run
  migration_plan:
    settings:
      debian_mirror: http://deb.debian.org/debian
    pair: debian
    profile: canonical
    guest: x86_64
    combinations: onn,nnn
    cells: "{{ groups['cells'] }}"
    scenarios: scenarios
    results_root: results
    workers: auto
    relay: true
    time_limit: 60
    prefix: mlab-
"""

RETURN = r"""
plan:
  description: >-
    The plan. C(run), C(folder), C(pair), C(releases) (whole, with the C(id) of their images), C(untried) (those of them that no
    recorded run has seen), C(guest) (the guests' names with commas), C(guests) by name, C(architectures) of the guests, each with
    the C(machine) type of one, C(workers_per_core), C(profile), C(time_limit) of a case, C(deviations) (the ledger),
    C(sides) (by class the name of the release), C(patterns), C(cases) by combination, C(combinations) in running order,
    C(shares) by cell (each with C(combination) and C(cases)), C(expected) and C(classes) by combination, C(replaceable) (whether
    daemons are replaced), C(profile_id), C(lab_files_id), C(ledger_id), C(resume).
  returned: always
  type: dict
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.migration_lab.model.errors import LabError
from ansible.module_utils.migration_lab.planning.catalogue import OWN
from ansible.module_utils.migration_lab.planning.faults import OPTIONS
from ansible.module_utils.migration_lab.planning.plan import check_results_root, make_plan, start_run


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "settings": {"type": "dict", "default": {}},
            **{name: {"type": "dict", "default": {}} for name in OWN},
            "pair": {"type": "str", "required": True},
            "sweep": {"type": "str", "default": ""},
            "profile": {"type": "str", "required": True},
            "guest": {"type": "str", "required": True},
            "guest_machine": {"type": "str", "default": ""},
            "combinations": {"type": "str", "required": True},
            "cases": {"type": "str", "default": "*"},
            **{name: {"type": "str", "default": ""} for name in OPTIONS},
            "hops": {"type": "str", "default": ""},
            "cells": {"type": "list", "elements": "str", "required": True},
            "scenarios": {"type": "path", "required": True},
            "lab_files": {"type": "list", "elements": "path", "default": []},
            "results_root": {"type": "path", "required": True},
            "run": {"type": "str", "default": ""},
            "resume": {"type": "bool", "default": False},
            "workers": {"type": "str", "required": True},
            "relay": {"type": "bool", "required": True},
            "time_limit": {"type": "float", "required": True},
            "prefix": {"type": "str", "required": True},
            "start": {"type": "bool", "default": False},
            "about": {"type": "dict", "default": {}},
            "given": {"type": "dict", "default": {"inventories": [], "vars_files": [], "settings": {}}},
        },
        supports_check_mode=True,
    )
    given = module.params
    starting = given["start"] and not module.check_mode
    try:
        plan = make_plan(given)
        if given["start"]:
            check_results_root(Path(given["results_root"]))
        if starting:
            start_run(plan, {**given["about"], "given": given["given"]})
    except LabError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=starting and not plan["resume"], plan=plan)


if __name__ == "__main__":
    main()
