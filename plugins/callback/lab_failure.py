# SPDX-License-Identifier: GPL-3.0-or-later
"""Keeps the message of the failure that ended a playbook, for the playbook that started it (see ``lab_playbook``)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = r"""
name: lab_failure
type: notification
short_description: Keep the message of the last failure
description:
  - Writes the message of the last task that failed or of the last host that was not reached to the file that the environment
    variable C(MIGRATION_LAB_FAILURE) names. Without the variable it does nothing.
"""


class CallbackModule(CallbackBase):
    """Writes each failure over the one before it: a failure that was rescued is followed by the one that ends the playbook."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "lab_failure"

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        path = os.environ.get("MIGRATION_LAB_FAILURE")
        if path and not ignore_errors:
            Path(path).write_text(str(result.result.get("msg", "no reason given")))

    v2_runner_on_unreachable = v2_runner_on_failed
