# SPDX-License-Identifier: GPL-3.0-or-later
"""Adapts devices: models, buses and addresses stay, what stands behind them becomes something that a lab machine has."""

from __future__ import annotations

import re
from typing import Callable, Collection, Optional

from .changes import Changes
from .element import Element, Raw

# MiB of a disk on the cell's shared storage.
DISK_SIZE = 8

_HOST = "it is a device of the host"
_SEVERAL = "many guests share a lab machine"

# Devices that go, by their tag, and why.
_DROPPED = {
    "hostdev": _HOST,
    "filesystem": "it shares a folder of the host",
    "shmem": "it is memory that the host's programs share",
    "lease": "it names a lock of the host",
    "vsock": "it needs a socket of the host's kernel",
}

_BACKENDS = {"pty": "pseudo terminal", "unix": "socket"}

# Attributes that belong to a live domain only, wherever they are.
_RUNTIME = {"alias", "backenddomain"}


def adapt_devices(domain: Element, changes: Changes, features: Collection[str], needs: set[str]) -> dict[str, int]:
    """Adapt all devices of a domain.

    :param features: what both releases' images can be given: ``tpm`` and ``spice`` decide whether such devices stay.
    :param needs: completed with the features that the devices need.
    :returns: the disks to make, MiB by name.
    """
    devices = domain.child("devices")
    assert devices is not None  # read_domains refuses it otherwise
    adapter = _Devices(devices, changes, features, needs)
    for device in list(devices.children):
        for part in [part for part in device.children if part.tag in _RUNTIME]:
            device.remove(part)
        if device.tag in _DROPPED:
            adapter.drop(device, _DROPPED[device.tag])
        else:
            adapt: Optional[Callable[[Element], None]] = getattr(adapter, f"adapt_{device.tag}", None)
            if adapt is not None:
                adapt(device)
    return adapter.disks


