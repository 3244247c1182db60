# SPDX-License-Identifier: GPL-3.0-or-later
"""Archives and trees: refused with one sentence before anything is built, and built from what was pinned and given."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from default_catalogue import RELEASES
from lab import INVENTORY, PLAYBOOK, ROOT, Lab, Played, machine
from migration_lab.cell import inspector
from migration_lab.cell.agent_process import AgentProcess

BUILD = Path("/var/lib/migration-lab/build")
PREFIX = "/opt/libvirt-9.0.0"
TREE_FILES = ("sbin/libvirtd", "lib/libvirt.so.0.9000.0", "python/libvirt.py", "python/libvirtmod.so")


def provision(lab: Lab, release: dict[str, Any], **others: dict[str, Any]) -> Played:
    """Ask for machines that all run the release, as the old one of a pair with debian-13."""
    releases = {**others, "mine": release}
    pairs = {"mine": {"old": "mine", "new": "debian-13", "boundary": "11.3.0"}}
    return lab.play("provision", combination="ooo", pair="mine", own_releases=releases, own_pairs=pairs)


def archive(**fields: Any) -> dict[str, Any]:
    """debian-12, as if today's apt did not trust its signature."""
    return {**RELEASES["debian-12"], "release_sha256": "0" * 64, **fields}


def tree(path: Path, **fields: Any) -> dict[str, Any]:
    """The tarball as a release over debian-12."""
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    return {
        "kind": "tree", "base": "debian-12", "tree": str(path), "sha256": sha256, "packages": [], "libvirt": "9.0.0", **fields
    }


def images_of_mine() -> list[str]:
    """The images of the release under test, and of the root that only it has."""
    names = [f"--filter=reference=localhost/migration-lab/{name}" for name in ("mine", "pinned")]
    return subprocess.check_output(["podman", "images", "--quiet", *names], text=True).split()


def refused(lab: Lab, release: dict[str, Any]) -> str:
    """What the playbook says when it refuses the release; nothing is built and nothing half made."""
    building = set(BUILD.glob("*"))
    played = provision(lab, release)
    assert played.status != 0, played.output
    assert not images_of_mine()
    assert set(BUILD.glob("*")) <= building
    return played.message()


def test_an_archive_that_nobody_has_pinned_is_refused(lab: Lab) -> None:
    mirror = "http://127.0.0.1:9/ubuntu"
    played = lab.play("provision", combination="ooo", pair="v3-protocol", ubuntu_archive_mirror=mirror)
    assert played.status != 0
    missing = "the checksum of the suite's file Release is not pinned"
    assert f"release 'ubuntu-11.04' cannot be built from suite natty: {missing}" in played.message(), played.output
    assert "set a mirror that has the suite, with the checksum, or use a release of kind tree" in played.message()


def test_an_archive_that_cannot_be_reached_is_refused(lab: Lab) -> None:
    said = refused(lab, archive(mirror="http://127.0.0.1:9/debian"))
    assert "Release mine cannot be built: http://127.0.0.1:9/debian/dists/bookworm/Release could not be fetched" in said, said
    assert "Set another archive mirror that has suite bookworm, or use a release of kind tree in its place." in said


def test_an_archive_with_another_file_than_the_pinned_one_is_refused(lab: Lab, tmp_path: Path) -> None:
    suite = tmp_path / "dists" / "bookworm"
    suite.mkdir(parents=True)
    (suite / "Release").write_text("Suite: bookworm\n")
    found = hashlib.sha256(b"Suite: bookworm\n").hexdigest()
    said = refused(lab, archive(mirror=str(tmp_path)))
    assert f"on {tmp_path} has the SHA-256 checksum {found}, pinned is {'0' * 64}." in said, said
    (suite / "Release.gpg").write_text("no signature\n")
    keyring = "/usr/share/keyrings/debian-archive-keyring.gpg"
    said = refused(lab, archive(mirror=f"file://{tmp_path}", release_sha256=found, keyring=keyring))
    assert f"{keyring} does not verify the file Release of suite bookworm" in said, said


def pack(path: Path, files: tuple[str, ...]) -> Path:
    """A tarball of empty files below the prefix."""
    with tarfile.open(path, "w:gz") as tar:
        for name in files:
            tar.addfile(tarfile.TarInfo(f"{PREFIX[1:]}/{name}"), io.BytesIO())
    return path


