# SPDX-License-Identifier: GPL-3.0-or-later
"""A user's domain as a guest of the lab: what ties it to its host is left out and listed, everything else stays."""

from __future__ import annotations

from pathlib import Path
from typing import Collection
from xml.etree import ElementTree

import pytest
from jinja2 import StrictUndefined
from jinja2.sandbox import SandboxedEnvironment

from migration_lab.model.errors import LabError
from migration_lab.own_guest.adaptation import LARGEST_MEMORY, OwnGuest, adapt
from migration_lab.own_guest.domain_file import read_domains

GUESTS = Path(__file__).parents[2] / "guests"
QEMU = {"debian-12": "7.2", "debian-13": "10.0"}


def adapted(path: Path, features: Collection[str] = (), kvm: bool = False) -> OwnGuest:
    (file,) = read_domains([path])
    return adapt(file, QEMU, features, {"x86_64", "aarch64"}, {"x86_64", "aarch64"}, kvm)


def rendered(guest: OwnGuest) -> ElementTree.Element:
    """The domain XML as the planner renders it."""
    values = {name: f"@{name}@" for name in ("type", "name", "uuid", "description")}
    template = SandboxedEnvironment(undefined=StrictUndefined, autoescape=True).from_string(guest.data["xml"])
    values |= {"kernel": "/kernel", "application": "/application"}
    return ElementTree.fromstring(template.render(values, disk=lambda name: f"/storage/{name}"))


def said(guest: OwnGuest) -> list[str]:
    return [f"{change.line}: {change.what}" for change in guest.changes]


def own(tmp_path: Path, old: str, new: str) -> Path:
    """The two-core guest with something replaced."""
    text = (GUESTS / "two-cores.xml").read_text()
    assert old in text
    (tmp_path / "own.xml").write_text(text.replace(old, new))
    return tmp_path / "own.xml"


def test_what_a_guest_is_stays_as_it_is() -> None:
    domain = rendered(adapted(GUESTS / "two-cores.xml"))
    original = ElementTree.parse(GUESTS / "two-cores.xml").getroot()
    for path in (
        "memory", "vcpu", "os/type", "os/boot", "features", "cpu/model", "cpu/topology", "clock", "devices/disk/target",
        "devices/disk/address", "devices/interface/mac", "devices/interface/model", "devices/interface/address",
        "devices/controller", "devices/video", "devices/memballoon", "devices/serial/target", "devices/input",
    ):
        canonical = [
            [ElementTree.canonicalize(ElementTree.tostring(element), strip_text=True) for element in tree.findall(path)]
            for tree in (domain, original)
        ]
        assert canonical[0] == canonical[1] and canonical[0], path


def test_what_ties_it_to_its_host_goes_and_is_told_with_its_line() -> None:
    guest = adapted(GUESTS / "two-cores.xml")
    domain = rendered(guest)
    text = ElementTree.tostring(domain, encoding="unicode")
    for trace in ("app01", "0b1f6d4a", "qcow2", "br0", "vnet2", "/dev/pts", "alias", "apparmor", "secret", "5901", "libosinfo"):
        assert trace not in text, trace
    assert [domain.get("type"), *(domain.findtext(tag) for tag in ("name", "uuid", "description"))] == [
        "@type@", "@name@", "@uuid@", "@description@",
    ]
    assert domain.get("id") is None
    assert domain.find("devices/disk/driver").attrib == {  # type: ignore[union-attr]
        "name": "qemu", "type": "raw", "discard": "unmap", "cache": "none",
    }
    assert domain.find("devices/disk/source").attrib == {"dev": "/storage/vda"}  # type: ignore[union-attr]
    assert domain.find("devices/interface").attrib == {"type": "ethernet"}  # type: ignore[union-attr]
    assert guest.data["disks"] == {"vda": 8}
    lines = (GUESTS / "two-cores.xml").read_text().splitlines()
    assert [(lines[change.line - 1].strip(), change.what) for change in guest.changes] == [
        ("<name>app01</name>", "name app01 becomes one of the lab's"),
        ("<uuid>0b1f6d4a-5a52-4b4e-8a0c-0c6f5b0e7d01</uuid>",
         "uuid 0b1f6d4a-5a52-4b4e-8a0c-0c6f5b0e7d01 becomes one of the lab's"),
        ("<metadata>", "<metadata> is left out"),
        ("<resource>", "<resource> is left out"),
        ("<os>", "the lab's kernel is booted in place of the guest's own system"),
        ("<cpu mode='custom' match='exact' check='full'>", "cpu check 'full' becomes 'partial'"),
        ("<feature policy='require' name='vmx-ept'/>", "cpu feature vmx-ept is left out"),
        ("<emulator>/usr/bin/qemu-system-x86_64</emulator>", "emulator is left out"),
        ("<disk type='file' device='disk'>", "disk vda (virtio) becomes a raw disk of 8 MiB, without a cache"),
        ("<interface type='bridge'>", "interface virtio is connected to a tap device of its own"),
        ("<channel type='unix'>", "channel org.qemu.guest_agent.0 gets a socket of its own behind it"),
        ("<graphics type='vnc' port='5901' autoport='yes' passwd='secret'/>",
         "VNC gets a port of its own on the loopback interface"),
        ("<seclabel type='dynamic' model='apparmor' relabel='yes'/>", "<seclabel> is left out"),
    ]


