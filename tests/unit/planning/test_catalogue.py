# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's data: what is wrong in it is refused with the place, and the default catalogue is right."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from default_catalogue import CATALOGUE, GUESTS, NO_OWN, PAIRS, RELEASES, SCENARIOS, SETTINGS, TREE, changed
from migration_lab.model.digest import files_id
from migration_lab.model.errors import LabError
from migration_lab.planning.catalogue import choose_pair, choose_sweep, load_catalogue
from migration_lab.planning.guests import choose_guests
from migration_lab.planning.profiles import load_profile
from migration_lab.releases.daemons import daemons
from migration_lab.releases.debootstrap import check_obtainable
from migration_lab.releases.recipe import release_id, resolve_release

# The default catalogue


def test_default_catalogue_has_its_releases() -> None:
    assert {name: (entry["suite"], entry["libvirt"], entry["qemu"]) for name, entry in RELEASES.items()} == {
        "debian-6": ("squeeze", "0.8.3", "0.12"),
        "debian-7": ("wheezy", "0.9.12", "1.1"),
        "debian-11": ("bullseye", "7.0.0", "5.2"),
        "debian-12": ("bookworm", "9.0.0", "7.2"),
        "debian-12-backports": ("bookworm", "11.3.0", "10.0"),
        "debian-12-qemu-11.1": ("trixie", "9.0.0", "11.1"),
        "debian-13": ("trixie", "11.3.0", "10.0"),
        "debian-13-backports": ("trixie", "12.9.0", "11.1"),
        "debian-testing": ("testing", "12.8.0", "11.1"),
        "ubuntu-11.04": ("natty", "0.8.8", "0.14"),
        "ubuntu-11.10": ("oneiric", "0.9.2", "0.14"),
    }


