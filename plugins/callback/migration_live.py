# SPDX-License-Identifier: GPL-3.0-or-later
"""On a terminal, shows a table of the whole run that stays in its place while the combinations run."""

from __future__ import annotations

DOCUMENTATION = r"""
name: migration_live
type: aggregate
short_description: A live table of a migration run
version_added: "1.0"
author: The libvirt migration compatibility lab
description:
  - From the first combination of a run to the last, shows how far the run is, in a table below all other output.
  - Reads the journals of the run, and works where standard output is a terminal that is not dumb, and E(CI) is not set.
    Everywhere else the action plugin of M(migration_matrix) shows a line every five seconds.
requirements:
  - Enabled in C(callbacks_enabled).
"""

import atexit
import os
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional

from ansible.plugins.callback import CallbackBase
from ansible.utils.display import Display

# Modules get the lab's package from Ansible; a callback has to find it itself.
sys.path.append(str(Path(__file__).resolve().parents[2] / "module_utils"))

from migration_lab.model.errors import LabError

if TYPE_CHECKING:
    from migration_lab.progress.follower import RunFollower

DISPLAY = Display()
INTERVAL = 1.0  # seconds between two looks at the journals

# Tells the action plugin, which runs in processes forked later, that its lines are not wanted.
PROGRESS_VARIABLE = "MIGRATION_LAB_PROGRESS"


class CallbackModule(CallbackBase):
    """Learns the run's folder from ``migration_plan`` and draws from the first ``migration_matrix`` to the end of its play."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "migration_live"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        super().__init__()
        self._wanted = _table_wanted()
        self._started = time.time()
        self._folder: Optional[Path] = None
        self._show: Optional[Show] = None

    def v2_playbook_on_start(self, playbook: Any) -> None:
        os.environ[PROGRESS_VARIABLE] = "lines"

    def v2_runner_on_ok(self, result: Any) -> None:
        if result.task.action == "migration_plan":
            folder = Path(result.result["plan"]["folder"])
            # In check mode there is no run to follow.
            if self._wanted and (folder / "run.json").exists():
                self._folder = folder
                os.environ[PROGRESS_VARIABLE] = "table"
        # The table belongs above the headline of the next play.
        if self._show and self._show.update():
            self._end()

    def v2_runner_on_start(self, host: Any, task: Any) -> None:
        if self._folder and self._show is None and task.action == "migration_matrix":
            from migration_lab.progress.follower import RunFollower

            self._show = Show(RunFollower(self._folder, since=self._started))

    def v2_playbook_on_play_start(self, play: Any) -> None:
        self._end()

    def v2_playbook_on_stats(self, stats: Any) -> None:
        self._end()

    def _end(self) -> None:
        if self._show:
            self._show.end()
            self._show = None


def _table_wanted() -> bool:
    """Whether there is a terminal for a table; what draws it is loaded only then, which takes a moment."""
    if not sys.stdout.isatty():
        return False
    from migration_lab.progress.live import table_wanted

    return table_wanted(sys.stdout, os.environ)


class Show:
    """The table and the thread that draws it.

    Ansible writes, and forks its workers, under a lock of its display. The table is drawn under the same lock, so that it
    neither meets a line half written nor leaves a worker a lock that nobody will release.
    """

    def __init__(self, follower: RunFollower) -> None:
        from migration_lab.progress.live import LiveTable

        self._follower = follower
        self._table = LiveTable(DISPLAY._lock)
        self._ended = threading.Event()
        self._looking = threading.Lock()
        self._broken = False
        self._table.start(follower.look(time.time()))
        # The interpreter does not wait for it: a playbook that is interrupted calls `end` only at exit.
        self._thread = threading.Thread(target=self._draw, daemon=True)
        self._thread.start()
        atexit.register(self.end)

    def _draw(self) -> None:
        while not self._ended.wait(INTERVAL):
            self.update()

    def update(self) -> bool:
        """Draw the table as the run is now; returns whether the last combination has ended."""
        with self._looking:
            if self._broken:
                return False
            try:
                progress = self._follower.look(time.time())
            except LabError as error:
                self._broken = True
                DISPLAY.warning(f"the table of the run is not kept up to date: {error}")
                return False
            self._table.update(progress)
            return progress.over

    def end(self) -> None:
        """Draw the table for the last time and leave it there."""
        atexit.unregister(self.end)
        self._ended.set()
        self._thread.join()
        self.update()
        self._table.stop()
