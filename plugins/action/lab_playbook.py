# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a playbook of the lab inside another one, so that its failure ends only itself."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import tempfile
import threading
import time
from multiprocessing import parent_process
from pathlib import Path
from typing import Any, TextIO

from ansible import context
from ansible.errors import AnsibleActionFail
from ansible.parsing.ajson import AnsibleJSONEncoder
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible.utils.vars import load_extra_vars

DISPLAY = Display()
GRACE = 30  # seconds to end by itself for a playbook that has to


class ActionModule(ActionBase):
    """Starts ansible-playbook with this one's inventory and extra variables, shows its output, and returns how it ended."""

    _requires_connection = False
    _supports_check_mode = False

    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        _, arguments = self.validate_argument_spec(
            {
                "playbook": {"type": "path", "required": True},
                "settings": {"type": "dict", "default": {}},
                "without": {"type": "str", "default": ""},
                "time_limit": {"type": "float", "required": True},
            }
        )
        limit, without = arguments["time_limit"], arguments["without"]
        given = load_extra_vars(self._loader)
        given = {name: value for name, value in given.items() if not (without and name.startswith(without))}
        with tempfile.TemporaryDirectory(prefix="migration-lab.") as folder:
            settings, failure = Path(folder, "settings.json"), Path(folder, "failure")
            settings.write_text(json.dumps({**given, **arguments["settings"]}, cls=AnsibleJSONEncoder))
            started = time.monotonic()
            # Ends what the playbook has started with it, also when it is ended itself.
            status = _run(
                ["timeout", f"--kill-after={GRACE}", str(limit), sys.executable, "-m", "ansible", "playbook",
                 arguments["playbook"], *_options(), "-e", f"@{settings}"],
                {**os.environ, "MIGRATION_LAB_FAILURE": str(failure), "PYTHONUNBUFFERED": "1"},
            )
            timed_out = bool(status) and time.monotonic() - started >= limit
            reason = ""
            if timed_out:
                reason = f"{Path(arguments['playbook']).name} was stopped at its time limit of {limit:g} seconds"
            elif status:
                reason = failure.read_text() if failure.exists() else f"ansible-playbook ended with status {status}"
        return {**result, "changed": True, "status": status, "reason": " ".join(reason.split()), "timed_out": timed_out}


def _options() -> list[str]:
    """The options of this ansible-playbook that the other one needs too."""
    options = [word for path in context.CLIARGS["inventory"] or () for word in ("-i", str(path))]
    options += [word for path in context.CLIARGS["vault_password_files"] or () for word in ("--vault-password-file", str(path))]
    return options + [word for name in context.CLIARGS["vault_ids"] or () for word in ("--vault-id", str(name))]


def _run(command: list[str], environment: dict[str, str]) -> int:
    """Run a command and show its output; end it when this playbook is gone. Returns its exit status."""
    playbook = parent_process()  # tasks run in worker processes of ansible-playbook, which may outlive it
    assert playbook is not None and playbook.pid is not None
    try:
        process = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            errors="replace", start_new_session=True,
        )
    except OSError as error:
        raise AnsibleActionFail(f"{command[0]} could not be started: {error}") from error
    # What the command has left behind may hold on to its output.
    shown = threading.Thread(target=_show, args=(process.stdout,), daemon=True)
    shown.start()
    ends = [os.pidfd_open(pid) for pid in (process.pid, playbook.pid)]
    select.select(ends, [], [])
    process.terminate()
    status = process.wait()
    shown.join(5)
    for descriptor in ends:
        os.close(descriptor)
    return status


def _show(output: TextIO) -> None:
    for line in output:
        DISPLAY.display(line.rstrip("\n"))
