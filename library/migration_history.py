#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE)

from __future__ import annotations

DOCUMENTATION = r"""
module: migration_history
short_description: Keep and show the history of the runs
description:
  - >-
    Brings C(history.sqlite) of a folder of runs up to date from their journals, and shows the results of a combination or a case
    in runs of the same pair, profile and guest.
  - >-
    A verdict is flaky when it differs from that of the run before, though versions of libvirt and QEMU, releases, ledger and
    settings were the same. The kernel does not count: it is the lab host's and changes under all machines at once.
  - A history that cannot be trusted is set aside as C(history.sqlite.broken-<UTC time>) and made again, and reported.
options:
  results_root:
    description:
      - The folder of the runs, C(results).
    type: path
    required: true
  of:
    description:
      - What to show, a combination (V(noo)) or a case of one (V(noo/p2p/transient-paused/none)).
      - Empty to show nothing.
    type: str
    default: ""
  run:
    description:
      - Show runs that are comparable with this one, up to it.
      - Empty for the run that was started last.
    type: str
    default: ""
  rebuild:
    description:
      - Read the journals of all runs again. A run that cannot be read is reported and skipped.
      - What the history has of runs whose folders are gone stays; to lose that too, remove the file first.
    type: bool
    default: false
attributes:
  check_mode: {support: full, description: "Computes and returns the history, and writes no file."}
notes:
  - Runs on the controller, where the results are.
author: The libvirt migration compatibility lab (!UNKNOWN)
"""

EXAMPLES = r"""
- name: Look up the history of a case
  migration_history:
    results_root: results
    of: noo/p2p/transient-paused/none
  delegate_to: localhost
  register: history
"""

RETURN = r"""
text:
  description: What was asked for, oldest run first; before it RV(remarks).
  returned: success
  type: str
remarks:
  description: What was wrong with the history or with runs, in a sentence each.
  returned: success
  type: list
  elements: str
  sample: []
runs:
  description: The number of runs in the history.
  returned: success
  type: int
  sample: 12
files:
  description: The files that were changed, or would be in check mode.
  returned: success
  type: list
  elements: path
  sample: [results/history.sqlite]
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.migration_lab.history.text import history_text
from ansible.module_utils.migration_lab.history.update import plan_update
from ansible.module_utils.migration_lab.model.errors import LabError


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "results_root": {"type": "path", "required": True},
            "of": {"type": "str", "default": ""},
            "run": {"type": "str", "default": ""},
            "rebuild": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    given = module.params
    try:
        update = plan_update(Path(given["results_root"]), again=given["rebuild"])
        shown = [history_text(update.history, given["run"], given["of"])] if given["of"] else []
        files = update.outdated_files() if module.check_mode else update.write()
    except LabError as error:
        module.fail_json(msg=str(error))
    runs = len(update.history.journal_bytes())
    module.exit_json(
        changed=bool(files),
        text="\n".join([*update.notices, *(shown or [f"{runs} run{'' if runs == 1 else 's'} in the history"])]),
        remarks=update.notices,
        runs=runs,
        files=[str(path) for path in files],
    )


if __name__ == "__main__":
    main()
