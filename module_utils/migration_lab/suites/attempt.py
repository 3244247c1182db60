# SPDX-License-Identifier: GPL-3.0-or-later
"""One attempt at a case."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any, Optional

from ..judging.observation import Observation
from ..model.case import Case
from ..relay.steps import Step


@dataclass
class Attempt:
    """One attempt at a case: what was seen and called, when it started (monotonic) and how long it took (seconds).

    ``number`` counts the attempts at the case from 1, ``counter`` is the guest's before the migration.  ``daemons`` are by side
    and name the process numbers of those that the case itself has started again: one that dies later has died by itself.
    ``broken`` says why its cell cannot be used any more; empty where it can.
    """

    case: Case
    number: int = 1
    started: float = field(default_factory=time.monotonic)
    seen: Observation = field(default_factory=Observation)
    migration: Optional[dict[str, Any]] = None
    steps: list[Step] = field(default_factory=list)
    counter: Optional[int] = None
    seconds: float = 0.0
    call_seconds: float = 0.0
    timed_out: bool = False
    daemons: dict[str, dict[str, int]] = field(default_factory=dict)
    broken: str = ""
