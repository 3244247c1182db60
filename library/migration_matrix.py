#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE)

from __future__ import annotations

DOCUMENTATION = r"""
module: migration_matrix
short_description: Run a share of a migration matrix on a cell
description:
  - Runs the cases of a profile, for example the 96 of V(canonical), on machines that run real libvirt daemons, a number
    of cases at a time, and judges each by ten checks and a few further ones.
  - The libvirt calls are made by agents on the client machine, with that machine's own libvirt library.
  - Every finished case is in the append-only journal at once. A case that hangs costs its time limit; an agent that
    dies costs its case; a daemon that dies is started again, and the cases in flight are run again alone.
  - Touches only domains whose name starts with O(prefix).
  - Runs on the lab host, needs only the Python standard library there, and changes nothing in check mode.
options:
  run:
    description: Name of the run; it is part of the journal and of the guests' UUIDs.
    type: str
    required: true
  combination:
    description: The version combination that the cell carries, such as V(noo).
    type: str
    required: true
  pair:
    description: The pair of releases or the sweep, kept in the journal; C(boundary) is the version that C(old) is below.
    type: dict
    required: true
    suboptions:
      name: {description: Name of the pair., type: str, required: true}
      old: {description: Release of the machines of class old., type: str}
      new: {description: Release of the machines of class new., type: str}
      releases: {description: "Of a sweep, in place of both, the releases of its classes.", type: list, elements: str}
      boundary: {description: libvirt version between the two., type: str}
      ceiling: {description: Version as which the relay presents the machines of class old., type: str}
      workers_per_core: {description: Cases at a time for each core of the lab host; kept in the journal., type: int}
      alone_again:
        description: Whether a case that failed concurrently with others is run once more, alone; both results are kept.
        type: bool
  expected:
    description:
      - By role (C(client), C(source), C(target)) the C(release), its C(libvirt) version and the C(class), V(old) or V(new),
        and the C(ceiling) where the relay presents the machine as an older version.
      - When a machine reports another version, nothing is run.
    type: dict
    required: true
  guests:
    description:
      - By name the guests as C(migration_plan) returns them. C(name); C(arch); C(machine), QEMU's machine type; C(memory) in MiB;
        C(xml) with markers for what each domain has of its own; C(disks), MiB by name; C(witness), whether the lab's kernel
        runs in it.
    type: dict
    required: true
  accels:
    description: By architecture C(kvm) or C(tcg), which it is without an entry.
    type: dict
    default: {}
  profile:
    description: The profile's data, as V(scenarios/profiles/*.yml) has it.
    type: dict
    required: true
  profile_id:
    description: Identifies O(profile); a journal made with a different one is not resumed.
    type: str
    required: true
  cases:
    description: Ids of the cases of the cell's share; they run in the profile's order.
    type: list
    elements: str
    required: true
  cell:
    description: Name of the cell. Each cell that works on a combination has a journal of its own.
    type: str
    required: true
  deviations:
    description: The ledger of known deviations, as V(scenarios/deviations.yml) has it.
    type: list
    elements: dict
    default: []
  ledger_id:
    description: Identifies O(deviations), as O(profile_id) does O(profile).
    type: str
    required: true
  relay:
    description:
      - Whether all connections go through a relay in the client's network namespace that sees which migration protocol runs.
        A ceiling needs it.
    type: bool
    default: true
    aliases: [tap]
  guest_checks:
    description: Whether the guests themselves are looked at, from outside libvirt. A paused guest then runs before it is paused.
    type: bool
    default: true
  folder:
    description: The combination's results folder. The journal, C(journal-<cell>.jsonl), is made in it.
    type: path
    required: true
  workers:
    description: Cases at a time.
    type: int
    required: true
  time_limit:
    description: Seconds that a case may take before it counts as hung.
    type: float
    required: true
  prefix:
    description: Start of the name of every domain that the lab makes or removes.
    type: str
    required: true
  clean:
    description: Remove domains of an earlier run that are still there. Without it they are reported and nothing is run.
    type: bool
    default: false
  resume:
    description: Resume the run whose journals are in O(folder), running only cases that have no result in any of them.
    type: bool
    default: false
  owner:
    description:
      - Process number on the lab host of the playbook that the run belongs to. When it ends, the run ends after the
        cases in flight.
      - Set by the action plugin when the lab host is this machine.
    type: int
extends_documentation_fragment: cell
attributes:
  check_mode: {support: full, description: Plans and lists the cases; connects to nothing.}
author: The libvirt migration compatibility lab (!UNKNOWN)
"""

EXAMPLES = r"""
- name: Run two peer-to-peer cases of a combination
  migration_matrix:
    run: 20261123T120000Z
    combination: noo
    pair: {name: debian, old: debian-12, new: debian-13, boundary: 11.3.0}
    expected:
      client: {release: debian-13, libvirt: 11.3.0, class: new}
      source: {release: debian-12, libvirt: 9.0.0, class: old}
      target: {release: debian-12, libvirt: 9.0.0, class: old}
    machines: "{{ cell_machines }}"
    guests: "{{ planned.plan.guests }}"
    accels: {x86_64: tcg}
    profile: "{{ lookup('ansible.builtin.file', 'scenarios/profiles/canonical.yml') | from_yaml }}"
    profile_id: 1f0c6de0a1b2
    cases: [p2p/transient-running/none, p2p/transient-running/persist-dest]
    cell: a
    ledger_id: 4f53cda18c2b
    folder: /srv/results/20261123T120000Z/noo
    workers: 4
    time_limit: 60
    prefix: mlab-
"""

