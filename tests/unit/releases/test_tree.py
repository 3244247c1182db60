# SPDX-License-Identifier: GPL-3.0-or-later
"""The tarball of an installed libvirt: found what is in it, and refused what is wrong with it, with one sentence."""

from __future__ import annotations

import hashlib
import io
import tarfile
from pathlib import Path

import pytest

from migration_lab.model.errors import LabError
from migration_lab.releases.tree import Tree, inspect_tree, read_tree

PREFIX = "opt/libvirt-0.9.1"
FILES = (
    f"{PREFIX}/sbin/libvirtd",
    f"{PREFIX}/lib/libvirt.so.0.9.1",
    f"{PREFIX}/lib/libvirt-qemu.so.0.9.1",
    f"{PREFIX}/lib/python2.7/site-packages/libvirt.py",
    f"{PREFIX}/lib/python2.7/site-packages/libvirtmod.so",
)
LINKS = {f"{PREFIX}/lib/libvirt.so": "libvirt.so.0", f"{PREFIX}/lib/libvirt.so.0": "libvirt.so.0.9.1"}
TREE = Tree("/opt/libvirt-0.9.1", "/opt/libvirt-0.9.1/lib", "/opt/libvirt-0.9.1/lib/python2.7/site-packages", "0.9.1")


def pack(folder: Path, files: tuple[str, ...] = FILES, *members: tarfile.TarInfo, mode: str = "w:gz") -> Path:
    """A tarball of empty files, the library's links and further members."""
    path = folder / "tree.tar"
    with tarfile.open(path, mode) as tar:  # type: ignore[call-overload]
        for name in files:
            tar.addfile(tarfile.TarInfo(name), io.BytesIO())
        for name, target in LINKS.items():
            tar.addfile(member(name, tarfile.SYMTYPE, target))
        for entry in members:
            tar.addfile(entry)
    return path


def member(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = kind, target
    return entry


def inspect(path: Path, libvirt: str = "0.9.1", prefix: str = "", binding: str = "") -> Tree:
    return inspect_tree("the tree", path, hashlib.sha256(path.read_bytes()).hexdigest(), libvirt, prefix, binding)


def refusal(path: Path, libvirt: str = "0.9.1", prefix: str = "", binding: str = "") -> str:
    with pytest.raises(LabError) as refused:
        inspect(path, libvirt, prefix, binding)
    assert "\n" not in str(refused.value)
    return str(refused.value)


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_what_is_in_a_tree_is_found(tmp_path: Path, mode: str) -> None:
    assert inspect(pack(tmp_path, mode=mode)) == TREE


def test_names_may_start_with_a_dot(tmp_path: Path) -> None:
    assert inspect(pack(tmp_path, tuple(f"./{name}" for name in FILES))) == TREE


@pytest.mark.parametrize(
    ("library", "module", "libvirt"),
    [
        ("lib/x86_64-linux-gnu/libvirt.so.0.9000.0", "libvirtmod.cpython-311-x86_64-linux-gnu.so", "9.0.0"),
        ("lib64/libvirt.so.0.11003.0", "libvirtmod.abi3.so", "11.3.0"),
        ("lib64/libvirt.so.0.1002.9", "libvirtmod.so", "1.2.9"),
        ("lib64/libvirt.so.0.10.2", "libvirtmod.so", "0.10.2"),
        ("lib64/libvirt.so.0.8.3", "libvirtmod.so", "0.8.3"),
    ],
)
def test_version_is_read_from_the_librarys_name(tmp_path: Path, library: str, module: str, libvirt: str) -> None:
    path = pack(tmp_path, ("usr/sbin/libvirtd", f"usr/{library}", "usr/python/libvirt.py", f"usr/python/{module}"))
    assert inspect(path, libvirt) == Tree("/usr", str(Path("/usr", library).parent), "/usr/python", libvirt)


def test_folders_can_be_given_where_there_are_several(tmp_path: Path) -> None:
    other = tuple(name.replace("0.9.1", "0.9.2") for name in FILES)
    path = pack(tmp_path, FILES + other)
    assert inspect(path, "0.9.2", "/opt/libvirt-0.9.2/", "/opt/libvirt-0.9.2/lib/python2.7/site-packages") == Tree(
        "/opt/libvirt-0.9.2", "/opt/libvirt-0.9.2/lib", "/opt/libvirt-0.9.2/lib/python2.7/site-packages", "0.9.2"
    )
    assert refusal(path) == "the tree has libvirtd in /opt/libvirt-0.9.1, /opt/libvirt-0.9.2; name one of them in 'prefix'"
    assert "has the Python binding in" in refusal(path, prefix="/opt/libvirt-0.9.1")
    assert "in /opt/none: it is in /opt/libvirt-0.9.1, /opt/libvirt-0.9.2" in refusal(path, prefix="/opt/none")


def test_checksum_of_another_file_is_refused(tmp_path: Path) -> None:
    path = pack(tmp_path)
    with pytest.raises(LabError, match=f"^the tree has the SHA-256 checksum [0-9a-f]{{64}}, its entry says {'0' * 64};"):
        inspect_tree("the tree", path, "0" * 64, "0.9.1")


def test_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LabError, match=r"^the tree cannot be read \(No such file or directory\); put it there"):
        inspect_tree("the tree", tmp_path / "none.tar", "0" * 64, "0.9.1")


