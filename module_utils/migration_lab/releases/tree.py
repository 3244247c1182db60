# SPDX-License-Identifier: GPL-3.0-or-later
"""A release that is an installed libvirt, a folder or a tarball of one: inspected before anything is made of it."""

from __future__ import annotations

import hashlib
import posixpath
import re
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Iterator, Mapping, Optional, cast

from ..model.errors import LabError
from ..model.version import format_version, parse_version
from .daemons import MONOLITHIC, NEEDED

# libtool names the library after libvirt's version: libvirt.so.0.9.1, and libvirt.so.0.9000.0 for 9.0.0 (the middle number is
# major * 1000 + minor: LIBVIRT_VERSION_INFO in libvirt's configure.ac, later meson.build).
LIBRARY = re.compile(r"libvirt\.so\.\d+\.(\d+)\.(\d+)")
BINDING = (re.compile(r"libvirtmod(\.[\w-]+)?\.so"), re.compile(r"libvirt\.py"))

# The paths go into shell scripts of the machines.
SAFE_PATH = re.compile(r"/[\w.+/-]*", re.ASCII)

# The fields that an image is built from, besides its root. The checksum identifies a tree, wherever it is.
RECIPE = ("kind", "install", "sha256", "prefix", "binding", "adapt_emulators")

# What a tree has from its root where its entry does not say it.
INHERITED = ("architecture", "needs", "daemons", "qemu", "python", "emulators", "features")

# libvirt asks QEMU by QMP what it can do since 1.0; before, it read what -help and -cpu '?' print.
COMMAND_LINE_PROBED = parse_version("1.0.0")
# Since about 1.2 QEMU describes each model that -cpu '?' lists, which libvirt then took for its name; 9.0 has dropped -no-acpi
# and -no-hpet, and with them the word x86 before the models.
OUTPUT_CHANGED = parse_version("1.2")


def lay_over(root: Mapping[str, Any], release: Mapping[str, Any], python: str) -> dict[str, Any]:
    """The recipe of a tree, with what the release that it is laid over says of its machines.

    ``interpreter`` is the one that runs the binding. ``adapt_emulators`` tells whether its libvirt needs the lab's script before
    an emulator that has become too new for it.

    :param root: the recipe of that release.
    :param python: the wrapper in the machine that runs ``interpreter`` with the tree's libraries and binding.
    """
    recipe = {**{field: root[field] for field in INHERITED if field in root}, "install": [], **release}
    recipe.update(python=python, interpreter=recipe["python"])
    recipe["adapt_emulators"] = (
        parse_version(recipe["libvirt"]) < COMMAND_LINE_PROBED and parse_version(recipe["qemu"]) >= OUTPUT_CHANGED
    )
    return recipe


def read_tree(name: str, release: Mapping[str, Any]) -> dict[str, Any]:
    """The entry of a tree with the ``libvirt`` and the checksum of the folder that it names; others as they are.

    :raises LabError: when the folder is not there, or not that of one libvirt.
    """
    what, path = f"the tree of release '{name}' ({release['tree']})", Path(release["tree"])
    if "sha256" in release:
        if path.is_dir():
            raise LabError(f"{what} is a folder, whose checksum the lab computes; leave 'sha256' out")
        if "libvirt" not in release:
            raise LabError(f"release '{name}' has no 'libvirt', the version that is in its tarball; add it")
        return dict(release)
    if not path.is_dir():
        there = "is a tarball, which needs its checksum; add 'sha256'" if path.exists() or "://" in release["tree"] else (
            "is not there; give the folder that 'meson install --destdir' has filled, or a tarball with its 'sha256'"
        )
        raise LabError(f"{what} {there}")
    libvirt = release.get("libvirt") or _library(what, {f"/{file.relative_to(path)}" for file in path.rglob("libvirt.so.*")})[1]
    digest = hashlib.sha256()
    _pack(what, path, cast("IO[bytes]", _Sink(digest)))
    return {**release, "libvirt": libvirt, "sha256": digest.hexdigest()}


@dataclass(frozen=True)
class Tree:
    """Where things are in a tree, as absolute paths of the machine that it is laid over, and its libvirt's version."""

    prefix: str
    libraries: str
    binding: str
    libvirt: str


