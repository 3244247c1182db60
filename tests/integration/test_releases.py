# SPDX-License-Identifier: GPL-3.0-or-later
"""Archives and trees: refused with one sentence before anything is built, and built from what was pinned and given."""

from __future__ import annotations

import hashlib
import io
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
from lab import ROOT, Lab, Played, machine
from migration_lab.cell import inspector
from migration_lab.cell.agent_process import AgentProcess
from refusals import PLAN, Attempt, include_role, refusals

BUILD = Path("/var/lib/migration-lab/build")
PREFIX = "/opt/libvirt-9.0.0"
NOWHERE = "http://127.0.0.1:9"
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
RELEASE_FILE = "Suite: bookworm\n"
FOUND = hashlib.sha256(RELEASE_FILE.encode()).hexdigest()
TREE_FILES = ("sbin/libvirtd", "lib/libvirt.so.0.9000.0", "python/libvirt.py", "python/libvirtmod.so")


def settings(release: dict[str, Any], **others: dict[str, Any]) -> dict[str, Any]:
    """Machines of the release as client and source, and as target one of debian-11 with the Python of the bindings of 2011."""
    older = {**RELEASES["debian-11"], "packages": [*RELEASES["debian-11"]["packages"], "python2.7"]}
    return {
        "combination": "nno", "pair": "mine", "own_releases": {**others, "mine": release, "mine-older": older},
        "own_pairs": {"mine": {"old": "mine-older", "new": "mine", "boundary": "9.0.0"}},
    }


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
    """The images of the releases under test, and of the root that only one of them has."""
    names = [f"--filter=reference=localhost/migration-lab/{name}" for name in ("mine", "mine-older", "pinned")]
    return subprocess.check_output(["podman", "images", "--quiet", *names], text=True).split()


def pack(path: Path, files: tuple[str, ...]) -> Path:
    """A tarball of empty files below the prefix."""
    with tarfile.open(path, "w:gz") as tar:
        for name in files:
            tar.addfile(tarfile.TarInfo(f"{PREFIX[1:]}/{name}"), io.BytesIO())
    return path


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


def inside(role: str, command: str, combination: str = "nno") -> str:
    """What a shell command prints on a machine of the tests' cell."""
    return subprocess.check_output(["podman", "exec", machine(role, combination), "sh", "-c", command], text=True).strip()


@pytest.fixture(scope="module")
def mirror(lab: Lab) -> str:
    """The mirror that debian-12 is made from on this machine; the cell's machines run debian-12 then."""
    played = lab.play("provision", combination="ooo")
    assert played.status == 0, played.output
    sources = "sed -n 's/^deb .*\\(http[^ ]*\\) bookworm main.*/\\1/p' /etc/apt/sources.list"
    return inside("source", sources, "ooo").rstrip("/")


