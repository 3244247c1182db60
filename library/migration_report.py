#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE)

from __future__ import annotations

DOCUMENTATION = r"""
module: migration_report
short_description: Make the results of a run from its journals
description:
  - Reads C(run.json) and the journal of each combination of a run of the migration lab, and makes everything else from them.
  - >-
    For each combination it makes C(results.tap) (TAP, ten numbered tests a case in libvirt-tck's order, whatever order the cases
    finished in) and C(junit.xml) (for Jenkins, GitLab and other CI servers). For the run it completes C(run.json), under its key
    C(results), and makes the page C(index.html) and C(matrix.svg), a picture of the matrix for a mail. The page of a recovery
    run has grids of points and faults, and its cases are in C(cases-<method>.html) of each combination.
  - >-
    It reads only the journals, C(run.json), the C(not-obtained.json) of combinations that could not be provisioned and the
    daemons' logs that a journal names, of this run and of the one that it is compared with. So the results can be made again at
    any time, also those of a run that was interrupted or is still in progress.
  - >-
    With O(history) it keeps the history of all runs in the same folder. Journals of other runs are read only where the history
    lacks them or they have grown since. A history that cannot be trusted is set aside and made again. RV(text) reports what
    cannot be read, and the history skips it.
  - >-
    A run is green when every combination that was asked for was obtained, every selected case has a final result, no verdict is
    V(fail), V(fixed) or V(error), and no daemon died without a case to explain it. A result that was not obtained is never shown
    as a success, in any of the files.
  - >-
    A case that a recorded deviation explains, V(known), is C(TODO) in TAP and skipped in JUnit XML. One whose recorded deviation
    did not happen, V(fixed), fails in both.
  - Every output says when the old side of the pair is emulated, and when a release is used that nobody has run before.
options:
  results:
    description:
      - The folder of the run, C(results/<run>), with C(run.json) and a folder for each combination.
      - Of a folder of runs, C(results), the run that was started last is taken.
    type: path
    required: true
  templates:
    description:
      - The folder with the jinja2 templates of C(index.html), which is made from C(index.html.j2) and what that includes.
      - They are rendered with autoescape on; C(index.html.j2) says what it gets.
    type: path
    required: true
  explain:
    description:
      - Print in RV(text), for every case that did not pass, the rule that judged it and what the relay saw.
    type: bool
    default: false
  base:
    description:
      - The run to compare with, the name of a folder next to this one's. What changed comes first in RV(text) and on the page.
      - >-
        V(last) is the last complete run that was started before this one with the same pair, profile, guest, combinations and
        cases, or where none is complete the last one with any result. If there is none, RV(text) says so; that is no failure. It
        needs O(history).
      - Empty for no comparison.
    type: str
    default: ""
  history:
    description:
      - The file of the history, C(history.sqlite) beside the run.
      - Without it no history is kept.
    type: path
requirements:
  - jinja2
  - junitparser
attributes:
  check_mode: {support: full, description: "Computes and returns the results, and writes no file."}
notes:
  - Runs on the controller, where the results are.
  - The module does not fail when the run is not green; that is what RV(green) is for.
  - A file is written beside its place and moved there, and only when its content changes.
author: The libvirt migration compatibility lab (!UNKNOWN)
"""

EXAMPLES = r"""
- name: Make the results of a run from its journals
  migration_report:
    results: results/2025-11-24T10-12-30
    templates: roles/report/templates
    history: results/history.sqlite
    base: last
  delegate_to: localhost
  register: report

- name: Print the results
  ansible.builtin.debug:
    msg: "{{ report.text }}"

- name: Require a green run
  ansible.builtin.assert:
    that: report.green
    fail_msg: "{{ report.summary }}"
"""