# Bad entries of the catalogue


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("releases/debian-12/suite", None, "own_releases: debian-12: 'suite' is a required property"),
        ("releases/debian-12/libvirt", None, "own_releases: debian-12: 'libvirt' is a required property"),
        ("releases/debian-12/libvirt", 9.0, "own_releases: debian-12, libvirt: 9.0 is not of type 'string'"),
        ("releases/debian-12/libvirt", "latest", "own_releases: debian-12, libvirt: 'latest' does not match"),
        ("releases/debian-12/qemu", "7.2.22", "own_releases: debian-12, qemu: '7.2.22' does not match"),
        ("releases/debian-12/qemu", 7.2, "own_releases: debian-12, qemu: 7.2 is not of type 'string'"),
        ("releases/debian-12/kind", "rpm", "own_releases: debian-12, kind: "),
        ("releases/debian-12/mirror", "ftp.debian.org", "own_releases: debian-12, mirror: 'ftp.debian.org' does not match"),
        ("releases/debian-12/keyring", "keys.gpg", "own_releases: debian-12, keyring: 'keys.gpg' does not match"),
        ("releases/debian-12/packages", [], "own_releases: debian-12, packages: [] "),
        ("releases/debian-12/packages", ["ok", "Not Ok"], "own_releases: debian-12, packages, entry 2: 'Not Ok' does not match"),
        ("releases/debian-12/python", "python3", "own_releases: debian-12, python: 'python3' does not match"),
        ("releases/debian-12/emulators/x86_64", "qemu", "own_releases: debian-12, emulators, x86_64: 'qemu' does not match"),
        ("releases/debian-12/daemons", "split", "own_releases: debian-12, daemons: 'split' is not one of ['monolithic',"),
        ("releases/debian-12/extra", "x", "own_releases: debian-12: Additional properties are not allowed ('extra' was"),
        ("releases/Debian 12", {}, "own_releases: 'Debian 12' does not match"),
        ("releases/debian-12", "bookworm", "own_releases: debian-12: 'bookworm' is not of type 'object'"),
        ("pairs/debian/new", None, "own_pairs: debian: 'new' is a required property"),
        ("pairs/emulated-v2/boundary", None, "own_pairs: emulated-v2: 'boundary' is a dependency of 'ceiling'"),
        ("pairs/debian/boundary", 11.3, "own_pairs: debian, boundary: 11.3 is not of type 'string'"),
        ("pairs/debian/older", "x", "own_pairs: debian: Additional properties are not allowed ('older' was unexpected)"),
        ("releases/debian-12/packages", ["libvirt0="], "own_releases: debian-12, packages, entry 1: 'libvirt0=' does not match"),
        ("releases/debian-12/sources", [{"mirror": ""}], "own_releases: debian-12, sources, entry 1: 'suite' is a required"),
        (
            "releases/debian-13-backports/sources/0/pin", "x",
            "own_releases: debian-13-backports, sources, entry 1: Additional properties are not allowed ('pin' was unexpected)",
        ),
        (
            "releases/debian-13-backports/sources/0/packages", ["libvirt* qemu"],
            "own_releases: debian-13-backports, sources, entry 1, packages, entry 1: 'libvirt* qemu' does not match",
        ),
        (
            "releases/debian-12/sources", [{"suite": "sid", "priority": 1}],
            "own_releases: debian-12, sources, entry 1: 'packages' is a dependency of 'priority'",
        ),
        ("releases/debian-6/release_sha256", "1234", "own_releases: debian-6, release_sha256: '1234' does not match"),
        ("releases/debian-6/architecture", "arm64", "own_releases: debian-6, architecture: 'arm64' is not one of"),
        ("releases/debian-6/needs", ["kvm"], "own_releases: debian-6, needs, entry 1: 'kvm' is not one of"),
        ("releases/debian-6/kind", "tree", "own_releases: debian-6: 'base' is a required property"),
        ("releases/my", {**TREE, "sha256": "ab"}, "own_releases: my, sha256: 'ab' does not match"),
        ("releases/my", {**TREE, "tree": "my.tar"}, "own_releases: my, tree: 'my.tar' does not match"),
        ("releases/my", {**TREE, "suite": "bookworm"}, "own_releases: my: Additional properties are not allowed ('suite' was"),
        ("releases/my", {**TREE, "prefix": "opt"}, "own_releases: my, prefix: 'opt' does not match"),
        ("pairs/emulated-v2/ceiling", 0.9, "own_pairs: emulated-v2, ceiling: 0.9 is not of type 'string'"),
        ("pairs/debian/workers_per_core", 0, "own_pairs: debian, workers_per_core: 0 is less than the minimum of 1"),
        ("pairs/debian/alone_again", "yes", "own_pairs: debian, alone_again: 'yes' is not of type 'boolean'"),
    ],
)
def test_bad_entry_is_refused_with_entry_and_field(path: str, value: Any, said: str) -> None:
    own = {f"own_{section}": entries for section, entries in changed(CATALOGUE, path, value).items()}
    with pytest.raises(LabError) as refusal:
        load_catalogue(SCENARIOS, SETTINGS, own)
    assert str(refusal.value).startswith(said)


@pytest.mark.parametrize(
    ("file", "before", "after", "said"),
    [
        ("releases.yml", "suite: bookworm", "suite: Book", "debian-12, suite: 'Book' does not match"),
        ("pairs.yml", "boundary: 9.0.0", "boundary: 9", "debian-lts, boundary: 9 is not of type 'string'"),
        ("guests/x86_64.yml", "memory: 16", "memory: 8", "memory: 8 is less than the minimum of 16"),
        ("releases.yml", "tpm: [swtpm, swtpm-tools]", "tpm: [Q]", "debian-12-backports, features, tpm, entry 1: 'Q' does not"),
        ("pairs.yml", "$v3_protocol_new", "$v4", "v3-protocol, new: there is no setting 'v4'; the settings are archive_"),
    ],
)
def test_bad_entry_of_the_lab_is_refused_with_its_file(
    tmp_path: Path, file: str, before: str, after: str, said: str
) -> None:
    scenarios = Path(shutil.copytree(SCENARIOS, tmp_path / "scenarios"))
    text = (scenarios / file).read_text()
    (scenarios / file).write_text(text.replace(before, after, 1))
    with pytest.raises(LabError) as refusal:
        load_catalogue(scenarios, SETTINGS, NO_OWN)
    assert str(refusal.value).startswith(f"{scenarios / file}: {said}")