def test_devices_of_the_host_and_what_it_lends_are_dropped() -> None:
    guest = adapted(GUESTS / "host-device.xml")
    domain = rendered(guest)
    assert [device.tag for device in domain.find("devices")] == [  # type: ignore[union-attr]
        "disk", "controller", "interface", "interface", "serial", "watchdog", "memballoon",
    ]
    assert [domain.find(tag) for tag in ("memoryBacking", "cputune", "numatune")] == [None] * 3
    assert domain.find("vcpu").attrib == {}  # type: ignore[union-attr]
    assert [element.get("type") for element in domain.findall("devices/interface")] == ["ethernet", "ethernet"]
    assert domain.find("devices/interface[2]/driver").attrib == {"queues": "2"}  # type: ignore[union-attr]
    assert domain.find("devices/serial").get("type") == "pty"  # type: ignore[union-attr]
    assert domain.find("devices/disk").attrib == {"type": "block", "device": "disk"}  # type: ignore[union-attr]
    assert "32: host device pci is left out" in said(guest)
    assert "it was connected to the host (tcp connect 10.0.0.1 4444)" in [change.why for change in guest.changes]


def test_host_passthrough_becomes_the_nearest_model_unless_the_guest_runs_with_kvm() -> None:
    guest = adapted(GUESTS / "host-device.xml")
    assert rendered(guest).findtext("cpu/model") == "Westmere"
    assert "11: cpu mode 'host-passthrough' becomes the model Westmere" in said(guest)
    kept = adapted(GUESTS / "host-device.xml", kvm=True)
    assert rendered(kept).find("cpu").get("mode") == "host-passthrough"  # type: ignore[union-attr]
    assert not [line for line in said(kept) if "cpu mode" in line]


def test_a_model_of_amd_becomes_one_of_amd(tmp_path: Path) -> None:
    guest = adapted(own(tmp_path, "Westmere", "EPYC-Rome"))
    assert rendered(guest).findtext("cpu/model") == "Opteron_G2"


def test_other_architectures_keep_their_processor_unless_it_is_the_hosts(tmp_path: Path) -> None:
    arm = own(tmp_path, "arch='x86_64' machine='pc-q35-7.2'", "arch='aarch64' machine='virt-7.2'")
    kept = adapted(arm)
    assert rendered(kept).findtext("cpu/model") == "Westmere" and not kept.data["witness"]
    text = arm.read_text().replace("<cpu mode='custom' match='exact' check='full'>", "<cpu mode='host-passthrough'>")
    arm.write_text(text.replace("<vmport state='off'/>", "<gic version='2'/>"))
    replaced = adapted(arm)
    cpu = rendered(replaced).find("cpu")
    assert cpu is not None and [child.tag for child in cpu] == ["model", "topology"]
    assert cpu.findtext("model") == "cortex-a57" and replaced.data["witness"]
    assert "25: cpu mode 'host-passthrough' becomes the model cortex-a57" in said(replaced)


