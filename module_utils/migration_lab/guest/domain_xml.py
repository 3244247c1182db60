# SPDX-License-Identifier: GPL-3.0-or-later
"""The guest's domain XML."""

from __future__ import annotations

from xml.sax.saxutils import escape, quoteattr

from ..model.version import parse_version
from .config import GuestConfig

# libvirt's first version that takes <controller type='usb' model='none'/> (0.9.11) and <memballoon model='none'/> (0.8.5).
USB_NONE = parse_version("0.9.11")

MEMBALLOON_NONE = parse_version("0.8.5")
# libvirt's first version that passes <loader> on to QEMU.
LOADER = parse_version("0.9.12")


def domain_xml(guest: GuestConfig, name: str, uuid: str, description: str = "") -> str:
    """XML of a diskless domain that boots the lab's kernel, in what every version from ``guest.oldest`` on takes.

    Diskless, because libvirt refuses to migrate a disk that is not on a network file system.  No USB controller and no
    balloon where they can be left out: what is not there need not be migrated or waited for.

    :param description: tells apart two configs of one guest.
    """
    domain_type = "kvm" if guest.accel == "kvm" else "qemu"
    oldest = parse_version(guest.oldest)
    # A new source writes down the hypervisor's default model, qemu64, which an old target takes for more than the host has.
    model = guest.cpu or ("pentium2" if oldest < USB_NONE and guest.arch == "x86_64" else "")
    cpu = f"<cpu match='exact'><model>{escape(model)}</model></cpu>" if model else ""
    # Without a firmware of its own the Arm board needs a GIC that the kernel knows: version 2.
    features = "<features><gic version='2'/></features>" if guest.arch == "aarch64" else ""
    usb = "<controller type='usb' model='none'/>" if oldest >= USB_NONE else ""
    # The x86 image is firmware as well, which starts at once.
    boot = "loader" if oldest >= LOADER and guest.arch == "x86_64" else "kernel"
    balloon = "<memballoon model='none'/>" if oldest >= MEMBALLOON_NONE else ""
    return (
        f"<domain type='{domain_type}'>"
        f"<name>{escape(name)}</name><uuid>{uuid}</uuid>"
        f"<description>{escape(description)}</description>"
        f"<memory>{guest.memory * 1024}</memory><vcpu>1</vcpu>"
        f"<os><type arch={quoteattr(guest.arch)} machine={quoteattr(guest.machine)}>hvm</type>"
        f"<{boot}>{escape(guest.kernel)}</{boot}></os>"
        f"{features}{cpu}"
        f"<devices>{usb}{balloon}</devices>"
        "</domain>"
    )
