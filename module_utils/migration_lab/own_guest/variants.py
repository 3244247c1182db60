# SPDX-License-Identifier: GPL-3.0-or-later
"""Variants of a guest that does not move: each leaves one thing out, so that one that moves names the line that stops it."""

from __future__ import annotations

import re
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Callable, Iterator, Optional

from .adaptation import OwnGuest
from .devices import title
from .element import Element

# How much a variant changes: of those that move, the ones that change least tell most.
PART, GROUP, PROCESSOR, BARE = range(4)

# What libvirt says when it compares processors; no device is the cause then.
PROCESSOR_WORDS = ("guest CPU", "host CPU", "CPU is incompatible")

# Devices that the board has anyway, or that libvirt puts back.
_KEPT = ("emulator", "audio")

Edit = Callable[[Element], None]


@dataclass(frozen=True)
class Variant:
    """A guest without a part of its XML.

    ``breadth`` is one of PART, GROUP, PROCESSOR and BARE. ``lines`` are those of the user's file that are left out, ``what``
    says it in words, and ``source`` is the first of the lines as the file has it.
    """

    name: str
    breadth: int
    lines: tuple[int, ...]
    what: str
    source: str
    data: dict[str, Any]

    def to_data(self) -> dict[str, Any]:
        """The variant without its guest."""
        return {
            "name": self.name,
            "breadth": self.breadth,
            "lines": list(self.lines),
            "what": self.what,
            "source": self.source,
        }


# virsh dumpxml --security-info prints them.
_PASSWORD = re.compile(r"""(passwd)\s*=\s*(['"]).*?\2""")


def variants(guest: OwnGuest, devices: bool = True) -> list[Variant]:
    """The variants that can tell what stops a guest.

    :param devices: whether anything but the processor is left out, too.
    """
    found = list(_processor_variants(guest))
    if devices:
        found += _device_variants(guest)
    numbers: dict[str, int] = {}
    named: list[Variant] = []
    for elements, breadth, what, edit in found:
        domain = deepcopy(guest.domain)
        edit(domain)
        lines = tuple(sorted({element.line for element in elements if element.line}))
        stem = f"{guest.name}-without-{lines[0] if lines else 'all'}" if breadth != BARE else f"{guest.name}-bare"
        numbers[stem] = numbers.get(stem, 0) + 1
        name = stem if numbers[stem] == 1 else f"{stem}-{numbers[stem]}"
        disks = {disk: size for disk, size in guest.data["disks"].items() if f"disk('{disk}')" in domain.to_xml()}
        source = _PASSWORD.sub(r"\1=\2...\2", guest.lines[lines[0] - 1].strip()) if lines else ""
        named.append(
            Variant(name, breadth, lines, what, source, {**guest.data, "disks": disks, "xml": domain.to_xml()})
        )
    return named


_Found = tuple[list[Element], int, str, Edit]


def _processor_variants(guest: OwnGuest) -> Iterator[_Found]:
    domain = guest.domain
    cpu, vcpu = domain.child("cpu"), domain.child("vcpu")
    topology = domain.child("cpu", "topology")
    processors = int(vcpu.text) if vcpu is not None and vcpu.text.isdecimal() else 1
    if topology is not None and any(
        topology.get(part, "1") != "1" for part in ("dies", "clusters", "cores", "threads")
    ):
        sockets = 1
        for part in ("sockets", "dies", "clusters", "cores", "threads"):
            sockets *= int(topology.get(part, "1"))

        def flatten(copy: Element) -> None:
            flat = copy.child("cpu", "topology")
            assert flat is not None
            flat.attributes.update({part: "1" for part in flat.attributes if part != "sockets"}, sockets=str(sockets))

        yield [topology], PART, f"with {sockets} sockets of one core in place of its topology", flatten
    for place, feature in enumerate(cpu.children if cpu is not None else []):
        if feature.tag == "feature":
            what = f"without the cpu feature {feature.get('name')} ({feature.get('policy', 'require')})"
            yield [feature], PART, what, _cut("cpu", place)
    if cpu is not None:

        def no_cpu(copy: Element) -> None:
            copy.children = [child for child in copy.children if child.tag != "cpu"]

        yield [cpu], PROCESSOR, "with the machine's own cpu model, without any topology", no_cpu
    if processors > 1 and vcpu is not None:

        def one(copy: Element) -> None:
            single = copy.child("vcpu")
            assert single is not None
            single.attributes, single.text = {}, "1"
            copy.children = [child for child in copy.children if child.tag != "vcpus"]
            left = copy.child("cpu")
            if left is not None:
                left.children = [child for child in left.children if child.tag not in ("topology", "numa")]

        yield [vcpu], PROCESSOR, "with one processor", one


