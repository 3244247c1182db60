# SPDX-License-Identifier: GPL-3.0-or-later
"""The versions that a run's machines reported, by class."""

from __future__ import annotations

from dataclasses import dataclass

from ..model.combination import classes
from ..model.pair import classes_of
from .run import Run

# What is reported, by the words for it: the roles whose machines are asked, and the key of their answer.
_ASKED = {
    "libvirt daemon": (("source", "target"), "libvirt"),
    "daemons": (("source", "target"), "daemons"),
    "libvirt client library": (("client",), "libvirt"),
    "QEMU": (("source", "target"), "hypervisor"),
    "package of libvirt": (("client", "source", "target"), "libvirt_package"),
    "package of QEMU": (("source", "target"), "qemu_package"),
    "kernel": (("client", "source", "target"), "kernel"),
    "Python of the client": (("client",), "python"),
}


@dataclass(frozen=True)
class VersionRow:
    """One kind of version: by class all that machines of it reported, sorted; one each when the machines agree."""

    what: str
    found: dict[str, tuple[str, ...]]


def machine_versions(run: Run) -> list[VersionRow]:
    """What the machines reported, a row for each kind of version that any of them reported."""
    rows = []
    for what, (roles, key) in _ASKED.items():
        found: dict[str, set[str]] = {kind: set() for kind in classes_of(run.data["pair"])}
        for combination in run.combinations:
            ages = classes(combination.name)
            for role in roles:
                reported = combination.versions.get(role, {})
                if key in reported:
                    found[ages[role]].add(reported[key])
        if any(found.values()):
            rows.append(VersionRow(what, {kind: tuple(sorted(versions)) for kind, versions in found.items()}))
    return rows
