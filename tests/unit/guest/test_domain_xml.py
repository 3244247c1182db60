# SPDX-License-Identifier: GPL-3.0-or-later
"""A planned guest's XML, completed for a domain."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from migration_lab.guest.config import GuestConfig, disk_path
from migration_lab.guest.domain_xml import domain_xml

UUID = "6b1f0a52-6a0e-4c59-9c54-1d0f4d0c4f0a"
XML = (
    "<domain type='@type@'><name>@name@</name><uuid>@uuid@</uuid><description>@description@</description>"
    "<devices><disk><source file='/storage/@name@-vda.img'/></disk></devices></domain>"
)
DATA = {
    "name": "mine", "arch": "x86_64", "machine": "pc-q35-7.2", "memory": 64, "xml": XML, "disks": {"vda": 8}, "witness": True,
    "workers_per_core": 3, "description": "a guest",
}


def parsed(accel: str = "tcg", name: str = "mlab-noo-001", description: str = "") -> ElementTree.Element:
    return ElementTree.fromstring(domain_xml(GuestConfig.from_data(DATA, accel), name, UUID, description))


def test_domain_gets_what_it_has_of_its_own() -> None:
    domain = parsed(description="config of the guest")
    assert (domain.findtext("name"), domain.findtext("uuid")) == ("mlab-noo-001", UUID)
    assert domain.findtext("description") == "config of the guest"
    source = domain.find("devices/disk/source")
    assert source is not None and source.get("file") == "/storage/mlab-noo-001-vda.img"


@pytest.mark.parametrize(("accel", "kind"), [("tcg", "qemu"), ("kvm", "kvm")])
def test_acceleration_chooses_the_domain_type(accel: str, kind: str) -> None:
    assert parsed(accel).get("type") == kind


def test_text_with_markup_stays_text() -> None:
    domain = parsed(name="mlab-<&>'\"", description="one <of> two")
    source = domain.find("devices/disk/source")
    assert source is not None and source.get("file") == "/storage/mlab-<&>'\"-vda.img"
    assert (domain.findtext("name"), domain.findtext("description")) == ("mlab-<&>'\"", "one <of> two")


def test_guest_is_made_from_the_plans_entry() -> None:
    assert GuestConfig.from_data(DATA, "tcg") == GuestConfig("mine", "x86_64", "tcg", "pc-q35-7.2", 64, XML, {"vda": 8})


def test_guest_that_lacks_a_field_is_not_made() -> None:
    with pytest.raises(KeyError, match="memory"):
        GuestConfig.from_data({name: value for name, value in DATA.items() if name != "memory"}, "tcg")


def test_disks_of_two_domains_are_two_devices() -> None:
    assert disk_path("mlab-noo-001", "vda") == "/var/lib/migration-lab/mlab-noo-001-vda"
