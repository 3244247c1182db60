# SPDX-License-Identifier: GPL-3.0-or-later
"""The user's files: read, never written, and refused when they are no domain that the lab can take."""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Sequence

from ..model.errors import LabError
from .element import Element, parse

# A domain XML is some KiB.
LARGEST = 1024 * 1024

_ADVICE = "give what 'virsh dumpxml' prints, one domain a file"


# Children of <domain> of which there may be several.
_SEVERAL = ("seclabel", "sysinfo")


@dataclass(frozen=True)
class DomainFile:
    """A file with a domain XML.

    ``name`` is the guest's, made of the domain's: a name that the lab takes, and different from those of the other files.
    ``lines`` are the file's.
    """

    path: Path
    name: str
    domain: Element
    lines: tuple[str, ...]


def read_domains(paths: Sequence[Path]) -> list[DomainFile]:
    """Read files, and all ``*.xml`` of folders.

    :raises LabError: naming the first file that cannot be used, and the line.
    """
    files: list[Path] = []
    for path in paths:
        found = sorted(path.glob("*.xml")) if path.is_dir() else [path]
        if not found:
            raise LabError(f"{path}: the folder has no *.xml; {_ADVICE}")
        files += found
    if not files:
        raise LabError("no file is named; name one with -e guest_xml=/path/guest.xml")
    domains: list[DomainFile] = []
    for path in files:
        domain, lines = _read(path)
        named = domain.child("name")
        name = re.sub(r"[^a-z0-9_-]+", "-", (named.text if named else path.stem).lower()).strip("-_")[:40] or "guest"
        taken = {other.name for other in domains}
        numbered = (f"{name}-{number}" for number in range(2, len(files) + 2))
        domains.append(DomainFile(path, next(one for one in (name, *numbered) if one not in taken), domain, lines))
    return domains


def _read(path: Path) -> tuple[Element, tuple[str, ...]]:
    if not str(path).isprintable():
        raise LabError(f"{str(path)!a}: the name of the file has letters that cannot be printed; rename a copy of it")
    if path.exists() and not path.is_file():
        raise LabError(f"{path}: it is no regular file; name a file with a domain's XML")
    try:
        with path.open("rb") as stream:
            data = stream.read(LARGEST + 1)
    except OSError as error:
        raise LabError(f"{path}: it cannot be read ({error.strerror}); name a file with a domain's XML") from error
    if len(data) > LARGEST:
        raise LabError(f"{path}: it is larger than 1 MiB, which no domain XML is; {_ADVICE}")
    domain = parse(data, str(path))
    where = f"{path}:{domain.line}"
    if domain.tag != "domain":
        raise LabError(f"{where}: it is a <{domain.tag}>, not a <domain>; {_ADVICE}")
    if domain.get("type") not in ("kvm", "qemu"):
        raise LabError(
            f"{where}: it is a domain of type '{domain.get('type') or 'none'}'; the lab migrates those of QEMU, of type 'kvm' or "
            "'qemu'"
        )
    kind = domain.child("os", "type")
    if kind is None or kind.text != "hvm" or not kind.get("arch") or not kind.get("machine"):
        raise LabError(
            f"{where}: it has no <os><type arch=... machine=...>hvm</type>, as a domain of QEMU has; {_ADVICE}"
        )
    for field in ("memory", "devices"):
        if domain.child(field) is None:
            raise LabError(f"{where}: it has no <{field}>; {_ADVICE}")
    _check_structure(domain, str(path))
    encoding = "utf-16" if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8"
    # As the parser counts lines; Python's splitlines knows more ends of lines.
    return domain, tuple(data.decode(encoding, errors="replace").split("\n"))


def _check_structure(domain: Element, path: str) -> None:
    """Refuse what libvirt would read in another way than the lab does: parts that are there twice, and numbers that are none."""
    seen: set[str] = set()
    for child in domain.children:
        if child.tag in seen and child.tag not in _SEVERAL:
            raise LabError(f"{path}:{child.line}: there is a second <{child.tag}>, and a domain has one; {_ADVICE}")
        seen.add(child.tag)
    numbers = [("vcpu", child, child.text) for child in domain.all("vcpu")]
    topology = domain.child("cpu", "topology")
    numbers += [(name, topology, value) for name, value in topology.attributes.items()] if topology is not None else []
    for name, element, value in numbers:
        if not re.fullmatch("[0-9]{1,5}", value):
            raise LabError(f"{path}:{element.line}: {name} is '{value[:40]}', which is no number of processors; {_ADVICE}")
