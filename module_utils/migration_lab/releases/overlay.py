# SPDX-License-Identifier: GPL-3.0-or-later
"""What is laid over the root of a release: commands that are run in it once, and a tree. The root's layers are shared."""

from __future__ import annotations

import json
import subprocess
import tempfile
from typing import Any, Mapping, Optional, Sequence

from ..model.errors import LabError
from .daemons import daemons
from .image import ROOT, last_error, podman, pull
from .needs import check_needs

# Label of an image: its release.
RELEASE = "migration-lab.release"

# Where the tarball of a tree is while it is laid over the root.
TARBALL = "/tmp/migration-lab-tree.tar"

# How many lines of a failed command are shown.
LAST_LINES = 5


def containerfile(
    root: str, name: str, install: Sequence[str], tree: Optional[Mapping[str, str]], adapted: Mapping[str, str]
) -> str:
    """The build as a Containerfile. What the root's image says of how to run it is not for the lab.

    :param root: id of the image to start from.
    :param install: commands for the image's shell.
    :param tree: ``prefix``, ``libraries`` and ``binding`` of the tree; None without one.
    :param adapted: by path of an emulator, the script to put before it.
    """
    lines = [f"FROM {root}", "USER 0", "WORKDIR /", "ENTRYPOINT []", "CMD []", "STOPSIGNAL SIGTERM", "HEALTHCHECK NONE"]
    commands = list(install)
    if tree:
        places = " ".join(f"{key}={tree[key]}" for key in ("prefix", "libraries", "binding"))
        steps = [
            f"tar --extract --file {TARBALL} --directory / --no-same-owner --keep-directory-symlink",
            # Where the machines' scripts find what is in the tree.
            f"printf '%s\\n' {places} >/etc/migration-lab-tree",
            # libvirt finds emulators by their usual paths, and guests' descriptions carry these from machine to machine: so the
            # script that adapts them is there, and the emulator beside it.
            *(f"mv {path} {path}.real && ln -s {script} {path}" for path, script in adapted.items()),
        ]
        commands.append(" && ".join(steps))
    lines += [f"RUN {json.dumps(['/bin/sh', '-c', f'exec 2>&1; {command}'])}" for command in commands]
    return "\n".join([*lines, f"LABEL {RELEASE}={name} {ROOT}={root}", ""])


def build(
    release: Mapping[str, Any], image: str, root: str, tree: Optional[Mapping[str, str]], adapter: str,
    abilities: Mapping[str, Any], inside: Sequence[str],
) -> str:
    """Make a release's image of its root; it gets its name when it has what the lab needs.

    :param release: the plan's entry, of kind image or tree.
    :param image: the name.
    :param root: name of the root's image; empty for a release that is an image itself, which is pulled.
    :param tree: as for ``containerfile``, with ``plain``, the tarball's path.
    :param adapter: the script that is put before emulators which are too new for the tree's libvirt.
    :param abilities: the lab host's, as the module ``lab_host_info`` returns them.
    :param inside: runs a program in a container; image and program go after it.
    :returns: the image's id.
    :raises LabError: when the image cannot be pulled, a command fails, or something is lacking. Nothing new is left then.
    """
    new: list[str] = []
    try:
        if root:
            start = _id(root)
        else:
            start, is_new = pull(release["name"], release["image"], release.get("login", ""))
            new += [start] if is_new else []
        adapted = {path: adapter for path in release["emulators"].values()} if release.get("adapt_emulators") else {}
        text = containerfile(start, release["name"], release.get("install", []), tree, adapted)
        made = _run(release, text, tree, abilities)
        new.insert(0, made)
        remedy = "have the packages installed by a command in 'install', or correct the entry"
        check_needs(
            release["name"], [*inside, made], daemons(release), release.get("interpreter", release["python"]),
            release["emulators"], release["libvirt"], remedy,
        )
        done = podman("tag", made, image)
        if done.returncode:
            raise LabError(f"the image of release '{release['name']}' could not be named {image}: {last_error(done.stderr)}")
    except LabError:
        for one in new:
            podman("rmi", one)
        raise
    # The new image has its layers, and nothing else tells that it is the lab's.
    for pulled in new[1:]:
        podman("rmi", pulled)
    return made


def _run(
    release: Mapping[str, Any], text: str, tree: Optional[Mapping[str, str]], abilities: Mapping[str, Any]
) -> str:
    """Build a Containerfile; the id of the image."""
    # A single layer: none of the steps before a failed one stays behind, and a command is never taken from an earlier build.
    command = ["podman", "--runtime", abilities["runtime"], "build", "--isolation=oci", "--network=host", "--layers=false"]
    command += ["--pull=never", *(f"--ulimit={name}={limit}:{limit}" for name, limit in abilities["ulimits"].items())]
    command += [f"--volume={tree['plain']}:{TARBALL}:ro"] if tree else []
    with tempfile.TemporaryDirectory(prefix="migration-lab-empty-") as empty:
        done = subprocess.run([*command, "--file=-", empty], input=text, capture_output=True, text=True, check=False)
    lines = done.stdout.splitlines()
    if not done.returncode:
        return lines[-1]
    runs = [number for number, line in enumerate(lines) if line.startswith("STEP ") and ": RUN " in line]
    install = release.get("install", [])
    if runs and len(runs) <= len(install):
        said = " / ".join(lines[runs[-1] + 1:][-LAST_LINES:]) or last_error(done.stderr)
        raise LabError(f"release '{release['name']}': the install command '{install[len(runs) - 1]}' failed: {said}")
    said = " / ".join(lines[runs[-1] + 1:][-LAST_LINES:] if runs else []) or last_error(done.stderr)
    raise LabError(f"the image of release '{release['name']}' could not be built: {said}")


def _id(image: str) -> str:
    done = podman("image", "inspect", "--format", "{{.Id}}", image)
    if done.returncode:
        raise LabError(f"image {image} is not there: {last_error(done.stderr)}; run the playbook again, which builds it")
    return done.stdout.strip()
