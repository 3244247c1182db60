# SPDX-License-Identifier: GPL-3.0-or-later
"""A release's recipe: what its image is built from."""

from __future__ import annotations

from typing import Any, Mapping

from ..model.digest import data_id
from ..model.errors import LabError
from ..model.version import parse_version

# Where a machine has the files that the role machine_files wrote for its release.
FILES = "/lab"

# The fields of a recipe that an image is built from. A tree is told by its checksum, wherever it is.
RECIPE = (
    "kind", "suite", "mirror", "keyring", "packages", "architecture", "release_sha256", "sha256", "prefix", "binding",
    "adapt_emulators",
)


# libvirt asks QEMU by QMP what it can do since 1.0; before, it read what -help and -cpu '?' print.
COMMAND_LINE_PROBED = parse_version("1.0.0")


# Since about 1.2 QEMU describes each model that -cpu '?' lists, which libvirt then took for its name; 9.0 has dropped -no-acpi
# and -no-hpet, and with them the word x86 before the models.
OUTPUT_CHANGED = parse_version("1.2")


def resolve_release(name: str, releases: Mapping[str, Any]) -> dict[str, Any]:
    """The recipe of a release, whole: that of a tree is its base's, with the tree's own fields over it.

    A tree's ``packages`` are those of the base and its own. Its ``python`` is the wrapper that the lab puts into the machine,
    which runs ``interpreter`` with the tree's libraries and binding. ``adapt_emulators`` tells whether its libvirt needs the
    lab's script before an emulator that has become too new for it.

    :raises LabError: when a tree's base is not there or is a tree itself.
    """
    release = releases[name]
    if release["kind"] != "tree":
        return dict(release)
    base = releases.get(release["base"])
    if base is None or base["kind"] == "tree":
        known = ", ".join(sorted(entry for entry, data in releases.items() if data["kind"] != "tree"))
        said = "there is no such release" if base is None else "that is a tree itself"
        raise LabError(f"release '{name}': base is '{release['base']}', {said}; lay the tree over one of {known or 'none'}")
    recipe = {**base, **release, "python": f"{FILES}/python", "interpreter": release.get("python", base["python"])}
    recipe["packages"] = [*base["packages"], *(package for package in release["packages"] if package not in base["packages"])]
    recipe["adapt_emulators"] = (
        parse_version(recipe["libvirt"]) < COMMAND_LINE_PROBED and parse_version(recipe["qemu"]) >= OUTPUT_CHANGED
    )
    return recipe


def check_obtainable(name: str, release: Mapping[str, Any]) -> None:
    """Refuse a release of an archive that nobody has said where to get, or what to trust.

    :param release: the recipe, as ``resolve_release`` returns it.
    :raises LabError: with what is missing and the two ways out.
    """
    if "release_sha256" not in release:
        return
    missing = [] if release["mirror"] else ["its archive mirror is not set"]
    if not release["release_sha256"]:
        missing.append("the checksum of the suite's file Release is not pinned (release_sha256)")
    if missing:
        raise LabError(
            f"release '{name}' cannot be built from suite {release['suite']}: {' and '.join(missing)}; set a mirror that has the "
            "suite, with the checksum, or use a release of kind tree in its place"
        )


def release_id(name: str, release: Mapping[str, Any]) -> str:
    """Name of a release's image: the release and a digest of everything that goes into building it.

    :param release: the recipe, as ``resolve_release`` returns it.
    """
    recipe = {key: release[key] for key in RECIPE if key in release}
    return f"{name}-{data_id(recipe)}"