@pytest.mark.parametrize(("text", "said"), [(None, "cannot be read (No such file"), ("a: [", "is not YAML: ")])
def test_file_of_the_catalogue_that_cannot_be_used_is_named(tmp_path: Path, text: str | None, said: str) -> None:
    scenarios = Path(shutil.copytree(SCENARIOS, tmp_path / "scenarios"))
    (scenarios / "pairs.yml").unlink()
    if text is not None:
        (scenarios / "pairs.yml").write_text(text)
    with pytest.raises(LabError) as refusal:
        load_catalogue(scenarios, SETTINGS, NO_OWN)
    assert str(refusal.value).startswith(f"{scenarios / 'pairs.yml'} {said}")


# Settings and entries of the user's own


def test_settings_stand_where_the_catalogue_names_them() -> None:
    settings = {**SETTINGS, "debian_mirror": "http://mirror/debian", "v3_protocol_old": "debian-6"}
    catalogue = load_catalogue(SCENARIOS, settings, NO_OWN)
    assert catalogue["releases"]["debian-12"]["mirror"] == "http://mirror/debian"
    assert catalogue["pairs"]["v3-protocol"]["old"] == "debian-6"


def test_own_entries_are_added_and_may_replace_those_of_the_lab() -> None:
    own = {
        "own_releases": {"mine": {**RELEASES["debian-13"], "mirror": "$debian_mirror"}},
        "own_pairs": {"debian": {"old": "debian-11", "new": "mine", "boundary": "11.3.0"}},
        "own_guests": {"big": {**GUESTS["x86_64"], "memory": 64}},
    }
    catalogue = load_catalogue(SCENARIOS, {**SETTINGS, "debian_mirror": "http://mirror"}, own)
    assert catalogue["releases"]["mine"]["mirror"] == "http://mirror" and set(catalogue["releases"]) == {*RELEASES, "mine"}
    assert catalogue["pairs"] == {**PAIRS, **own["own_pairs"]} and catalogue["guests"] == {**GUESTS, **own["own_guests"]}


# Pairs


@pytest.mark.parametrize(
    ("name", "known"),
    [("redhat", "debian, debian-backports, debian-lts, debian-skip, emulated-v2, next, qemu-argument, v3-protocol, wide")]
    + [(name, "debian, debian-backports, debian-lts") for name in ("", "Debian")],
)
def test_unknown_pair_is_refused_with_the_known_ones(name: str, known: str) -> None:
    with pytest.raises(LabError, match=f"there is no pair '{name}'; the pairs are {known}"):
        choose_pair(name, PAIRS, RELEASES)


@pytest.mark.parametrize("side", ["old", "new"])
def test_pair_with_an_unknown_release_is_refused(side: str) -> None:
    with pytest.raises(LabError) as refusal:
        choose_pair("debian", changed(PAIRS, f"debian/{side}", "debian-99"), RELEASES)
    assert str(refusal.value) == (
        f"pair 'debian': there is no release 'debian-99' ({side}); the releases are debian-11, debian-12, debian-12-backports, "
        "debian-12-qemu-11.1, debian-13, debian-13-backports, debian-6, debian-7, debian-testing, ubuntu-11.04, ubuntu-11.10"
    )


def test_pair_may_have_no_boundary_and_any_order() -> None:
    same = {"old": "debian-13", "new": "debian-12"}
    assert choose_pair("back", {"back": same}, CATALOGUE["releases"]) == {"name": "back", **same}


