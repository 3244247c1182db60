# SPDX-License-Identifier: GPL-3.0-or-later
"""Controller's side of ``migration_matrix``: shows the progress of a run, and tells it which playbook it belongs to."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

DISPLAY = Display()
INTERVAL = 1.0  # seconds between two looks at the progress log


class ActionModule(ActionBase):
    """Runs the module and, where the lab host is this machine, follows its progress.log meanwhile."""

    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        arguments = dict(self._task.args)
        ended = threading.Event()
        follower = None
        if self._connection.transport == "local":
            # Task workers are children of the ansible-playbook process.
            arguments["owner"] = os.getppid()
            # On a terminal the callback plugin migration_live shows a table instead.
            if os.environ.get("MIGRATION_LAB_PROGRESS") != "table":
                log = Path(arguments["folder"]).parent / "progress.log"
                follower = threading.Thread(target=_follow, args=(log, str(arguments["combination"]), ended), daemon=True)
                follower.start()
        try:
            result.update(self._execute_module(module_args=arguments, task_vars=task_vars))
        finally:
            ended.set()
            if follower:
                follower.join()
        return result


def _follow(log: Path, combination: str, ended: threading.Event) -> None:
    """Show what is added to the progress log about a combination until the module has ended, and the rest then."""
    position = log.stat().st_size if log.exists() else 0
    while True:
        last = ended.wait(INTERVAL)
        if log.exists():
            with log.open() as stream:
                stream.seek(position)
                for line in stream.readlines():
                    if f" {combination} " in line:
                        DISPLAY.display(line.rstrip("\n"))
                position = stream.tell()
        if last:
            return
