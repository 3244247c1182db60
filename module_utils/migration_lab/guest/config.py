# SPDX-License-Identifier: GPL-3.0-or-later
"""What a guest of the lab is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Mapping


@dataclass(frozen=True)
class GuestConfig:
    """What a guest of the lab is: architecture, acceleration (``kvm`` or ``tcg``), QEMU machine type, CPU model (empty:
    the hypervisor's default), memory in MiB, the kernel's path on source and target, and the oldest libvirt version that
    must take its XML."""

    name: str
    arch: str
    accel: str
    machine: str
    cpu: str
    memory: int
    kernel: str
    oldest: str

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> GuestConfig:
        """Make a guest from a module's argument."""
        return cls(**{field: data[field] for field in cls.__dataclass_fields__})
