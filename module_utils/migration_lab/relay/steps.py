# SPDX-License-Identifier: GPL-3.0-or-later
"""The migration procedures that passed, kept by domain until they are asked for."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field, replace
from typing import Any, Optional

OK = "ok"
NO_REPLY = "no reply"


@dataclass
class Step:
    """One migration procedure as it passed.

    Attributes:
        link: name of the link that it passed on.
        procedure: its name in ``procedures.MIGRATION``.
        started: when the call came, in seconds since 1970.
        seconds: time until the reply was passed on, None when none was.
        result: ``ok``, ``error: `` and libvirt's message, or ``no reply``: what the caller got.
        answer: what the daemon answered, in the same words, whether that was passed on or not.
    """

    link: str
    procedure: str
    started: float = field(default_factory=time.time)
    seconds: Optional[float] = None
    result: str = NO_REPLY
    answer: str = NO_REPLY
    _clock: float = field(default_factory=time.monotonic, repr=False, compare=False)

    def end(self, result: str) -> None:
        """The reply came."""
        self.result = result
        self.seconds = time.monotonic() - self._clock

    def to_data(self) -> dict[str, Any]:
        """The step as the journal keeps it."""
        return {
            "link": self.link,
            "procedure": self.procedure,
            "started": round(self.started, 4),
            "seconds": None if self.seconds is None else round(self.seconds, 4),
            "result": self.result,
        }


class StepLog:
    """Steps by domain. The relay's thread adds to it, any thread takes from it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._steps: dict[str, list[Step]] = {}

    def begin(self, domain: str, link: str, procedure: str) -> Step:
        """A call came."""
        step = Step(link, procedure)
        with self._lock:
            self._steps.setdefault(domain, []).append(step)
        return step

    def end(self, step: Step, result: str) -> None:
        """A call's reply came; too late to be seen when its step has been taken."""
        with self._lock:
            step.end(result)

    def note_answer(self, step: Step, answer: str) -> None:
        """A daemon answered a call."""
        with self._lock:
            step.answer = answer

    def look(self, domain: str) -> list[Step]:
        """A domain's steps in the order in which they began, as they are now."""
        with self._lock:
            return [replace(step) for step in self._steps.get(domain, [])]

    def take(self, domain: str) -> list[Step]:
        """Give out a domain's steps in the order in which they began, and forget them."""
        with self._lock:
            return [replace(step) for step in self._steps.pop(domain, [])]