@pytest.fixture(scope="module")
def said(mirror: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """By wrong release the sentence that refuses it. Nothing is built and nothing half made."""
    folder = tmp_path_factory.mktemp("refusals")
    suite = folder / "dists" / "bookworm"
    suite.mkdir(parents=True)
    (suite / "Release").write_text(RELEASE_FILE)
    (suite / "Release.gpg").write_text("no signature\n")
    whole, without = pack(folder / "whole.tar.gz", TREE_FILES), pack(folder / "without.tar.gz", TREE_FILES[1:])
    with archive_of(mirror, first=RELEASE_FILE.encode()) as changing:
        wrong = {
            "unreachable": archive(mirror=f"{NOWHERE}/debian"),
            "another": archive(mirror=str(folder)),
            "unsigned": archive(mirror=f"file://{folder}", release_sha256=FOUND, keyring=KEYRING),
            "changing": archive(mirror=changing, release_sha256=FOUND),
            "no-libvirtd": tree(without),
            "address": tree(whole, tree=f"{NOWHERE}/libvirt.tar"),
        }
        given: dict[str, Any] = {"release_state": "{{ lab_state }}", "release_abilities": {"vsyscall": False, "ia32": False}}
        build = include_role("release", release_list="{{ planned.plan.releases.values() }}", **given)
        pairs = {"mine": {"old": "mine", "new": "debian-13", "boundary": "11.3.0"}}
        pair = {"pair": "mine", "combination": "ooo", "own_pairs": pairs}
        attempts = {
            name: Attempt([PLAN, build], {**pair, "own_releases": {"mine": release}}) for name, release in wrong.items()
        }
        attempts["unpinned"] = Attempt([PLAN], {"pair": "v3-protocol", "ubuntu_archive_mirror": f"{NOWHERE}/ubuntu"})
        for name, fields in (("vsyscall", {"needs": ["vsyscall"]}), ("ia32", {"architecture": "i386"})):
            attempts[name] = Attempt([include_role("release", "kernel", release_list=[{"name": "mine", **fields}], **given)])
        building = set(BUILD.glob("*"))
        refused = refusals(folder, attempts)
    assert images_of_mine() == []
    assert set(BUILD.glob("*")) <= building
    return refused


@pytest.mark.parametrize(
    ("wrong", "sentences"),
    [
        (
            "unpinned",
            [
                "release 'ubuntu-11.04' cannot be built from suite natty: the checksum of the suite's file Release is not pinned",
                "set a mirror that has the suite, with the checksum, or use a release of kind tree",
            ],
        ),
        (
            "unreachable",
            [
                f"Release mine cannot be built: {NOWHERE}/debian/dists/bookworm/Release could not be fetched",
                "Set another archive mirror that has suite bookworm, or use a release of kind tree in its place.",
            ],
        ),
        ("another", [f"has the SHA-256 checksum {FOUND}, pinned is {'0' * 64}."]),
        ("unsigned", [f"{KEYRING} does not verify the file Release of suite bookworm"]),
        ("changing", ["E: the archive serves another file Release than the pinned one"]),
        ("no-libvirtd", ["tree of release", "has no libvirtd (sbin/libvirtd)"]),
        ("address", ["tree of release", f"could not be fetched from {NOWHERE}/libvirt.tar"]),
        (
            "vsyscall",
            [
                "Release mine cannot run on lab: its C library makes vsyscalls, and this kernel serves none. "
                "Boot lab with vsyscall=emulate",
            ],
        ),
        (
            "ia32",
            [
                "Release mine cannot run on lab: its programs are for i386, and this kernel runs no 32-bit programs. "
                "Boot lab with a kernel",
            ],
        ),
    ],
)
def test_a_release_that_cannot_be_had_or_run_is_refused(said: dict[str, str], wrong: str, sentences: list[str]) -> None:
    """test_bad_input.py shows that such a sentence reaches the user."""
    assert [sentence for sentence in sentences if sentence not in said[wrong]] == [], said[wrong]


@pytest.fixture(scope="module")
def asked(mirror: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """Settings for a tree of debian-12's own files, under another prefix and over a pinned archive."""
    folder = tmp_path_factory.mktemp("tree")
    moved = f"/tmp/tree{PREFIX}"
    inside("source", f"""set -e; mkdir -p {moved}/sbin {moved}/lib/libvirt {moved}/python
        cp /usr/sbin/libvirtd {moved}/sbin/; cp -a /usr/lib/*-linux-gnu/libvirt*.so* {moved}/lib/
        cp -a /usr/lib/*-linux-gnu/libvirt/connection-driver {moved}/lib/libvirt/
        cp /usr/lib/python3/dist-packages/libvirt*.py /usr/lib/python3/dist-packages/libvirtmod*.so {moved}/python/""", "ooo")
    path = folder / "tree.tar.gz"
    packed = subprocess.check_output(["podman", "exec", machine("source", "ooo"), "tar", "-C", "/tmp/tree", "-czf", "-", "opt"])
    path.write_bytes(packed)
    with archive_of(mirror) as address:
        file = folder / "Release"
        subprocess.run(
            ["/usr/lib/apt/apt-helper", "download-file", f"{address}/dists/bookworm/Release", file],
            check=True, capture_output=True,
        )
        pinned = archive(mirror=address, release_sha256=hashlib.sha256(file.read_bytes()).hexdigest())
        pinned["packages"] = [package for package in pinned["packages"] if package != "qemu-system-arm"]
        yield settings(tree(path, base="pinned"), pinned=pinned)


@pytest.fixture(scope="module")
def played(lab: Lab, asked: dict[str, Any]) -> Iterator[Played]:
    """The machines of these settings, until the end of the module."""
    yield lab.play("provision", **asked)
    assert lab.play("destroy").status == 0
    subprocess.run(["podman", "rmi", *images_of_mine()], check=False, capture_output=True)


def test_a_tree_over_a_pinned_archive_runs_its_own_libvirt(lab: Lab, asked: dict[str, Any], played: Played) -> None:
    assert played.status == 0, played.output
    assert "nno: client libvirt 9.0.0; source libvirt 9.0.0, QEMU 7.2" in played.message()
    daemon = "/proc/$(cat /run/libvirtd.pid)"
    assert inside("source", f"readlink {daemon}/exe") == f"{PREFIX}/sbin/libvirtd"
    loaded = inside("source", f"cat {daemon}/maps")
    assert f"{PREFIX}/lib/libvirt.so.0.9000.0" in loaded
    assert f"{PREFIX}/lib/libvirt/connection-driver/libvirt_driver_qemu.so" in loaded
    assert inside("client", "/lab/python -c 'import libvirt; print(libvirt.__file__)'") == f"{PREFIX}/python/libvirt.py"
    again = lab.play("provision", **asked)
    assert again.status == 0 and again.changed() == 0, again.output


def test_agent_and_inspector_run_on_debian_11_and_its_python_2(played: Played) -> None:
    """There is no binding of today's libvirt for that Python, so its agent gets the fake one."""
    assert played.status == 0, played.output
    assert "target libvirt 7.0.0, QEMU 5.2" in played.message()
    fake = (ROOT / "tests" / "fakes" / "fake_libvirt.py").read_bytes()
    inside("target", "mkdir -p /tmp/fake")
    into = ["podman", "exec", "-i", machine("target", "nno"), "sh", "-c", "cat >/tmp/fake/libvirt.py"]
    subprocess.run(into, input=fake, check=True)
    prefix = ["podman", "exec", "-i", machine("target", "nno"), "env", "PYTHONPATH=/tmp/fake"]
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