RETURN = r"""
green:
  description: Whether nothing keeps the run from being green.
  returned: success
  type: bool
  sample: true
summary:
  description: The result in a line.
  returned: success
  type: str
  sample: "green: 8 combinations, 768 of 768 cases, 7680 of 7680 checks"
folder:
  description: The folder of the run.
  returned: success
  type: str
  sample: results/2025-11-24T10-12-30
line:
  description: The run in a line for a chat, at most 300 characters.
  returned: success
  type: str
  sample: "debian, libvirt 9.0.0 -> 11.3.0: green, 768 pass; against 20261122T020000Z: nothing changed; run 20261123T020000Z"
base:
  description: The run that was compared with; empty when there was none.
  returned: success
  type: str
  sample: 20261122T020000Z
comparison:
  description:
    - What changed since the run that was compared with; null when there was none.
    - >-
      A case fails when its verdict is V(fail), V(fixed), V(error) or V(not obtained), and passes when it is V(pass) or V(known).
      One that was not obtained before and is red now is newly failing.
    - >-
      Each change has C(combination), C(case) (empty for the combination as a whole, which is not obtained or in which a daemon
      died that no case explains), C(before) and C(after), C(reason_before) and C(reason_after).
  returned: success
  type: dict
  contains:
    base: {description: The run that was compared with., type: str}
    line: {description: The comparison in a line., type: str}
    differences: {description: "What else is not the same, such as versions, in words.", type: list, elements: str}
    newly_failing: {description: What fails and did not., type: list, elements: dict}
    changed_reason:
      description: What fails as before, for another reason; numbers and UUIDs in it do not count.
      type: list
      elements: dict
    newly_passing: {description: What passes and failed., type: list, elements: dict}
    other: {description: "Other changes of a verdict, such as from V(pass) to V(known).", type: list, elements: dict}
  sample:
    base: 20261122T020000Z
    line: "against 20261122T020000Z: 1 newly failing, nothing else changed"
    differences: ["all new machines: libvirt 11.3.0 -> 11.3.1"]
    newly_failing:
      - {"combination": "oon", "case": "p2p/transient-paused/none", "before": "pass", "after": "fail", "reason_before": "",
        "reason_after": "check target-state: expected paused, got running"}
    changed_reason: []
    newly_passing: []
    other: []
remarks:
  description: What was wrong with the history, with other runs, or with the choice of the base, in a sentence each.
  returned: success
  type: list
  elements: str
  sample: ["compared with no other run: none before it has the same pair, profile, guest, combinations and cases"]
text:
  description:
    - What changed (at most 40 changes), the table of combinations, what is not green (at most 40 entries) with where to look, and
      RV(summary).
    - With O(explain) also the rule that judged each case that did not pass.
  returned: success
  type: str
counts:
  description:
    - Selected cases by verdict over all combinations.
    - C(not_obtained) counts those without a final result.
  returned: success
  type: dict
  sample: {"pass": 765, "fail": 2, "known": 0, "fixed": 0, "error": 1, "skip": 0, "not_obtained": 0}
notices:
  description: What everyone who reads the result must know of its machines, that old ones are emulated or releases untried.
  returned: success
  type: list
  elements: str
  sample: ["old is emulated: debian-12 presented as libvirt 0.9.1"]
deviations:
  description: How often each entry of the ledger was seen.
  returned: success
  type: list
  elements: dict
  contains:
    id: {description: The entry's id., type: str}
    known: {description: "The number of cases that it explained, by combination.", type: dict}
    fixed: {description: "The number of cases in which it was expected and did not come, by combination.", type: dict}
  sample: [{"id": "paused-guest-arrives-running", "known": {"ooo": 32, "noo": 32}, "fixed": {}}]
combinations:
  description: The result of each combination that was asked for, by its name.
  returned: success
  type: dict
  contains:
    number: {description: "1 to 8, in libvirt-tck's order; null in a sweep.", type: int}
    classes: {description: "V(old) or V(new), or a letter of a sweep, for each of client, source and target.", type: dict}
    versions:
      description: The versions that the machines reported, by role; empty when the combination was not obtained.
      type: dict
    green: {description: Whether nothing keeps the combination from being green., type: bool}
    obtained: {description: Whether there is a journal to judge by. Results may still be missing from it., type: bool}
    reason: {description: Why results are missing; empty when none is., type: str}
    cases:
      description: How many cases were C(selected), and how many are C(done), that is, have a final result.
      type: dict
    checks:
      description: How many canonical checks there are in C(total), and how many were C(judged), that is, passed or failed.
      type: dict
    counts: {description: "As RV(counts), for this combination.", type: dict}
    seconds:
      description: Seconds spent running, pauses before a resume left out; null when the combination was not obtained.
      type: float
  sample:
    noo:
      number: 2
      classes: {"client": "new", "source": "old", "target": "old"}
      versions:
        client: {"libvirt": "11.3.0", "python": "3.13.5"}
        source: {"libvirt": "9.0.0", "hypervisor": "7.2.22", "hostname": "a-source"}
        target: {"libvirt": "9.0.0", "hypervisor": "7.2.22", "hostname": "a-target"}
      green: true
      obtained: true
      reason: ""
      cases: {"selected": 96, "done": 96}
      checks: {"total": 960, "judged": 960}
      counts: {"pass": 96, "fail": 0, "known": 0, "fixed": 0, "error": 0, "skip": 0, "not_obtained": 0}
      seconds: 40.1
failures:
  description: Everything that keeps the run from being green, all of it. Paths are relative to O(results).
  returned: success
  type: list
  elements: dict
  contains:
    kind:
      description:
        - V(case), a case with a red verdict.
        - V(cases-not-obtained), selected cases without a final result.
        - V(combination-not-obtained), a combination without a journal.
        - V(daemon-death), a daemon that died with no case to explain it.
      type: str
    combination: {description: Its name., type: str}
    reason: {description: "What happened, in a sentence.", type: str}
    case: {description: "The case's id, for V(case).", type: str}
    verdict: {description: "The case's verdict, for V(case).", type: str}
    checks:
      description: The checks that failed, with number, name, result, expected and got, for V(case).
      type: list
      elements: dict
    cases: {description: "The cases not obtained, or those in flight when the daemon died.", type: list, elements: str}
    migration: {description: The migrate call as it was made; null when it was not reached., type: dict}
    rule: {description: "What judged the case, in a sentence.", type: str}
    note:
      description: Remark on the case's attempts, such as that it failed concurrently with others and also alone.
      type: str
    protocol:
      description: The migration protocol that the case was seen to use, V(v2), V(v3) or V(v3-params); empty without the relay.
      type: str
    steps:
      description: >-
        The migration procedures of the case in the order in which they began, each with C(link), C(procedure), C(started)
        (seconds since 1970), C(seconds) (null without a reply) and C(result).
      type: list
      elements: dict
    logs: {description: The parts of the daemons' logs that belong to it., type: list, elements: str}
    journal: {description: The combination's journal; empty when there is none., type: str}
  sample:
    - kind: case
      combination: oon
      reason: "target-state: expected paused, got running"
      case: p2p/transient-paused-dst/persist-dest
      verdict: fail
      checks: [{"number": 10, "name": "target-state", "result": "fail", "expected": "paused", "got": "running"}]
      cases: []
      migration: {"call": "virDomainMigrateToURI", "uri": "qemu+tcp://10.0.0.3/system", "flags": ["peer2peer", "persist-dest"],
        "bits": 10, "seconds": 0.51, "error": ""}
      rule: "check target-state: expected paused, got running"
      note: ""
      protocol: v3
      steps:
        - {"link": "source-target", "procedure": "prepare3", "started": 1764000000.1, "seconds": 0.21, "result": "ok"}
      logs: [oon/logs/055-p2p-source.log, oon/logs/055-p2p-target.log]
      journal: oon/journal.jsonl
files:
  description: The files whose content changed, or would in check mode.
  returned: success
  type: list
  elements: path
  sample: [results/2025-11-24T10-12-30/noo/results.tap, results/history.sqlite]
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible.module_utils.migration_lab.model.errors import LabError

try:
    from ansible.module_utils.migration_lab.report.report import make_report
    from ansible.module_utils.migration_lab.results.run_folders import run_of
except ModuleNotFoundError as error:
    MISSING = error.name
else:
    MISSING = None


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "results": {"type": "path", "required": True},
            "templates": {"type": "path", "required": True},
            "explain": {"type": "bool", "default": False},
            "base": {"type": "str", "default": ""},
            "history": {"type": "path"},
        },
        supports_check_mode=True,
    )
    if MISSING:
        module.fail_json(msg=missing_required_lib(MISSING, reason="to make results; run make setup"))
    given = module.params
    try:
        report = make_report(
            run_of(Path(given["results"])), Path(given["templates"]), given["explain"], given["base"],
            Path(given["history"]) if given["history"] else None,
        )
        files = report.outdated() if module.check_mode else report.write()
    except LabError as error:
        module.fail_json(msg=str(error))
    run, comparison = report.run, report.comparison
    module.exit_json(
        changed=bool(files),
        folder=str(run.folder),
        green=run.green,
        summary=run.summary,
        line=report.line,
        base=comparison.base if comparison else "",
        comparison=comparison.to_data() if comparison else None,
        remarks=report.remarks,
        text=report.text,
        counts=run.counts,
        notices=list(run.notices.values()),
        deviations=[deviation.to_data() for deviation in report.deviations],
        combinations={combination.name: combination.to_data() for combination in run.combinations},
        failures=[failure.to_data() for failure in run.failures],
        files=[str(path) for path in files],
    )


if __name__ == "__main__":
    main()