def test_a_sweep_has_its_releases_in_their_order() -> None:
    names = ["debian-13", "debian-11"]
    assert choose_sweep(names, CATALOGUE["releases"]) == {"name": "sweep", "releases": names}


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["debian-12", "sid"], "releases: there is no release 'sid'; the releases are debian-11, debian-12, "),
        (["debian-12", "debian-13", "debian-12"], "releases: 'debian-12' is there twice; name each release once"),
        (["debian-12"], "releases: a sweep has 2 to 13 releases, not 1; name them with commas between them, such as "),
        (["debian-12", "debian-7"], "release 'debian-7'"),
    ],
)
def test_sweep_that_cannot_be_is_refused(names: list[str], said: str) -> None:
    with pytest.raises(LabError) as refusal:
        choose_sweep(names, CATALOGUE["releases"])
    assert str(refusal.value).startswith(said)


def test_a_sweep_ends_with_the_letters() -> None:
    releases = {f"r{number}": CATALOGUE["releases"]["debian-12"] for number in range(14)}
    assert len(choose_sweep(list(releases)[:13], releases)["releases"]) == 13
    with pytest.raises(LabError, match="a sweep has 2 to 13 releases, not 14"):
        choose_sweep(list(releases), releases)


@pytest.mark.parametrize("boundary", ["9.0.1", "10.0", "11.3.0"])
def test_boundary_is_above_old_and_at_most_new(boundary: str) -> None:
    pair = choose_pair("debian", changed(PAIRS, "debian/boundary", boundary), RELEASES)
    assert pair == {"name": "debian", "old": "debian-12", "new": "debian-13", "boundary": boundary}


@pytest.mark.parametrize("boundary", ["9.0.0", "8.9.9", "11.3.1", "11.10.0", "0.9.2"])
def test_boundary_that_is_not_between_is_refused(boundary: str) -> None:
    with pytest.raises(LabError) as refusal:
        choose_pair("debian", changed(PAIRS, "debian/boundary", boundary), RELEASES)
    assert str(refusal.value) == f"pair 'debian': boundary {boundary} is not above old (9.0.0) and at most new (11.3.0)"


@pytest.mark.parametrize("pair", [{"old": "debian-13", "new": "debian-12"}, {"old": "debian-13", "new": "debian-13"}])
def test_pair_the_wrong_way_round_is_refused(pair: dict[str, str]) -> None:
    with pytest.raises(LabError, match=r"boundary 11\.3\.0 is not above old"):
        choose_pair("wrong", {"wrong": {**pair, "boundary": "11.3.0"}}, RELEASES)


# Ceilings


def test_emulated_pair_is_one_release_with_a_ceiling_below_the_boundary() -> None:
    assert choose_pair("emulated-v2", PAIRS, RELEASES) == {
        "name": "emulated-v2", "old": "debian-12", "new": "debian-12", "boundary": "0.9.2", "ceiling": "0.9.1"
    }


def test_ceiling_that_the_relay_does_not_know_is_refused() -> None:
    with pytest.raises(LabError, match=r"pair 'emulated-v2': the relay knows no ceiling 0\.9\.0; it has 0\.9\.1"):
        choose_pair("emulated-v2", changed(PAIRS, "emulated-v2/ceiling", "0.9.0"), RELEASES)


@pytest.mark.parametrize("boundary", ["0.9.1", "0.8.0"])
def test_boundary_that_is_not_above_the_ceiling_is_refused(boundary: str) -> None:
    with pytest.raises(LabError) as refusal:
        choose_pair("emulated-v2", changed(PAIRS, "emulated-v2/boundary", boundary), RELEASES)
    assert str(refusal.value) == (
        f"pair 'emulated-v2': boundary {boundary} is not above the ceiling (0.9.1) and at most new (9.0.0)"
    )


