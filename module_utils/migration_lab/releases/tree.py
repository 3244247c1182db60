# SPDX-License-Identifier: GPL-3.0-or-later
"""A release that is a tarball of an installed libvirt: inspected before anything is made of it."""

from __future__ import annotations

import hashlib
import posixpath
import re
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Mapping

from ..model.errors import LabError
from ..model.version import format_version, parse_version

# libtool names the library after libvirt's version: libvirt.so.0.9.1, and libvirt.so.0.9000.0 for 9.0.0 (the middle number is
# major * 1000 + minor: LIBVIRT_VERSION_INFO in libvirt's configure.ac, later meson.build).
LIBRARY = re.compile(r"libvirt\.so\.\d+\.(\d+)\.(\d+)")
BINDING = re.compile(r"libvirtmod(\.[\w-]+)?\.so")

# The paths go into shell scripts of the machines.
SAFE_PATH = re.compile(r"/[\w.+/-]*", re.ASCII)

# The fields that an image is built from, besides the base's. The checksum identifies a tree, wherever it is.
RECIPE = ("sha256", "prefix", "binding", "adapt_emulators")

# libvirt asks QEMU by QMP what it can do since 1.0; before, it read what -help and -cpu '?' print.
COMMAND_LINE_PROBED = parse_version("1.0.0")
# Since about 1.2 QEMU describes each model that -cpu '?' lists, which libvirt then took for its name; 9.0 has dropped -no-acpi
# and -no-hpet, and with them the word x86 before the models.
OUTPUT_CHANGED = parse_version("1.2")


def lay_over(base: Mapping[str, Any], release: Mapping[str, Any], python: str) -> dict[str, Any]:
    """The recipe of a tree over its base: its own ``packages`` are added to those of the base.

    ``interpreter`` is the one that its binding is for. ``adapt_emulators`` tells whether its libvirt needs the lab's script
    before an emulator that has become too new for it.

    :param python: the wrapper in the machine that runs ``interpreter`` with the tree's libraries and binding.
    """
    recipe = {**base, **release, "python": python, "interpreter": release.get("python", base["python"])}
    recipe["packages"] = [*base["packages"], *(package for package in release["packages"] if package not in base["packages"])]
    recipe["adapt_emulators"] = (
        parse_version(recipe["libvirt"]) < COMMAND_LINE_PROBED and parse_version(recipe["qemu"]) >= OUTPUT_CHANGED
    )
    return recipe


@dataclass(frozen=True)
class Tree:
    """Where things are in a tree, as absolute paths of the machine that it is laid over, and its libvirt's version."""

    prefix: str
    libraries: str
    binding: str
    libvirt: str


def inspect_tree(what: str, path: Path, sha256: str, libvirt: str, prefix: str = "", binding: str = "") -> Tree:
    """Look into a tree's tarball and check it against its entry in the catalogue.

    :param what: what to call the tree in an error.
    :param libvirt: the version that must be in it.
    :param prefix: the folder that has ``sbin/libvirtd``; empty to find it.
    :param binding: the folder that has ``libvirt.py``; empty to find it.
    :raises LabError: when the tree is not what the entry says, or is not safe to unpack.
    """
    _check_sha256(what, path, sha256)
    files = _members(what, path)
    prefix = _one_folder(
        what, "libvirtd", "prefix", prefix,
        {posixpath.dirname(posixpath.dirname(name)) for name in files if name.endswith("/sbin/libvirtd")},
        "no libvirtd (sbin/libvirtd)",
    )
    below = [name for name in files if name.startswith(f"{prefix}/")]
    found = {name: match for name in below if (match := LIBRARY.fullmatch(posixpath.basename(name)))}
    if not found:
        raise LabError(f"{what} has no libvirt library (libvirt.so.0.x.y) below {prefix}; pack the whole installed libvirt")
    library = min(found, key=len)
    middle, release = (int(part) for part in found[library].groups())
    inside = format_version(middle * 1000 + release)
    if parse_version(inside) != parse_version(libvirt):
        raise LabError(f"{what} has libvirt {inside} in it, its entry says {libvirt}; correct 'libvirt' or give the right tree")
    modules = {posixpath.dirname(name) for name in files if BINDING.fullmatch(posixpath.basename(name))}
    binding = _one_folder(
        what, "the Python binding", "binding", binding, {folder for folder in modules if f"{folder}/libvirt.py" in files},
        "no Python binding (libvirt.py and libvirtmod.so in one folder)",
    )
    tree = Tree(prefix, posixpath.dirname(library), binding, inside)
    for folder in (tree.prefix, tree.libraries, tree.binding):
        if not SAFE_PATH.fullmatch(folder):
            raise LabError(f"{what} has a folder named {folder!r}; use letters, digits and ._+- only")
    return tree


def _check_sha256(what: str, path: Path, sha256: str) -> None:
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    except OSError as error:
        raise LabError(f"{what} cannot be read ({error.strerror}); put it there, or correct 'tree'") from error
    if digest.hexdigest() != sha256:
        raise LabError(
            f"{what} has the SHA-256 checksum {digest.hexdigest()}, its entry says {sha256}; give the right tree, or correct "
            "'sha256' once you know why it differs"
        )


def _members(what: str, path: Path) -> set[str]:
    """The absolute paths of a tarball's files and links.

    :raises LabError: when it is no tarball, or a member would leave the folder that it is unpacked in.
    """
    files: set[str] = set()
    try:
        with tarfile.open(path) as tar:
            for member in tar:
                problem = _problem(member)
                if problem:
                    raise LabError(f"{what} has the member {member.name!r}, {problem}; pack it without")
                if member.isfile() or member.issym() or member.islnk():
                    files.add(posixpath.join("/", posixpath.normpath(member.name)))
    except (tarfile.TarError, EOFError, OSError) as error:
        raise LabError(f"{what} is not a whole tarball ({error}); pack it with tar, plain or compressed") from error
    return files


def _problem(member: tarfile.TarInfo) -> str:
    """What makes a member unsafe to unpack; empty when nothing does."""
    if _leaves(member.name):
        return "a path outside of the tree"
    if member.issym() and _leaves(posixpath.join(posixpath.dirname(member.name), member.linkname)):
        return f"a link to {member.linkname!r} outside of the tree"
    if member.islnk() and _leaves(member.linkname):
        return f"a link to {member.linkname!r} outside of the tree"
    if not (member.isfile() or member.isdir() or member.issym() or member.islnk()):
        return "which is neither file, folder nor link"
    return ""


def _leaves(name: str) -> bool:
    return name.startswith("/") or posixpath.normpath(name).split("/")[0] == ".."


def _one_folder(what: str, thing: str, field: str, given: str, found: set[str], none: str) -> str:
    """The folder that an entry names, else the only one in the tree."""
    if given:
        given = posixpath.normpath(given)
        if given not in found:
            has = f"it is in {', '.join(sorted(found))}" if found else f"the tree has {none}"
            raise LabError(f"{what} has not got {thing} in {given}: {has}; correct '{field}'")
        return given
    if not found:
        raise LabError(f"{what} has {none}; pack the whole installed libvirt with its Python binding")
    if len(found) > 1:
        raise LabError(f"{what} has {thing} in {', '.join(sorted(found))}; name one of them in '{field}'")
    return found.pop()
