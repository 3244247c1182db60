# SPDX-License-Identifier: GPL-3.0-or-later
"""A container image as a release: refused before it is pulled when it is none, and pulled under no name of its own."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from fake_podman import FakePodman
from migration_lab.model.errors import LabError
from migration_lab.releases.image import newer, pull, read_image


def archive(path: Path, file: str, index: Any) -> Path:
    """An archive with an index and nothing that it could name."""
    data = json.dumps(index).encode()
    with tarfile.open(path, "w") as tar:
        member = tarfile.TarInfo(file)
        member.size = len(data)
        tar.addfile(member, io.BytesIO(data))
    return path


def docker_archive(path: Path, *configs: str) -> Path:
    return archive(path, "manifest.json", [{"Config": f"{config}.json"} for config in configs])


def oci_archive(path: Path, *digests: str) -> Path:
    return archive(path, "index.json", {"manifests": [{"digest": digest} for digest in digests]})


def refusal(image: str, **fields: str) -> str:
    with pytest.raises(LabError) as refused:
        read_image("mine", {"kind": "image", "image": image, **fields})
    return str(refused.value)


@pytest.mark.parametrize("reference", ["fedora:42", "registry.example.org:5000/team/libvirt@sha256:0123"])
def test_reference_to_a_registry_stands_for_itself(reference: str) -> None:
    assert read_image("mine", {"image": reference}) == {"image": reference}


def test_archive_is_known_by_what_is_in_it(tmp_path: Path) -> None:
    paths = [docker_archive(tmp_path / name, config) for name, config in (("a.tar", "1"), ("b.tar", "1"), ("c.tar", "2"))]
    digests = [read_image("mine", {"image": f"docker-archive:{path}"})["digest"] for path in paths]
    assert digests[0] == digests[1] != digests[2]


def test_layout_on_disk_is_read_like_its_archive(tmp_path: Path) -> None:
    index = {"manifests": [{"digest": "sha256:1"}]}
    (tmp_path / "index.json").write_text(json.dumps(index))
    packed = oci_archive(tmp_path / "a.tar", "sha256:1")
    layout = read_image("mine", {"image": f"oci:{tmp_path}"})
    assert layout["digest"] == read_image("mine", {"image": f"oci-archive:{packed}"})["digest"]


@pytest.mark.parametrize(
    ("transport", "said"),
    [
        ("docker-archive", "no docker archive (file could not be opened successfully)"),
        ("oci-archive", "no OCI archive (file could not be opened successfully)"),
        ("oci", "no OCI layout (Not a directory)"),
    ],
)
def test_file_that_is_no_archive_is_refused(tmp_path: Path, transport: str, said: str) -> None:
    path = tmp_path / "image.tar"
    path.write_text("not an archive")
    assert refusal(f"{transport}:{path}") == (
        f"the image of release 'mine' ({transport}:{path}) is {said}; make one with 'podman save'"
    )


def test_archive_of_the_other_kind_or_none_is_refused(tmp_path: Path) -> None:
    assert "is no OCI archive (" in refusal(f"oci-archive:{docker_archive(tmp_path / 'a.tar', '1')}")
    assert "is no docker archive (No such file or directory); " in refusal(f"docker-archive:{tmp_path}/none.tar")


def test_archive_of_several_images_is_refused(tmp_path: Path) -> None:
    assert refusal(f"docker-archive:{docker_archive(tmp_path / 'a.tar', '1', '2')}").endswith(
        "has 2 images; save the one that is meant alone"
    )
    assert "has 0 images" in refusal(f"oci-archive:{oci_archive(tmp_path / 'b.tar')}")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o610])
def test_login_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "auth.json"
    path.write_text(json.dumps({"auths": {"registry": {"auth": "secret"}}}))
    path.chmod(mode)
    said = refusal("registry/image", login=str(path))
    assert said == f"release 'mine': login {path} has mode {mode:04o}, so that others may read it; chmod 600 it"


@pytest.mark.parametrize("text", ["secret", "[]", '{"auth": "secret"}', '"secret"'])
def test_file_without_logins_is_refused_and_not_shown(tmp_path: Path, text: str) -> None:
    path = tmp_path / "auth.json"
    path.write_text(text)
    path.chmod(0o600)
    said = refusal("registry/image", login=str(path))
    assert "podman login --authfile" in said and "secret" not in said
    assert "podman login --authfile" in refusal("registry/image", login=str(tmp_path / "none.json"))


def test_login_of_ones_own_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "auth.json"
    path.write_text('{"auths": {}}')
    path.chmod(0o600)
    assert read_image("mine", {"image": "registry/image", "login": str(path)})["login"] == str(path)


def test_pulled_image_gets_no_name_and_takes_none_away(podman: FakePodman) -> None:
    podman.images = {"localhost/lab:1": "aaa", "localhost/its:1": "bbb"}
    podman.pulled = ("bbb", ["localhost/lab:1", "localhost/new:1"])
    assert pull("mine", "docker-archive:/image.tar") == ("bbb", False)
    assert podman.images == {"localhost/lab:1": "aaa", "localhost/its:1": "bbb"}


def test_login_is_given_to_podman(podman: FakePodman) -> None:
    podman.pulled = ("bbb", [])
    pull("mine", "registry/image", "/root/auth.json")
    assert ["pull", "--quiet", "--authfile=/root/auth.json", "registry/image"] in podman.calls


def test_image_that_cannot_be_pulled_is_refused_with_podmans_reason(podman: FakePodman) -> None:
    with pytest.raises(LabError) as refused:
        pull("mine", "registry/image")
    assert str(refused.value) == (
        "the image of release 'mine' (registry/image) could not be pulled: no such image; correct 'image', or put right what "
        "keeps it from being reached"
    )


@pytest.mark.parametrize(("root", "changed"), [("bbb", False), ("aaa", True)])
def test_reference_is_newer_when_it_stands_for_another_image(podman: FakePodman, root: str, changed: bool) -> None:
    podman.images, podman.labels, podman.pulled = {"localhost/lab:1": "ccc"}, {"ccc": root}, ("bbb", [])
    found = newer("mine", {"image": "fedora:42"}, "localhost/lab:1")
    assert found == ([{"name": "fedora:42", "old": root, "new": "bbb"}] if changed else [])


@pytest.mark.parametrize("reference", ["docker-archive:/image.tar", "fedora@sha256:0123"])
def test_what_cannot_change_is_not_pulled_again(podman: FakePodman, reference: str) -> None:
    assert newer("mine", {"image": reference}, "localhost/lab:1") == []
    assert podman.calls == []
