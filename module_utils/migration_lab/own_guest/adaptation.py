# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes a user's domain a guest of the lab: what ties it to its host goes, and everything else stays as it is."""

from __future__ import annotations

import re
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Collection, Mapping, Optional

from ..model.errors import LabError
from .changes import Change, Changes
from .devices import adapt_devices
from .domain_file import DomainFile
from .element import Element, Raw
from .machine_types import resolve_machine
from .processors import adapt_cpu, replace_host_cpu

# MiB. Memory that a guest does not touch costs nothing but the time to see that it is empty, on both machines.
LARGEST_MEMORY = 8192

_UNITS = {
    "b": 1,
    "bytes": 1,
    "KB": 1000,
    "k": 1024,
    "KiB": 1024,
    "MB": 1000**2,
    "M": 1024**2,
    "MiB": 1024**2,
    "GB": 1000**3,
    "G": 1024**3,
    "GiB": 1024**3,
    "TB": 1000**4,
    "T": 1024**4,
    "TiB": 1024**4,
}

# Children of <domain> that tie it to a host or mean nothing to a migration, and why they go.
_TIES = {
    "metadata": "it is for other programs",
    "title": "it is for people",
    "resource": "it is the host's cgroup",
    "seclabel": "it is the host's; the lab confines its guests by containers",
    "memoryBacking": "huge pages, locked or shared memory are the host's",
    "numatune": "it names the host's NUMA nodes",
    "cputune": "it names the host's processors",
    "memtune": "it is the host's cgroup",
    "blkiotune": "it is the host's cgroup",
    "perf": "it is the host's",
    "launchSecurity": "it needs the host's processor",
    "idmap": "it is the host's",
    "throttlegroups": "it is the host's",
}

# What the package ovmf has, with and without Secure Boot.
_UEFI_FOLDER = "/usr/share/OVMF/"
_UEFI, _UEFI_SECURE = f"{_UEFI_FOLDER}OVMF_CODE_4M.fd", f"{_UEFI_FOLDER}OVMF_CODE_4M.ms.fd"
_UEFI_CODE = (_UEFI, _UEFI_SECURE, f"{_UEFI_FOLDER}OVMF_CODE_4M.secboot.fd")
_UEFI_VARS = (f"{_UEFI_FOLDER}OVMF_VARS_4M.fd", f"{_UEFI_FOLDER}OVMF_VARS_4M.ms.fd")


@dataclass(frozen=True)
class OwnGuest:
    """A user's domain as a guest.

    ``data`` is an entry of ``own_guests``; ``domain`` the adapted XML that its template was made of, with the lines of the
    user's file; ``lines`` are the file's.
    """

    name: str
    path: str
    data: Mapping[str, Any]
    domain: Element
    lines: tuple[str, ...]
    changes: tuple[Change, ...]


def adapt(
    file: DomainFile,
    qemu: Mapping[str, str],
    features: Collection[str],
    architectures: Collection[str],
    witnessed: Collection[str],
    kvm: bool = False,
) -> OwnGuest:
    """Adapt a user's domain to the lab.

    :param qemu: by name the QEMU versions of the pair's releases.
    :param features: what both releases' images can be given, such as ``uefi``.
    :param architectures: those for which both releases have an emulator.
    :param witnessed: those for which the lab has a kernel.
    :param kvm: whether the guest is to run with KVM: its processor then stays as it is.
    :raises LabError: when the lab cannot run it, naming file and line.
    """
    domain, changes = deepcopy(file.domain), Changes()
    kind = domain.child("os", "type")
    assert kind is not None  # read_domains refuses it otherwise
    where, arch = f"{file.path}:{kind.line}", kind.get("arch")
    if arch not in architectures:
        raise LabError(
            f"{where}: it is a guest for {arch}; the releases of the pair have emulators for {', '.join(sorted(architectures))}"
        )
    if not re.fullmatch(r"[A-Za-z0-9._-]+", kind.get("machine")):
        odd = kind.get("machine")[:40]
        raise LabError(f"{where}: machine type '{odd}' is none that QEMU has; give what 'virsh dumpxml' prints")
    machine = resolve_machine(kind.get("machine"), qemu, where)
    if machine != kind.get("machine"):
        changes.add(
            kind,
            f"machine type '{kind.get('machine')}' becomes '{machine}'",
            "it is the newest of its kind that both sides have",
        )
        kind.attributes["machine"] = machine
    _leave_out_foreign(domain, changes)
    _identify(domain, changes)
    memory = _adapt_memory(domain, str(file.path), changes)
    needs: set[str] = set()
    boots = _adapt_os(domain, arch, changes, str(file.path), features, needs)
    for child in list(domain.children):
        if child.tag in _TIES:
            domain.remove(child)
            changes.add(child, f"<{child.tag}> is left out", _TIES[child.tag])
    domain.attributes = {"type": Raw("{{ type }}")}
    _adapt_vcpus(domain, changes)
    if not kvm and arch in ("x86_64", "i686"):
        adapt_cpu(domain, changes)
        _adapt_features(domain, changes)
    elif not kvm:
        replace_host_cpu(domain, arch, changes)
    disks = adapt_devices(domain, changes, features, needs)
    gic = domain.child("features", "gic")
    # The lab's kernel for Arm knows this interrupt controller alone.
    controlled = arch != "aarch64" or (gic is not None and gic.get("version") == "2")
    witness = arch in witnessed and bool(boots) and controlled
    if witness:
        system = domain.child("os")
        assert system is not None
        system.children.append(Element("kernel", text=Raw(f"{{{{ {boots} }}}}")))
        changes.add(
            system,
            "the lab's kernel is booted in place of the guest's own system",
            "it shows whether the guest arrives whole and goes on",
        )
    data = {
        "description": f"The domain of {file.path}, adapted to the lab.",
        "does_not_cover": "the guest's own system, and what the lab changed in the XML",
        "arch": arch,
        "machine": machine,
        "memory": memory,
        "workers_per_core": 3,
        "needs": sorted(needs),
        "disks": disks,
        "witness": witness,
        "xml": domain.to_xml(),
    }
    return OwnGuest(file.name, str(file.path), data, domain, file.lines, tuple(changes.in_order()))


