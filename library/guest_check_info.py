#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE)

from __future__ import annotations

DOCUMENTATION = r"""
module: guest_check_info
short_description: Adapt domains of the user's to the lab, and find out what to try of those that do not move
description:
  - Reads domain XML as C(virsh dumpxml) prints it and replaces what ties a domain to its host, such as disks, networks and host
    devices, with what a machine of the lab has. Everything else stays as it is.
  - With O(results), the run of the adapted guests, it gives variants of each guest that did not move, each without one part of
    its XML. A variant that moves names the lines that stop the guest.
  - Refuses what the lab cannot run with one sentence. Reads only, and resolves neither entities nor external files.
  - Runs on the controller.
options:
  files:
    description: The files, and folders of files C(*.xml).
    type: list
    elements: path
    required: true
  pair: {description: Name of the pair to migrate between., type: str, required: true}
  methods:
    description: The methods to migrate with, V(normal), V(p2p) or V(tunnelled); all without one.
    type: list
    elements: str
    default: []
  accel:
    description: V(kvm) keeps the guests' processors as they are. Otherwise they get the nearest that can be emulated.
    type: str
    required: true
  scenarios: {description: Folder with catalogue and schemas., type: path, required: true}
  settings: {description: What the site sets; a value C($name) in the catalogue stands for one., type: dict, default: {}}
  own_releases: {description: "Releases of the user's own.", type: dict, default: {}}
  own_pairs: {description: Pairs of the user's own., type: dict, default: {}}
  results: {description: Folder of the run of the adapted guests., type: path}
attributes:
  check_mode: {support: full, description: Reads only.}
author: The libvirt migration compatibility lab (!UNKNOWN)
"""

EXAMPLES = r"""
- name: Adapt the guest
  guest_check_info:
    files: [/root/web01.xml]
    pair: debian
    accel: auto
    scenarios: scenarios
  register: adapted
"""

RETURN = r"""
checks:
  description: >-
    The guests, each with its C(name), the C(path) of its file, and the C(changes), each with C(line), C(what) and C(why).
  returned: success
  type: list
  elements: dict
own_guests:
  description: The guests, or with O(results) the variants, as C(own_guests) of C(migration_plan) takes them.
  returned: success
  type: dict
guests:
  description: Their names with commas between them; empty when every guest moved.
  returned: success
  type: str
cases:
  description: Patterns of the cases to run.
  returned: success
  type: str
combinations:
  description: Combinations to run, with commas between them; those in which a guest did not move with O(results).
  returned: success
  type: str
variants:
  description: >-
    With O(results), each variant's C(guest), C(name), C(breadth) (how much is left out), the C(lines) that it lacks, C(what) that
    is in words, and the first line as C(source).
  returned: success
  type: list
  elements: dict
text:
  description: What was changed, a line for each change; empty with O(results).
  returned: success
  type: str
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible.module_utils.migration_lab.model.errors import LabError

try:
    from ansible.module_utils.migration_lab.planning.guest_check import adapt_guests, case_patterns
    from ansible.module_utils.migration_lab.report.guest_check import changes_text
    from ansible.module_utils.migration_lab.results.guest_check import search
    from ansible.module_utils.migration_lab.results.run import read_run
except ModuleNotFoundError as error:
    MISSING = error.name
else:
    MISSING = None

# Both ways across a pair, each with a client of the source's version.
COMBINATIONS = "oon,nno"


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "files": {"type": "list", "elements": "path", "required": True},
            "pair": {"type": "str", "required": True},
            "methods": {"type": "list", "elements": "str", "default": []},
            "accel": {"type": "str", "required": True},
            "scenarios": {"type": "path", "required": True},
            "settings": {"type": "dict", "default": {}},
            "own_releases": {"type": "dict", "default": {}},
            "own_pairs": {"type": "dict", "default": {}},
            "results": {"type": "path"},
        },
        supports_check_mode=True,
    )
    if MISSING:
        module.fail_json(msg=missing_required_lib(MISSING, reason="to check guests; run make setup"))
    given = module.params
    try:
        guests = adapt_guests(given)
        checks = [
            {"name": guest.name, "path": guest.path, "changes": [change.to_data() for change in guest.changes]}
            for guest in guests
        ]
        if given["results"]:
            found = search(read_run(Path(given["results"])), guests)
            own = {variant.name: variant.data for _, variant in found.variants}
            cases, combinations, text = ",".join(found.cases), ",".join(found.combinations), ""
            variants = [{"guest": name, **variant.to_data()} for name, variant in found.variants]
        else:
            own = {guest.name: guest.data for guest in guests}
            cases, combinations, text = case_patterns(given["methods"], list(own)), COMBINATIONS, "\n".join(changes_text(checks))
            variants = []
    except LabError as error:
        module.fail_json(msg=str(error))
    module.exit_json(
        changed=False, checks=checks, own_guests=own, guests=",".join(own), cases=cases, combinations=combinations,
        variants=variants, text=text,
    )


if __name__ == "__main__":
    main()
