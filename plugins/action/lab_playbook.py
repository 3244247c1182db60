# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a playbook of the lab inside another one, so that its failure ends itself alone."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from ansible import context
from ansible.errors import AnsibleActionFail
from ansible.parsing.ajson import AnsibleJSONEncoder
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible.utils.vars import load_extra_vars

DISPLAY = Display()
GRACE = 30.0  # seconds that a playbook that was told to end has to do so


class ActionModule(ActionBase):
    """Starts ansible-playbook with this one's inventory and extra variables, shows its output, and tells how it ended."""

    _requires_connection = False
    _supports_check_mode = False
    _VALID_ARGS = frozenset(("playbook", "settings", "without", "time_limit"))

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
        given = {
            name: value for name, value in load_extra_vars(self._loader).items()
            if not (arguments["without"] and name.startswith(arguments["without"]))
        }
        with tempfile.TemporaryDirectory(prefix="migration-lab.") as folder:
            settings, failure = Path(folder, "settings.json"), Path(folder, "failure")
            settings.write_text(json.dumps({**given, **arguments["settings"]}, cls=AnsibleJSONEncoder))
            command = [sys.executable, "-m", "ansible", "playbook", arguments["playbook"], *_options(), "-e", f"@{settings}"]
            environment = {**os.environ, "MIGRATION_LAB_FAILURE": str(failure), "PYTHONUNBUFFERED": "1"}
            started = time.monotonic()
            status, in_time = _run(command, environment, arguments["time_limit"])
            reason = ""
            if not in_time:
                reason = f"{Path(arguments['playbook']).name} was ended at its time limit of {arguments['time_limit']:g} seconds"
            elif status:
                reason = failure.read_text() if failure.exists() else f"ansible-playbook ended with status {status}"
        return {
            **result, "changed": True, "status": status, "reason": " ".join(reason.split()), "timed_out": not in_time,
            "seconds": round(time.monotonic() - started, 1),
        }


def _options() -> list[str]:
    """The options of this ansible-playbook that the other one needs too."""
    options = [word for path in context.CLIARGS["inventory"] or () for word in ("-i", str(path))]
    options += [word for path in context.CLIARGS["vault_password_files"] or () for word in ("--vault-password-file", str(path))]
    return options + [word for name in context.CLIARGS["vault_ids"] or () for word in ("--vault-id", str(name))]


def _run(command: list[str], environment: dict[str, str], time_limit: float) -> tuple[int, bool]:
    """Run a command and show its output; end it when its time is over or this playbook is gone.

    :returns: its exit status, and whether it ended in time.
    """
    deadline = time.monotonic() + time_limit
    # Task workers are children of the ansible-playbook process, and may outlive it.
    owner = os.pidfd_open(os.getppid())
    try:
        process: subprocess.Popen[bytes] = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        assert process.stdout is not None
        output: Any = process.stdout
        os.set_blocking(output.fileno(), False)
        rest = b""
        while True:
            ready, _, _ = select.select([output, owner], [], [], max(0.0, deadline - time.monotonic()))
            if output in ready:
                read = output.read()
                if not read:
                    break
                *lines, rest = (rest + read).split(b"\n")
                for line in lines:
                    DISPLAY.display(line.decode(errors="replace"))
            elif owner in ready or not ready:
                _end(process)
                return process.returncode, owner in ready
        return process.wait(), True
    except OSError as error:
        raise AnsibleActionFail(f"{command[0]} could not be started: {error}") from error
    finally:
        os.close(owner)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a playbook, with what it has started when it does not do that itself in time."""
    process.terminate()
    try:
        process.wait(GRACE)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    if process.stdout:
        process.stdout.close()
