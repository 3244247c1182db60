# SPDX-License-Identifier: GPL-3.0-or-later
"""What room a lab host has."""

from __future__ import annotations

import json

from migration_lab.lab_host.room import MEMORY, free_mib, networks_of


def test_free_memory_is_what_the_kernel_can_make_available() -> None:
    assert free_mib("MemTotal:       2048000 kB\nMemFree:          102400 kB\nMemAvailable:    1048576 kB\n") == 1024
    assert free_mib(MEMORY.read_text()) > 0


def test_networks_have_subnets_and_the_cell_that_they_are_beside() -> None:
    listed = [
        {"name": "podman", "subnets": [{"subnet": "10.88.0.0/16", "gateway": "10.88.0.1"}]},
        {"name": "mlab-a-2", "subnets": [{"subnet": "10.211.56.0/24"}], "labels": {"migration-lab.beside": "a"}},
        {"Name": "of-podman-3", "Labels": None},
    ]
    assert networks_of(json.dumps(listed)) == {
        "podman": {"subnets": ["10.88.0.0/16"], "beside": ""},
        "mlab-a-2": {"subnets": ["10.211.56.0/24"], "beside": "a"},
        "of-podman-3": {"subnets": [], "beside": ""},
    }
    assert networks_of("[]") == networks_of("null") == {}
