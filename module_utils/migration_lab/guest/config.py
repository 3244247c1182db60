# SPDX-License-Identifier: GPL-3.0-or-later
"""What a guest of the lab is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Mapping

# Where source and target see the cell's shared storage.
STORAGE = "/var/lib/migration-lab"


@dataclass(frozen=True)
class GuestConfig:
    """A guest as the planner made it of its file and the pair.

    Attributes:
        name: of the guest, not of its domains.
        arch: architecture, as libvirt names it.
        accel: ``kvm`` or ``tcg``.
        machine: QEMU machine type.
        memory: MiB of RAM.
        xml: domain XML with ``MARKERS`` for what each domain has of its own.
        disks: MiB of each disk on the shared storage, by its name.
        witness: whether the lab's kernel runs in it, so that its counter and memory can be checked.
    """

    name: str
    arch: str
    accel: str
    machine: str
    memory: int
    xml: str
    disks: Mapping[str, int] = field(default_factory=dict)
    witness: bool = True

    @property
    def has_state(self) -> bool:
        """Whether libvirt keeps files for its domains: UEFI variables or the state of a TPM."""
        return any(text in self.xml for text in ("<nvram", "<tpm", "firmware="))

    @classmethod
    def from_data(cls, data: Mapping[str, Any], accel: str) -> GuestConfig:
        """Make a guest of an entry of the plan's ``guests``."""
        return cls(accel=accel, **{name: data[name] for name in cls.__dataclass_fields__ if name != "accel"})


def disk_path(domain: str, disk: str) -> str:
    """Path of a domain's disk, a block device, on source and target."""
    return f"{STORAGE}/{domain}-{disk}"