class _Devices:
    """The methods ``adapt_<tag>`` adapt one device each; a device without one stays as it is."""

    def __init__(self, devices: Element, changes: Changes, features: Collection[str], needs: set[str]) -> None:
        self.devices, self.changes, self.features, self.needs = devices, changes, features, needs
        self.disks: dict[str, int] = {}

    def drop(self, device: Element, why: str) -> None:
        self.devices.remove(device)
        self.changes.add(device, f"{title(device)} is left out", why)

    def _leave_out(self, device: Element, *tags: str) -> None:
        """Leave out parts of a device that are about its backend on the host."""
        for part in [part for part in device.children if part.tag in tags]:
            device.remove(part)
            self.changes.add(part, f"<{part.tag}> of {title(device)} is left out", "it is about what the host has behind it")

    def adapt_emulator(self, device: Element) -> None:
        self.drop(device, "each lab machine has its own")

    def adapt_disk(self, disk: Element) -> None:
        target = disk.child("target")
        dev = target.get("dev") if target is not None else ""
        name = dev if re.fullmatch("[a-z0-9]+", dev) else f"disk{len(self.disks)}"
        source = disk.child("source")
        was = _origin(source) or "it names none"
        if disk.get("device", "disk") in ("cdrom", "floppy"):
            if source is not None:
                self.changes.add(disk, f"{title(disk)} is emptied", f"its medium is on the host ({was})")
            keep(disk, "target", "readonly", "address", "boot", "serial", "wwn", "vendor", "product", "blockio")
            disk.attributes = {"type": "file", "device": disk.get("device")}
            disk.children.insert(0, Element("driver", {"name": "qemu", "type": "raw"}))
            return
        self.disks[name] = DISK_SIZE
        note = ", and a disk in place of a LUN that is passed through" if disk.get("device") == "lun" else ""
        self.changes.add(
            disk,
            f"{title(disk)} becomes a raw disk of {DISK_SIZE} MiB, without a cache{note}",
            f"its source is on the host ({was}); the cell's storage is shared, so that only the memory migrates",
        )
        driver = disk.child("driver")
        options = dict(driver.attributes) if driver is not None else {}
        for option in ("cache", "error_policy", "rerror_policy", "copy_on_read", "metadata_cache", "discard_no_unref"):
            options.pop(option, None)
        if options.get("io") == "io_uring":
            options["io"] = "threads"
        options.update(name="qemu", type="raw", cache="none")
        self._leave_out(disk, "iotune", "encryption", "auth")
        keep(
            disk,
            "target",
            "readonly",
            "shareable",
            "transient",
            "address",
            "boot",
            "serial",
            "wwn",
            "vendor",
            "product",
            "blockio",
            "geometry",
        )
        disk.attributes = {
            "type": "block",
            "device": "disk",
            **{key: disk.get(key) for key in ("model",) if disk.get(key)},
        }
        disk.children[:0] = [
            Element("driver", options),
            Element("source", {"dev": Raw(f"{{{{ disk('{name}') }}}}")}),
        ]

    def adapt_interface(self, interface: Element) -> None:
        kind = interface.get("type")
        if kind == "hostdev":
            return self.drop(interface, _HOST)
        for child in interface.all("driver"):
            child.children = []
            if child.get("name") == "vhost":
                self.changes.add(child, "the driver vhost is left out", "it needs a device of the host's kernel")
                child.attributes.pop("name")
            if not child.attributes:
                interface.remove(child)
        for child in interface.all("rom"):
            if child.get("file"):
                self.changes.add(child, f"its ROM {child.get('file')} is left out", "it is a file of the host")
                child.attributes.pop("file")
                if not child.attributes:
                    interface.remove(child)
        source = interface.child("source")
        was = f"{kind} {_origin(source)}".strip()
        self._leave_out(interface, "bandwidth", "filterref", "virtualport", "vlan", "tune", "portForward", "backend", "script")
        keep(interface, "mac", "model", "driver", "link", "mtu", "rom", "boot", "address", "acpi")
        if kind == "user":
            return None
        interface.attributes = {"type": "ethernet"}
        self.changes.add(
            interface, f"{title(interface)} is connected to a tap device of its own", f"a lab machine has no {was}"
        )
        return None

    def adapt_pstore(self, device: Element) -> None:
        self.drop(device, "it is a file of the host")

    def adapt_serial(self, device: Element) -> None:
        self._adapt_character(device)

    def adapt_parallel(self, device: Element) -> None:
        self._adapt_character(device)

    def adapt_console(self, device: Element) -> None:
        self._adapt_character(device)

    def adapt_channel(self, device: Element) -> None:
        self._adapt_character(device)

    def _adapt_character(self, device: Element) -> None:
        kind, name = device.get("type"), title(device)
        source = device.child("source")
        for child in device.all("target"):
            child.attributes.pop("state", None)
        keep(device, "target", "address")
        device.attributes.pop("tty", None)
        if kind in ("spicevmc", "qemu-vdagent") and self._has_spice():
            return
        if kind == "unix" and device.tag == "channel":
            # A path that libvirt makes up is of the domain's name.
            device.children.insert(0, Element("source", {"mode": "bind"}))
        elif kind in ("null", "vc"):
            return
        else:
            device.attributes["type"] = "pty"
        if kind != device.get("type") or (source is not None and kind != "pty"):
            was = f"{kind} {_origin(source)}".strip()
            self.changes.add(
                device,
                f"{name} gets a {_BACKENDS[device.get('type')]} of its own behind it",
                f"it was connected to the host ({was})",
            )

    def adapt_graphics(self, device: Element) -> None:
        kind = device.get("type")
        if kind == "spice" and self._has_spice():
            device.attributes = {"type": "spice", "autoport": "yes"}
            keep(device, "image", "jpeg", "zlib", "playback", "streaming", "clipboard", "mouse", "filetransfer")
            device.children.insert(0, Element("listen", {"type": "address", "address": "127.0.0.1"}))
            self.changes.add(device, "SPICE gets a port of its own on the loopback interface", _SEVERAL)
            return
        others = [other for other in self.devices.all("graphics") if other is not device]
        if kind != "vnc" and any(other.get("type") == "vnc" for other in others):
            self.drop(device, "the lab's images do not have it, and the guest has VNC")
            return
        keymap = {"keymap": device.get("keymap")} if device.get("keymap") else {}
        device.attributes = {"type": "vnc", "autoport": "yes", **keymap}
        device.children = [Element("listen", {"type": "address", "address": "127.0.0.1"})]
        if kind == "vnc":
            self.changes.add(device, "VNC gets a port of its own on the loopback interface", _SEVERAL)
        else:
            self.changes.add(device, f"graphics {kind} becomes VNC", "the lab's images do not have it")

    def adapt_video(self, device: Element) -> None:
        for driver in device.all("driver"):
            if driver.get("name") == "vhostuser":
                driver.attributes.pop("name")
                self.changes.add(driver, "the video driver vhostuser is left out", "it is a program of the host")
        model = device.child("model")
        if model is None:
            return
        if model.get("type") == "qxl" and "spice" in self.features:
            self.needs.add("spice")
        if model.get("blob") == "on":
            model.attributes.pop("blob")
            self.changes.add(model, "video blob='on' is left out", "it needs shared memory of the host")
        for acceleration in model.all("acceleration"):
            model.remove(acceleration)
            self.changes.add(acceleration, "video acceleration is left out", "it needs the host's GPU")

    def adapt_audio(self, device: Element) -> None:
        if device.get("type") not in ("none", "") or device.children:
            self.changes.add(device, f"{title(device)} plays to nothing", "it was connected to the host's sound")
            device.attributes, device.children = {"id": device.get("id", "1"), "type": "none"}, []

    def adapt_redirdev(self, device: Element) -> None:
        if self._has_spice():
            device.attributes["type"] = "spicevmc"
            keep(device, "boot", "address")
        else:
            self.drop(device, "it needs SPICE, which the lab's images do not have")

    def adapt_redirfilter(self, device: Element) -> None:
        self.drop(device, "it is about the host's USB devices")

    def adapt_smartcard(self, device: Element) -> None:
        if device.get("mode") == "passthrough" and self._has_spice():
            device.attributes = {"mode": "passthrough", "type": "spicevmc"}
            keep(device, "address")
        else:
            self.drop(device, _HOST)

    def adapt_tpm(self, device: Element) -> None:
        if "tpm" not in self.features:
            return self.drop(device, "a release of the pair has no swtpm ('tpm' in its features)")
        self.needs.add("tpm")
        backend = device.child("backend")
        kind = backend.get("type") if backend is not None else "emulator"
        version = backend.get("version") if backend is not None else ""
        if backend is not None and (kind != "emulator" or backend.children):
            self.changes.add(
                backend,
                f"the TPM's backend {kind} becomes an emulator of its own",
                "its state and secrets are the host's",
            )
        keep(device, "address")
        device.children.insert(0, Element("backend", {"type": "emulator", **({"version": version} if version else {})}))
        return None

    def adapt_rng(self, device: Element) -> None:
        for backend in device.all("backend"):
            if backend.get("model") == "egd" or (
                backend.get("model") == "random" and backend.text not in ("", "/dev/urandom", "/dev/random")
            ):
                self.changes.add(backend, "its random numbers come from /dev/urandom", "its source is on the host")
                backend.attributes, backend.children, backend.text = {"model": "random"}, [], "/dev/urandom"

    def adapt_input(self, device: Element) -> None:
        if device.get("type") in ("passthrough", "evdev"):
            self.drop(device, _HOST)

    def adapt_memory(self, device: Element) -> None:
        if device.get("model") not in ("dimm", "virtio-mem"):
            return self.drop(device, "its memory is a file of the host")
        for source in device.all("source"):
            device.remove(source)
            self.changes.add(source, "its <source> is left out", "it names the host's NUMA nodes and huge pages")
        for status in [child for target in device.all("target") for child in target.all("current")]:
            next(target for target in device.all("target")).remove(status)
        return None

    def adapt_crypto(self, device: Element) -> None:
        for backend in device.all("backend"):
            if backend.get("model") != "builtin":
                self.changes.add(backend, "its backend becomes 'builtin'", "it was the host's kernel")
                backend.attributes["model"] = "builtin"

    def _has_spice(self) -> bool:
        """Whether the images have SPICE, which the guest then needs."""
        if "spice" in self.features:
            self.needs.add("spice")
        return "spice" in self.features


