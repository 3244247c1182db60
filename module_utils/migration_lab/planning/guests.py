# SPDX-License-Identifier: GPL-3.0-or-later
"""Guests: read, and made domain XML for the versions of a pair. Needs jinja2."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any, Mapping, Sequence
from xml.etree import ElementTree

from jinja2 import StrictUndefined, Template, TemplateError
from jinja2.sandbox import SandboxedEnvironment

from ..cell.providers.container import application, kernel
from ..guest.config import disk_path
from ..guest.domain_xml import MARKERS
from ..guest.kernel import ARCHITECTURES
from ..model.errors import LabError
from ..model.pair import releases_of
from ..model.version import parse_version
from ..releases.recipe import resolve_release
from .schema import read_yaml, validate

NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")

# QEMU called its board pc-0.14 up to 1.3, and pc-i440fx-1.4 from 1.4 on.
I440FX_NAMED = parse_version("1.4")

_ENVIRONMENT = SandboxedEnvironment(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, autoescape=True)

_UNITS = {"KiB": 1, "k": 1, "K": 1, "MiB": 1024, "M": 1024, "GiB": 1024**2, "G": 1024**2}


def load_guests(scenarios: Path, own: Mapping[str, Any]) -> dict[str, Any]:
    """Read and validate the lab's guests and the user's own, which replace the lab's of the same name.

    :param scenarios: the folder with ``guests/`` and ``schema/``.
    :param own: the user's, by name: the data of a guest, or the path of a file that has it.
    :returns: the guests' data by name.
    :raises LabError: naming file or variable, and field.
    """
    shipped = {path.stem: path for path in sorted((scenarios / "guests").glob("*.yml"))}
    guests: dict[str, Any] = {}
    for name, given in (*shipped.items(), *own.items()):
        where = str(given) if isinstance(given, (str, Path)) else f"own_guests: {name}"
        data = read_yaml(Path(given)) if isinstance(given, (str, Path)) else given
        if not NAME.fullmatch(name):
            raise LabError(f"{where}: '{name}' cannot be a guest's name; use small letters, digits, - and _")
        validate(data, scenarios / "schema" / "guest.json", where)
        guests[name] = data
    return guests


def choose_guests(
    names: Sequence[str], guests: Mapping[str, Any], pair: Mapping[str, Any], releases: Mapping[str, Any], machine: str
) -> dict[str, dict[str, Any]]:
    """The named guests, each as its domains will be on the machines of a pair or sweep.

    :param names: in the order in which their cases run.
    :param releases: the catalogue's.
    :param machine: machine type to use, for one guest only; empty for the guest's pattern with the pair's oldest QEMU.
    :returns: by name what ``guest.config.GuestConfig.from_data`` takes, with ``workers_per_core``, ``needs``, ``description``
        and ``does_not_cover``.
    :raises LabError: when there is no such guest, a release of the pair cannot run it, or its template cannot be used.
    """
    if not names:
        raise LabError(f"no guest is named; the guests are {', '.join(sorted(guests))}")
    if len(set(names)) < len(names):
        raise LabError(f"the guests {', '.join(names)} name one twice; name each once")
    if machine and len(names) > 1:
        raise LabError(f"guest_machine is '{machine}', for {len(names)} guests at once; run one guest with it")
    return {name: _choose(name, guests, pair, releases, machine) for name in names}


def _choose(
    name: str, guests: Mapping[str, Any], pair: Mapping[str, Any], releases: Mapping[str, Any], machine: str
) -> dict[str, Any]:
    if name not in guests:
        raise LabError(f"there is no guest '{name}'; the guests are {', '.join(sorted(guests)) or 'none'}")
    guest = {"needs": [], "disks": {}, "witness": True, **guests[name], "name": name}
    sides = {name: resolve_release(name, releases) for name in releases_of(pair).values()}
    for side, release in sides.items():
        if guest["arch"] not in release["emulators"]:
            raise LabError(f"release '{side}' has no emulator for {guest['arch']} guests; give one in its 'emulators'")
        for need in guest["needs"]:
            if need not in release.get("features", {}):
                raise LabError(
                    f"release '{side}' has no packages for {need}, which guest '{name}' needs; give them in its 'features'"
                )
    if guest["witness"] and guest["arch"] not in ARCHITECTURES:
        raise LabError(
            f"guest '{name}': the lab has no kernel for {guest['arch']}, only for {', '.join(ARCHITECTURES)}; "
            "say witness: false to have it migrated without looking into it"
        )
    older_qemu = min((release["qemu"] for release in sides.values()), key=parse_version)
    older_libvirt = min((release["libvirt"] for release in sides.values()), key=parse_version)
    pattern = guest["machine"]
    if parse_version(older_qemu) < I440FX_NAMED:
        pattern = pattern.replace("pc-i440fx-", "pc-")
    guest["machine"] = machine or pattern.replace("{qemu}", older_qemu)
    guest["xml"] = _render(guest, older_libvirt, older_qemu)
    _check_xml(guest)
    return guest


def _render(guest: Mapping[str, Any], libvirt: str, qemu: str) -> str:
    """The domain XML with markers for what each domain has of its own.

    :param libvirt: the older version of the pair, as ``qemu``.
    """

    def since(version: str) -> bool:
        return parse_version(libvirt) >= parse_version(version)

    def qemu_since(version: str) -> bool:
        return parse_version(qemu) >= parse_version(version)

    def disk(name: str) -> str:
        if name not in guest["disks"]:
            raise LabError(f"guest '{guest['name']}': its template asks for disk '{name}'; give its size in 'disks'")
        return disk_path(MARKERS["name"], name)

    values = {
        **MARKERS, "arch": guest["arch"], "machine": guest["machine"], "memory_kib": guest["memory"] * 1024,
        **(_kernels(guest["arch"]) if guest["arch"] in ARCHITECTURES else {}),
        "since": since, "qemu_since": qemu_since, "disk": disk,
    }
    try:
        return _compiled(guest["xml"]).render(values)
    except (TemplateError, ArithmeticError, TypeError, ValueError) as error:
        raise LabError(f"guest '{guest['name']}': its template cannot be used ({error}); correct 'xml'") from error


@cache
def _compiled(template: str) -> Template:
    return _ENVIRONMENT.from_string(template)


def _kernels(arch: str) -> dict[str, str]:
    """What the lab has to start in a guest, as templates see it."""
    return {"kernel": kernel(arch), **({"application": application(arch)} if application(arch) else {})}


def _check_xml(guest: Mapping[str, Any]) -> None:
    """Refuse XML that is not of a domain of this guest; what libvirt makes of it only a daemon can say."""
    name = guest["name"]
    try:
        domain = ElementTree.fromstring(guest["xml"])
    except ElementTree.ParseError as error:
        raise LabError(f"guest '{name}': its template makes no well-formed XML ({error}); correct 'xml'") from error
    wanted = {"type": domain.get("type"), "name": domain.findtext("name"), "uuid": domain.findtext("uuid")}
    missing = [field for field, value in wanted.items() if value != MARKERS[field]]
    if domain.tag != "domain" or missing:
        problem = f"{' and '.join(missing)} must be given as '{{{{ {missing[0]} }}}}'" if missing else f"it is a <{domain.tag}>"
        raise LabError(f"guest '{name}': its template is no domain of the lab's: {problem}; correct 'xml'")
    arch = domain.find("os/type")
    if arch is None or arch.get("arch") != guest["arch"]:
        raise LabError(f"guest '{name}': its template's <os><type> lacks arch '{guest['arch']}'; correct 'xml' or 'arch'")
    memory = domain.find("memory")
    unit = _UNITS.get("KiB" if memory is None else memory.get("unit", "KiB"), 0)
    if memory is None or not (memory.text or "").strip().isdigit() or int(memory.text or "") * unit != guest["memory"] * 1024:
        raise LabError(
            f"guest '{name}': its template's <memory> is not the {guest['memory']} MiB of 'memory'; write {{{{ memory_kib }}}}"
        )
