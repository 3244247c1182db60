# SPDX-License-Identifier: GPL-3.0-or-later
"""Controller's side of ``migration_matrix``: names the playbook that a run belongs to, so that the run ends with it."""

from __future__ import annotations

import os
from multiprocessing import parent_process
from typing import Any

from ansible.plugins.action import ActionBase


class ActionModule(ActionBase):
    """Runs the module with the process number of this ansible-playbook, where the lab host is this machine."""

    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        arguments = dict(self._task.args)
        playbook = parent_process()  # tasks run in worker processes of ansible-playbook
        if playbook and self._connection.transport == "local":
            arguments["owner"] = playbook.pid
        result.update(self._execute_module(module_args=arguments, task_vars=task_vars))
        if playbook and not playbook.is_alive():
            # Its result would block for ever in a pipe that nobody reads, whose reading end this worker has open as well.
            os._exit(1)
        return result
