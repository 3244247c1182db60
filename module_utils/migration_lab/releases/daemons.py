# SPDX-License-Identifier: GPL-3.0-or-later
"""Which daemons a release has: libvirtd alone, or virtqemud behind virtproxyd."""

from __future__ import annotations

from typing import Any, Mapping

from ..model.errors import LabError
from ..model.version import parse_version

MONOLITHIC = "monolithic"
MODULAR = "modular"

# Those that a machine has (roles/machine_files/templates/machine.j2); the first one runs guests.
NEEDED = {MONOLITHIC: ("libvirtd",), MODULAR: ("virtqemud", "virtproxyd")}

# NEWS.rst: "Experimental split of libvirtd into separate daemons".
SPLIT = "5.7.0"


def daemons(release: Mapping[str, Any]) -> str:
    """The kind of daemons that a release has, ``monolithic`` where it does not say."""
    kind: str = release.get("daemons", MONOLITHIC)
    return kind


def check_daemons(name: str, release: Mapping[str, Any]) -> None:
    """Refuse modular daemons of a libvirt that has none.

    :param release: the recipe, as ``recipe.resolve_release`` returns it.
    :raises LabError: naming both versions.
    """
    if daemons(release) == MODULAR and parse_version(release["libvirt"]) < parse_version(SPLIT):
        raise LabError(
            f"release '{name}': libvirt {release['libvirt']} has no modular daemons, they came with {SPLIT}; leave 'daemons' out"
        )