def inspect_tree(
    what: str, path: Path, sha256: str, libvirt: str, prefix: str = "", binding: str = "", plain: Optional[Path] = None,
    kind: str = MONOLITHIC,
) -> Tree:
    """Look into a tree and check it against its entry in the catalogue.

    :param what: what to call the tree in an error.
    :param path: a tarball or a folder.
    :param libvirt: the version that must be in it.
    :param prefix: the folder that has the daemon, ``sbin/libvirtd`` or ``sbin/virtqemud``; empty to find it.
    :param binding: the folder that has ``libvirt.py``; empty to find it.
    :param plain: file to write the tree to as a tarball without compression, for machines that have no program for it.
    :param kind: of the daemons that must be in it.
    :returns: the places, with an empty ``binding`` for a tree that has none.
    :raises LabError: when the tree is not what the entry says, or is not safe to unpack.
    """
    if path.is_dir():
        if plain is None:
            raise LabError(f"{what} is a folder; name the file to pack it to")
        with plain.open("wb") as file:
            _pack(what, path, file)
        path = plain
        if _sha256(what, path) != sha256:
            raise LabError(f"{what} has changed since the run was planned; start the run again")
    elif _sha256(what, path) != sha256:
        raise LabError(
            f"{what} has the SHA-256 checksum {_sha256(what, path)}, its entry says {sha256}; give the right tree, or correct "
            "'sha256' once you know why it differs"
        )
    files = _members(what, path, None if path == plain else plain)
    daemon, *others = NEEDED[kind]
    prefix = _one_folder(
        what, daemon, "prefix", prefix,
        {posixpath.dirname(posixpath.dirname(name)) for name in files if name.endswith(f"/sbin/{daemon}")},
        f"no {daemon} (sbin/{daemon})",
    )
    for other in others:
        if f"{prefix}/sbin/{other}" not in files:
            raise LabError(f"{what} has no {other} ({prefix}/sbin/{other}); give all of the installed libvirt")
    library, inside = _library(what, {name for name in files if name.startswith(f"{prefix}/")}, f" below {prefix}")
    if parse_version(inside) != parse_version(libvirt):
        raise LabError(f"{what} has libvirt {inside} in it, its entry says {libvirt}; correct 'libvirt' or give the right tree")
    modules, scripts = (
        {posixpath.dirname(name) for name in files if pattern.fullmatch(posixpath.basename(name))} for pattern in BINDING
    )
    if binding or modules or scripts:
        binding = _one_folder(
            what, "the Python binding", "binding", binding, modules & scripts,
            "no whole Python binding (libvirt.py and libvirtmod.so in one folder)",
        )
    tree = Tree(prefix, posixpath.dirname(library), binding, inside)
    for folder in (tree.prefix, tree.libraries, tree.binding or "/"):
        if not SAFE_PATH.fullmatch(folder):
            raise LabError(f"{what} has a folder named {folder!r}; use letters, digits and ._+- only")
    return tree


def _library(what: str, files: set[str], place: str = "") -> tuple[str, str]:
    """Path and version of the only libvirt library among files."""
    versions = {}
    for name in sorted(files, key=len, reverse=True):
        match = LIBRARY.fullmatch(posixpath.basename(name))
        if match:
            middle, release = (int(part) for part in match.groups())
            versions[format_version(middle * 1000 + release)] = name
    if not versions:
        raise LabError(f"{what} has no libvirt library (libvirt.so.0.x.y){place}; give all of the installed libvirt")
    if len(versions) > 1:
        raise LabError(f"{what} has the libraries of libvirt {' and '.join(sorted(versions))}; install one into an empty folder")
    version, library = versions.popitem()
    return library, version


class _Sink:
    """A file that only feeds a digest."""

    def __init__(self, digest: Any) -> None:
        self.write = digest.update


def _pack(what: str, folder: Path, file: IO[bytes]) -> None:
    """Write a folder as a tarball that depends on names, contents, modes and links alone."""

    def anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
        member.uid = member.gid = member.mtime = 0
        member.uname = member.gname = ""
        return member

    try:
        with tarfile.open(fileobj=file, mode="w|", format=tarfile.GNU_FORMAT) as tar:
            for path in sorted(folder.iterdir()):
                tar.add(path, arcname=path.name, filter=anonymous)
    except OSError as error:
        raise LabError(f"{what} cannot be read ({error}); put it right, or correct 'tree'") from error


def _sha256(what: str, path: Path) -> str:
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    except OSError as error:
        raise LabError(f"{what} cannot be read ({error.strerror}); put it there, or correct 'tree'") from error
    return digest.hexdigest()


def _members(what: str, path: Path, plain: Optional[Path]) -> set[str]:
    """The absolute paths of a tarball's files and links.

    :param plain: file to write the members to as well.
    :raises LabError: when it is no tarball, or a member would leave the folder that it is unpacked in.
    """
    files: set[str] = set()
    try:
        for member in _copy(path, plain):
            problem = _problem(member)
            if problem:
                raise LabError(f"{what} has the member {member.name!r}, {problem}; pack it without")
            if member.isfile() or member.issym() or member.islnk():
                files.add(posixpath.join("/", posixpath.normpath(member.name)))
    except (tarfile.TarError, EOFError, OSError) as error:
        raise LabError(f"{what} is not a whole tarball ({error}); pack it with tar, plain or compressed") from error
    return files


def _copy(path: Path, plain: Optional[Path]) -> Iterator[tarfile.TarInfo]:
    """The members of a tarball, each before it is written to another one."""
    with tarfile.open(path) as tar:
        if plain is None:
            yield from tar
            return
        with tarfile.open(plain, "w", format=tarfile.GNU_FORMAT) as copy:
            for member in tar:
                yield member
                copy.addfile(member, tar.extractfile(member) if member.isfile() else None)


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
        raise LabError(f"{what} has {none}; give all of the installed libvirt")
    if len(found) > 1:
        raise LabError(f"{what} has {thing} in {', '.join(sorted(found))}; name one of them in '{field}'")
    return found.pop()
