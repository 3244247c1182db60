# SPDX-License-Identifier: GPL-3.0-or-later
"""The device survey's guests: made of data, chosen by pattern, and left out where a side cannot have them."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from default_catalogue import PAIRS, RELEASES, SCENARIOS
from migration_lab.model.errors import LabError
from migration_lab.planning.catalogue import choose_pair
from migration_lab.planning.guests import NAME, choose_guests
from migration_lab.planning.schema import validate
from migration_lab.planning.survey import (
    FAMILIES,
    Device,
    choose_devices,
    load_classes,
    make_devices,
    plan_survey,
    survey_combinations,
    survey_families,
    survey_guests,
)

KINDS = load_classes(SCENARIOS)
DEVICES = make_devices(KINDS, {}, list(FAMILIES))
TRIED = [device for device in DEVICES if device.guest]

SOUND = {"sound": {"devices": "<sound model='{{ model }}'/>", "models": {"ac97": None, "usb": {"usb": True}}}}
VIDEO = {"told_by": "video/modelType", "devices": "<video><model type='{{ model }}'/></video>", "models": {"vga": None}}


def asked(**given: Any) -> dict[str, Any]:
    """What the survey chooses, with these arguments of the module."""
    return plan_survey({
        "scenarios": SCENARIOS, "devices": "", "machine_families": "", "combinations": "all", "releases": [],
        "relay": True, "guest_checks": True,
        "capabilities": None, "support": None, "classes": {"source": "old", "target": "new"}, **given,
    })


def rendered(*devices: Device, pair: str = "debian") -> dict[str, ElementTree.Element]:
    """The domains of devices, by name, as the planner renders them."""
    guests = survey_guests(devices)
    chosen = choose_guests(list(guests), guests, choose_pair(pair, PAIRS, RELEASES), RELEASES, "")
    return {name: ElementTree.fromstring(guest["xml"]) for name, guest in chosen.items()}


# The guests


def test_every_device_is_a_guest_that_the_lab_can_run() -> None:
    domains = rendered(*TRIED)
    assert len(domains) == len(TRIED) == len({device.name for device in TRIED}) > 200
    for device in TRIED:
        assert NAME.fullmatch(device.name)
        validate(survey_guests([device])[device.name], SCENARIOS / "schema" / "guest.json", device.name)
        machine = domains[device.name].find("os/type")
        assert machine is not None and machine.get("machine") == f"pc-{device.family}-7.2"


def test_a_guest_has_its_device_and_nothing_that_it_does_not_need() -> None:
    (device,) = choose_devices(DEVICES, ["net-e1000-q35"])
    domain = rendered(device)["net-e1000-q35"]
    assert [element.tag for element in domain.iterfind("devices/*")] == ["controller", "memballoon", "interface"]
    assert domain.find("devices/interface/model[@type='e1000']") is not None
    assert domain.find("devices/controller[@type='usb'][@model='none']") is not None
    assert domain.find("devices/memballoon[@model='none']") is not None


@pytest.mark.parametrize(("name", "path"), [
    ("input-usb-tablet-q35", "devices/controller[@type='usb'][@model='qemu-xhci']"),
    ("usb-piix3-uhci-q35", "devices/controller[@type='usb'][@model='piix3-uhci']"),
    ("memballoon-virtio-transitional-q35", "devices/memballoon[@model='virtio-transitional']"),
    ("disk-ide-i440fx", "devices/disk/target[@dev='hda'][@bus='ide']"),
    ("disk-virtio-i440fx", "devices/disk/target[@dev='vda'][@bus='virtio']"),
    ("memory-dimm-q35", "cpu/numa/cell"),
    ("genid-vmgenid-q35", "genid"),
])
def test_a_device_has_what_it_needs(name: str, path: str) -> None:
    domain = rendered(*choose_devices(DEVICES, [name]))[name]
    assert domain.find(path) is not None
    assert len(domain.findall("devices/controller[@type='usb']")) <= 1 and len(domain.findall("devices/memballoon")) == 1


def test_models_that_differ_from_their_class() -> None:
    ac97, usb = make_devices(SOUND, {}, ["q35"])
    assert rendered(ac97)["sound-ac97-q35"].find("devices/controller[@model='none']") is not None
    assert rendered(usb)["sound-usb-q35"].find("devices/controller[@model='none']") is None


def test_models_that_only_a_daemon_lists_are_tried_too() -> None:
    devices = make_devices({"video": VIDEO}, {"video/modelType": ["vga", "New.Model"], "rng/model": ["virtio"]}, ["q35"])
    assert [device.title for device in devices] == ["video vga", "video New.Model"]
    assert devices[1].name == "video-new-model-q35"
    model = rendered(devices[1])["video-new-model-q35"].find("devices/video/model")
    assert model is not None and model.get("type") == "New.Model"


def test_a_model_of_a_class_without_xml_is_not_tried() -> None:
    kinds = {"redirdev": {"told_by": "redirdev/bus", "models": {"usb": {"devices": "<redirdev bus='usb'/>"}}}}
    (_, other) = make_devices(kinds, {"redirdev/bus": ["usb", "pci"]}, ["q35"])
    assert other.guest is None and "scenarios/survey.yml" in other.not_tried


def test_all_guests_have_the_same_needs_so_that_they_share_their_images() -> None:
    guests = survey_guests(choose_devices(DEVICES, ["tpm-tpm-crb", "net-e1000"]))
    assert sorted(guests) == ["net-e1000-i440fx", "net-e1000-q35", "tpm-tpm-crb-i440fx", "tpm-tpm-crb-q35"]
    assert all(guest["needs"] == ["tpm"] for guest in guests.values())


# Choosing


def test_patterns_choose_models_and_machines() -> None:
    assert [device.name for device in choose_devices(DEVICES, ["net-e1000", "video-qxl-q35"])] == [
        "net-e1000-i440fx", "net-e1000-q35", "video-qxl-q35",
    ]
    assert choose_devices(DEVICES, []) == DEVICES


@pytest.mark.parametrize(("given", "sentence"), [
    ({"combinations": "ooo"}, "the survey cannot run on combination 'ooo': its source and target are both old; choose from ono"),
    ({"combinations": "oox"}, "there is no combination 'oox'"),
    ({"relay": False}, "the survey needs the relay, which sees whether a transfer began, and relay is false; leave relay out"),
    ({"guest_checks": False}, "and guest_checks is false; leave guest_checks out"),
    ({"machine_families": "microvm"}, "the survey knows no machine family 'microvm'; it knows i440fx, q35"),
    ({"devices": "net-*,token-ring", "capabilities": {}}, "the device pattern 'token-ring' matches none of the"),
    ({"devices": "hostdev-pci", "capabilities": {}}, "none of the devices can be tried (hostdev pci: it belongs to the host"),
])
def test_wrong_input_is_refused(given: dict[str, str], sentence: str) -> None:
    with pytest.raises(LabError) as refusal:
        asked(**given)
    assert sentence in str(refusal.value)


def test_combinations_and_families() -> None:
    assert survey_combinations([]) == ["nno", "oon"]
    assert survey_combinations(["non"]) == ["non"]
    assert survey_families([]) == ["i440fx", "q35"]


@pytest.mark.parametrize(("text", "problem"), [
    ("net: {models: {}}", "net, models: {} should be non-empty"),
    ("net: {models: {e1000: {devcies: ''}}}", "net, models, e1000"),
    ("net: {told_by: video, models: {e1000: }}", "net, told_by: 'video' does not match"),
    ("[]", "[] is not of type 'object'"),
])
def test_broken_data_is_refused_with_its_place(tmp_path: Path, text: str, problem: str) -> None:
    (tmp_path / "survey.yml").write_text(text)
    (tmp_path / "schema").symlink_to(SCENARIOS / "schema")
    with pytest.raises(LabError) as refusal:
        load_classes(tmp_path)
    assert str(refusal.value).startswith(f"{tmp_path / 'survey.yml'}: {problem}")


# The three calls


def test_before_anything_is_known_a_guest_without_a_device_stands_for_all() -> None:
    chosen = asked(devices="tpm-*", machine_families="q35")
    assert (chosen["combinations"], chosen["guests"]) == ("nno,oon", "survey-q35")
    assert chosen["own_guests"]["survey-q35"]["needs"] == ["tpm"]
    validate(chosen["own_guests"]["survey-q35"], SCENARIOS / "schema" / "guest.json", "survey-q35")


def test_a_device_whose_feature_a_release_lacks_is_not_tried() -> None:
    releases = [
        {"name": "mine", "qemu": "7.2", "features": {}}, {"name": "other", "qemu": "10.0", "features": {"tpm": ["swtpm"]}},
    ]
    assert asked(devices="tpm-*", releases=releases)["own_guests"]["survey-q35"]["needs"] == []
    with pytest.raises(LabError, match="tpm tpm-crb: it needs tpm, for which release 'mine' has no packages"):
        asked(devices="tpm-*", releases=releases, capabilities={})


def test_q35_is_left_out_where_the_older_qemu_has_no_such_machine_type() -> None:
    releases = [{"name": "new", "qemu": "1.4"}, {"name": "old", "qemu": "1.1"}]
    assert asked(devices="net-e1000", releases=releases)["guests"] == "survey-i440fx"
    known = {"net-e1000-i440fx": {"source": "", "target": ""}}
    chosen = asked(devices="net-e1000", releases=releases, capabilities={}, support=known)
    assert chosen["guests"] == "net-e1000-i440fx"
    assert [device["not_tried"] for device in chosen["devices"]] == [
        "", "release 'old' has QEMU 1.1, and pc-q35 machine types begin with 1.4",
    ]
    assert asked(devices="net-e1000", releases=releases[:1])["guests"] == "survey-i440fx,survey-q35"
    with pytest.raises(LabError, match=r"family left: release 'old' has QEMU 1\.1, .*; choose machine_families=i440fx"):
        asked(machine_families="q35", releases=releases)


def test_what_the_daemons_list_is_added() -> None:
    told = {"source": {"video/modelType": ["vga", "gl2"]}, "target": None}
    assert asked(devices="video-gl2", machine_families="q35", capabilities=told)["guests"] == "video-gl2-q35"


def test_devices_that_neither_side_knows_are_recorded_and_left_out() -> None:
    given = {"devices": "video-qxl,video-vga,disk-ide,hostdev-pci", "machine_families": "q35", "capabilities": {}}
    support = {
        "video-qxl-q35": {"source": "", "target": "no qxl"}, "video-vga-q35": {"source": "", "target": ""},
        "disk-ide-q35": {"source": "no IDE", "target": "no IDE"},
    }
    chosen = asked(**given, support=support)
    assert chosen["guests"] == "video-qxl-q35,video-vga-q35"
    assert {device["name"]: (device["not_tried"] != "", device["support"]) for device in chosen["devices"]} == {
        "video-qxl-q35": (False, {"old": "", "new": "no qxl"}), "video-vga-q35": (False, {"old": "", "new": ""}),
        "disk-ide-q35": (False, {"old": "no IDE", "new": "no IDE"}),
        "hostdev-pci-q35": (True, {}),
    }


def test_nothing_to_migrate_is_said_with_the_reasons() -> None:
    given = {"devices": "video-qxl", "machine_families": "q35", "capabilities": {}}
    with pytest.raises(LabError, match=r"nothing to migrate \(video-qxl-q35, old: no; video-qxl-q35, new: no qxl\)"):
        asked(**given, support={"video-qxl-q35": {"source": "no", "target": "no qxl"}})