def test_elements_of_other_namespaces_are_left_out(tmp_path: Path) -> None:
    path = own(tmp_path, "<devices>", "<other:thing xmlns:other='urn:x'/><devices>")
    assert any("<other:thing> is left out" in line for line in said(adapted(path)))
    rendered(adapted(path))


def test_spice_stays_where_the_images_have_it() -> None:
    without, with_spice = adapted(GUESTS / "spice.xml"), adapted(GUESTS / "spice.xml", {"spice"})
    assert rendered(without).find("devices/graphics").get("type") == "vnc"  # type: ignore[union-attr]
    assert rendered(without).find("devices/redirdev") is None
    assert without.data["needs"] == []
    assert rendered(with_spice).find("devices/graphics").get("type") == "spice"  # type: ignore[union-attr]
    assert rendered(with_spice).find("devices/redirdev") is not None
    assert with_spice.data["needs"] == ["spice"]
    for guest in (without, with_spice):
        assert rendered(guest).find("devices/video/model").get("type") == "qxl"  # type: ignore[union-attr]


def test_tpm_and_uefi_need_features_of_the_images() -> None:
    guest = adapted(GUESTS / "tpm.xml", {"uefi", "tpm"})
    domain = rendered(guest)
    assert guest.data["needs"] == ["tpm", "uefi"]
    assert domain.find("devices/tpm/backend").attrib == {"type": "emulator", "version": "2.0"}  # type: ignore[union-attr]
    assert rendered(adapted(GUESTS / "tpm.xml", {"uefi"})).find("devices/tpm") is None
    with pytest.raises(LabError, match=r"tpm\.xml:5: it boots with UEFI firmware, and a release of the pair has no 'uefi'"):
        adapted(GUESTS / "tpm.xml")


def test_uefi_with_secure_boot_runs_without_the_labs_kernel() -> None:
    guest = adapted(GUESTS / "tpm.xml", {"uefi"})
    system = rendered(guest).find("os")
    assert system is not None and system.get("firmware") is None and system.find("kernel") is None
    assert not guest.data["witness"]
    assert system.findtext("loader") == "/usr/share/OVMF/OVMF_CODE_4M.ms.fd"
    assert system.find("nvram").attrib == {"template": "/usr/share/OVMF/OVMF_VARS_4M.ms.fd"}  # type: ignore[union-attr]
    assert not system.findtext("nvram")


def test_uefi_of_another_distribution_becomes_the_images_and_starts_the_labs_kernel(tmp_path: Path) -> None:
    path = own(
        tmp_path, "<boot dev='hd'/>",
        "<loader readonly='yes' type='pflash'>/usr/share/edk2/ovmf/OVMF_CODE.fd</loader><nvram>/var/lib/x.fd</nvram>",
    )
    guest = adapted(path, {"uefi"})
    system = rendered(guest).find("os")
    assert system is not None and guest.data["witness"]
    assert system.findtext("loader") == "/usr/share/OVMF/OVMF_CODE_4M.fd"
    assert system.findtext("kernel") == "/application"
    assert "18: the firmware /usr/share/edk2/ovmf/OVMF_CODE.fd becomes /usr/share/OVMF/OVMF_CODE_4M.fd" in said(guest)


def test_nothing_of_the_users_is_evaluated_as_a_template(tmp_path: Path) -> None:
    text = "{{ 7 * 7 }}{% raw %}@uuid@&lt;x/&gt;"
    guest = adapted(own(tmp_path, "org.qemu.guest_agent.0' state", f"{text}' state"))
    target = rendered(guest).find("devices/channel/target")
    assert target is not None and target.get("name") == "{{ 7 * 7 }}{% raw %}@uuid@<x/>"
    assert "@uuid@" not in guest.data["xml"]


def test_the_users_file_is_only_read(tmp_path: Path) -> None:
    path = own(tmp_path, "app01", "app01")
    path.chmod(0o400)
    before = path.read_bytes(), path.stat().st_mtime_ns
    adapted(path)
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before


