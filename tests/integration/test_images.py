# SPDX-License-Identifier: GPL-3.0-or-later
"""Container images as releases, and a tree from a folder over one: made in seconds, and nothing is left of what is refused."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from default_catalogue import RELEASES
from lab import Lab, Played, cases_of, machine

CASES = "p2p/persistent-running/none,normal/transient-paused/persist-dest"
NAMES = ("rpms", "mine")
DEBIAN_13 = {field: RELEASES["debian-13"][field] for field in ("libvirt", "qemu", "python")}
IMAGE: dict[str, Any] = {**DEBIAN_13, "kind": "image", "emulators": {"x86_64": "/usr/bin/qemu-system-x86_64"}}
INSTALL = "dnf install --quiet --assumeyes --nogpgcheck --disablerepo='*' --repofrompath=lab,/srv/rpms libvirt-daemon"
REVISION = "7.lab"

# Debian 13 with dnf, and in place of libvirt's packages a repository with an RPM that has their files.
CONTAINERFILE = f"""\
RUN apt-get update --quiet=2 && DEBIAN_FRONTEND=noninteractive apt-get install --quiet=2 --yes --no-install-recommends \\
    dnf rpm createrepo-c >/dev/null
WORKDIR /srv
RUN packages=$(dpkg-query --show --showformat '${{db:Status-Status}} ${{binary:Package}}\\n' '*libvirt*' | \\
    sed -n 's/^installed //p') && \\
    dpkg --listfiles $packages | sort --unique | \\
    while read -r file; do [ -d "$file" ] || [ ! -e "$file" ] || echo "$file"; done >files && \\
    printf '%s\\n' 'Name: libvirt-daemon' 'Version: {DEBIAN_13["libvirt"]}' 'Release: {REVISION}' 'Summary: libvirt' \\
    'License: LGPL-2.1-or-later' 'AutoReqProv: no' '%description' 'libvirt' '%install' \\
    'tar -C / -cf - -T /srv/files | tar -C %{{buildroot}} -xf -' '%files -f /srv/files' >libvirt.spec && \\
    rpmbuild -bb --quiet --define '_rpmdir /srv/rpms' --define '_binary_payload w0.gzdio' --define '__os_install_post %{{nil}}' \\
    --define 'debug_package %{{nil}}' libvirt.spec && \\
    createrepo_c --quiet rpms && dpkg --remove --force-all $packages && ! command -v libvirtd