def _device_variants(guest: OwnGuest) -> Iterator[_Found]:
    domain = guest.domain
    for parent in ("features", "clock"):
        element = domain.child(parent)
        for place, child in enumerate(element.children if element is not None else []):
            if child.tag not in ("acpi", "apic", "gic"):
                name = f"{child.tag} {child.get('name')}".strip()
                yield [child], PART, f"without {name} of <{parent}>", _cut(parent, place)
    for element in domain.children:
        if element.tag in ("pm", "genid", "sysinfo"):
            yield [element], PART, f"without <{element.tag}>", _without_child(element.tag)
    devices = domain.child("devices")
    assert devices is not None
    groups: dict[str, list[Element]] = {}
    for device in devices.children:
        if not _leaves(device):
            continue
        gone = [device, *_dependents(device, devices)]
        yield gone, PART, _what(gone), _without([_place(devices, one) for one in gone])
        groups.setdefault(f"{device.tag} {_model(device)}", []).append(device)
    for members in groups.values():
        if len(members) > 1:
            gone = [*members, *(other for device in members for other in _dependents(device, devices))]
            unique = [device for device in devices.children if any(device is other for other in gone)]
            yield unique, GROUP, _what(unique), _without([_place(devices, one) for one in unique])
    yield [], BARE, "without any device that can be left out", _bare


def _place(devices: Element, device: Element) -> int:
    return next(place for place, other in enumerate(devices.children) if other is device)


def _what(gone: list[Element]) -> str:
    return "without " + ", ".join(dict.fromkeys(title(device) for device in gone))


def _leaves(device: Element) -> bool:
    """Whether a device can be left out: libvirt puts PCI and the board's own controllers, consoles and PS/2 devices back."""
    if device.tag == "controller":
        return device.get("type") in ("usb", "scsi", "virtio-serial", "ccid") and device.get("model") != "none"
    if device.tag in ("input", "memballoon"):
        return device.get("bus") != "ps2" and device.get("model") != "none"
    if device.tag == "console":
        target = device.child("target")
        return target is not None and target.get("type") != "serial"
    return device.tag not in _KEPT


def _dependents(device: Element, devices: Element) -> list[Element]:
    """What cannot be there without a device."""
    kind = device.get("type")

    def depends(other: Element) -> bool:
        target = other.child("target")
        bus = other.get("bus") or (target.get("bus") if target is not None else "")
        if device.tag == "controller" and kind == "usb":
            return (
                (other.tag == "controller" and other.get("type") == "usb")
                or bus == "usb"
                or other.tag in ("hub", "redirdev")
            )
        if device.tag == "controller" and kind == "scsi":
            return bus == "scsi" or (other.tag == "controller" and other.get("type") == "scsi")
        if device.tag == "controller" and kind == "virtio-serial":
            return target is not None and target.get("type") == "virtio" and other.tag in ("channel", "console")
        if device.tag == "controller" and kind == "ccid":
            return other.tag == "smartcard"
        return (
            device.tag == "serial" and other.tag == "console" and target is not None and target.get("type") == "serial"
        )

    return [other for other in devices.children if other is not device and depends(other)]


def _model(device: Element) -> str:
    model, target = device.child("model"), device.child("target")
    parts = (
        device.get("model"),
        model.get("type") if model else "",
        device.get("bus"),
        target.get("bus") if target else "",
    )
    return next((part for part in parts if part), device.get("type"))


def _cut(parent: str, place: int) -> Edit:
    def edit(copy: Element) -> None:
        element = copy.child(parent)
        assert element is not None
        del element.children[place]

    return edit


def _without_child(tag: str) -> Edit:
    def edit(copy: Element) -> None:
        copy.children = [child for child in copy.children if child.tag != tag]
        system = copy.child("os")
        if tag == "sysinfo" and system is not None:  # which <smbios> shows to the guest
            system.children = [child for child in system.children if child.tag != "smbios"]

    return edit


def _without(places: list[int]) -> Edit:
    def edit(copy: Element) -> None:
        devices = copy.child("devices")
        assert devices is not None
        gone = [devices.children[place] for place in places]
        devices.children = [device for place, device in enumerate(devices.children) if place not in places]
        _say_none(devices, gone)

    return edit


def _bare(copy: Element) -> None:
    devices = copy.child("devices")
    assert devices is not None
    gone = [device for device in devices.children if _leaves(device)]
    devices.children = [device for device in devices.children if not _leaves(device) and device.tag != "console"]
    _say_none(devices, gone)


def _say_none(devices: Element, gone: list[Element]) -> None:
    """Say that there is none of what libvirt would put back."""
    none: dict[str, Optional[Element]] = {
        "memballoon": Element("memballoon", {"model": "none"}),
        "video": Element("video", children=[Element("model", {"type": "none"})]),
        "usb": Element("controller", {"type": "usb", "model": "none"}),
    }
    for device in gone:
        kind = device.get("type") if device.tag == "controller" else device.tag
        left = any(
            other.tag == device.tag and (kind != "usb" or other.get("type") == "usb") for other in devices.children
        )
        element = none.pop(kind, None)
        if element is not None and not left:
            devices.children.append(element)
