# SPDX-License-Identifier: GPL-3.0-or-later
"""What a manager can do about a migration that failed or was never answered; ``procedure.Recovery`` carries it out."""

from __future__ import annotations

# In the order in which they are shown.
REACTIONS = {
    "again": "the same migration once more, without the fault",
    "trust-the-error": "destroy the guest on the target, resume it on the source",
    "trust-the-target":
        "where the target has the guest, destroy it on the source and resume it on the target; else resume it on the source",
    "restart-daemons": "restart the daemons of source and target",
}
