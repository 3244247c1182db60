# SPDX-License-Identifier: GPL-3.0-or-later
"""The guest's domain XML, completed for one domain."""

from __future__ import annotations

from xml.sax.saxutils import escape

from .config import GuestConfig

# By name, what stands in a planned guest's XML for what each domain has of its own.
MARKERS = {name: f"@{name}@" for name in ("type", "name", "uuid", "description")}


def domain_xml(guest: GuestConfig, name: str, uuid: str, description: str = "") -> str:
    """XML of a domain of the guest.

    :param description: tells apart two configs of one guest.
    """
    values = {"type": "kvm" if guest.accel == "kvm" else "qemu", "name": name, "uuid": uuid, "description": description}
    xml = guest.xml
    for field, value in values.items():
        xml = xml.replace(MARKERS[field], escape(value, {"'": "&apos;", '"': "&quot;"}))
    return xml
