# SPDX-License-Identifier: GPL-3.0-or-later
"""What room a lab host has."""

from __future__ import annotations

from migration_lab.lab_host.room import MEMORY, free_mib


def test_free_memory_is_what_the_kernel_can_make_available() -> None:
    assert free_mib("MemTotal:       2048000 kB\nMemFree:          102400 kB\nMemAvailable:    1048576 kB\n") == 1024
    assert free_mib(MEMORY.read_text()) > 0