def _origin(source: Optional[Element]) -> str:
    """What a device's source names, in words."""
    left_out = ("index", "portid", "startupPolicy")
    names = [value for name, value in source.attributes.items() if name not in left_out] if source is not None else []
    return " ".join(names)


def keep(device: Element, *tags: str) -> None:
    """Keep only these children of a device."""
    device.children = [child for child in device.children if child.tag in tags]


def title(device: Element) -> str:
    """A device in words, such as ``disk vda (virtio)``."""
    target, model = device.child("target"), device.child("model")
    words = {
        "disk": [
            device.get("device", "disk"),
            target.get("dev") if target else "",
            f"({target.get('bus')})" if target else "",
        ],
        "interface": ["interface", model.get("type") if model else ""],
        "controller": ["controller", device.get("type"), device.get("index"), _in_brackets(device.get("model"))],
        "video": ["video", model.get("type") if model else ""],
        "channel": ["channel", target.get("name") if target else ""],
        "hostdev": ["host device", device.get("type")],
        "input": ["input", device.get("type"), device.get("bus")],
    }.get(device.tag, [device.tag, device.get("type") or device.get("model")])
    return re.sub(r"\s+", " ", " ".join(words)).strip()


def _in_brackets(text: str) -> str:
    return f"({text})" if text else ""