RUN rm -rf /var/lib/apt/lists/* /var/cache/apt/*
ENTRYPOINT ["/bin/false"]
"""


def images() -> set[str]:
    """Ids of all images, and the names of those of the releases under test."""
    command = ["podman", "images", "--all", "--no-trunc", "--format", "{{.Id}} {{.Repository}}"]
    return set(subprocess.check_output(command, text=True).splitlines())


@pytest.fixture(scope="module")
def archive(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An archive of an image that gets its libvirt by dnf; the cell's machines run debian-13 then."""
    folder = tmp_path_factory.mktemp("image")
    played = lab.play("provision", combination="nnn")
    assert played.status == 0, played.output
    about = ["podman", "inspect", "--format", "{{.Image}} {{.OCIRuntime}}", machine("source", "nnn")]
    root, runtime = subprocess.check_output(about, text=True).split()
    command = ["podman", "--runtime", runtime, "build", "--isolation=oci", "--network=host", "--layers=false", "--pull=never"]
    command += ["--ulimit=nofile=1024:1024", "--quiet", "--file=-", str(folder)]
    made = subprocess.run(command, input=f"FROM {root}\n{CONTAINERFILE}", capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stdout + made.stderr
    image = made.stdout.split()[-1]
    path = folder / "image.tar"
    subprocess.run(["podman", "save", "--quiet", "--output", path, image], check=True)
    subprocess.run(["podman", "rmi", image], check=True, capture_output=True)
    yield path
    path.unlink()
    assert lab.play("destroy").status == 0
    names = [f"localhost/migration-lab/{name}" for name in NAMES]
    left = subprocess.check_output(["podman", "images", "--quiet", *(f"--filter=reference={name}" for name in names)], text=True)
    subprocess.run(["podman", "rmi", "--force", *left.split()], check=True, capture_output=True)


def play(lab: Lab, playbook: str, releases: dict[str, Any], **settings: Any) -> Played:
    """Ask for machines that all run the last of the releases, as the new one of a pair with debian-12."""
    pairs = {"mine": {"old": "debian-12", "new": list(releases)[-1], "boundary": "9.0.1"}}
    return lab.play(playbook, combination="nnn", pair="mine", own_releases=releases, own_pairs=pairs, **settings)


def refused(lab: Lab, release: dict[str, Any], **others: dict[str, Any]) -> str:
    """What the playbook says when it refuses the release; no image is left of it."""
    before = images()
    played = play(lab, "provision", {**others, "mine": release})
    assert played.status != 0, played.output
    assert images() == before
    return played.message()


def test_an_image_that_cannot_be_pulled_is_refused(lab: Lab) -> None:
    said = refused(lab, {**IMAGE, "image": "127.0.0.1:9/team/libvirt:1"})
    assert "the image of release 'mine' (127.0.0.1:9/team/libvirt:1) could not be pulled: " in said, said


def test_an_image_that_lacks_what_machines_need_is_refused_with_all_of_it(lab: Lab, archive: Path) -> None:
    image = f"docker-archive:{archive}"
    said = refused(lab, {**IMAGE, "image": image, "install": ["rm /usr/bin/python3*"]})
    assert "the image of release 'mine' lacks the daemon libvirtd; the interpreter /usr/bin/python3: have the" in said, said


def run(lab: Lab, name: str, releases: dict[str, Any]) -> dict[str, Any]:
    """Run two cases; returns the versions that the source reported."""
    played = play(lab, "run", releases, run=name, cases=CASES)
    assert played.status == 0, played.output
    assert [case["verdict"] for case in cases_of(lab.journal(name, "nnn"))] == ["pass", "pass"]
    results = json.loads((lab.results / name / "run.json").read_text())["results"]
    versions: dict[str, Any] = results["combinations"]["nnn"]["versions"]["source"]
    return versions


def inside(command: str) -> str:
    """What a shell command prints on the source."""
    return subprocess.check_output(["podman", "exec", machine("source", "nnn"), "sh", "-c", command], text=True).strip()


def test_an_archive_whose_libvirt_dnf_installs_runs_cases(lab: Lab, archive: Path) -> None:
    versions = run(lab, "rpms", {"rpms": {**IMAGE, "image": f"docker-archive:{archive}", "install": [INSTALL]}})
    assert versions["libvirt"] == DEBIAN_13["libvirt"]
    assert inside("rpm --query --file $(command -v libvirtd)") == f"libvirt-daemon-{DEBIAN_13['libvirt']}-{REVISION}.x86_64"


def test_a_tree_from_a_folder_runs_over_that_image(lab: Lab, archive: Path, tmp_path: Path) -> None:
    inside("""set -e; cd /tmp; mkdir -p inst/usr/local/sbin inst/usr/local/lib/libvirt; cp /usr/sbin/libvirtd inst/usr/local/sbin/
        cp -a /usr/lib/*-linux-gnu/libvirt*.so* inst/usr/local/lib/
        cp -a /usr/lib/*-linux-gnu/libvirt/connection-driver inst/usr/local/lib/libvirt/""")
    subprocess.run(["podman", "cp", f"{machine('source', 'nnn')}:/tmp/inst", tmp_path], check=True)
    root = {**IMAGE, "image": f"docker-archive:{archive}", "install": [INSTALL]}
    tree = {"kind": "tree", "base": "rpms", "tree": str(tmp_path / "inst")}
    said = refused(lab, {**tree, "install": ["true", "echo sorry >&2; exit 4"]}, rpms=root)
    assert "release 'mine': the install command 'echo sorry >&2; exit 4' failed: sorry" in said, said
    releases = {"rpms": root, "mine": tree}
    assert run(lab, "tree", releases)["libvirt"] == DEBIAN_13["libvirt"]
    assert inside("readlink /proc/$(cat /run/libvirtd.pid)/exe") == "/usr/local/sbin/libvirtd"
    again = play(lab, "provision", releases)
    assert again.status == 0 and again.changed() == 0, again.output
