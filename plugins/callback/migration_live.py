# SPDX-License-Identifier: GPL-3.0-or-later
"""Shows how far a run is while its combinations run: a table on a terminal, lines where there is none."""

from __future__ import annotations

DOCUMENTATION = r"""
name: migration_live
type: aggregate
short_description: The progress of a migration run
author: The libvirt migration compatibility lab
description:
  - From the first combination of a run to the last, shows how far the run is, from its journals.
  - On a terminal that is not dumb, and where E(CI) is not set, that is a table below all other output; everywhere else a line
    every five seconds.
requirements:
  - Enabled in C(callbacks_enabled).
"""

import atexit
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


class CallbackModule(CallbackBase):
    """Learns the run's folder from ``migration_plan`` and shows it from the first ``migration_matrix`` to the end of its play."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "migration_live"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        super().__init__()
        self._started = time.time()
        self._folder: Optional[Path] = None
        self._show: Optional[Show] = None

    def v2_runner_on_ok(self, result: Any) -> None:
        if result.task.action == "migration_plan":
            folder = Path(result.result["plan"]["folder"])
            # In check mode there is no run to follow.
            self._folder = folder if (folder / "run.json").exists() else None
        # The last word belongs above the headline of the next play.
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


class Show:
    """The thread that looks at the run and shows it."""

    def __init__(self, follower: RunFollower) -> None:
        from migration_lab.progress.face import choose_face

        self._follower = follower
        self._face = choose_face(DISPLAY.display)
        self._ended = threading.Event()
        self._looking = threading.Lock()
        self._broken = False
        self._face.start(follower.look(time.time()))
        # The interpreter does not wait for it: a playbook that is interrupted calls `end` only at exit.
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()
        atexit.register(self.end)

    def _follow(self) -> None:
        while not self._ended.wait(INTERVAL):
            self.update()

    def update(self) -> bool:
        """Show the run as it is now; returns whether the last combination has ended."""
        with self._looking:
            if self._broken:
                return False
            try:
                progress = self._follower.look(time.time())
            except LabError as error:
                self._broken = True
                DISPLAY.warning(f"the progress of the run is not shown any more: {error}")
                return False
            self._face.update(progress)
            return progress.over

    def end(self) -> None:
        """Show the run for the last time."""
        atexit.unregister(self.end)
        self._ended.set()
        self._thread.join()
        self.update()
        self._face.stop()
