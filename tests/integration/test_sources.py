# SPDX-License-Identifier: GPL-3.0-or-later
"""Releases of several suites: what cannot be had is refused with a sentence, and QEMU comes from another suite than libvirt."""

from __future__ import annotations

import hashlib
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from default_catalogue import RELEASES
from lab import Lab, cases_of
from migration_lab.journal.journal import read_journal
from refusals import Attempt, include_role, refusals

EXPIRED = "Fri, 01 Jan 2021 00:00:00 UTC"


# What is essential has to be there; nothing is downloaded.
PACKAGES = f"""\
Package: base
Version: 1
Essential: yes
Architecture: amd64
Filename: base.deb
Size: 1
SHA256: {"0" * 64}
"""


@pytest.fixture
def archive() -> Iterator[dict[str, str]]:
    """A signed suite whose Release file has expired, where apt's own user can read it."""
    with tempfile.TemporaryDirectory(prefix="migration-lab.") as made:
        folder = Path(made)
        folder.chmod(0o755)
        packages = folder / "dists" / "old" / "main" / "binary-amd64" / "Packages"
        packages.parent.mkdir(parents=True)
        packages.write_text(PACKAGES)
        digest = hashlib.sha256(PACKAGES.encode()).hexdigest()
        release = folder / "dists" / "old" / "Release"
        release.write_text(
            f"Suite: old\nCodename: old\nDate: {EXPIRED}\nValid-Until: {EXPIRED}\nArchitectures: amd64\nComponents: main\n"
            f"SHA256:\n {digest} {len(PACKAGES)} main/binary-amd64/Packages\n"
        )
        keys, keyring = folder / "keys", folder / "keyring.gpg"
        keys.mkdir(mode=0o700)
        gpg = ["gpg", "--homedir", str(keys), "--batch", "--quiet", "--pinentry-mode", "loopback", "--passphrase", ""]
        try:
            subprocess.run([*gpg, "--quick-generate-key", "test@localhost", "ed25519", "sign"], check=True, capture_output=True)
            subprocess.run([*gpg, "--output", keyring, "--export"], check=True)
            subprocess.run([*gpg, "--output", release.with_name("InRelease"), "--clearsign", release], check=True)
        finally:
            subprocess.run(["gpgconf", "--homedir", keys, "--kill", "all"], check=True)
        yield {"suite": "old", "mirror": str(folder), "keyring": str(keyring)}


def test_what_cannot_be_had_is_refused_before_anything_is_built(tmp_path: Path, archive: dict[str, str]) -> None:
    debian_13 = {**RELEASES["debian-13"], "sources": []}
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"sources": [{"suite": "trixie-nowhere"}]}, "has no suite trixie-nowhere; correct 'suite', or set a 'mirror'"),
        (archive, "set 'expired: true' for that suite if you mean to use what does not change any more"),
        ({**archive, "expired": True, "packages": ["libvirt-novel"]}, "none of its suites has the package libvirt-novel"),
        ({"libvirt": "12.9.0"}, "from its suites apt would install libvirt 11.3.0 (libvirt0 11.3.0-"),
        ({"packages": ["libvirt0=9.0.0-1"]}, "none of its suites has libvirt0 in version 9.0.0-1; they have 11.3.0-"),
    ]
    build = tmp_path / "build"
    build.mkdir()
    attempts = {}
    for number, (fields, _) in enumerate(wrong):
        release = {**debian_13, **fields, "name": f"mine{number}", "id": f"mine{number}"}
        tasks = [include_role("release", "proxy"), include_role("release", "sources", release_item=release)]
        attempts[release["name"]] = Attempt(tasks, {"release_state": str(tmp_path)})
    refused = refusals(tmp_path, attempts)
    for name, (_, sentence) in zip(attempts, wrong):
        assert refused[name].startswith(f"release '{name}' cannot be built: ") and sentence in refused[name], refused
    assert not list(build.iterdir())


def test_an_unknown_field_of_a_source_is_refused(lab: Lab) -> None:
    release = {**RELEASES["debian-13"], "sources": [{"suite": "trixie-backports", "pin": "libvirt"}]}
    played = lab.play("provision", combination="ooo", own_releases={"debian-13": release})
    assert played.status != 0
    assert "own_releases: debian-13, sources, entry 1: Additional properties are not allowed ('pin'" in played.message()


def test_an_old_libvirt_sends_an_argument_that_a_new_qemu_does_not_take(lab: Lab) -> None:
    cases = "*/transient-running/none,*/persistent-paused/none"
    played = lab.play("full_matrix", pair="qemu-argument", guest="s390x", combinations="ooo,nnn", cases=cases, run="argument")
    assert played.status == 0, played.output
    for combination, verdict, libvirt in (("ooo", "known", "deb 9.0.0-"), ("nnn", "pass", "deb 12.9.0-")):
        journal = lab.journal("argument", combination)
        results = cases_of(journal)
        assert [case["verdict"] for case in results] == [verdict] * 6
        assert {case.get("deviation") for case in results} <= {"migrate-sends-detach", "", None}
        versions = read_journal(journal).headers[0]["versions"]
        for role in ("source", "target"):
            assert versions[role]["libvirt_package"].startswith(libvirt)
            assert versions[role]["hypervisor"].startswith("11.1.") and versions[role]["qemu_package"].startswith("deb 1:11.1.")
