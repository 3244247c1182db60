# SPDX-License-Identifier: GPL-3.0-or-later
"""A release that is a container image: checked before it is pulled, and pulled without taking anybody's name away."""

from __future__ import annotations

import json
import stat
import subprocess
import tarfile
from pathlib import Path
from typing import Any, Mapping, Optional

from ..model.digest import bytes_id
from ..model.errors import LabError

# The fields that an image is built from. ``digest`` is of what is on disk; a reference to a registry stands for itself.
RECIPE = ("kind", "image", "digest", "install")

# Label of an image: the id of the one that it was laid over.
ROOT = "migration-lab.root"

# Where an archive or a layout says which images are in it, by containers-image's name of the transport.
FORMATS = {"docker-archive": "docker archive", "oci-archive": "OCI archive", "oci": "OCI layout"}
INDEXES = {"docker-archive": "manifest.json", "oci-archive": "index.json", "oci": "index.json"}


def read_image(name: str, release: Mapping[str, Any]) -> dict[str, Any]:
    """The entry of an image, with a digest of what is in it where it is an archive or a layout on disk.

    :raises LabError: when the archive is none or has several images, or the file with the login is one that others can read.
    """
    if "login" in release:
        _check_login(f"release '{name}': login {release['login']}", Path(release["login"]))
    transport, path = _on_disk(release["image"])
    if not transport:
        return dict(release)
    what = f"the image of release '{name}' ({release['image']})"
    try:
        index = _index(transport, Path(path))
        images = json.loads(index)
        images = images["manifests"] if transport != "docker-archive" else images
    except (OSError, tarfile.TarError, EOFError, KeyError, ValueError, TypeError) as error:
        reason = getattr(error, "strerror", None) or str(error).partition(":")[0]
        raise LabError(f"{what} is no {FORMATS[transport]} ({reason}); make one with 'podman save'") from error
    if len(images) != 1:
        raise LabError(f"{what} has {len(images)} images; save the one that is meant alone")
    return {**release, "digest": bytes_id(index)}


def pull(name: str, reference: str, login: str = "") -> tuple[str, bool]:
    """Have an image in podman's storage, where it gets no name that it had not before: an archive may say that it has any.

    :param login: the file with the registry's credentials; empty for podman's own.
    :returns: the image's id, and whether it was not there before.
    :raises LabError: when the image cannot be had.
    """
    before, ids = _names(), podman("images", "--all", "--no-trunc", "--quiet").stdout
    done = podman("pull", "--quiet", *([f"--authfile={login}"] if login else []), reference)
    if done.returncode:
        raise LabError(
            f"the image of release '{name}' ({reference}) could not be pulled: {last_error(done.stderr)}; correct 'image', or "
            "put right what keeps it from being reached"
        )
    pulled = done.stdout.split()[-1]
    for image, owner in _names().items():
        if owner == pulled and image not in before:
            podman("untag", owner, image)
        elif owner == pulled and before[image] != owner:
            podman("tag", before[image], image)
    return pulled, pulled not in ids


def newer(name: str, release: Mapping[str, Any], image: str) -> list[dict[str, str]]:
    """What has changed since a release's image was made: the image that its reference stands for, or nothing.

    :param image: name of the release's image.
    :returns: ``name``, ``old`` and ``new`` of it.
    :raises LabError: when there is no image to compare with, or the reference cannot be pulled.
    """
    if _on_disk(release["image"])[0] or "@" in release["image"]:
        return []
    done = podman("image", "inspect", "--format", f'{{{{index .Labels "{ROOT}"}}}}', image)
    if done.returncode:
        raise LabError(f"image {image} cannot be looked at: {last_error(done.stderr)}")
    old, (new, is_new) = done.stdout.strip(), pull(name, release["image"], release.get("login", ""))
    if is_new:
        podman("rmi", new)
    return [{"name": release["image"], "old": old[:12], "new": new[:12]}] if new != old else []


def last_error(output: str) -> str:
    """What podman gives as the reason, without what it says before it and the time."""
    lines = output.strip().splitlines() or ["no reason given"]
    return lines[-1].removeprefix("Error: ")


def _on_disk(reference: str) -> tuple[str, str]:
    """Transport and path of an archive or layout; empty for a reference to a registry."""
    transport, colon, path = reference.partition(":")
    return (transport, path) if colon and transport in INDEXES else ("", "")


def _index(transport: str, path: Path) -> bytes:
    name = INDEXES[transport]
    if transport == "oci":
        return (path / name).read_bytes()
    with tarfile.open(path) as archive:
        file = archive.extractfile(name)
        if file is None:
            raise KeyError(f"{name} is no file")
        return file.read()


def _check_login(what: str, path: Path) -> None:
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        auths: Optional[Any] = json.loads(path.read_bytes()).get("auths")
    except (OSError, ValueError, AttributeError):
        # The error of a file that is no JSON quotes it.
        raise LabError(f"{what} is no file of logins (containers-auth.json(5)); make it with 'podman login --authfile'") from None
    if mode & 0o077:
        raise LabError(f"{what} has mode {mode:04o}, so that others may read it; chmod 600 it")
    if not isinstance(auths, dict):
        raise LabError(f"{what} has no 'auths' (containers-auth.json(5)); make it with 'podman login --authfile'")


def _names() -> dict[str, str]:
    """By name the id of each image in podman's storage."""
    done = podman("images", "--no-trunc", "--format", "{{.Repository}}:{{.Tag}} {{.Id}}")
    lines = (line.split() for line in done.stdout.splitlines())
    return {name: owner.removeprefix("sha256:") for name, owner in lines if "<none>" not in name}


def podman(*words: str) -> subprocess.CompletedProcess[str]:
    """Run podman."""
    return subprocess.run(["podman", *words], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
