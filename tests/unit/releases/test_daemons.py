# SPDX-License-Identifier: GPL-3.0-or-later
"""Which daemons a release has."""

from __future__ import annotations

import pytest

from migration_lab.cell.processes import GUEST_DAEMONS
from migration_lab.model.errors import LabError
from migration_lab.releases.daemons import NEEDED, check_daemons, daemons


def test_daemons_are_monolithic_where_a_release_does_not_say() -> None:
    assert daemons({"libvirt": "9.0.0"}) == "monolithic"
    assert daemons({"libvirt": "9.0.0", "daemons": "modular"}) == "modular"


@pytest.mark.parametrize(("libvirt", "kind"), [("5.7.0", "modular"), ("11.3.0", "modular"), ("0.9.1", "monolithic")])
def test_daemons_that_a_version_has_are_accepted(libvirt: str, kind: str) -> None:
    check_daemons("mine", {"libvirt": libvirt, "daemons": kind})


def test_modular_daemons_of_a_version_without_them_are_refused() -> None:
    with pytest.raises(LabError, match=r"^release 'mine': libvirt 5\.6\.0 has no modular daemons, they came with 5\.7\.0; leave"):
        check_daemons("mine", {"libvirt": "5.6.0", "daemons": "modular"})


def test_the_daemon_that_runs_guests_comes_first() -> None:
    assert tuple(names[0] for names in NEEDED.values()) == GUEST_DAEMONS
