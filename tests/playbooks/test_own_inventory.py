# SPDX-License-Identifier: GPL-3.0-or-later
"""An inventory that holds nothing but a cell is enough, and its settings are checked before anything is changed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
INVENTORY = """\
all:
  vars: {ansible_connection: local, ansible_python_interpreter: "{{ ansible_playbook_python }}"}
  children:
    lab_hosts: {hosts: {here: }}
    cells: {hosts: {own: {cell_lab_host: here}}}
"""


def plan(folder: Path, **settings: str) -> tuple[int, str]:
    """Lock the cell and plan a run; returns exit status and output."""
    inventory = folder / "own.yml"
    inventory.write_text(INVENTORY)
    settings = {"cell_locks": str(folder / "locks"), "results_root": str(folder / "results"), **settings}
    command = [str(Path(sys.executable).with_name("ansible-playbook")), "-i", str(inventory), "-e", json.dumps(settings)]
    command += ["-e", '{"plan_start": false}', str(ROOT / "playbooks/parts/plan.yml")]
    done = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    return done.returncode, " ".join((done.stdout + done.stderr).split())


def test_a_run_is_planned(tmp_path: Path) -> None:
    status, output = plan(tmp_path)
    assert status == 0, output


def test_a_setting_that_cannot_be_is_refused(tmp_path: Path) -> None:
    status, output = plan(tmp_path, cell_subnet="10.0.0.0/8")
    assert status != 0
    assert "Cell own: cell_subnet is '10.0.0.0/8'; give a private /24 such as 10.211.55.0/24." in output, output
