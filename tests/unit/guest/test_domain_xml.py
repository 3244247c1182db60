# SPDX-License-Identifier: GPL-3.0-or-later
"""The guest's domain XML, read back by a parser."""

from __future__ import annotations

from dataclasses import asdict, replace
from xml.etree import ElementTree

import pytest

from migration_lab.guest.config import GuestConfig
from migration_lab.guest.domain_xml import domain_xml

UUID = "6b1f0a52-6a0e-4c59-9c54-1d0f4d0c4f0a"
X86 = GuestConfig("x86_64", "x86_64", "tcg", "pc-i440fx-7.2", "", 16, "/lab/guest-x86_64.img", "9.0.0")
ARM = GuestConfig("aarch64", "aarch64", "tcg", "virt-7.2", "cortex-a57", 16, "/lab/guest-aarch64.img", "9.0.0")


def parsed(guest: GuestConfig, name: str = "mlab-noo-001") -> ElementTree.Element:
    return ElementTree.fromstring(domain_xml(guest, name, UUID))


def test_domain_has_its_name_uuid_and_image() -> None:
    domain = parsed(X86)
    assert domain.tag == "domain"
    assert (domain.findtext("name"), domain.findtext("uuid")) == ("mlab-noo-001", UUID)
    assert domain.findtext("os/loader") == "/lab/guest-x86_64.img"
    assert domain.findtext("os/type") == "hvm" and domain.find("os/kernel") is None
    assert domain.findtext("vcpu") == "1"


@pytest.mark.parametrize("guest", [replace(X86, oldest="0.9.11"), ARM], ids=["before loader", "aarch64"])
def test_image_is_the_kernel_where_it_cannot_be_firmware(guest: GuestConfig) -> None:
    domain = parsed(guest)
    assert domain.findtext("os/kernel") == guest.kernel and domain.find("os/loader") is None
    assert parsed(replace(X86, oldest="0.9.12")).find("os/kernel") is None


@pytest.mark.parametrize(("accel", "kind"), [("tcg", "qemu"), ("kvm", "kvm")])
def test_acceleration_chooses_the_domain_type(accel: str, kind: str) -> None:
    assert parsed(replace(X86, accel=accel)).get("type") == kind


@pytest.mark.parametrize("guest", [X86, ARM], ids=lambda guest: guest.name)
def test_architecture_and_machine_type_are_the_guests(guest: GuestConfig) -> None:
    system = parsed(guest).find("os/type")
    assert system is not None and system.attrib == {"arch": guest.arch, "machine": guest.machine}


@pytest.mark.parametrize("mebibytes", [16, 64, 1024])
def test_memory_is_given_in_mebibytes(mebibytes: int) -> None:
    memory = parsed(replace(X86, memory=mebibytes)).find("memory")
    assert memory is not None and memory.text is not None
    assert memory.get("unit") is None, "KiB, which old versions take it for anyway"
    assert int(memory.text) * 1024 == mebibytes * 1024**2


def test_processor_is_named_only_where_the_guest_has_one() -> None:
    assert parsed(X86).find("cpu") is None
    processor = parsed(ARM).find("cpu")
    assert processor is not None and processor.findtext("model") == "cortex-a57"


def test_arm_board_has_the_interrupt_controller_that_the_kernel_knows() -> None:
    controller = parsed(ARM).find("features/gic")
    assert controller is not None and controller.get("version") == "2"
    assert parsed(X86).find("features") is None


@pytest.mark.parametrize("guest", [X86, ARM], ids=lambda guest: guest.name)
def test_guest_has_no_device_that_must_be_migrated(guest: GuestConfig) -> None:
    devices = parsed(guest).find("devices")
    assert devices is not None
    assert {device.tag for device in devices} == {"controller", "memballoon"}
    assert all("none" in device.attrib.values() for device in devices), "both are turned off"


def test_text_with_markup_stays_text() -> None:
    odd = replace(X86, kernel="/lab/<&>'\".img", machine="a'b\"c&", cpu="<cpu>")
    domain = parsed(odd, "mlab-<&>")
    assert domain.findtext("name") == "mlab-<&>"
    assert domain.findtext("os/loader") == odd.kernel and domain.findtext("cpu/model") == odd.cpu
    system = domain.find("os/type")
    assert system is not None and system.get("machine") == odd.machine


def test_guest_is_made_from_a_modules_argument() -> None:
    assert GuestConfig.from_data({**asdict(ARM), "workers_per_core": 3}) == ARM


def test_guest_that_lacks_a_field_is_not_made() -> None:
    data = asdict(ARM)
    del data["kernel"]
    with pytest.raises(KeyError, match="kernel"):
        GuestConfig.from_data(data)


def test_old_versions_get_only_what_they_take() -> None:
    """0.8.3 takes no turned-off balloon and no USB controller, and 0.9.x no processor but an exact one that every host has."""
    taken: dict[str, set[str]] = {
        "0.8.3": set(), "0.9.1": {"memballoon"}, "0.9.2": {"memballoon"}, "0.9.11": {"memballoon", "controller"},
    }
    for oldest, devices in taken.items():
        domain = parsed(replace(X86, oldest=oldest))
        found = domain.find("devices")
        assert found is not None and {device.tag for device in found} == devices, oldest
        processor = domain.find("cpu")
        if "controller" in devices:
            assert processor is None
        else:
            assert processor is not None
            assert (processor.get("match"), processor.get("mode"), processor.findtext("model")) == ("exact", None, "pentium2")


def test_two_configs_of_a_guest_are_told_apart_by_their_description() -> None:
    assert ElementTree.fromstring(domain_xml(X86, "a", UUID, "one <of> two")).findtext("description") == "one <of> two"
