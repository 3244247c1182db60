# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's tap: a transparent relay for libvirt's RPC over plain TCP, between client, source and target.

It sees which migration procedures a case really used, can present a daemon as an older one (``ceiling``), and is the
place where faults will be injected at an exact procedure (``interception``).  Nothing to do with the Test Anything
Protocol, which is in ``results``.  ``Tap`` is the way in.
"""

from __future__ import annotations

from .interception import Action, Answer, Forward, Interceptor, Passage
from .relay import Link
from .steps import Step
from .tap import Tap

__all__ = ["Action", "Answer", "Forward", "Interceptor", "Link", "Passage", "Step", "Tap"]
