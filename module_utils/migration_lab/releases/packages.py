# SPDX-License-Identifier: GPL-3.0-or-later
"""Which packages of a release's image have newer versions: what is installed in it against what a build would take today."""

from __future__ import annotations

import re
import subprocess
import tempfile
from pathlib import Path
from typing import Callable, Mapping, Sequence

from ..model.errors import LabError

# A package that apt would install: Inst libvirt0 (9.0.0-4+deb12u2 Debian:12.5/stable [amd64]) []
OFFERED = re.compile(r"^Inst (?P<name>[^\s:]+)(?::\S+)? (?:\[[^]]*\] )?\((?P<version>\S+)", re.MULTILINE)
STATUS = "var/lib/dpkg/status"

Newer = Callable[[str, str], bool]


def newer_packages(installed: Mapping[str, str], offered: Mapping[str, str], newer: Newer) -> list[dict[str, str]]:
    """The installed packages of which a newer version is offered, by name.

    Packages on one side alone are ignored: one that a suite has under another name comes with the first package that needs it,
    whose version then differs as well.

    :param newer: whether its first version is newer than its second.
    :returns: ``name``, ``old`` and ``new`` of each.
    """
    return [
        {"name": name, "old": old, "new": offered[name]}
        for name, old in sorted(installed.items())
        if name in offered and offered[name] != old and newer(offered[name], old)
    ]


def installed_packages(status: str) -> dict[str, str]:
    """Name and version of what is installed, from the text of dpkg's file ``status``."""
    packages = {}
    for paragraph in status.split("\n\n"):
        fields = dict(re.findall(r"^(Package|Status|Version): (.*)$", paragraph, re.MULTILINE))
        if fields.get("Status", "").endswith(" installed"):
            packages[fields["Package"]] = fields["Version"]
    return packages


def offered_packages(simulated: str) -> dict[str, str]:
    """Name and version of what would be installed, from the output of a simulated apt run."""
    return {match["name"]: match["version"] for match in OFFERED.finditer(simulated)}


def dpkg_newer(version: str, than: str) -> bool:
    """Whether a version is newer than another, in dpkg's order."""
    return subprocess.run(["dpkg", "--compare-versions", version, "gt", than], check=False).returncode == 0


def simulate(command: Sequence[str], preferences: str) -> tuple[int, str]:
    """Let mmdebstrap find out what it would install.

    :param command: the build.
    :param preferences: text of apt's preferences. They are in a file outside of the root: simulating, no hook is run.
    :returns: the exit status and all that it wrote.
    """
    with tempfile.NamedTemporaryFile("w", prefix="migration-lab.", suffix=".preferences") as file:
        file.write(preferences)
        file.flush()
        pins = [f'--aptopt=Dir::Etc::Preferences "{file.name}"'] if preferences else []
        done = subprocess.run(
            [command[0], "--simulate", "--verbose", *pins, *command[1:]], capture_output=True, text=True, check=False
        )
    return done.returncode, done.stdout + done.stderr


def apt_errors(output: str) -> str:
    """What apt and mmdebstrap wrote of errors, in a line; empty for nothing."""
    return " ".join(line for line in output.splitlines() if re.match("E:|Err:|W: Fail", line))


def ask(name: str, image: str, command: Sequence[str], preferences: str = "") -> tuple[str, list[dict[str, str]]]:
    """Ask a release's suite which packages of its image it has newer versions of.

    :param name: the release.
    :param image: name of its image in podman's storage.
    :param command: the build.
    :param preferences: text of apt's preferences for it.
    :returns: the image's id and the packages.
    :raises LabError: when the image cannot be read, or the suite could not be asked.
    """
    status, output = simulate(command, preferences)
    offered = offered_packages(output)
    if status or not offered:
        reason = apt_errors(output) or "mmdebstrap named no package"
        raise LabError(
            f"the suite of release {name} could not be asked for newer packages: {reason}; check that its mirror is reachable, "
            "or set another mirror in the catalogue"
        )
    image_id = _podman("inspect", "--format", "{{.Id}}", image)
    root = Path(_podman("mount", image_id))
    try:
        installed = installed_packages((root / STATUS).read_text())
    except OSError as error:
        raise LabError(f"image {image} has no list of its packages ({error}); remove it, so that it is built again") from error
    finally:
        _podman("unmount", image_id)
    return image_id, newer_packages(installed, offered, dpkg_newer)


def _podman(*words: str) -> str:
    done = subprocess.run(["podman", "image", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise LabError(f"podman image {' '.join(words)} failed: {done.stderr.strip()}")
    return done.stdout.strip()
