# SPDX-License-Identifier: GPL-3.0-or-later
"""Tells the module migration_plan what ansible-playbook was given, which decides how a case of the run is run again."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

from ansible import constants, context
from ansible.parsing.splitter import parse_kv
from ansible.plugins.action import ActionBase

sys.path.append(str(Path(__file__).resolve().parents[2] / "module_utils"))
from migration_lab.planning.given import kept


class ActionModule(ActionBase):
    """Adds the inventories, the vars files and the other extra variables to the arguments, and runs the module."""

    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        inventories = [str(Path(path).resolve()) if Path(path).exists() else str(path) for path in _inventories()]
        files: list[str] = []
        settings: dict[str, Any] = {}
        for text in context.CLIARGS["extra_vars"] or ():
            if not text.startswith("@"):
                settings |= self._loader.load(text) if text[:1] in ("{", "[", "/", ".") else parse_kv(text)
            elif Path(tempfile.gettempdir()) in Path(text[1:]).parents:  # gone when the run is: a night's own settings
                settings |= self._loader.load_from_file(text[1:]) or {}
            else:
                files.append(str(Path(text[1:]).resolve()))
        # Anything else, such as a password, must not even reach the module, which logs its arguments.
        arguments = dict(self._task.args)
        for named in (arguments, settings):
            if "own_guests" in named:
                named["own_guests"] = _absolute(named["own_guests"])
        given = kept(inventories, files, settings, arguments.get("settings", {}))
        return {**result, **self._execute_module(module_args={**arguments, "given": given}, task_vars=task_vars)}


def _absolute(guests: Any) -> Any:
    """The user's guests with the paths of their files as from where ansible-playbook was called; a module runs elsewhere."""
    if not isinstance(guests, dict):
        return guests
    return {
        name: str(Path(guest).expanduser().resolve()) if isinstance(guest, str) else guest for name, guest in guests.items()
    }


def _inventories() -> list[str]:
    """The inventories that were named; none where the lab's own is used."""
    named = context.CLIARGS["inventory"] or ()
    return [] if list(named) == list(constants.DEFAULT_HOST_LIST) else list(named)