RETURN = r"""
cell_broken:
  description: Whether a case, which is in the journal, has broken the cell, so that the others need new machines and O(resume).
  returned: on failure
  type: bool
journal:
  description: Path of the journal.
  returned: when something was run
  type: str
planned:
  description: Ids of the chosen cases, in order.
  returned: always
  type: list
  elements: str
counts:
  description: Number of chosen cases by verdict.
  returned: when something was run
  type: dict
  sample: {"pass": 95, "fail": 1}
not_passed:
  description: Cases that are neither V(pass) nor V(known), with verdict and reason.
  returned: when something was run
  type: list
  elements: dict
unexplained_deaths:
  description: Deaths of a daemon that no case run alone brought about again.
  returned: when something was run
  type: list
  elements: str
versions:
  description: Versions that the client library and the daemons reported, by role.
  returned: when something was run
  type: dict
ran:
  description: Number of cases that this call ran; fewer than planned after a resume.
  returned: when something was run
  type: int
seconds:
  description: Wall time of the cases.
  returned: when something was run
  type: float
call_seconds:
  description: Time inside libvirt calls, summed over all workers.
  returned: when something was run
  type: float
workers:
  description: Cases that ran at a time.
  returned: when something was run
  type: int
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.migration_lab.cell.cell import CELL_ARGUMENT, Cell
from ansible.module_utils.migration_lab.guest.config import GuestConfig
from ansible.module_utils.migration_lab.model.errors import LabError
from ansible.module_utils.migration_lab.runner.combination import Settings, run_combination
from ansible.module_utils.migration_lab.runner.stage import CellBroken
from ansible.module_utils.migration_lab.suites.registry import suite_of

TEXT = {"type": "str", "required": True}


def main() -> None:
    pair = {
        "name": TEXT,
        **{field: {"type": "str"} for field in ("old", "new", "boundary", "ceiling")},
        "releases": {"type": "list", "elements": "str"},
        "workers_per_core": {"type": "int"},
        "alone_again": {"type": "bool"},
    }
    module = AnsibleModule(
        argument_spec={
            "run": {"type": "str", "required": True},
            "combination": {"type": "str", "required": True},
            "pair": {"type": "dict", "required": True, "options": pair},
            "expected": {"type": "dict", "required": True},
            "machines": CELL_ARGUMENT,
            "guests": {"type": "dict", "required": True},
            "accels": {"type": "dict", "default": {}},
            "profile": {"type": "dict", "required": True},
            "profile_id": {"type": "str", "required": True},
            "cases": {"type": "list", "elements": "str", "required": True},
            "cell": {"type": "str", "required": True},
            "deviations": {"type": "list", "elements": "dict", "default": []},
            "ledger_id": {"type": "str", "required": True},
            "relay": {"type": "bool", "default": True, "aliases": ["tap"]},
            "guest_checks": {"type": "bool", "default": True},
            "folder": {"type": "path", "required": True},
            "workers": {"type": "int", "required": True},
            "time_limit": {"type": "float", "required": True},
            "prefix": TEXT,
            "clean": {"type": "bool", "default": False},
            "resume": {"type": "bool", "default": False},
            "owner": {"type": "int"},
        },
        supports_check_mode=True,
    )
    given = module.params
    try:
        settings = Settings(
            run=given["run"],
            combination=given["combination"],
            pair={field: value for field, value in given["pair"].items() if value is not None},
            expected=given["expected"],
            cell=Cell.from_data(given["machines"]),
            cell_name=given["cell"],
            guests={
                name: GuestConfig.from_data(data, given["accels"].get(data["arch"], "tcg"))
                for name, data in given["guests"].items()
            },
            suite=suite_of(given["profile"]),
            profile=given["profile"],
            profile_id=given["profile_id"],
            cases=tuple(given["cases"]),
            folder=Path(given["folder"]),
            workers=given["workers"],
            time_limit=given["time_limit"],
            prefix=given["prefix"],
            clean=given["clean"],
            resume=given["resume"],
            owner=given["owner"],
            deviations=tuple(given["deviations"]),
            ledger_id=given["ledger_id"],
            relay=given["relay"],
            guest_checks=given["guest_checks"],
        )
        planned = [case.id for case in settings.share()]
        if module.check_mode:
            module.exit_json(changed=True, planned=planned)
        if settings.workers < 1 or not settings.prefix:
            raise LabError("workers must be at least 1, and prefix not empty: domains that are not the lab's could be touched")
        result = run_combination(settings)
    except LabError as error:
        module.fail_json(msg=str(error), cell_broken=isinstance(error, CellBroken))
    module.exit_json(changed=result["ran"] > 0, planned=planned, **result)


if __name__ == "__main__":
    main()
