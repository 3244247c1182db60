# SPDX-License-Identifier: GPL-3.0-or-later
"""Recipes: a tree is laid over the image of its root, whatever made that."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from default_catalogue import NO_OWN, RELEASES, SCENARIOS, SETTINGS
from migration_lab.model.errors import LabError
from migration_lab.planning.catalogue import choose_pair, load_catalogue
from migration_lab.planning.schema import read_yaml
from migration_lab.releases.recipe import distinct_roots, read_release, release_id, resolve_release, with_features

IMAGE: dict[str, Any] = {
    "kind": "image", "image": "fedora:42", "install": ["dnf install -y libvirt"], "libvirt": "11.0.0", "qemu": "9.2",
    "python": "/usr/bin/python3", "emulators": {"x86_64": "/usr/bin/qemu-system-x86_64"},
}
TREE: dict[str, Any] = {"kind": "tree", "base": "debian-13", "tree": "/inst", "sha256": "0" * 64, "libvirt": "12.0.0"}


def planned(name: str, releases: dict[str, Any]) -> dict[str, Any]:
    """A release as in a plan with a guest of x86_64."""
    release = with_features(resolve_release(name, {**RELEASES, **releases}), ["x86_64"])
    return {"name": name, "id": release_id(name, release), **release}


def test_tree_without_packages_shares_the_image_of_its_base() -> None:
    mine, base = planned("mine", {"mine": TREE}), planned("debian-13", {})
    assert (mine["root"]["name"], mine["root"]["id"]) == ("debian-13", base["id"])
    assert distinct_roots([mine, base]) == [mine["root"]] and distinct_roots([base]) == [base]
    more = planned("mine", {"mine": {**TREE, "packages": ["libyajl2"]}})
    assert more["root"]["id"] != base["id"] and "libyajl2" in more["root"]["packages"]


def test_tree_has_the_name_and_version_of_its_own() -> None:
    mine = planned("mine", {"mine": TREE})
    assert (mine["name"], mine["kind"], mine["libvirt"], mine["qemu"]) == ("mine", "tree", "12.0.0", "10.0")


def test_tree_over_an_image_has_that_release_as_root() -> None:
    releases = {"fedora": IMAGE, "mine": {**TREE, "base": "fedora"}}
    mine = planned("mine", releases)
    assert mine["root"]["id"] == planned("fedora", releases)["id"] and mine["root"]["install"] == IMAGE["install"]
    assert mine["install"] == [], "what is installed in the root is not installed again"


def test_packages_over_an_image_are_refused() -> None:
    with pytest.raises(LabError) as refused:
        planned("mine", {"fedora": IMAGE, "mine": {**TREE, "base": "fedora", "packages": ["yajl"]}})
    assert str(refused.value) == "release 'mine': 'packages' come from a suite, and base 'fedora' is an image; use 'install'"


@pytest.mark.parametrize(
    ("field", "value", "same"),
    [
        ("image", "fedora:43", False), ("digest", "0123456789ab", False), ("install", [], False),
        ("login", "/root/auth.json", True), ("libvirt", "11.0.1", True),
    ],
)
def test_image_is_of_its_reference_digest_and_commands(field: str, value: Any, same: bool) -> None:
    assert (release_id("fedora", {**IMAGE, field: value}) == release_id("fedora", IMAGE)) is same


def test_id_of_a_tree_changes_with_its_root_and_commands() -> None:
    ids = {
        planned("mine", {"fedora": image, "mine": {**TREE, "base": "fedora", "install": install}})["id"]
        for image in (IMAGE, {**IMAGE, "install": []}) for install in ([], ["true"])
    }
    assert len(ids) == 4


def test_only_what_the_named_release_says_is_read(tmp_path: Path) -> None:
    """Its base as well; what others name may be away."""
    image = {**IMAGE, "image": f"oci:{tmp_path}"}
    releases = {"image": image, "other": {**TREE, "base": "image"}, "suite": RELEASES["debian-12"]}
    assert read_release("suite", releases) == read_release("none", releases) == releases
    for name in ("image", "other"):
        with pytest.raises(LabError, match="the image of release 'image'"):
            read_release(name, releases)
    (tmp_path / "index.json").write_text('{"manifests": [{}]}')
    assert len(read_release("other", releases)["image"]["digest"]) == 12


def test_examples_are_releases_and_pairs() -> None:
    own = read_yaml(SCENARIOS / "examples" / "images.yml")
    catalogue = load_catalogue(SCENARIOS, SETTINGS, {**NO_OWN, **own})
    kinds = {catalogue["releases"][name]["kind"] for name in own["own_releases"]}
    assert kinds == {"image"} and len(own["own_releases"]) == 8
    for pair in own["own_pairs"]:
        assert choose_pair(pair, catalogue["pairs"], catalogue["releases"])["name"] == pair
