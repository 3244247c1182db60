# SPDX-License-Identifier: GPL-3.0-or-later
"""One playbook at a time: a small process holds the lock for as long as ansible-playbook lives."""

from __future__ import annotations

import fcntl
import subprocess
import sys
from multiprocessing import parent_process
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

# Inherits the locked descriptor, reports that, and waits for the playbook's process to end. A lock belongs to the open file, so
# it is free the moment that this process is gone.
HOLDER = """
import os, select, sys
owner = os.pidfd_open(int(sys.argv[1]))
os.write(1, b"held")
os.close(1)
select.select([owner], [], [])
"""


class ActionModule(ActionBase):
    """Takes the lock, or fails with a sentence."""

    _requires_connection = False

    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        _, arguments = self.validate_argument_spec(
            {"path": {"type": "path", "required": True}, "what": {"type": "str", "required": True}}
        )
        path = Path(arguments["path"])
        owner = parent_process()  # tasks run in worker processes of ansible-playbook
        if owner is None or owner.pid is None:
            raise AnsibleActionFail("this task does not run in a worker of ansible-playbook; run it from a playbook")
        playbook = owner.pid
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            lock = path.open("a+")
        except OSError as error:
            raise AnsibleActionFail(
                f"the lock {path} cannot be written ({error.strerror}); run the playbook as root, or choose a folder for locks "
                "that every user of the lab can write (cell_locks, nightly_lock)"
            ) from error
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                lock.seek(0)
                holder = lock.read().strip()
                if holder != str(playbook):
                    raise AnsibleActionFail(
                        f"another {arguments['what']}: ansible-playbook process {holder} holds {path}; "
                        "wait for it to end, or end it"
                    ) from None
                return {**result, "changed": False, "holder": playbook}
            if not self._task.check_mode:
                lock.truncate(0)
                lock.write(str(playbook))
                lock.flush()
                self._hold(lock.fileno(), playbook)
        return {**result, "changed": False, "holder": playbook}

    @staticmethod
    def _hold(descriptor: int, playbook: int) -> None:
        holder = subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(playbook)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            pass_fds=[descriptor], start_new_session=True, cwd="/",
        )
        assert holder.stdout is not None
        if holder.stdout.read() != b"held":
            raise AnsibleActionFail(f"the lock's holder did not start (exit status {holder.wait()})")
