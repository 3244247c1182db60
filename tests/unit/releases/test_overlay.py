# SPDX-License-Identifier: GPL-3.0-or-later
"""What is laid over a root: one layer of commands, and nothing left when something fails."""

from __future__ import annotations

import json
import re
from typing import Any, Optional

import pytest

from fake_podman import FakePodman
from migration_lab.model.errors import LabError
from migration_lab.releases.overlay import build, containerfile

TREE = {"prefix": "/opt/libvirt", "libraries": "/opt/libvirt/lib", "binding": "", "plain": "/build/tree.tar"}
IMAGE: dict[str, Any] = {
    "name": "mine", "kind": "image", "image": "fedora:42", "install": ["dnf install -y libvirt", "dnf clean all"],
    "libvirt": "11.3.0", "python": "/usr/bin/python3", "emulators": {"x86_64": "/usr/bin/qemu"},
}
ABILITIES = {"runtime": "runc", "ulimits": {"nofile": 1024}}
NAME = "localhost/migration-lab/mine:mine-1"


def make(release: dict[str, Any], root: str = "", tree: Optional[dict[str, str]] = None) -> str:
    return build(release, NAME, root, tree, "/lab/emulator", ABILITIES, ["podman", "run", "--rm"])


def commands(text: str) -> list[str]:
    """The shell commands of a Containerfile."""
    return [json.loads(line[4:])[2].removeprefix("exec 2>&1; ") for line in text.splitlines() if line.startswith("RUN ")]


def test_commands_are_run_as_they_stand() -> None:
    install = ["echo \"$HOME\" 'a b' \\\n  && true", "a; b"]
    assert commands(containerfile("aaa", "mine", install, None, {})) == install


def test_what_the_root_says_of_how_to_run_it_is_reset() -> None:
    lines = containerfile("aaa", "mine", [], None, {}).splitlines()
    assert lines[0] == "FROM aaa"
    assert {"USER 0", "ENTRYPOINT []", "CMD []", "STOPSIGNAL SIGTERM", "HEALTHCHECK NONE"} <= set(lines)
    assert lines[-1] == "LABEL migration-lab.release=mine migration-lab.root=aaa"


def test_tree_is_unpacked_after_the_commands_and_its_places_written() -> None:
    first, last = commands(containerfile("aaa", "mine", ["true"], TREE, {"/usr/bin/qemu": "/lab/emulator"}))
    assert first == "true" and last.startswith("tar --extract ")
    assert "printf '%s\\n' prefix=/opt/libvirt libraries=/opt/libvirt/lib binding= >/etc/migration-lab-tree" in last
    assert last.endswith("mv /usr/bin/qemu /usr/bin/qemu.real && ln -s /lab/emulator /usr/bin/qemu")


def test_image_is_pulled_checked_and_then_named(podman: FakePodman) -> None:
    podman.pulled, podman.ran = ("aaa", ["localhost/its:1"]), "libvirt 11003000\n"
    assert make(IMAGE) == "ddd"
    assert podman.images == {NAME: "ddd"}
    assert podman.inputs[0].startswith("FROM aaa\n")
    steps = [call for call in podman.calls if call[0] in ("pull", "build", "run", "rmi")]
    assert [step[0] for step in steps] == ["pull", "build", "run", "rmi"] and steps[-1] == ["rmi", "aaa"]


def test_build_keeps_no_step_and_has_the_lab_hosts_limits(podman: FakePodman) -> None:
    podman.pulled, podman.ran = ("aaa", []), "libvirt 11003000\n"
    make(IMAGE)
    build_call = next(call for call in podman.calls if call[0] == "build")
    assert {"--layers=false", "--pull=never", "--isolation=oci", "--ulimit=nofile=1024:1024"} <= set(build_call)


def test_tree_is_laid_over_its_roots_image(podman: FakePodman) -> None:
    podman.images, podman.ran = {"localhost/root:1": "aaa"}, "libvirt 11003000\n"
    make({**IMAGE, "kind": "tree", "install": [], "interpreter": "/usr/bin/python3"}, "localhost/root:1", TREE)
    build_call = next(call for call in podman.calls if call[0] == "build")
    assert f"--volume={TREE['plain']}:/tmp/migration-lab-tree.tar:ro" in build_call
    assert podman.inputs[0].startswith("FROM aaa\n") and not any(call[0] == "pull" for call in podman.calls)


@pytest.mark.parametrize(
    ("output", "said"),
    [
        ("STEP 8/10: RUN x\nNo match\n", "release 'mine': the install command 'dnf install -y libvirt' failed: No match"),
        (
            "STEP 8/10: RUN x\nfine\nSTEP 9/10: RUN x\n1\n2\n3\n4\n5\n6\n",
            "release 'mine': the install command 'dnf clean all' failed: 2 / 3 / 4 / 5 / 6",
        ),
        ("STEP 8/10: RUN x\n", "release 'mine': the install command 'dnf install -y libvirt' failed: building at STEP: exit"),
        (
            "STEP 8/10: RUN x\nSTEP 9/10: RUN x\nSTEP 10/10: RUN x\ntar: not found\n",
            "the image of release 'mine' could not be built: tar: not found",
        ),
        ("", "the image of release 'mine' could not be built: building at STEP: exit status 1"),
    ],
)
def test_failed_command_is_shown_with_its_last_lines_and_nothing_is_left(podman: FakePodman, output: str, said: str) -> None:
    podman.pulled, podman.built = ("aaa", []), (1, output)
    with pytest.raises(LabError, match="^" + re.escape(said)):
        make(IMAGE)
    assert podman.images == {} and [call for call in podman.calls if call[0] == "rmi"] == [["rmi", "aaa"]]


def test_image_that_lacks_something_gets_no_name_and_is_removed(podman: FakePodman) -> None:
    podman.images, podman.pulled, podman.ran = {"localhost/its:1": "aaa"}, ("aaa", []), "lacks the interpreter /usr/bin/python3\n"
    with pytest.raises(LabError, match="lacks the interpreter /usr/bin/python3: have the packages installed by a command"):
        make(IMAGE)
    removed = [call[1] for call in podman.calls if call[0] == "rmi"]
    assert removed == ["ddd"] and podman.images == {"localhost/its:1": "aaa"}, "the image was there before"
