# SPDX-License-Identifier: GPL-3.0-or-later
"""Processor models and features that emulation (TCG) has: lab hosts need no KVM."""

from __future__ import annotations

from .changes import Changes
from .element import Element

# What libvirt calls usable of the custom models for type 'qemu', in the domain capabilities of both 9.0.0 with QEMU 7.2 and
# 11.3.0 with QEMU 10.0.
MODELS = frozenset(
    (
        "486",
        "Conroe",
        "Nehalem",
        "Opteron_G1",
        "Opteron_G2",
        "Penryn",
        "Westmere",
        "athlon",
        "core2duo",
        "coreduo",
        "kvm32",
        "kvm64",
        "n270",
        "pentium",
        "pentium2",
        "pentium3",
        "qemu32",
        "qemu64",
    )
)

# Features that both versions can emulate (hypervisor-cpu-baseline of the domain capabilities' host-model), and ht, which follows
# from the topology.
FEATURES = frozenset(
    (
        "3dnow",
        "3dnowext",
        "abm",
        "acpi",
        "adx",
        "aes",
        "apic",
        "arat",
        "avx",
        "avx2",
        "bmi1",
        "bmi2",
        "clflush",
        "clflushopt",
        "clwb",
        "cmov",
        "cr8legacy",
        "cx16",
        "cx8",
        "de",
        "erms",
        "f16c",
        "fma",
        "fpu",
        "fsgsbase",
        "fxsr",
        "ht",
        "hypervisor",
        "la57",
        "lahf_lm",
        "lm",
        "mca",
        "mce",
        "mmx",
        "mmxext",
        "monitor",
        "movbe",
        "mpx",
        "msr",
        "mtrr",
        "npt",
        "nx",
        "pae",
        "pat",
        "pclmuldq",
        "pdpe1gb",
        "pge",
        "pks",
        "pku",
        "pni",
        "popcnt",
        "pse",
        "pse36",
        "rdrand",
        "rdtscp",
        "sep",
        "smap",
        "smep",
        "ss",
        "sse",
        "sse2",
        "sse4.1",
        "sse4.2",
        "sse4a",
        "ssse3",
        "svm",
        "svme-addr-chk",
        "syscall",
        "tsc",
        "umip",
        "vaes",
        "vgif",
        "xgetbv1",
        "xsave",
        "xsaveopt",
    )
)

INTEL, AMD, ARM = "Westmere", "Opteron_G2", "cortex-a57"
_AMD_MODELS = ("EPYC", "Opteron", "Dhyana", "phenom")
_HOST_MODES = ("host-passthrough", "host-model", "maximum")


def adapt_cpu(domain: Element, changes: Changes) -> None:
    """Give an x86 guest a processor that emulation has, the nearest to its own."""
    cpu = domain.child("cpu")
    if cpu is None:
        return
    if cpu.get("check") == "full":
        cpu.attributes["check"] = "partial"
        changes.add(
            cpu,
            "cpu check 'full' becomes 'partial'",
            "libvirt writes 'full' for a running guest; one that starts gets it again",
        )
    mode, model = cpu.get("mode", "custom"), cpu.child("model")
    vendor = cpu.child("vendor")
    amd = (vendor is not None and vendor.text == "AMD") or (model is not None and model.text.startswith(_AMD_MODELS))
    nearest = AMD if amd else INTEL
    replaced = mode in _HOST_MODES or (model is not None and _plain(model.text) not in MODELS)
    if mode in _HOST_MODES:
        changes.add(
            cpu,
            f"cpu mode '{mode}' becomes the model {nearest}",
            "it is what the host's KVM has; the lab emulates processors",
        )
        for part in ("model", "vendor", "maxphysaddr"):
            for child in cpu.all(part):
                cpu.remove(child)
        cpu.attributes = {"mode": "custom", "match": "exact", "check": "partial"}
        cpu.children.insert(0, Element("model", {"fallback": "forbid"}, text=nearest))
    elif replaced and model is not None:
        changes.add(
            model,
            f"cpu model {model.text} becomes {nearest}",
            "emulation lacks some of its features; this is the nearest it has",
        )
        for child in cpu.all("vendor"):
            cpu.remove(child)
        model.text = nearest
    for child in cpu.all("feature"):
        if replaced and child.get("policy") in ("disable", "forbid", "optional"):
            cpu.remove(child)
            changes.add(
                child,
                f"cpu feature {child.get('name')} ({child.get('policy')}) is left out",
                "it qualified the model that was replaced",
            )
        elif child.get("name") not in FEATURES and child.get("policy", "require") in ("require", "force"):
            cpu.remove(child)
            changes.add(child, f"cpu feature {child.get('name')} is left out", "emulation does not have it")
    for child in cpu.all("cache"):
        if child.get("mode") == "passthrough":
            cpu.remove(child)
            changes.add(child, "cpu cache mode 'passthrough' is left out", "it is what the host's KVM has")


def replace_host_cpu(domain: Element, arch: str, changes: Changes) -> None:
    """Give a guest of another architecture a processor that emulation has, where its own is the host's."""
    cpu = domain.child("cpu")
    if cpu is None or cpu.get("mode") not in _HOST_MODES:
        return
    becomes = f"the model {ARM}" if arch == "aarch64" else "the machine's own"
    changes.add(
        cpu,
        f"cpu mode '{cpu.get('mode')}' becomes {becomes}",
        "it is what the host's KVM has; the lab emulates processors",
    )
    cpu.attributes = {"match": "exact"}
    cpu.children = [child for child in cpu.children if child.tag in ("topology", "numa")]
    if arch == "aarch64":
        cpu.attributes["mode"] = "custom"
        cpu.children.insert(0, Element("model", text=ARM))
    elif not cpu.children:
        domain.remove(cpu)


def _plain(model: str) -> str:
    """The model without the version that libvirt from 10 on may write, of which v1 is the model itself."""
    return model[:-3] if model.endswith("-v1") else model