@pytest.mark.parametrize(("old", "boundary"), [("0.9.1", "0.9.2"), ("0.8.3", "0.9.2"), ("9.0.0", "11.3.0")])
def test_ceiling_on_a_machine_that_is_old_anyway_is_refused(old: str, boundary: str) -> None:
    pairs = {"p": {"old": "debian-12", "new": "debian-13", "boundary": boundary, "ceiling": "0.9.1"}}
    with pytest.raises(LabError) as refusal:
        choose_pair("p", pairs, changed(RELEASES, "debian-12/libvirt", old))
    assert str(refusal.value) == (
        f"pair 'p': a ceiling on a machine that is old anyway: release 'debian-12' has libvirt {old}, below the boundary "
        f"{boundary}; leave the ceiling out"
    )


# Archives


def test_archive_with_further_sources_is_refused() -> None:
    releases = changed(RELEASES, "debian-13-backports/release_sha256", "0" * 64)
    with pytest.raises(LabError, match=r"release 'debian-13-backports' has release_sha256, .*, and sources, .*; leave one out"):
        choose_pair("next", PAIRS, releases)


def test_expired_suite_has_its_lines_written() -> None:
    assert resolve_release("x", {"x": {**RELEASES["debian-12"], "expired": True}})["sources"] == []
    assert "sources" not in resolve_release("debian-12", RELEASES)


def test_pair_of_2011_is_refused_until_its_archive_is_named_and_pinned() -> None:
    with pytest.raises(LabError) as refusal:
        choose_pair("v3-protocol", PAIRS, RELEASES)
    assert str(refusal.value) == (
        "release 'ubuntu-11.04' cannot be built from suite natty: its archive mirror is not set and the checksum of the suite's "
        "file Release is not pinned (release_sha256); set a mirror that has the suite, with the checksum, or use a release of "
        "kind tree in its place"
    )


def test_pair_of_2011_is_taken_from_an_archive_that_is_named_and_pinned() -> None:
    releases = RELEASES
    for name in ("ubuntu-11.04", "ubuntu-11.10"):
        releases = changed(changed(releases, f"{name}/mirror", "http://mirror"), f"{name}/release_sha256", "0" * 64)
    pair = choose_pair("v3-protocol", PAIRS, releases)
    assert (pair["old"], pair["new"], pair["workers_per_core"], pair["alone_again"]) == ("ubuntu-11.04", "ubuntu-11.10", 2, True)
    assert choose_guests(["x86_64"], GUESTS, pair, releases, "")["x86_64"]["machine"] == "pc-0.14"


@pytest.mark.parametrize(
    ("mirror", "sha256", "missing"),
    [("", "0" * 64, "its archive mirror is not set;"), ("http://mirror", "", "the checksum of the suite's file Release is not")],
)
def test_archive_that_lacks_one_is_refused_for_it(mirror: str, sha256: str, missing: str) -> None:
    archive = {**RELEASES["debian-6"], "mirror": mirror, "release_sha256": sha256}
    with pytest.raises(LabError, match=f"release 'debian-6' cannot be built from suite squeeze: {missing}"):
        check_obtainable("debian-6", archive)


def test_suite_that_apt_trusts_needs_neither() -> None:
    check_obtainable("debian-12", RELEASES["debian-12"])


# Trees


def test_release_that_is_no_tree_is_its_own_recipe() -> None:
    assert resolve_release("debian-12", RELEASES) == RELEASES["debian-12"]


def test_tree_is_laid_over_its_bases_recipe() -> None:
    base = RELEASES["debian-11"]
    assert resolve_release("my", {**RELEASES, "my": TREE}) == {
        **{field: base[field] for field in ("qemu", "emulators", "features")}, **TREE, "python": "/lab/python",
        "interpreter": "/usr/bin/python2.7", "adapt_emulators": True, "install": [],
        "root": {"name": "debian-11", **base, "packages": [*base["packages"], "python2.7", "qemu-system-x86"]},
    }