def test_memory_is_lowered_only_where_a_lab_host_cannot_hold_it(tmp_path: Path) -> None:
    guest = adapted(own(tmp_path, "<memory unit='KiB'>1048576<", "<memory unit='GiB'>64<"))
    assert guest.data["memory"] == LARGEST_MEMORY
    assert rendered(guest).findtext("memory") == str(LARGEST_MEMORY * 1024)
    assert adapted(GUESTS / "two-cores.xml").data["memory"] == 1024


@pytest.mark.parametrize(
    ("machine", "problem"),
    [
        ("pc-i440fx-2.1", "is gone from QEMU 10.0 on, and debian-13 has QEMU 10.0"),
        ("pc-1.3", "is gone from QEMU 6.0 on, and debian-12 has QEMU 7.2"),
        ("pc-q35-9.2", "is newer than QEMU 7.2 of debian-12"),
        ("pc-q35-rhel9.2.0", "is made by a distribution"),
    ],
)
def test_a_machine_type_that_a_side_lacks_is_told_before_anything_runs(tmp_path: Path, machine: str, problem: str) -> None:
    with pytest.raises(LabError) as refused:
        adapted(own(tmp_path, "pc-q35-7.2", machine))
    assert problem in str(refused.value) and "own.xml:17: machine type" in str(refused.value)


def test_a_machine_type_without_a_version_becomes_the_older_sides(tmp_path: Path) -> None:
    guest = adapted(own(tmp_path, "pc-q35-7.2", "q35"))
    assert guest.data["machine"] == "pc-q35-7.2"
    assert "17: machine type 'q35' becomes 'pc-q35-7.2'" in said(guest)


def test_an_architecture_without_an_emulator_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LabError, match=r"own\.xml:17: it is a guest for ppc64le; .* emulators for aarch64, x86_64$"):
        adapted(own(tmp_path, "arch='x86_64' machine='pc-q35-7.2'", "arch='ppc64le' machine='pseries-7.2'"))


@pytest.mark.parametrize(
    "foreign",
    [
        "<qemu:commandline xmlns:qemu='urn:q'><qemu:arg value='-S'/></qemu:commandline>",
        "<commandline xmlns='http://libvirt.org/schemas/domain/qemu/1.0'><arg value='-S'/></commandline>",
    ],
)
def test_what_is_of_another_namespace_goes_however_it_is_written(tmp_path: Path, foreign: str) -> None:
    guest = adapted(own(tmp_path, "<devices>", f"{foreign}<devices>"))
    assert "commandline" not in guest.data["xml"] and any("commandline> is left out" in text for text in said(guest))


def test_files_of_the_host_are_in_no_part_that_stays(tmp_path: Path) -> None:
    parts = (
        "<sysinfo type='fwcfg'><entry name='opt/x' file='/etc/shadow'/></sysinfo><devices><pstore backend='acpi-erst'>"
        "<path>/etc/victim</path></pstore>"
    )
    guest = adapted(own(tmp_path, "<devices>", parts))
    assert "/etc/" not in guest.data["xml"]
    assert {text.partition(": ")[2] for text in said(guest)} >= {"the entry opt/x of <sysinfo> is left out"}


def test_the_uuid_of_sysinfo_is_the_domains(tmp_path: Path) -> None:
    sysinfo = "<sysinfo type='smbios'><system><entry name='uuid'>5e0b9d0e</entry></system></sysinfo><devices>"
    assert rendered(adapted(own(tmp_path, "<devices>", sysinfo))).findtext("sysinfo/system/entry") == "@uuid@"


@pytest.mark.parametrize("path", ["/usr/share/OVMF/../../../etc/hosts", "/usr/share/OVMF/OVMF_CODE.secboot.fd"])
def test_firmware_is_a_file_that_the_images_have(tmp_path: Path, path: str) -> None:
    loader = f"<loader readonly='yes' type='pflash'>{path}</loader><nvram template='{path}'>/x</nvram><boot dev='hd'/>"
    domain = rendered(adapted(own(tmp_path, "<boot dev='hd'/>", loader), features=["uefi"]))
    assert domain.findtext("os/loader") == "/usr/share/OVMF/OVMF_CODE_4M.fd"
    nvram = domain.find("os/nvram")
    assert nvram is not None and nvram.get("template") == "/usr/share/OVMF/OVMF_VARS_4M.fd"
