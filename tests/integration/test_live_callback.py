# SPDX-License-Identifier: GPL-3.0-or-later
"""The table below ansible-playbook's own output, with workers, two cells at once and the project's ansible.cfg.

The modules are made up: they journal cases without machines. Action plugin and callback plugin are the project's.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pseudo_terminal import PseudoTerminal, environment
from synthetic_run import CASES, ROOT, SyntheticRun

PLAN = """\
from ansible.module_utils.basic import AnsibleModule
module = AnsibleModule({"folder": {"type": "path"}, "given": {"type": "dict"}})
module.exit_json(changed=False, plan={"folder": module.params["folder"]})
"""

# Journals half of the cases, waits until the test has seen them, and goes on; `no machine` fails instead.
MATRIX = f"""\
import json, sys, time
from pathlib import Path
from ansible.module_utils.basic import AnsibleModule
sys.path[:0] = [{str(ROOT / "tests/fakes")!r}, {str(ROOT / "module_utils")!r}]
from synthetic_run import CASES, SyntheticRun
module = AnsibleModule({{
    "folder": {{"type": "path"}}, "combination": {{"type": "str"}}, "owner": {{"type": "int"}}, "broken": {{"type": "bool"}},
}})
folder = Path(module.params["folder"])
run = SyntheticRun.__new__(SyntheticRun)
run.folder, run.cases = folder.parent, CASES[:12]
run.data = json.loads((run.folder / "run.json").read_text())
journal = run.start(module.params["combination"])
for case in run.cases[:6]:
    run.record(journal, case)
deadline = time.monotonic() + 60
while not (folder.parent / "go").exists() and time.monotonic() < deadline:
    time.sleep(0.05)
if module.params["broken"]:
    module.fail_json(msg="the daemon is gone")
for case in run.cases[6:]:
    run.record(journal, case)
journal.append("event", event="end", complete=True, seconds=1.0)
module.exit_json(changed=True)
"""

PLAYBOOK = """\
- name: The run is planned
  hosts: localhost
  gather_facts: false
  tasks:
    - name: The plan is made
      migration_plan:
        folder: "{{ folder }}"

- name: The combinations have run
  hosts: cells
  gather_facts: false
  strategy: ansible.builtin.host_pinned
  tasks:
    - name: The cases have run
      block:
        - name: The cases have run on {{ combination }}
          migration_matrix:
            folder: "{{ folder }}/{{ combination }}"
            combination: "{{ combination }}"
            broken: "{{ combination == 'noo' }}"
      rescue:
        - name: That the combination was not obtained is kept
          ansible.builtin.copy:
            content: "{{ {'reason': ansible_failed_result.msg} | to_json }}"
            dest: "{{ folder }}/{{ combination }}/not-obtained.json"
            mode: "0644"

- name: The results are there
  hosts: localhost
  gather_facts: false
  tasks:
    - name: The end is said
      ansible.builtin.debug:
        msg: that was all
"""

INVENTORY = """\
all:
  vars: {ansible_connection: local, ansible_python_interpreter: "{{ ansible_playbook_python }}"}
  children:
    cells:
      hosts:
        a: {combination: ooo}
        b: {combination: noo}
"""


class Playbook:
    """The made up playbook with its results folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.run = SyntheticRun(folder / "results" / "shown", ["ooo", "noo"], CASES[:12])
        (folder / "library").mkdir()
        for name, text in (
            ("library/migration_plan.py", PLAN), ("library/migration_matrix.py", MATRIX), ("play.yml", PLAYBOOK),
            ("hosts.yml", INVENTORY),
        ):
            (folder / name).write_text(text)
        self.command = [
            sys.executable, "-m", "ansible", "playbook", "-i", "hosts.yml", "play.yml",
            "-e", json.dumps({"folder": str(self.run.folder)}),
        ]
        self.environment = environment(
            TERM="xterm-256color", ANSIBLE_CONFIG=str(ROOT / "ansible.cfg"), ANSIBLE_HOME=str(folder / "home"),
            ANSIBLE_LIBRARY=str(folder / "library"),
        )

    def on_terminal(self, **changes: str) -> PseudoTerminal:
        return PseudoTerminal(self.command, self.folder, {**self.environment, **changes})

    def go(self) -> None:
        """Let the combinations go on from half of their cases."""
        (self.run.folder / "go").touch()