@pytest.mark.parametrize("length", [20, 200])
def test_file_that_is_no_whole_tarball_is_refused(tmp_path: Path, length: int) -> None:
    path = pack(tmp_path)
    path.write_bytes(path.read_bytes()[:length])
    assert "the tree is not a whole tarball" in refusal(path)


@pytest.mark.parametrize(
    ("without", "said"),
    [
        ("sbin/libvirtd", "the tree has no libvirtd (sbin/libvirtd)"),
        ("lib/libvirt.so.0.9.1", "the tree has no libvirt library (libvirt.so.0.x.y) below /opt/libvirt-0.9.1"),
        ("libvirt.py", "the tree has no whole Python binding (libvirt.py and libvirtmod.so in one folder)"),
        ("libvirtmod.so", "the tree has no whole Python binding"),
    ],
)
def test_tree_that_lacks_a_part_is_refused(tmp_path: Path, without: str, said: str) -> None:
    path = pack(tmp_path, tuple(name for name in FILES if not name.endswith(without)))
    assert refusal(path).startswith(said)


def modular(*without: str) -> tuple[str, ...]:
    """The files of a tree with modular daemons and no libvirtd."""
    names = tuple(name for name in FILES if not name.endswith("/libvirtd"))
    return (*names, *(f"{PREFIX}/sbin/{name}" for name in ("virtqemud", "virtproxyd") if name not in without))


def inspect_modular(path: Path) -> Tree:
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    return inspect_tree("the tree", path, sha256, "0.9.1", kind="modular")


def test_tree_with_modular_daemons_needs_no_libvirtd(tmp_path: Path) -> None:
    assert inspect_modular(pack(tmp_path, modular())) == TREE


@pytest.mark.parametrize(
    ("without", "said"),
    [
        ("virtqemud", "the tree has no virtqemud (sbin/virtqemud); give all of the installed libvirt"),
        ("virtproxyd", f"the tree has no virtproxyd (/{PREFIX}/sbin/virtproxyd); give all of the installed libvirt"),
    ],
)
def test_tree_that_lacks_a_modular_daemon_is_refused(tmp_path: Path, without: str, said: str) -> None:
    with pytest.raises(LabError) as refused:
        inspect_modular(pack(tmp_path, modular(without)))
    assert str(refused.value).startswith(said)


def test_given_folder_without_the_part_is_refused(tmp_path: Path) -> None:
    path = pack(tmp_path, tuple(name for name in FILES if not name.endswith("libvirt.py")))
    assert refusal(path, binding="/opt/x") == (
        "the tree has not got the Python binding in /opt/x: the tree has no whole Python binding (libvirt.py and libvirtmod.so "
        "in one folder); correct 'binding'"
    )


def test_tree_without_a_binding_is_for_its_roots(tmp_path: Path) -> None:
    path = pack(tmp_path, tuple(name for name in FILES if "python" not in name))
    assert inspect(path) == Tree(TREE.prefix, TREE.libraries, "", "0.9.1")


def test_tree_with_two_libvirts_is_refused(tmp_path: Path) -> None:
    path = pack(tmp_path, (*FILES, f"{PREFIX}/lib/libvirt.so.0.9.2"))
    assert refusal(path) == "the tree has the libraries of libvirt 0.9.1 and 0.9.2; install one into an empty folder"


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:xz"])
def test_tree_is_written_as_a_plain_tarball(tmp_path: Path, mode: str) -> None:
    path, plain = pack(tmp_path, mode=mode), tmp_path / "plain.tar"
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    assert inspect_tree("the tree", path, sha256, "0.9.1", plain=plain) == TREE
    with tarfile.open(path) as given, tarfile.open(plain, "r:") as written:
        assert [(member.name, member.type, member.linkname) for member in written] == [
            (member.name, member.type, member.linkname) for member in given
        ]


# Folders


def install(folder: Path, *files: str) -> Path:
    """A folder as `meson install --destdir` leaves it."""
    for name in files or FILES:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"of {path.name}")
    for name, target in LINKS.items():
        (folder / name).symlink_to(target)
    return folder