@pytest.mark.parametrize(
    ("without", "fields", "sentence"),
    [
        ("sbin/libvirtd", {}, "has no libvirtd (sbin/libvirtd)"),
        ("", {"tree": "http://127.0.0.1:9/libvirt.tar"}, "could not be fetched from http://127.0.0.1:9/libvirt.tar"),
    ],
    ids=["libvirtd", "address"],
)
def test_a_tree_that_is_not_what_its_entry_says_is_refused(
    lab: Lab, tmp_path: Path, without: str, fields: dict[str, str], sentence: str
) -> None:
    path = pack(tmp_path / "tree.tar.gz", tuple(name for name in TREE_FILES if name != without))
    said = refused(lab, tree(path, **fields))
    assert sentence in said, said
    assert "tree of release" in said


def test_a_root_that_this_kernel_cannot_run_is_refused(tmp_path: Path) -> None:
    playbook = tmp_path / "playbook.yml"
    role = {"name": "release", "tasks_from": "kernel"}
    tasks = [
        {
            "block": [{"ansible.builtin.include_role": role, "vars": {"release_list": [{"name": "mine", **fields}]}}],
            "rescue": [{"ansible.builtin.debug": {"msg": "It is refused."}}],
        }
        for fields in ({"needs": ["vsyscall"]}, {"architecture": "i386"})
    ]
    given = {"release_abilities": {"vsyscall": False, "ia32": False}}
    playbook.write_text(json.dumps([{"hosts": "lab", "gather_facts": False, "vars": given, "tasks": tasks}]))
    done = subprocess.run(
        [PLAYBOOK, "-i", INVENTORY, playbook], cwd=ROOT, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )
    said = " ".join(done.stdout.split())
    assert "rescued=2" in said, done.stdout
    for sentence in (
        "its C library makes vsyscalls, and this kernel serves none. Boot lab with vsyscall=emulate",
        "its programs are for i386, and this kernel runs no 32-bit programs. Boot lab with a kernel",
    ):
        assert f"Release mine cannot run on lab: {sentence}" in said, done.stdout


@contextmanager
def archive_of(mirror: str, first: bytes = b"") -> Iterator[str]:
    """A server that passes on a mirror as the old archives are: without the file InRelease.

    :param first: what the first request for the file Release is answered with; empty for the mirror's own.
    """
    answers = [first] if first else []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path.endswith("/InRelease"):
                self.send_error(404)
            elif self.path.endswith("/Release") and answers:
                self.send_response(200)
                self.end_headers()
                self.wfile.write(answers.pop())
            else:
                self.send_response(302)
                self.send_header("Location", mirror + self.path)
                self.send_header("Content-Length", "0")
                self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Keep quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def inside(role: str, command: str, combination: str = "ooo") -> str:
    """What a shell command prints on a machine of the tests' cell."""
    return subprocess.check_output(["podman", "exec", machine(role, combination), "sh", "-c", command], text=True).strip()


@pytest.fixture(scope="module")
def mirror(lab: Lab) -> str:
    """The mirror that debian-12 is made from on this machine; the cell's machines run debian-12 then."""
    played = lab.play("provision", combination="ooo")
    assert played.status == 0, played.output
    return inside("source", "sed -n 's/^deb .*\\(http[^ ]*\\) bookworm main.*/\\1/p' /etc/apt/sources.list").rstrip("/")


def test_an_archive_that_changes_after_it_was_looked_at_is_refused(lab: Lab, mirror: str) -> None:
    promised = b"Suite: bookworm\n"
    with archive_of(mirror, first=promised) as address:
        said = refused(lab, archive(mirror=address, release_sha256=hashlib.sha256(promised).hexdigest()))
    assert "E: the archive serves another file Release than the pinned one" in said, said


