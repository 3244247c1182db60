# SPDX-License-Identifier: GPL-3.0-or-later
"""The guest's domain XML."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Mapping
from xml.sax.saxutils import escape, quoteattr


@dataclass(frozen=True)
class GuestConfig:
    """What a guest of the lab is: architecture, acceleration (``kvm`` or ``tcg``), QEMU machine type, CPU model (empty:
    the hypervisor's default), memory in MiB, and the kernel's path on source and target."""

    name: str
    arch: str
    accel: str
    machine: str
    cpu: str
    memory: int
    kernel: str

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> GuestConfig:
        """Make a guest from a module's argument."""
        return cls(**{field: data[field] for field in cls.__dataclass_fields__})


def domain_xml(guest: GuestConfig, name: str, uuid: str) -> str:
    """XML of a diskless domain that boots the lab's kernel.

    Diskless, because libvirt refuses to migrate a disk that is not on a network file system.  No USB controller and no
    balloon: what is not there need not be migrated or waited for.
    """
    domain_type = "kvm" if guest.accel == "kvm" else "qemu"
    cpu = f"<cpu mode='custom' match='exact'><model>{escape(guest.cpu)}</model></cpu>" if guest.cpu else ""
    # Without a firmware of its own the Arm board needs a GIC that the kernel knows: version 2.
    features = "<features><gic version='2'/></features>" if guest.arch == "aarch64" else ""
    return (
        f"<domain type='{domain_type}'>"
        f"<name>{escape(name)}</name><uuid>{uuid}</uuid>"
        f"<memory unit='KiB'>{guest.memory * 1024}</memory><vcpu>1</vcpu>"
        f"<os><type arch={quoteattr(guest.arch)} machine={quoteattr(guest.machine)}>hvm</type>"
        f"<kernel>{escape(guest.kernel)}</kernel></os>"
        f"{features}{cpu}"
        "<devices><controller type='usb' model='none'/><memballoon model='none'/></devices>"
        "</domain>"
    )
