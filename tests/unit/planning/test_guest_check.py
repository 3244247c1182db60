# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan of a check: the pair's releases decide what of a guest the lab can run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from migration_lab.model.errors import LabError
from migration_lab.planning.guest_check import adapt_guests, case_patterns
from migration_lab.planning.guests import choose_guests
from migration_lab.planning.schema import validate

ROOT = Path(__file__).parents[3]
GUESTS = ROOT / "tests/guests"


def given(*files: str, **others: Any) -> dict[str, Any]:
    settings = dict.fromkeys(
        (
            "debian_mirror", "debian_keyring", "ubuntu_archive_mirror", "ubuntu_archive_keyring", "natty_release_sha256",
            "oneiric_release_sha256", "debian_archive_mirror", "debian_archive_keyring", "squeeze_release_sha256",
            "wheezy_release_sha256",
        ), "",
    )
    settings |= {"archive_architecture": "amd64", "v3_protocol_old": "ubuntu-11.04", "v3_protocol_new": "ubuntu-11.10"}
    return {
        "files": [str(GUESTS / file) for file in files], "pair": "debian", "accel": "auto", "scenarios": str(ROOT / "scenarios"),
        "settings": settings, "own_releases": {}, "own_pairs": {}, **others,
    }


def test_adapted_guests_are_guests_that_the_planner_takes() -> None:
    guests = {guest.name: guest.data for guest in adapt_guests(given("two-cores.xml", "host-device.xml", "spice.xml", "tpm.xml"))}
    assert list(guests) == ["app01", "gpu-node", "desktop", "win11"]
    for name, data in guests.items():
        validate(data, ROOT / "scenarios/schema/guest.json", name)
    pair = {"old": "a", "new": "b"}
    release = {
        "kind": "debootstrap", "emulators": {"x86_64": "/x"}, "qemu": "7.2", "libvirt": "9.0.0",
        "features": {"uefi": [], "tpm": [], "spice": []},
    }
    chosen = choose_guests(list(guests), guests, pair, {"a": release, "b": release}, "")
    assert "<name>@name@</name>" in chosen["app01"]["xml"] and chosen["win11"]["needs"] == ["tpm", "uefi"]


def test_methods_become_patterns_of_cases() -> None:
    assert case_patterns([], ["a"]) == "*"
    assert case_patterns(["p2p", "normal"], ["a"]) == "p2p/*,normal/*"
    assert case_patterns(["p2p"], ["a", "b"]) == "*/p2p/*"
    with pytest.raises(LabError, match="there is no method 'post'; the methods are normal, p2p, tunnelled"):
        case_patterns(["post"], ["a"])


def test_an_unknown_pair_is_refused() -> None:
    with pytest.raises(LabError, match="there is no pair 'nothing'"):
        adapt_guests(given("two-cores.xml", pair="nothing"))
