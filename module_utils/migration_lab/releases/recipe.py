# SPDX-License-Identifier: GPL-3.0-or-later
"""A release's recipe: what its image is built from."""

from __future__ import annotations

from typing import Any, Iterable, Mapping

from ..model.digest import data_id
from ..model.errors import LabError
from . import debootstrap, tree

# Where a machine has the files that the role machine_files wrote for its release.
FILES = "/lab"

# The fields of a recipe that an image is built from.
RECIPE = ("kind", *debootstrap.RECIPE, *tree.RECIPE)


def resolve_release(name: str, releases: Mapping[str, Any]) -> dict[str, Any]:
    """The recipe of a release, whole: that of a tree is its base's, with the tree's own fields over it.

    :raises LabError: when a tree's base is not there or is a tree itself.
    """
    release = releases[name]
    if release["kind"] != "tree":
        # An expired suite is as well one that needs its lines written.
        return {**release, **({"sources": release.get("sources", [])} if "expired" in release else {})}
    base = releases.get(release["base"])
    if base is None or base["kind"] == "tree":
        known = ", ".join(sorted(entry for entry, data in releases.items() if data["kind"] != "tree"))
        problem = "there is no such release" if base is None else "that is a tree itself"
        raise LabError(f"release '{name}': base is '{release['base']}', {problem}; lay the tree over one of {known or 'none'}")
    return tree.lay_over(base, release, f"{FILES}/python")


def with_features(release: Mapping[str, Any], features: Iterable[str]) -> dict[str, Any]:
    """A release whose image has what guests need: only the emulators of their architectures, and the packages of the features.

    An emulator that is no feature is in the image anyway.

    :param release: the recipe, as ``resolve_release`` returns it.
    :param features: architectures, and what else the guests need.
    """
    chosen, optional = set(features), release.get("features", {})
    packages = [*release["packages"], *(package for name in sorted(chosen) for package in optional.get(name, ()))]
    emulators = {arch: path for arch, path in release["emulators"].items() if arch in chosen or arch not in optional}
    return {**release, "packages": list(dict.fromkeys(packages)), "emulators": emulators}


def release_id(name: str, release: Mapping[str, Any]) -> str:
    """Name of a release's image: the release and a digest of everything that goes into building it.

    :param release: the recipe, as ``resolve_release`` returns it.
    """
    recipe = {key: release[key] for key in RECIPE if key in release}
    return f"{name}-{data_id(recipe)}"