@pytest.fixture
def playbook(tmp_path: Path) -> Playbook:
    return Playbook(tmp_path)


def both_are_half_done(terminal: PseudoTerminal) -> bool:
    return sum("running" in line and " 6/12 " in line for line in terminal.screen) == 2


def rows(lines: list[str]) -> list[str]:
    """The lines of tables."""
    return [line for line in lines if line.startswith(("run shown", "1 ooo", "2 noo", "all "))]


# The last of the lines, without its time.
LAST = "shown 18/24 cases, 18 pass, 2 of 2 combinations ended, noo not obtained"


def progress_lines(lines: list[str]) -> list[str]:
    return [line[9:] for line in lines if re.match(r"[\d:]{8} shown ", line)]


def test_one_table_stays_below_the_output_until_the_combinations_have_ended(playbook: Playbook) -> None:
    with playbook.on_terminal() as terminal:
        terminal.wait_for("both cells at half", both_are_half_done)
        assert len(rows(terminal.screen)) == 4
        assert terminal.screen[-1].startswith("all ") and " 12/24 " in terminal.screen[-1]
        playbook.go()
        assert terminal.end() == 0
        lines = terminal.everything
    table = rows(lines)
    assert len(table) == 4, lines
    assert "done" in table[1] and " 12/12 " in table[1]
    assert "not obtained" in table[2] and " 6/12 " in table[2]
    assert "noo not obtained: the daemon is gone" in lines
    order = [
        next(number for number, line in enumerate(lines) if text in line)
        for text in (
            "PLAY [The combinations have run]", "TASK [That the combination was not obtained is kept]", "run shown", "all ",
            "PLAY [The results are there]", "that was all", "PLAY RECAP",
        )
    ]
    assert order == sorted(order), lines
    assert not progress_lines(lines), "the lines are for where there is no table"
    assert not terminal.cursor_hidden


def test_a_terminal_that_shall_have_no_table_gets_the_lines(playbook: Playbook) -> None:
    """tests/unit/progress/test_lines.py has all such terminals."""
    playbook.go()
    with playbook.on_terminal(CI="true") as terminal:
        assert terminal.end() == 0
        lines = terminal.everything
    assert not rows(lines)
    assert progress_lines(lines)[-1] == LAST


def test_without_a_terminal_there_are_lines(playbook: Playbook) -> None:
    playbook.go()
    done = subprocess.run(
        playbook.command, cwd=playbook.folder, env=playbook.environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "\x1b" not in done.stdout
    lines = done.stdout.splitlines()
    assert progress_lines(lines)[-1] == LAST
    places = [next(number for number, line in enumerate(lines) if text in line) for text in (LAST, "that was all")]
    assert places == sorted(places)


def test_a_playbook_that_is_interrupted_leaves_a_usable_terminal(playbook: Playbook) -> None:
    with playbook.on_terminal() as terminal:
        terminal.wait_for("both cells at half", both_are_half_done)
        terminal.interrupt()
        assert terminal.end() != 0
        playbook.go()
        assert len(rows(terminal.everything)) == 4
        assert any("User interrupted execution" in line for line in terminal.everything)
        assert not terminal.cursor_hidden


def test_a_journal_that_breaks_stops_the_table_and_not_the_playbook(playbook: Playbook) -> None:
    with playbook.on_terminal() as terminal:
        terminal.wait_for("both cells at half", both_are_half_done)
        with playbook.run.journal_path("noo").open("a") as journal:
            journal.write("broken\n")
        terminal.wait_for("the warning", lambda shown: any("is not shown any more" in line for line in shown.everything))
        playbook.go()
        assert terminal.end() == 0
        lines = terminal.everything
    assert sum("is not shown any more" in line for line in lines) == 1
    assert any("that was all" in line for line in lines)
