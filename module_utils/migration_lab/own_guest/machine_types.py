# SPDX-License-Identifier: GPL-3.0-or-later
"""QEMU's machine types: which of them both versions of a pair have."""

from __future__ import annotations

import re
from typing import Mapping

from ..model.errors import LabError
from ..model.version import parse_version

# Up to and including the version, the machine type is gone from that QEMU version on: docs/about/removed-features.rst of QEMU,
# and `-machine help` of 7.2 and 10.0.
LOST = (
    ("pc", "1.3", "6.0"),
    ("pc-i440fx", "1.7", "8.2"),
    ("pc-i440fx", "2.3", "10.0"),
    ("pc-q35", "2.3", "2.6"),
)

# What `machine` means without a version, by QEMU's name of the family; dumpxml of a running domain has it resolved.
ALIASES = {
    "pc": "pc-i440fx",
    "q35": "pc-q35",
    "virt": "virt",
    "s390-ccw-virtio": "s390-ccw-virtio",
    "pseries": "pseries",
}
_FAMILIES = ("pc", *ALIASES.values())


def resolve_machine(machine: str, qemu: Mapping[str, str], where: str) -> str:
    """The machine type that both sides have.

    :param machine: as the XML has it.
    :param qemu: by release name the QEMU version.
    :param where: file and line, for errors.
    :raises LabError: when one of them does not have it.
    """
    older = min(qemu.values(), key=parse_version)
    if machine in ALIASES:
        return f"{ALIASES[machine]}-{older}"
    advice = f"in a copy of the file, give it one that both have, such as {ALIASES['q35']}-{older}, to check the rest"
    family = next((name for name in sorted(_FAMILIES, key=len, reverse=True) if machine.startswith(f"{name}-")), "")
    if not family:
        return machine  # isapc, microvm, raspi3b ...: without versions
    version = machine[len(family) + 1 :]
    if family != "pc":
        advice = f"in a copy of the file, make it {family}-{older} to check the rest"
    if not re.fullmatch(r"\d+(\.\d+)*", version):
        raise LabError(
            f"{where}: machine type '{machine}' is made by a distribution, and the QEMUs of {' and '.join(qemu)} do not have "
            f"it; {advice}"
        )
    for release, own in qemu.items():
        if parse_version(version) > parse_version(own):
            raise LabError(
                f"{where}: machine type '{machine}' is newer than QEMU {own} of {release}, which does not have it; {advice}"
            )
        for lost_family, last, since in LOST:
            gone = lost_family == family and parse_version(version) <= parse_version(last)
            if gone and parse_version(own) >= parse_version(since):
                raise LabError(
                    f"{where}: machine type '{machine}' is gone from QEMU {since} on, and {release} has QEMU {own}: a guest "
                    f"with it cannot run there; {advice}"
                )
    return machine
