# SPDX-License-Identifier: GPL-3.0-or-later
"""What is seen of a chain: of each step, and of a replacement of libvirt."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Optional

from ...judging.observation import Observation, Outcome, Sight
from ..attempt import Attempt


@dataclass
class ReplacementObservation(Observation):
    """What was seen when a machine's libvirt was replaced.

    ``daemon`` is how the other release's daemon started, ``libvirt`` the version (libvirt's number) that it reports, ``shown``
    the guest as it shows it; ``survival`` is of the guest seen from outside libvirt, whatever libvirt shows.
    """

    daemon: Optional[Outcome] = None
    libvirt: Optional[int] = None
    shown: Optional[Sight] = None


@dataclass
class ChainObservation(Observation):
    """What was seen of a chain. ``steps`` are the attempts at the steps that were begun, in order.

    ``migrated``, ``source_after`` and ``target_after`` are those of the last hop.
    """

    steps: list[Attempt] = field(default_factory=list)

    def details(self) -> dict[str, Any]:
        return {"migrations": [step.migration for step in self.steps if step.migration is not None]}
