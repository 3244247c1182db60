# SPDX-License-Identifier: GPL-3.0-or-later
"""Guests are data: read, refused with the place of what is wrong, and made XML for the versions of a pair."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml

from default_catalogue import CATALOGUE, GUESTS, PAIRS, RELEASES, SCENARIOS, changed
from migration_lab.model.errors import LabError
from migration_lab.planning.catalogue import choose_pair
from migration_lab.planning.guests import choose_guests, load_guests
from migration_lab.releases.recipe import with_features

MINE: dict[str, Any] = {
    "description": "a guest of the tests", "does_not_cover": "anything", "arch": "x86_64", "machine": "pc-q35-{qemu}",
    "memory": 64, "workers_per_core": 2, "needs": ["uefi"], "disks": {"vda": 8},
    "xml": (
        "<domain type='{{ type }}'><name>{{ name }}</name><uuid>{{ uuid }}</uuid><memory>{{ memory_kib }}</memory>"
        "<os><type arch='{{ arch }}' machine='{{ machine }}'>hvm</type><kernel>{{ kernel }}</kernel></os>"
        "<devices><disk><source file='{{ disk('vda') }}'/></disk></devices></domain>"
    ),
}


def choose(name: str, releases: Any = RELEASES, pair: str = "debian", machine: str = "", **guests: Any) -> dict[str, Any]:
    chosen = choose_guests([name], {**GUESTS, **guests}, choose_pair(pair, PAIRS, releases), releases, machine)
    return chosen[name]


def domain(*arguments: Any, **named: Any) -> ElementTree.Element:
    return ElementTree.fromstring(choose(*arguments, **named)["xml"])


def between(old: str, new: str, qemu: str = "1.0") -> Any:
    """The releases with other versions of libvirt, and one QEMU, in those of the pair debian-lts."""
    releases = RELEASES
    for name, libvirt in (("debian-11", old), ("debian-12", new)):
        releases = changed(changed(releases, f"{name}/libvirt", libvirt), f"{name}/qemu", qemu)
    return releases


def refused(**fields: Any) -> str:
    """The error for the tests' guest with other fields."""
    with pytest.raises(LabError) as refusal:
        choose("mine", mine={**MINE, **fields})
    return str(refusal.value)


# Reading


def test_a_guest_is_a_file() -> None:
    assert set(GUESTS) == {path.stem for path in (SCENARIOS / "guests").glob("*.yml")} >= {"x86_64", "aarch64"}


def test_own_guests_are_data_or_paths_and_may_replace_those_of_the_lab(tmp_path: Path) -> None:
    path = tmp_path / "any.yml"
    path.write_text(yaml.safe_dump({**MINE, "memory": 32}))
    guests = load_guests(SCENARIOS, {"mine": MINE, "x86_64": str(path)})
    assert guests == {**GUESTS, "mine": MINE, "x86_64": {**MINE, "memory": 32}}


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("memory", 8, "memory: 8 is less than the minimum of 16"),
        ("xml", None, "'xml' is a required property"),
        ("cpu", "host", "Additional properties are not allowed ('cpu' was unexpected)"),
        ("disks", {"vda": 0}, "disks, vda: 0 is less than the minimum of 1"),
        ("needs", "uefi", "needs: 'uefi' is not of type 'array'"),
    ],
)
def test_a_wrong_guest_is_refused_with_its_place(tmp_path: Path, field: str, value: Any, said: str) -> None:
    guest = changed(MINE, field, value)
    with pytest.raises(LabError) as refusal:
        load_guests(SCENARIOS, {"mine": guest})
    assert str(refusal.value) == f"own_guests: mine: {said}"
    path = tmp_path / "mine.yml"
    path.write_text(yaml.safe_dump(guest))
    with pytest.raises(LabError) as refusal:
        load_guests(SCENARIOS, {"mine": str(path)})
    assert str(refusal.value) == f"{path}: {said}"


@pytest.mark.parametrize("name", ["", "Mine", "a/b", "../x", "a,b"])
def test_a_name_that_an_id_cannot_have_is_refused(name: str) -> None:
    with pytest.raises(LabError, match="cannot be a guest's name; use small letters, digits, - and _"):
        load_guests(SCENARIOS, {name: MINE})


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(LabError, match=r"none\.yml cannot be read \(No such file or directory\); restore it"):
        load_guests(SCENARIOS, {"mine": str(tmp_path / "none.yml")})


# Choosing