def test_a_tree_over_a_pinned_archive_runs_its_own_libvirt(lab: Lab, mirror: str, tmp_path: Path) -> None:
    # debian-12's own files, under another prefix.
    moved = f"/tmp/tree{PREFIX}"
    inside("source", f"""set -e; mkdir -p {moved}/sbin {moved}/lib/libvirt {moved}/python
        cp /usr/sbin/libvirtd {moved}/sbin/; cp -a /usr/lib/*-linux-gnu/libvirt*.so* {moved}/lib/
        cp -a /usr/lib/*-linux-gnu/libvirt/connection-driver {moved}/lib/libvirt/
        cp /usr/lib/python3/dist-packages/libvirt*.py /usr/lib/python3/dist-packages/libvirtmod*.so {moved}/python/""")
    path = tmp_path / "tree.tar.gz"
    packed = subprocess.check_output(["podman", "exec", machine("source", "ooo"), "tar", "-C", "/tmp/tree", "-czf", "-", "opt"])
    path.write_bytes(packed)
    with archive_of(mirror) as address:
        file = tmp_path / "Release"
        subprocess.run(
            ["/usr/lib/apt/apt-helper", "download-file", f"{address}/dists/bookworm/Release", file],
            check=True, capture_output=True,
        )
        pinned = archive(mirror=address, release_sha256=hashlib.sha256(file.read_bytes()).hexdigest())
        pinned["packages"] = [package for package in pinned["packages"] if package != "qemu-system-arm"]
        played = provision(lab, tree(path, base="pinned"), pinned=pinned)
    try:
        assert played.status == 0, played.output
        assert "ooo: client libvirt 9.0.0; source libvirt 9.0.0, QEMU 7.2" in played.message()
        for role in ("source", "target"):
            daemon = "/proc/$(/lab/machine status)"
            assert inside(role, f"readlink {daemon}/exe") == f"{PREFIX}/sbin/libvirtd"
            loaded = inside(role, f"cat {daemon}/maps")
            assert f"{PREFIX}/lib/libvirt.so.0.9000.0" in loaded
            assert f"{PREFIX}/lib/libvirt/connection-driver/libvirt_driver_qemu.so" in loaded
        assert inside("client", "/lab/python -c 'import libvirt; print(libvirt.__file__)'") == f"{PREFIX}/python/libvirt.py"
        again = provision(lab, tree(path, base="pinned"), pinned=pinned)
        assert again.status == 0 and again.changed() == 0, again.output
    finally:
        assert lab.play("destroy").status == 0
        subprocess.run(["podman", "rmi", *images_of_mine()], check=False, capture_output=True)


def test_agent_and_inspector_run_on_debian_11_and_its_python_2(lab: Lab, tmp_path: Path) -> None:
    """The Python of the bindings of 2011. There is none for today's libvirt, so its agent gets the fake one."""
    debian_11 = RELEASES["debian-11"]
    mine = {**debian_11, "packages": [*debian_11["packages"], "python2.7"]}
    pairs = {"mine": {"old": "mine", "new": "debian-12", "boundary": "9.0.0"}}
    played = lab.play("provision", combination="onn", pair="mine", own_releases={"mine": mine}, own_pairs=pairs)
    try:
        assert played.status == 0, played.output
        assert "onn: client libvirt 7.0.0; source libvirt 9.0.0" in played.message()
        fake = (ROOT / "tests" / "fakes" / "fake_libvirt.py").read_bytes()
        inside("client", "mkdir -p /tmp/fake")
        into = ["podman", "exec", "-i", machine("client", "onn"), "sh", "-c", "cat >/tmp/fake/libvirt.py"]
        subprocess.run(into, input=fake, check=True)
        prefix = ["podman", "exec", "-i", machine("client", "onn"), "env", "PYTHONPATH=/tmp/fake"]
        agent = AgentProcess(prefix, "python2.7")
        assert agent.call("hello", 10)["python"].startswith("2.7.")
        xml = "<domain><name>mlab-1</name></domain>"
        for call, fields in (
            ("open", {"uri": "fake://here/"}), ("define", {"xml": xml}), ("start", {"name": "mlab-1", "paused": False}),
            ("suspend", {"name": "mlab-1"}),
        ):
            agent.call(call, 10, connection="source", **fields)
        sight = agent.call("look", 10, connection="source", name="mlab-1")
        assert sight == {"exists": True, "active": True, "persistent": True, "state": "paused"}
        assert agent.call("config", 10, connection="source", name="mlab-1") == {"xml": xml}
        agent.close()
        looker = AgentProcess(prefix, "python2.7", inspector)
        assert looker.call("copies", 10, name="mlab-1", memory_mib=16, status_offset=0) == []
        assert looker.call("leftovers", 10, name="mlab-1") == []
        looker.close()
    finally:
        assert lab.play("destroy").status == 0
        subprocess.run(["podman", "rmi", *images_of_mine()], check=False, capture_output=True)