def _leave_out_foreign(element: Element, changes: Changes) -> None:
    """Leave out elements of other namespaces, however they are written: <qemu:commandline> is the one that matters."""
    for child in list(element.children):
        if ":" in child.tag or any(name == "xmlns" or ":" in name for name in child.attributes):
            element.remove(child)
            changes.add(child, f"<{child.tag}> is left out", "it is of another namespace, which libvirt does not check")
        elif child.tag != "metadata":
            _leave_out_foreign(child, changes)


def _identify(domain: Element, changes: Changes) -> None:
    """The lab's own name, UUID and description, so that nothing of the user's is ever meant."""
    for tag in ("name", "uuid", "description"):
        for child in domain.all(tag):
            domain.remove(child)
            if tag == "description":
                changes.add(child, "<description> is left out", "the lab tells its guests' configurations apart by it")
            else:
                changes.add(
                    child, f"{tag} {child.text} becomes one of the lab's", "every domain that the lab starts is its own"
                )
    for sysinfo in domain.all("sysinfo"):
        for part in sysinfo.walk():
            for entry in part.all("entry"):
                if entry.get("name") == "uuid":
                    entry.text = Raw("{{ uuid }}")
                    changes.add(entry, "the UUID of <sysinfo> becomes the domain's", "libvirt wants both to be the same")
                elif entry.get("file"):
                    part.remove(entry)
                    changes.add(entry, f"the entry {entry.get('name')} of <sysinfo> is left out", "it is a file of the host")
    domain.children[:0] = [Element(tag, text=Raw(f"{{{{ {tag} }}}}")) for tag in ("name", "uuid", "description")]