@pytest.mark.parametrize(
    ("pair", "guest", "machine"),
    [
        ("debian", "x86_64", "pc-i440fx-7.2"),
        ("debian", "aarch64", "virt-7.2"),
        ("debian-lts", "x86_64", "pc-i440fx-5.2"),
        ("debian-lts", "aarch64", "virt-5.2"),
    ],
)
def test_machine_type_is_one_that_both_hypervisors_know(pair: str, guest: str, machine: str) -> None:
    assert choose(guest, pair=pair)["machine"] == machine
    system = domain(guest, pair=pair).find("os/type")
    assert system is not None and system.attrib == {"arch": guest, "machine": machine}


@pytest.mark.parametrize("qemu", ["7.2", "10.0"])
def test_older_hypervisor_names_the_machine_type_on_whichever_side_it_is(qemu: str) -> None:
    other = {"7.2": "10.0", "10.0": "7.2"}[qemu]
    releases = changed(changed(RELEASES, "debian-12/qemu", qemu), "debian-13/qemu", other)
    assert choose("x86_64", releases)["machine"] == "pc-i440fx-7.2"


@pytest.mark.parametrize(
    ("old", "new", "machine"),
    [("0.14", "0.14", "pc-0.14"), ("1.3", "1.4", "pc-1.3"), ("1.4", "2.0", "pc-i440fx-1.4"), ("0.12", "10.0", "pc-0.12")],
)
def test_board_has_the_name_that_the_older_hypervisor_gives_it(old: str, new: str, machine: str) -> None:
    releases = changed(changed(RELEASES, "debian-12/qemu", old), "debian-13/qemu", new)
    assert choose("x86_64", releases)["machine"] == machine


def test_machine_type_can_be_given_for_one_guest() -> None:
    assert choose("x86_64", machine="pc-q35-6.0")["machine"] == "pc-q35-6.0"
    pair = choose_pair("debian", PAIRS, RELEASES)
    with pytest.raises(LabError, match=r"guest_machine is 'pc-q35-6\.0', for 2 guests at once; run one guest with it"):
        choose_guests(["x86_64", "aarch64"], GUESTS, pair, RELEASES, "pc-q35-6.0")


def test_several_guests_come_in_the_order_asked_for_and_none_twice() -> None:
    pair = choose_pair("debian", PAIRS, RELEASES)
    assert list(choose_guests(["x86_64", "aarch64"], GUESTS, pair, RELEASES, "")) == ["x86_64", "aarch64"]
    with pytest.raises(LabError, match="the guests x86_64, x86_64 name one twice; name each once"):
        choose_guests(["x86_64", "x86_64"], GUESTS, pair, RELEASES, "")


def test_no_guest_at_all_is_refused() -> None:
    with pytest.raises(LabError, match=r"no guest is named; the guests are aarch64, "):
        choose_guests([], GUESTS, choose_pair("debian", PAIRS, RELEASES), RELEASES, "")


def test_catalogues_own_entries_are_not_changed() -> None:
    before = copy.deepcopy(CATALOGUE)
    choose("x86_64", machine="pc-q35-6.0")
    assert before == CATALOGUE


def test_unknown_guest_is_refused_with_the_known_ones() -> None:
    with pytest.raises(LabError, match=r"there is no guest 'riscv64'; the guests are aarch64, .*x86_64"):
        choose("riscv64")


@pytest.mark.parametrize("release", ["debian-12", "debian-13"])
def test_guest_that_a_release_cannot_run_is_refused(release: str) -> None:
    releases = changed(RELEASES, f"{release}/emulators", {"x86_64": "/usr/bin/qemu-system-x86_64"})
    with pytest.raises(LabError, match=f"release '{release}' has no emulator for aarch64 guests"):
        choose("aarch64", releases)
    releases = changed(RELEASES, f"{release}/features/uefi", None)
    with pytest.raises(LabError, match=f"release '{release}' has no packages for uefi, which guest 'mine' needs"):
        choose("mine", releases, mine=MINE)


def test_guest_without_a_kernel_of_the_labs_must_say_so() -> None:
    releases = RELEASES
    for name in ("debian-12", "debian-13"):
        releases = changed(releases, f"{name}/emulators/riscv64", "/usr/bin/qemu-system-riscv64")
    xml = MINE["xml"].replace("<kernel>{{ kernel }}</kernel>", "")
    with pytest.raises(LabError, match=r"the lab has no kernel for riscv64, only for .*; say witness: false"):
        choose("mine", releases, mine={**MINE, "arch": "riscv64", "xml": xml})
    assert choose("mine", releases, mine={**MINE, "arch": "riscv64", "xml": xml, "witness": False})["witness"] is False


