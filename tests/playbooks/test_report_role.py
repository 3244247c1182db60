# SPDX-License-Identifier: GPL-3.0-or-later
"""The role report and its module, run by ansible-playbook on this machine with the project's ansible.cfg."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from synthetic_run import CASES, ROOT, SyntheticRun, wrong_state

PLAYBOOK = """\
- name: Run the role on its own
  hosts: localhost
  connection: local
  gather_facts: false
  vars:
    ansible_python_interpreter: "{{ ansible_playbook_python }}"
  roles:
    - role: report
      vars:
        report_results: "{{ folder }}"
  post_tasks:
    - name: Keep the module's result
      ansible.builtin.copy:
        content: "{{ report_result | to_json }}"
        dest: "{{ kept }}"
        mode: "0644"
      check_mode: false
"""


@dataclass
class Played:
    status: int
    output: str
    result: dict[str, Any]


def play(lab: SyntheticRun, tmp_path: Path, *options: str) -> Played:
    """Run the role on a results folder."""
    playbook, kept = tmp_path / "play.yml", tmp_path / "kept.json"
    playbook.write_text(PLAYBOOK)
    kept.unlink(missing_ok=True)
    environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_HOME": str(tmp_path / "home")}
    done = subprocess.run(
        [sys.executable, "-m", "ansible", "playbook", "-i", "localhost,", str(playbook),
         "-e", f"folder={lab.folder}", "-e", f"kept={kept}", *options],
        capture_output=True, text=True, env=environment, check=False, cwd=tmp_path,
    )
    result = json.loads(kept.read_text()) if kept.exists() else {}
    return Played(done.returncode, done.stdout + done.stderr, result)


@pytest.fixture
def lab(tmp_path: Path) -> SyntheticRun:
    lab = SyntheticRun(tmp_path / "run", ["noo", "nnn"])
    lab.complete("noo", {CASES[40].id: wrong_state})
    lab.complete("nnn")
    return lab


def test_role_reports_compares_keeps_the_history_and_is_idempotent(lab: SyntheticRun, tmp_path: Path) -> None:
    base = SyntheticRun(tmp_path / "base", ["noo", "nnn"], started="2025-11-23T10:12:30Z")
    base.complete("noo")
    base.complete("nnn")
    history = tmp_path / "history.sqlite"
    options = ("-e", f"report_history={history}", "-e", "report_base=last")
    before = sorted(lab.folder.rglob("*"))
    checked = play(lab, tmp_path, *options, "--check")
    assert checked.status == 0, checked.output
    assert checked.result["changed"] is True and sorted(lab.folder.rglob("*")) == before, "check mode writes nothing"
    assert str(history) in checked.result["files"] and not history.exists()

    first = play(lab, tmp_path, *options)
    assert first.status == 0, first.output
    result = first.result
    assert result["changed"] is True and result["green"] is False
    assert result["files"] == checked.result["files"] and len(result["files"]) == 8
    assert all(Path(path).is_file() for path in result["files"])
    assert result["counts"]["pass"] == 191 and result["counts"]["fail"] == 1
    assert result["combinations"]["noo"]["counts"]["fail"] == 1 and result["combinations"]["nnn"]["green"] is True
    assert [failure["case"] for failure in result["failures"]] == [CASES[40].id]
    assert result["summary"] == "NOT green: 2 combinations, 192 of 192 cases, 1920 of 1920 checks; 1 fail"
    assert result["folder"] == str(lab.folder) and result["base"] == "base" and result["remarks"] == []
    assert result["line"].endswith("against base: 1 newly failing, nothing else changed; run run")
    assert [change["case"] for change in result["comparison"]["newly_failing"]] == [CASES[40].id]
    shown = [line.strip() for line in first.output.splitlines()]
    assert [line.rstrip() for line in result["text"].splitlines() if line.strip() not in shown] == [], "each line on its own"

    second = play(lab, tmp_path, *options, "-e", "report_explain=true")
    assert second.result["changed"] is False and second.result["files"] == []
    assert second.status == 0
    assert "What judged each case" not in result["text"]
    rule = result["failures"][0]["rule"]
    assert f"fail\n    {rule}\n" in second.result["text"].partition("What judged each case that did not pass:")[2]

    without = play(lab, tmp_path)
    assert without.result["base"] == "" and without.result["comparison"] is None