def entry(folder: Path, **fields: str) -> dict[str, str]:
    return read_tree("mine", {"kind": "tree", "base": "debian-11", "tree": str(folder), **fields})


def folder_refusal(folder: Path, **fields: str) -> str:
    with pytest.raises(LabError) as refused:
        entry(folder, **fields)
    return str(refused.value).replace(f"the tree of release 'mine' ({folder}) ", "it ")


def test_folder_tells_its_version_and_is_packed_as_it_was(tmp_path: Path) -> None:
    folder, plain = install(tmp_path / "inst"), tmp_path / "plain.tar"
    read = entry(folder)
    assert read["libvirt"] == "0.9.1"
    assert inspect_tree("the tree", folder, read["sha256"], "0.9.1", plain=plain) == TREE
    with tarfile.open(plain, "r:") as tar:
        assert {member.name for member in tar if not member.isdir()} == {*FILES, *LINKS}
        assert {(member.uid, member.gid, member.uname, member.mtime) for member in tar} == {(0, 0, "", 0)}


def test_folder_is_known_by_what_is_in_it(tmp_path: Path) -> None:
    one, other = install(tmp_path / "one"), install(tmp_path / "other")
    assert entry(one)["sha256"] == entry(other)["sha256"]
    (other / FILES[0]).write_text("changed")
    assert entry(one)["sha256"] != entry(other)["sha256"]


def test_folder_that_changes_between_plan_and_build_is_refused(tmp_path: Path) -> None:
    folder = install(tmp_path / "inst")
    sha256 = entry(folder)["sha256"]
    (folder / FILES[0]).write_text("changed")
    with pytest.raises(LabError, match=r"^the tree has changed since the run was planned; start the run again$"):
        inspect_tree("the tree", folder, sha256, "0.9.1", plain=tmp_path / "plain.tar")


def test_folder_that_is_none_is_refused(tmp_path: Path) -> None:
    assert folder_refusal(tmp_path / "none") == (
        "it is not there; give the folder that 'meson install --destdir' has filled, or a tarball with its 'sha256'"
    )
    assert folder_refusal(pack(tmp_path)) == "it is a tarball, which needs its checksum; add 'sha256'"
    (tmp_path / "empty").mkdir()
    assert folder_refusal(tmp_path / "empty").startswith("it has no libvirt library (libvirt.so.0.x.y); give all")


def test_folder_has_no_checksum_and_a_tarball_has_a_version(tmp_path: Path) -> None:
    folder = install(tmp_path / "inst")
    assert folder_refusal(folder, sha256="0" * 64) == "it is a folder, whose checksum the lab computes; leave 'sha256' out"
    with pytest.raises(LabError, match=r"^release 'mine' has no 'libvirt', the version that is in its tarball; add it$"):
        entry(pack(tmp_path), sha256="0" * 64)


@pytest.mark.parametrize("libvirt", ["0.9.2", "9.1.0", "0.9.10"])
def test_another_version_inside_is_refused(tmp_path: Path, libvirt: str) -> None:
    assert refusal(pack(tmp_path), libvirt).startswith(f"the tree has libvirt 0.9.1 in it, its entry says {libvirt}; ")


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        (member("/etc/passwd", tarfile.REGTYPE), "a path outside of the tree"),
        (member("opt/../../etc/passwd", tarfile.REGTYPE), "a path outside of the tree"),
        (member("dev/sda", tarfile.BLKTYPE), "which is neither file, folder nor link"),
        (member("dev/null", tarfile.CHRTYPE), "which is neither file, folder nor link"),
        (member("run/pipe", tarfile.FIFOTYPE), "which is neither file, folder nor link"),
        (member("opt/link", tarfile.SYMTYPE, "/etc"), "a link to '/etc' outside of the tree"),
        (member("opt/link", tarfile.SYMTYPE, "../../etc"), "a link to '../../etc' outside of the tree"),
        (member("opt/link", tarfile.LNKTYPE, "../etc/passwd"), "a link to '../etc/passwd' outside of the tree"),
    ],
    ids=lambda value: value.name if isinstance(value, tarfile.TarInfo) else "",
)
def test_member_that_is_not_safe_to_unpack_is_refused(tmp_path: Path, entry: tarfile.TarInfo, problem: str) -> None:
    assert refusal(pack(tmp_path, FILES, entry)) == f"the tree has the member {entry.name!r}, {problem}; pack it without"


def test_folder_that_a_shell_would_misread_is_refused(tmp_path: Path) -> None:
    path = pack(tmp_path, tuple(name.replace(PREFIX, "opt/my $libvirt") for name in FILES))
    assert "has a folder named '/opt/my $libvirt'" in refusal(path)