def _adapt_memory(domain: Element, path: str, changes: Changes) -> int:
    """Memory in whole MiB, no more than lab hosts hold; returns it."""
    memory = domain.child("memory")
    assert memory is not None  # read_domains refuses it otherwise
    size = _bytes(memory, path)
    mebibytes = max(16, -(-size // 1024**2))
    if mebibytes > LARGEST_MEMORY and domain.child("cpu", "numa") is not None:
        raise LabError(
            f"{path}:{memory.line}: it has {mebibytes} MiB in NUMA cells of its own, and a check takes at most "
            f"{LARGEST_MEMORY} MiB; in a copy of the file, make the cells smaller"
        )
    if mebibytes > LARGEST_MEMORY:
        changes.add(memory, f"memory of {mebibytes} MiB becomes {LARGEST_MEMORY} MiB", "more takes too long to scan")
        mebibytes = LARGEST_MEMORY
    if memory.get("dumpCore"):
        changes.add(memory, "its dumpCore is left out", "it is for crashes of the host's QEMU")
    memory.attributes, memory.text = {"unit": "KiB"}, str(mebibytes * 1024)
    current = domain.child("currentMemory")
    if current is not None and _bytes(current, path) > mebibytes * 1024**2:
        current.attributes, current.text = {"unit": "KiB"}, memory.text
    return mebibytes


def _bytes(element: Element, path: str) -> int:
    unit = element.get("unit") or "KiB"
    if not re.fullmatch("[0-9]{1,18}", element.text) or unit not in _UNITS:
        raise LabError(
            f"{path}:{element.line}: <{element.tag}> is '{element.text[:40]}' {unit}, which is no amount of memory"
        )
    return int(element.text) * _UNITS[unit]


def _adapt_os(
    domain: Element, arch: str, changes: Changes, path: str, features: Collection[str], needs: set[str]
) -> str:
    """What boots: the kind of firmware stays, files of the host go.

    :returns: the variable of the guest's template that has what the lab boots with this firmware; empty when it boots nothing.
    """
    system = domain.child("os")
    assert system is not None
    for child in domain.all("bootloader"):
        raise LabError(
            f"{path}:{child.line}: it has a <bootloader>, as domains of Xen have; the lab migrates those of QEMU"
        )
    for tag in ("kernel", "initrd", "cmdline", "dtb", "shim"):
        for child in system.all(tag):
            system.remove(child)
            changes.add(child, f"<{tag}> is left out", "it is the guest's own system")
    for child in system.all("bootmenu"):
        system.remove(child)
        changes.add(child, "<bootmenu> is left out", "it would wait for somebody")
    for child in [*system.all("acpi"), *(child for child in system.all("smbios") if child.get("mode") == "host")]:
        system.remove(child)
        changes.add(child, f"<{child.tag}> is left out", "it is made of what the host has")
    loader = system.child("loader")
    uefi = system.get("firmware") == "efi" or (loader is not None and loader.get("type") == "pflash")
    if uefi and arch == "x86_64":
        if "uefi" not in features:
            problem = "it boots with UEFI firmware, and a release of the pair has no 'uefi' in its features"
            raise LabError(f"{path}:{system.line}: {problem}; add it there, or choose another pair")
        needs.add("uefi")
        return "" if _adapt_uefi(system, changes) else "application"
    for tag in ("loader", "nvram"):
        for child in system.all(tag):
            system.remove(child)
            why = (
                "the lab boots its kernel without UEFI on this architecture"
                if uefi
                else "QEMU's own SeaBIOS takes its place"
            )
            changes.add(child, f"<{tag}> is left out", f"it is a file of the host; {why}")
    system.attributes.pop("firmware", None)
    return "kernel"


def _adapt_uefi(system: Element, changes: Changes) -> bool:
    """The same firmware as a file of the images. Returns whether it starts only what is signed."""
    loader, nvram = system.child("loader"), system.child("nvram")
    path = loader.text if loader is not None else ""
    asked = system.child("firmware")
    secure = (loader is not None and loader.get("secure") == "yes") or any(
        feature.get("name") == "secure-boot" and feature.get("enabled") == "yes" for feature in (asked.children if asked else ())
    )
    if path not in _UEFI_CODE:
        becomes = _UEFI_SECURE if secure else _UEFI
        changes.add(
            loader or system,
            f"the firmware {path or 'that libvirt chooses'} becomes {becomes}",
            "the lab's images have it",
        )
        path = becomes
    secure = secure or ".ms." in path or ".secboot." in path
    template = nvram.get("template") if nvram is not None else ""
    if template not in _UEFI_VARS:
        template = path.replace("CODE", "VARS").replace(".secboot", ".ms")
    if nvram is not None:
        changes.add(nvram, f"<nvram> becomes a copy of {template}", "its file is on the host")
    system.attributes.pop("firmware", None)
    system.children = [child for child in system.children if child.tag not in ("loader", "nvram", "firmware")]
    attributes = {
        "readonly": "yes",
        **({"secure": "yes"} if loader is not None and loader.get("secure") == "yes" else {}),
    }
    system.children += [
        Element("loader", {**attributes, "type": "pflash"}, text=path, line=loader.line if loader is not None else 0),
        Element("nvram", {"template": template}, line=nvram.line if nvram is not None else 0),
    ]
    return secure


def _adapt_vcpus(domain: Element, changes: Changes) -> None:
    vcpu = domain.child("vcpu")
    if vcpu is not None and (vcpu.get("cpuset") or vcpu.get("placement") == "auto"):
        changes.add(vcpu, "the processors' placement is left out", "it names the host's processors")
        vcpu.attributes = {
            name: value for name, value in vcpu.attributes.items() if name not in ("cpuset", "placement")
        }


def _adapt_features(domain: Element, changes: Changes) -> None:
    """Features of the hypervisor that only KVM has."""
    features = domain.child("features")
    for child in list(features.children) if features is not None else []:
        assert features is not None
        if child.tag in ("hyperv", "kvm", "pvspinlock", "pmu") or (
            child.tag == "ioapic" and child.get("driver") == "kvm"
        ):
            features.remove(child)
            changes.add(
                child, f"the feature <{child.tag}> is left out", "only KVM has it, and the lab emulates processors"
            )
    clock: Optional[Element] = domain.child("clock")
    for child in clock.all("timer") if clock is not None else []:
        if child.get("name") in ("kvmclock", "hypervclock"):
            assert clock is not None
            clock.remove(child)
            changes.add(
                child, f"the timer {child.get('name')} is left out", "only KVM has it, and the lab emulates processors"
            )
