# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's data, read and validated on the controller: releases, pairs, guests and profiles.

Uses jsonschema and PyYAML, which requirements.txt installs there.
"""

from __future__ import annotations

from typing import Any, Mapping

from ..model.errors import LabError
from ..model.version import parse_version
from ..relay.ceiling import CEILINGS
from ..releases.recipe import check_obtainable, resolve_release

# QEMU called its board pc-0.14 up to 1.3, and pc-i440fx-1.4 from 1.4 on.
I440FX_NAMED = parse_version("1.4")


def choose_pair(name: str, pairs: Mapping[str, Any], releases: Mapping[str, Any]) -> dict[str, Any]:
    """The named pair with its name in it, its releases obtainable and its boundary between them.

    With a ceiling the old machines are presented as that version, so the boundary has to be between the ceiling and the new
    release, and the old release must not be below it anyway.

    :raises LabError: when there is no such pair, release or ceiling, when a release's recipe is not complete, or when the
        boundary is not between the two versions.
    """
    if name not in pairs:
        raise LabError(f"there is no pair '{name}'; migration_pairs has {', '.join(sorted(pairs)) or 'none'}")
    pair = {"name": name, **pairs[name]}
    for side in ("old", "new"):
        if pair[side] not in releases:
            raise LabError(
                f"pair '{name}': there is no release '{pair[side]}' ({side}); "
                f"migration_releases has {', '.join(sorted(releases)) or 'none'}"
            )
    old, new = (releases[pair[side]]["libvirt"] for side in ("old", "new"))
    lower, what = old, "old"
    if "ceiling" in pair:
        if pair["ceiling"] not in CEILINGS:
            raise LabError(f"pair '{name}': the tap knows no ceiling {pair['ceiling']}; it has {', '.join(CEILINGS)}")
        if parse_version(old) < parse_version(pair["boundary"]):
            raise LabError(
                f"pair '{name}': a ceiling on a machine that is old anyway: release '{pair['old']}' has libvirt {old}, below "
                f"the boundary {pair['boundary']}; leave the ceiling out"
            )
        lower, what = pair["ceiling"], "the ceiling"
    if not parse_version(lower) < parse_version(pair["boundary"]) <= parse_version(new):
        raise LabError(f"pair '{name}': boundary {pair['boundary']} is not above {what} ({lower}) and at most new ({new})")
    for side in ("old", "new"):
        check_obtainable(pair[side], resolve_release(pair[side], releases))
    return pair


def choose_guest(
    name: str, guests: Mapping[str, Any], pair: Mapping[str, str], releases: Mapping[str, Any], machine: str
) -> dict[str, Any]:
    """The named guest with its name in it and the QEMU machine type filled in.

    :param machine: machine type to use; empty for the guest's pattern with the older QEMU version of the pair.
    :raises LabError: when there is no such guest, or a release of the pair cannot run it.
    """
    if name not in guests:
        raise LabError(f"there is no guest '{name}'; migration_guests has {', '.join(sorted(guests)) or 'none'}")
    guest = {"name": name, **guests[name]}
    sides = [resolve_release(pair[side], releases) for side in ("old", "new")]
    for side, release in zip(("old", "new"), sides):
        if guest["arch"] not in release["emulators"]:
            raise LabError(f"release '{pair[side]}' has no emulator for {guest['arch']} guests; give one in its 'emulators'")
    older = min((release["qemu"] for release in sides), key=parse_version)
    pattern = guest["machine"]
    if parse_version(older) < I440FX_NAMED:
        pattern = pattern.replace("pc-i440fx-", "pc-")
    guest["machine"] = machine or pattern.replace("{qemu}", older)
    return guest
