# SPDX-License-Identifier: GPL-3.0-or-later
"""Keeps the sentence of the failure that ended a playbook, for the playbook that has started it (see ``lab_playbook``)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = r"""
name: lab_failure
type: notification
short_description: Keep the sentence of the last failure
description:
  - Writes the message of the last task that failed or of the last host that was not reached to the file that the environment
    variable C(MIGRATION_LAB_FAILURE) names. Without the variable it does nothing.
"""

VARIABLE = "MIGRATION_LAB_FAILURE"


class CallbackModule(CallbackBase):
    """Writes each failure over the one before it: a failure that was rescued is followed by the one that ends the playbook."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "lab_failure"

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        if not ignore_errors:
            self._keep(result)

    def v2_runner_on_unreachable(self, result: Any) -> None:
        self._keep(result)

    @staticmethod
    def _keep(result: Any) -> None:
        path = os.environ.get(VARIABLE)
        if path:
            Path(path).write_text(str(result._result.get("msg", "no reason given")))
