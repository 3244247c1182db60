# SPDX-License-Identifier: GPL-3.0-or-later
"""The variants of a guest: each lacks one thing, and names the lines of the user's file that it lacks."""

from __future__ import annotations

from pathlib import Path

from migration_lab.own_guest.adaptation import adapt
from migration_lab.own_guest.domain_file import read_domains
from migration_lab.own_guest.element import Element
from migration_lab.own_guest.variants import BARE, GROUP, PART, PROCESSOR, Variant, variants

GUESTS = Path(__file__).parents[2] / "guests"


def variants_of(name: str, devices: bool = True) -> list[Variant]:
    (file,) = read_domains([GUESTS / name])
    features = {"uefi", "tpm", "spice"}
    return variants(adapt(file, {"old": "7.2", "new": "10.0"}, features, {"x86_64"}, {"x86_64"}), devices)


def test_each_part_is_left_out_once_and_names_its_lines() -> None:
    found = variants_of("two-cores.xml")
    assert [(variant.breadth, variant.what) for variant in found] == [
        (PART, "with 2 sockets of one core in place of its topology"),
        (PART, "without the cpu feature hypervisor (require)"),
        (PROCESSOR, "with the machine's own cpu model, without any topology"),
        (PROCESSOR, "with one processor"),
        (PART, "without vmport of <features>"),
        (PART, "without timer rtc of <clock>"),
        (PART, "without timer hpet of <clock>"),
        (PART, "without disk vda (virtio)"),
        (PART, "without controller virtio-serial 0, channel org.qemu.guest_agent.0"),
        (PART, "without interface virtio"),
        (PART, "without serial pty, console pty"),
        (PART, "without channel org.qemu.guest_agent.0"),
        (PART, "without graphics vnc"),
        (PART, "without video vga"),
        (PART, "without memballoon virtio"),
        (BARE, "without any device that can be left out"),
    ]
    topology = found[0]
    assert topology.source == "<topology sockets='1' dies='1' cores='2' threads='1'/>"
    assert "<topology sockets='2' dies='1' cores='1' threads='1'/>" in topology.data["xml"]
    lines = (GUESTS / "two-cores.xml").read_text().splitlines()
    for variant in found:
        line = lines[variant.lines[0] - 1].strip() if variant.lines else ""
        assert variant.source == line.replace("'secret'", "'...'"), "a password is in no result"
    assert len({variant.name for variant in found}) == len(found)


def test_what_libvirt_would_put_back_is_said_to_be_none() -> None:
    found = {variant.what: variant.data["xml"] for variant in variants_of("two-cores.xml")}
    assert "<memballoon model='none'/>" in found["without memballoon virtio"]
    assert "<model type='none'/>" in found["without video vga"]
    bare = found["without any device that can be left out"]
    assert "<disk" not in bare and "<interface" not in bare and "<console" not in bare
    assert bare.count("<memballoon") == bare.count("<video") == 1


def test_a_disk_that_is_left_out_is_not_made() -> None:
    found = {variant.what: variant.data["disks"] for variant in variants_of("two-cores.xml")}
    assert found["without disk vda (virtio)"] == {}
    assert found["without interface virtio"] == {"vda": 8}


def test_system_information_is_left_out_with_what_shows_it() -> None:
    (file,) = read_domains([GUESTS / "two-cores.xml"])
    file.domain.children.insert(0, Element("sysinfo", {"type": "smbios"}, line=3))
    file.domain.child("os").children.append(Element("smbios", {"mode": "sysinfo"}))  # type: ignore[union-attr]
    found = variants(adapt(file, {"old": "7.2", "new": "10.0"}, (), {"x86_64"}, {"x86_64"}))
    (variant,) = [variant for variant in found if variant.what == "without <sysinfo>"]
    assert "smbios" not in variant.data["xml"]


def test_devices_of_one_model_are_left_out_together_as_well() -> None:
    (file,) = read_domains([GUESTS / "host-device.xml"])
    second = next(device for device in file.domain.child("devices").all("interface"))  # type: ignore[union-attr]
    second.child("model").attributes["type"] = "virtio"  # type: ignore[union-attr]
    found = variants(adapt(file, {"old": "7.2", "new": "10.0"}, (), {"x86_64"}, {"x86_64"}))
    assert [variant.lines for variant in found if variant.breadth == GROUP] == [(21, 26)]


def test_only_the_processor_is_varied_where_it_is_the_cause() -> None:
    assert {variant.lines for variant in variants_of("two-cores.xml", devices=False)} == {(12,), (25,), (27,), (28,)}
