# SPDX-License-Identifier: GPL-3.0-or-later
"""A release of kind debootstrap: a Debian or Ubuntu suite."""

from __future__ import annotations

from typing import Any, Mapping

from ..model.errors import LabError

# The fields that an image is built from.
RECIPE = ("suite", "mirror", "keyring", "packages", "architecture", "release_sha256", "sources", "expired")


def check_obtainable(name: str, release: Mapping[str, Any]) -> None:
    """Refuse a release of an archive without a mirror, without a checksum to trust, or with further sources.

    :param release: the recipe, as ``recipe.resolve_release`` returns it.
    :raises LabError: with what is missing and the two ways out.
    """
    if "release_sha256" not in release:
        return
    if "sources" in release:
        raise LabError(
            f"release '{name}' has release_sha256, the checksum of one suite, and sources, further suites; leave one out"
        )
    missing = [] if release["mirror"] else ["its archive mirror is not set"]
    if not release["release_sha256"]:
        missing.append("the checksum of the suite's file Release is not pinned (release_sha256)")
    if missing:
        raise LabError(
            f"release '{name}' cannot be built from suite {release['suite']}: {' and '.join(missing)}; set a mirror that has the "
            "suite, with the checksum, or use a release of kind tree in its place"
        )