def test_tree_may_differ_from_its_base() -> None:
    own = {"qemu": "4.1", "emulators": {"x86_64": "/opt/qemu"}}
    recipe = resolve_release("my", {**RELEASES, "my": {**changed(TREE, "python", None), **own}})
    assert (recipe["qemu"], recipe["emulators"], recipe["interpreter"]) == ("4.1", {"x86_64": "/opt/qemu"}, "/usr/bin/python3")


@pytest.mark.parametrize(
    ("libvirt", "qemu", "adapted"),
    [
        ("0.9.1", "5.2", True),
        ("0.10.2", "10.0", True),
        ("0.9.1", "1.1", False),
        ("1.0.0", "10.0", False),
    ],
)
def test_emulator_too_new_for_the_trees_libvirt_is_adapted(libvirt: str, qemu: str, adapted: bool) -> None:
    recipe = resolve_release("my", {**RELEASES, "my": {**TREE, "libvirt": libvirt, "qemu": qemu}})
    assert recipe["adapt_emulators"] is adapted


@pytest.mark.parametrize(("base", "said"), [("debian-99", "there is no such release"), ("other", "that is a tree itself")])
def test_tree_over_what_is_no_root_is_refused(base: str, said: str) -> None:
    with pytest.raises(LabError) as refusal:
        resolve_release("my", {**RELEASES, "other": TREE, "my": {**TREE, "base": base}})
    assert str(refusal.value).startswith(f"release 'my': base is '{base}', {said}; lay the tree over one of debian-11, debian-12")


def test_tree_has_its_place_in_pairs_and_runs_its_bases_guests() -> None:
    releases = {**RELEASES, "my": TREE}
    pair = choose_pair("v3-protocol", changed(changed(PAIRS, "v3-protocol/old", "my"), "v3-protocol/new", "debian-11"), releases)
    assert choose_guests(["x86_64"], GUESTS, pair, releases, "")["x86_64"]["machine"] == "pc-i440fx-5.2"


@pytest.mark.parametrize(
    "choose",
    [lambda given: choose_pair("debian", PAIRS, given), lambda given: choose_sweep(["debian-12", "debian-13"], given)],
    ids=["pair", "sweep"],
)
def test_modular_daemons_are_of_a_version_that_has_them(choose: Callable[[dict[str, Any]], Any]) -> None:
    releases = changed(RELEASES, "debian-12/daemons", "modular")
    choose(releases)
    with pytest.raises(LabError, match=r"^release 'debian-12': libvirt 5\.0\.0 has no modular daemons, they came"):
        choose(changed(releases, "debian-12/libvirt", "5.0.0"))


def test_tree_has_the_daemons_of_its_base_unless_it_says_others() -> None:
    releases = {**changed(RELEASES, f"{TREE['base']}/daemons", "modular"), "my": TREE, "other": {**TREE, "daemons": "monolithic"}}
    assert daemons(resolve_release("my", releases)) == "modular"
    assert daemons(resolve_release("other", releases)) == "monolithic"


# Identities


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("kind", "tree"),
        ("suite", "sid"),
        ("mirror", "http://archive.debian.org/debian"),
        ("keyring", "/usr/share/keyrings/debian-archive-removed-keys.gpg"),
        ("packages", ["libvirt-daemon"]),
        ("sources", [{"suite": "bookworm-backports"}]),
        ("expired", True),
    ],
)
def test_release_id_changes_with_the_recipe(field: str, value: Any) -> None:
    release = RELEASES["debian-12"]
    assert release_id("debian-12", {**release, field: value}) != release_id("debian-12", release)


