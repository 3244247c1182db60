# SPDX-License-Identifier: GPL-3.0-or-later
"""Plans a check of the user's own guests: their domains, adapted to the lab and a pair."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Mapping, Sequence

from ..guest.kernel import ARCHITECTURES
from ..model.case import Method
from ..model.errors import LabError
from ..own_guest.adaptation import OwnGuest, adapt
from ..own_guest.domain_file import read_domains
from ..releases.recipe import read_release, resolve_release
from .catalogue import choose_pair, load_catalogue, of_pair

PROFILE = "guest-check"


def adapt_guests(given: Mapping[str, Any]) -> list[OwnGuest]:
    """Read the user's files and adapt them. See the module ``guest_check_info`` for the arguments.

    :raises LabError: on the first input that is wrong.
    """
    catalogue = load_catalogue(Path(given["scenarios"]), given["settings"], {**given, "own_guests": {}})
    for name in of_pair(given["pair"], catalogue["pairs"]):
        catalogue["releases"] = read_release(name, catalogue["releases"])
    pair = choose_pair(given["pair"], catalogue["pairs"], catalogue["releases"])
    releases = {pair[side]: resolve_release(pair[side], catalogue["releases"]) for side in ("old", "new")}
    qemu = {name: release["qemu"] for name, release in releases.items()}
    features = set.intersection(*(set(release.get("features", {})) for release in releases.values()))
    architectures = set.intersection(*(set(release["emulators"]) for release in releases.values()))
    kvm = given["accel"] == "kvm"
    domains = read_domains([Path(path) for path in given["files"]])
    return [adapt(domain, qemu, features, architectures, ARCHITECTURES, kvm) for domain in domains]


def case_patterns(methods: Sequence[str], guests: Sequence[str]) -> str:
    """Patterns of the cases with some methods, with commas between them.

    :param guests: names of the run's guests, which several have in their cases' ids.
    :raises LabError: when a method does not exist.
    """
    known = [method.value for method in Method]
    for method in methods:
        if method not in known:
            raise LabError(f"there is no method '{method}'; the methods are {', '.join(known)}")
    return ",".join(f"{'*/' if len(guests) > 1 else ''}{method}/*" for method in methods) or "*"
