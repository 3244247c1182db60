# SPDX-License-Identifier: GPL-3.0-or-later
"""A release's recipe: what its image is built from."""

from __future__ import annotations

from typing import Any, Iterable, Mapping

from ..model.digest import data_id
from ..model.errors import LabError
from . import debootstrap, image, tree

# Where a machine has the files that the role machine_files wrote for its release.
FILES = "/lab"

# By kind the fields of a recipe that an image is built from.
RECIPES = {"debootstrap": ("kind", *debootstrap.RECIPE), "image": image.RECIPE, "tree": tree.RECIPE}


def read_release(name: str, releases: Mapping[str, Any]) -> dict[str, Any]:
    """The releases, of which one has what the files say that its entry names: the version in a folder, digests.

    :param name: that release; what is not there is left to others to refuse.
    :raises LabError: when a file is not there, or is not what the entry says.
    """
    entry = releases.get(name)
    if entry is None:
        return dict(releases)
    if entry["kind"] == "tree":
        return {**read_release(entry["base"], releases), name: tree.read_tree(name, entry)}
    return {**releases, name: image.read_image(name, entry)} if entry["kind"] == "image" else dict(releases)


def resolve_release(name: str, releases: Mapping[str, Any]) -> dict[str, Any]:
    """The recipe of a release, whole. That of a tree has its base's as ``root``, and what its entry does not say from there.

    :raises LabError: when a tree's base is not there, is a tree itself, or has no packages to add to.
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
    packages = release.get("packages", [])
    if packages and base["kind"] != "debootstrap":
        raise LabError(f"release '{name}': 'packages' come from a suite, and base '{release['base']}' is an image; use 'install'")
    root = resolve_release(release["base"], releases)
    if packages:
        root["packages"] = [*base["packages"], *(package for package in packages if package not in base["packages"])]
    return {**tree.lay_over(root, release, f"{FILES}/python"), "root": {"name": release["base"], **root}}


def with_features(release: Mapping[str, Any], features: Iterable[str]) -> dict[str, Any]:
    """A release whose image has what guests need: only the emulators of their architectures, and the packages of the features.

    An emulator that is no feature is in the image anyway. The root of a tree gets its name here.

    :param release: the recipe, as ``resolve_release`` returns it.
    :param features: architectures, and what else the guests need.
    """
    chosen, optional = set(features), release.get("features", {})
    emulators = {arch: path for arch, path in release["emulators"].items() if arch in chosen or arch not in optional}
    ready = {**release, "emulators": emulators}
    if release["kind"] == "debootstrap":
        packages = [*release["packages"], *(package for name in sorted(chosen) for package in optional.get(name, ()))]
        ready["packages"] = list(dict.fromkeys(packages))
    if "root" in release:
        root = with_features({**release["root"], "features": optional}, chosen)
        ready["root"] = {**root, "id": release_id(root["name"], root)}
    return ready


def release_id(name: str, release: Mapping[str, Any]) -> str:
    """Name of a release's image: the release and a digest of everything that goes into building it.

    :param release: the recipe, as ``resolve_release`` returns it.
    """
    recipe = {key: release[key] for key in RECIPES[release["kind"]] if key in release}
    if "root" in release:
        recipe["root"] = release_id(release["root"]["name"], release["root"])
    return f"{name}-{data_id(recipe)}"


def check_obtainable(name: str, release: Mapping[str, Any]) -> None:
    """Refuse a release that cannot be had as its entry stands.

    :param release: the recipe, as ``resolve_release`` returns it.
    :raises LabError: with what is missing.
    """
    root = release.get("root", release)
    if root["kind"] == "debootstrap":
        debootstrap.check_obtainable(name, root)


def distinct_roots(releases: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The roots of releases, each once: a release that is laid over nothing is its own.

    :param releases: as in the plan, with ``name`` and ``id``.
    """
    return list({root["id"]: dict(root) for release in releases for root in [release.get("root", release)]}.values())