@pytest.mark.parametrize(
    ("field", "value"), [("libvirt", "9.0.1"), ("qemu", "8.0"), ("python", "/usr/bin/python3.11"), ("emulators", {})]
)
def test_release_id_stays_when_something_else_changes(field: str, value: Any) -> None:
    release = RELEASES["debian-12"]
    assert release_id("debian-12", {**release, field: value}) == release_id("debian-12", release)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("sha256", "1" * 64), ("packages", []), ("base", "debian-12"), ("prefix", "/opt/x"), ("binding", "/opt/y"),
    ],
)
def test_release_id_of_a_tree_changes_with_what_is_in_it(field: str, value: Any) -> None:
    releases = {**RELEASES, "my": TREE, "its": {**TREE, field: value}}
    assert release_id("my", resolve_release("my", releases)) != release_id("my", resolve_release("its", releases))


def test_release_id_of_a_tree_stays_when_the_tarball_moves() -> None:
    releases = {**RELEASES, "my": TREE, "its": {**TREE, "tree": "http://other/libvirt.tar"}}
    assert release_id("my", resolve_release("my", releases)) == release_id("my", resolve_release("its", releases))


def test_release_id_of_an_archive_is_of_its_pin_and_architecture() -> None:
    release = RELEASES["debian-6"]
    ids = {
        release_id("debian-6", entry)
        for entry in (release, {**release, "release_sha256": "0" * 64}, {**release, "architecture": "i386"})
    }
    assert len(ids) == 3


def test_release_id_has_the_name_and_does_not_depend_on_the_order_of_fields() -> None:
    release = RELEASES["debian-12"]
    assert release_id("debian-12", release).startswith("debian-12-")
    assert release_id("debian-12", dict(reversed(release.items()))) == release_id("debian-12", release)
    assert len({release_id(name, entry) for name, entry in RELEASES.items()}) == len(RELEASES)


def test_files_id_is_of_names_and_contents(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.write_text("1")
    other.write_text("2")
    before = files_id([one, other])
    assert files_id([other, one]) == before
    assert files_id([one]) != before
    other.write_text("3")
    assert files_id([one, other]) != before
    other.write_text("2")
    assert files_id([one, other.rename(tmp_path / "third")]) != before


# Profiles

PROFILE: dict[str, Any] = {
    "name": "small",
    "description": "Small.",
    "methods": ["normal", "p2p"],
    "scenarios": [
        {"name": "running", "persistent": False, "state": "running", "target_config": False},
        {"name": "paused", "persistent": True, "state": "paused", "target_config": True},
    ],
    "flags": [{"name": "none", "migrate": []}, {"name": "live", "migrate": ["live"]}],
}


@pytest.fixture
def scenarios(tmp_path: Path) -> Path:
    """A folder of scenarios with the lab's schema and no profile."""
    folder = tmp_path / "scenarios"
    (folder / "profiles").mkdir(parents=True)
    (folder / "schema").symlink_to(SCENARIOS / "schema")
    return folder


def put(scenarios: Path, text: str | bytes) -> Path:
    """Write the profile ``small``; returns its path."""
    path = scenarios / "profiles" / "small.yml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize("name", ["canonical", "tck"])
def test_profiles_of_the_lab_are_valid(name: str) -> None:
    data = load_profile(name, SCENARIOS)
    assert data == yaml.safe_load((SCENARIOS / f"profiles/{name}.yml").read_text())


def test_added_profile_is_a_file(scenarios: Path) -> None:
    put(scenarios, yaml.safe_dump(PROFILE))
    assert load_profile("small", scenarios) == PROFILE


@pytest.mark.parametrize("name", ["nightly", "", "small.yml", "Small"])
def test_unknown_profile_is_refused_with_the_known_ones(scenarios: Path, name: str) -> None:
    put(scenarios, yaml.safe_dump(PROFILE))
    with pytest.raises(LabError) as refusal:
        load_profile(name, scenarios)
    assert str(refusal.value) == f"there is no profile '{name}'; {scenarios / 'profiles'} has small"


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("scenarios", None, "'scenarios' is a required property"),
        ("scenarios", [], "scenarios: [] "),
        ("scenarios/1/state", "asleep", "scenarios, 'paused', state: 'asleep' is not one of ['running', 'paused']"),
        ("scenarios/1/state", None, "scenarios, 'paused': 'state' is a required property"),
        ("scenarios/0/persistent", "no", "scenarios, 'running', persistent: 'no' is not of type 'boolean'"),
        ("scenarios/0/target", True, "scenarios, 'running': Additional properties are not allowed ('target' was unexpected)"),
        ("scenarios/0/name", None, "scenarios, entry 1: 'name' is a required property"),
        ("scenarios/1/name", "a/b", "scenarios, 'a/b', name: 'a/b' does not match"),
        ("methods", ["normal", "direct"], "methods, entry 2: 'direct' is not one of"),
        ("methods", ["p2p", "p2p"], "methods: ['p2p', 'p2p'] has non-unique elements"),
        ("methods", "p2p", "methods: 'p2p' is not of type 'array'"),
        ("flags/1/migrate", ["fast"], "flags, 'live', migrate, entry 1: 'fast' is not one of"),
        ("flags/1/migrate", "live", "flags, 'live', migrate: 'live' is not of type 'array'"),
        ("flags/1/migrate", ["live", "live"], "flags, 'live', migrate: ['live', 'live'] has non-unique elements"),
        ("flags/1/name", "LIVE", "flags, 'LIVE', name: 'LIVE' does not match"),
        ("description", None, "'description' is a required property"),
        ("descriptoin", "x", "Additional properties are not allowed ('descriptoin' was unexpected)"),
        ("name", "other", "field 'name' is 'other'; it must be 'small', as the file is called"),
    ],
)
def test_malformed_profile_is_refused_with_file_entry_and_field(scenarios: Path, path: str, value: Any, said: str) -> None:
    file = put(scenarios, yaml.safe_dump(changed(PROFILE, path, value)))
    with pytest.raises(LabError) as refusal:
        load_profile("small", scenarios)
    assert str(refusal.value).startswith(f"{file}: {said}")


