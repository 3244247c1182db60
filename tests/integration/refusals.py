# SPDX-License-Identifier: GPL-3.0-or-later
"""Many wrong inputs in one playbook: its start takes seconds, and most refusals a fraction of one."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lab import INVENTORY, PLAYBOOK, ROOT

Task = dict[str, Any]

# The failed task's sentence; a loop has it in the item that failed.
SENTENCE = "(ansible_failed_result.results | default([ansible_failed_result]) | selectattr('failed', 'true') | first).msg"

# As the playbooks plan a run.
PLAN: Task = {"ansible.builtin.include_tasks": str(ROOT / "playbooks" / "parts" / "make_plan.yml")}


def include_role(name: str, tasks_from: str = "main", **variables: Any) -> Task:
    """A task that includes a role as the playbooks do."""
    return {"ansible.builtin.include_role": {"name": name, "tasks_from": tasks_from}, "vars": variables}


@dataclass(frozen=True)
class Attempt:
    """Tasks of the playbooks, and settings that make one of them refuse."""

    tasks: list[Task]
    settings: dict[str, Any] = field(default_factory=dict)


def refusals(folder: Path, attempts: Mapping[str, Attempt]) -> dict[str, str]:
    """Carry out the attempts one after the other on the lab host of the tests' inventory.

    Plans are made and not started, unless an attempt sets plan_start.

    :param folder: where the playbook is written.
    :returns: by attempt the sentence that it was refused with; an attempt that succeeds is not there.
    """
    kept = folder / "refused.json"
    tasks: list[Task] = [{"ansible.builtin.set_fact": {"refused": {}}}]
    for name, attempt in attempts.items():
        keep = {"refused": "{{ refused | combine({attempt: " + SENTENCE + "}) }}"}
        rescue = {"ansible.builtin.set_fact": keep, "vars": {"attempt": name}}
        tasks.append({"block": attempt.tasks, "vars": attempt.settings, "rescue": [rescue]})
    tasks.append({"ansible.builtin.copy": {"content": "{{ refused | to_json }}", "dest": str(kept), "mode": "0600"}})
    playbook = folder / "refusals.yml"
    play = {"hosts": "lab", "gather_facts": False, "roles": ["settings"], "vars": {"plan_start": False}, "tasks": tasks}
    playbook.write_text(json.dumps([play]))
    places = {"plan_root": str(ROOT), "scenarios_path": str(ROOT / "scenarios")}
    command = [str(PLAYBOOK), "-i", str(INVENTORY), str(playbook), "-e", json.dumps(places)]
    done = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    refused: dict[str, str] = json.loads(kept.read_text())
    return refused
