# SPDX-License-Identifier: GPL-3.0-or-later
"""What libvirt promises of a guest whose migration fails, as data. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Mapping


@dataclass(frozen=True)
class Promise:
    """One row of scenarios/promises.yml."""

    id: str

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Promise:
        """From a row that ``planning.faults`` has validated."""
        return cls(data["id"])
