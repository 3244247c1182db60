# SPDX-License-Identifier: GPL-3.0-or-later
"""The silences that last, by domain, so that they can be ended."""

from __future__ import annotations

import asyncio
from typing import Optional


class Silences:
    """In the relay's thread alone."""

    def __init__(self) -> None:
        self._lasting: dict[Optional[str], set[asyncio.Event]] = {}

    async def last(self, domain: Optional[str], seconds: Optional[float]) -> None:
        """Return after some seconds, or when the domain's silences are ended; ``None`` seconds: only then."""
        healed = asyncio.Event()
        lasting = self._lasting.setdefault(domain, set())
        lasting.add(healed)
        try:
            await asyncio.wait_for(healed.wait(), seconds)
        except asyncio.TimeoutError:
            pass
        finally:
            lasting.discard(healed)

    def end(self, domain: str) -> None:
        """End those of a domain."""
        for healed in self._lasting.pop(domain, ()):
            healed.set()