# Templates


def test_template_gets_what_the_guest_and_its_domains_have() -> None:
    guest = choose("mine", mine=MINE)
    assert guest["xml"] == (
        "<domain type='@type@'><name>@name@</name><uuid>@uuid@</uuid><memory>65536</memory>"
        "<os><type arch='x86_64' machine='pc-q35-7.2'>hvm</type><kernel>/lab/guest-x86_64.img</kernel></os>"
        "<devices><disk><source file='/var/lib/migration-lab/@name@-vda'/></disk></devices></domain>"
    )
    assert (guest["needs"], guest["disks"], guest["witness"]) == (["uefi"], {"vda": 8}, True)


@pytest.mark.parametrize(
    ("condition", "older", "found"),
    [("since('9.0.0')", "9.0.0", True), ("since('9.0.1')", "9.0.0", False), ("qemu_since('1.0')", "9.0.0", True),
     ("qemu_since('1.1')", "9.0.0", False), ("since('0.9.11')", "0.9.2", False)],
)
def test_template_sees_the_older_versions_of_the_pair(condition: str, older: str, found: bool) -> None:
    xml = MINE["xml"].replace("<devices>", "{% if " + condition + " %}<features/>{% endif %}<devices>")
    releases = between(older, "9.0.0" if older != "9.0.0" else "9.0.1")
    pairs = changed(PAIRS, "debian-lts/boundary", "9.0.0" if older != "9.0.0" else "9.0.1")
    pair = choose_pair("debian-lts", pairs, releases)
    chosen = choose_guests(["mine"], {"mine": {**MINE, "xml": xml}}, pair, releases, "")["mine"]
    assert (ElementTree.fromstring(chosen["xml"]).find("features") is not None) is found


@pytest.mark.parametrize(
    ("xml", "said"),
    [
        ("{{ nothing }}", r"its template cannot be used \('nothing' is undefined\)"),
        ("{{ 1 / 0 }}", r"its template cannot be used \(division by zero\)"),
        ("{{ disk() }}", r"its template cannot be used \("),
        ("{% if %}", r"its template cannot be used \(Expected an expression"),
        ("{{ ''.__class__.__mro__ }}", "its template cannot be used"),
        ("<domain>", r"its template makes no well-formed XML \(no element found: line 1"),
        ("<network/>", "its template is no domain of the lab's: type and name and uuid must be given as '{{ type }}'"),
        (MINE["xml"].replace("{{ uuid }}", "1"), "is no domain of the lab's: uuid must be given as '{{ uuid }}'"),
        (MINE["xml"].replace("{{ arch }}", "i686"), "its template's <os><type> lacks arch 'x86_64'"),
        (MINE["xml"].replace("{{ memory_kib }}", "64"), "its template's <memory> is not the 64 MiB of 'memory'"),
        (MINE["xml"].replace("'vda'", "'vdb'"), "its template asks for disk 'vdb'; give its size in 'disks'"),
    ],
)
def test_template_that_cannot_be_used_is_refused(xml: str, said: str) -> None:
    assert re.match(f"guest 'mine': {said}" if said.startswith("its") else f"guest 'mine': its template {said}", refused(xml=xml))


@pytest.mark.parametrize("unit", ["MiB", "M"])
def test_memory_may_be_given_in_another_unit(unit: str) -> None:
    xml = MINE["xml"].replace("<memory>{{ memory_kib }}", f"<memory unit='{unit}'>64")
    assert choose("mine", mine={**MINE, "xml": xml})["memory"] == 64


# The guests that the lab ships


@pytest.mark.parametrize("name", sorted(GUESTS))
@pytest.mark.parametrize("pair", ["debian", "debian-lts"])
def test_every_guest_is_made_for_the_labs_pairs_and_says_what_it_does_not_cover(name: str, pair: str) -> None:
    guest = choose(name, pair=pair)
    assert guest["description"].endswith(".") and guest["does_not_cover"]
    sources = {source.get("dev") for source in ElementTree.fromstring(guest["xml"]).iterfind("devices/disk/source")}
    assert sources == {f"/var/lib/migration-lab/@name@-{disk}" for disk in guest["disks"]}