@pytest.mark.parametrize("flag", ["peer2peer", "tunnelled"])
def test_flag_of_a_method_in_a_flag_set_is_refused(scenarios: Path, flag: str) -> None:
    file = put(scenarios, yaml.safe_dump(changed(PROFILE, "flags/1/migrate", ["live", flag])))
    with pytest.raises(LabError) as refusal:
        load_profile("small", scenarios)
    assert str(refusal.value).startswith(f"{file}: flags") and f"'{flag}'" in str(refusal.value)
    assert "'live'" in str(refusal.value), "the flag set is named"


@pytest.mark.parametrize(
    ("field", "again", "name"),
    [("scenarios", PROFILE["scenarios"][1], "paused"), ("flags", {"name": "none", "migrate": ["unsafe"]}, "none")],
)
def test_name_that_is_there_twice_is_refused(scenarios: Path, field: str, again: dict[str, Any], name: str) -> None:
    file = put(scenarios, yaml.safe_dump({**PROFILE, field: [*PROFILE[field], again]}))
    with pytest.raises(LabError) as refusal:
        load_profile("small", scenarios)
    assert str(refusal.value) == f"{file}: {field}: the name '{name}' is there twice; names must be unique"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name: [", "is not YAML: "),
        ("name: small\n  methods: x: y", "is not YAML: "),
        ("name: !!python/object:os.system {}", "is not YAML: "),
        ("", ": None is not of type 'object'"),
        ("- name: small", ": [{'name': 'small'}] is not of type 'object'"),
        ("small", ": 'small' is not of type 'object'"),
    ],
)
def test_file_that_is_no_profile_is_refused_by_name(scenarios: Path, text: str, said: str) -> None:
    file = put(scenarios, text)
    with pytest.raises(LabError) as refusal:
        load_profile("small", scenarios)
    assert str(refusal.value).startswith(f"{file}") and said in str(refusal.value)
    assert "\n" not in str(refusal.value)