@pytest.mark.parametrize(("name", "sockets", "cores"), [("two-cores", "1", "2"), ("two-sockets", "2", "1")])
def test_guests_with_two_processors_differ_in_the_topology_only(name: str, sockets: str, cores: str) -> None:
    made = domain(name)
    topology = made.find("cpu/topology")
    assert topology is not None and topology.attrib == {"sockets": sockets, "cores": cores, "threads": "1"}
    assert made.findtext("vcpu") == "2" and made.findtext("cpu/model") == "Nehalem"


def test_desktop_and_server_have_what_people_have() -> None:
    """As the tools make them, on both boards, with disks that libvirt lets migrate."""
    common = {"disk", "controller", "interface", "serial", "console", "channel", "input", "graphics", "video", "watchdog",
              "memballoon", "rng"}
    for name, further, board in (("desktop", {"sound"}, "pc-q35-7.2"), ("server", set(), "pc-i440fx-7.2")):
        assert choose(name)["machine"] == board
        devices = domain(name).find("devices")
        assert devices is not None and {device.tag for device in devices} == common | further
        disks = [disk for disk in devices.iterfind("disk") if disk.get("device") == "disk"]
        drivers = [driver for disk in disks if (driver := disk.find("driver")) is not None]
        assert [disk.get("type") for disk in disks] == ["block"] * len(choose(name)["disks"])
        assert [driver.get("cache") for driver in drivers] == ["none"] * len(disks)


def test_firmware_starts_the_application_and_the_others_the_kernel() -> None:
    assert domain("uefi").findtext("os/kernel") == "/lab/guest-x86_64.efi" and choose("uefi")["needs"] == ["uefi"]
    assert domain("tpm").findtext("os/kernel") == "/lab/guest-x86_64.img" and choose("tpm")["needs"] == ["tpm"]

def test_smallest_guests_have_no_device_that_must_be_migrated() -> None:
    for name in ("x86_64", "aarch64"):
        devices = domain(name).find("devices")
        assert devices is not None and {device.tag for device in devices} == {"controller", "memballoon"}
        assert all("none" in device.attrib.values() for device in devices), "both are turned off"


def test_image_is_the_kernel_where_it_cannot_be_firmware() -> None:
    modern = domain("x86_64")
    assert modern.findtext("os/loader") == "/lab/guest-x86_64.img" and modern.find("os/kernel") is None
    assert domain("aarch64").findtext("os/kernel") == "/lab/guest-aarch64.img"


@pytest.mark.parametrize(
    ("oldest", "devices", "start"),
    [
        ("0.8.3", set(), "kernel"), ("0.9.1", {"memballoon"}, "kernel"), ("0.9.2", {"memballoon"}, "kernel"),
        ("0.9.11", {"memballoon", "controller"}, "kernel"), ("0.9.12", {"memballoon", "controller"}, "loader"),
    ],
)
def test_old_versions_get_only_what_they_take(oldest: str, devices: set[str], start: str) -> None:
    """0.8.3 takes no turned-off balloon and no USB controller, and 0.9.x no processor but an exact one that every host has."""
    releases = between(oldest, "0.9.13")
    pair = choose_pair("debian-lts", changed(PAIRS, "debian-lts/boundary", "0.9.13"), releases)
    made = ElementTree.fromstring(choose_guests(["x86_64"], GUESTS, pair, releases, "")["x86_64"]["xml"])
    found = made.find("devices")
    assert found is not None and {device.tag for device in found} == devices
    assert made.find(f"os/{start}") is not None
    processor = made.find("cpu")
    if "controller" in devices:
        assert processor is None
    else:
        assert processor is not None
        assert (processor.get("match"), processor.get("mode"), processor.findtext("model")) == ("exact", None, "pentium2")


# What images have for guests


def test_image_has_what_its_guests_need_and_no_more() -> None:
    release = RELEASES["debian-13"]
    plain = with_features(release, ["x86_64"])
    assert plain["packages"] == [*release["packages"], "qemu-system-x86"] and list(plain["emulators"]) == ["x86_64"]
    both = with_features(release, ["uefi", "x86_64", "s390x"])
    assert both["packages"] == [*release["packages"], "qemu-system-s390x", "ovmf", "qemu-system-x86"]
    assert set(both["emulators"]) == {"s390x", "x86_64"}


def test_release_without_features_has_its_emulators_anyway() -> None:
    release = RELEASES["ubuntu-11.10"]
    assert with_features(release, ["x86_64"]) == release
