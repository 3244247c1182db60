# SPDX-License-Identifier: GPL-3.0-or-later
"""The catalogue: which releases, pairs and guests there are, and the pair that a run chooses."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Mapping, Sequence

from ..model.combination import LETTERS
from ..model.errors import LabError
from ..model.pair import SWEEP
from ..model.version import parse_version
from ..relay.ceiling import CEILINGS
from ..releases.daemons import check_daemons
from ..releases.recipe import check_obtainable, resolve_release
from .guests import load_guests
from .schema import read_yaml, validate

SECTIONS = ("releases", "pairs")
OWN = ("own_releases", "own_pairs", "own_guests")


def load_catalogue(scenarios: Path, settings: Mapping[str, Any], own: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Read and validate the releases, pairs and guests of the lab and the user's own, which replace the lab's of the same name.

    :param scenarios: the folder with ``releases.yml``, ``pairs.yml``, ``guests/`` and ``schema/``.
    :param settings: what a site sets, by name; a value ``$name`` in the data stands for one.
    :param own: the user's entries: ``own_releases``, ``own_pairs`` and ``own_guests``.
    :returns: ``releases``, ``pairs`` and ``guests``, by name.
    :raises LabError: naming file or variable, entry and field.
    """
    catalogue: dict[str, Any] = {**{section: {} for section in SECTIONS}, "guests": load_guests(scenarios, own["own_guests"])}
    for section in SECTIONS:
        path = scenarios / f"{section}.yml"
        for where, data in ((str(path), read_yaml(path)), (f"own_{section}", own[f"own_{section}"])):
            entries = _settle(data, settings, where)
            validate(entries, scenarios / "schema" / path.with_suffix(".json").name, where)
            catalogue[section].update(entries)
    return catalogue


def _settle(data: Any, settings: Mapping[str, Any], where: str, *place: str) -> Any:
    """A copy of the data with settings in place of the values ``$name``.

    :param place: the entry and fields that the data is in, for the error.
    """
    if isinstance(data, Mapping):
        return {key: _settle(value, settings, where, *place, str(key)) for key, value in data.items()}
    if isinstance(data, list):
        return [_settle(value, settings, where, *place) for value in data]
    if not isinstance(data, str) or not data.startswith("$"):
        return data
    if data[1:] not in settings:
        raise LabError(
            f"{where}: {', '.join(place)}: there is no setting '{data[1:]}'; the settings are {', '.join(sorted(settings))}"
        )
    return settings[data[1:]]


def of_pair(name: str, pairs: Mapping[str, Any]) -> list[str]:
    """The names of a pair's releases; none where there is no such pair."""
    return [pairs[name][side] for side in ("old", "new")] if name in pairs else []


def choose_pair(name: str, pairs: Mapping[str, Any], releases: Mapping[str, Any]) -> dict[str, Any]:
    """The named pair with its name in it, its releases obtainable and its boundary, where it has one, between them.

    With a ceiling the old machines are presented as that version, so the boundary has to be between the ceiling and the new
    release, and the old release must not be below it anyway.

    :raises LabError: when there is no such pair, release or ceiling, when a release's recipe is not complete or not possible, or
        when the boundary is not between the two versions.
    """
    if name not in pairs:
        raise LabError(f"there is no pair '{name}'; the pairs are {', '.join(sorted(pairs)) or 'none'}")
    pair = {"name": name, **pairs[name]}
    for side in ("old", "new"):
        if pair[side] not in releases:
            raise LabError(
                f"pair '{name}': there is no release '{pair[side]}' ({side}); "
                f"the releases are {', '.join(sorted(releases)) or 'none'}"
            )
    old, new = (releases[pair[side]]["libvirt"] for side in ("old", "new"))
    lower, what = old, "old"
    if "ceiling" in pair:
        if pair["ceiling"] not in CEILINGS:
            raise LabError(f"pair '{name}': the relay knows no ceiling {pair['ceiling']}; it has {', '.join(CEILINGS)}")
        if parse_version(old) < parse_version(pair["boundary"]):
            raise LabError(
                f"pair '{name}': a ceiling on a machine that is old anyway: release '{pair['old']}' has libvirt {old}, below "
                f"the boundary {pair['boundary']}; leave the ceiling out"
            )
        lower, what = pair["ceiling"], "the ceiling"
    if "boundary" in pair and not parse_version(lower) < parse_version(pair["boundary"]) <= parse_version(new):
        raise LabError(f"pair '{name}': boundary {pair['boundary']} is not above {what} ({lower}) and at most new ({new})")
    for side in ("old", "new"):
        _check_recipe(pair[side], releases)
    return pair


def choose_sweep(names: Sequence[str], releases: Mapping[str, Any]) -> dict[str, Any]:
    """A sweep over the named releases, in place of a pair. Two of them may have the same libvirt: their QEMUs may differ.

    :raises LabError: when there is no such release, one is named twice, they are too few or too many, or one's recipe is not
        complete.
    """
    unknown = [name for name in names if name not in releases]
    if unknown:
        raise LabError(f"releases: there is no release '{unknown[0]}'; the releases are {', '.join(sorted(releases)) or 'none'}")
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise LabError(f"releases: '{twice[0]}' is there twice; name each release once")
    if not 2 <= len(names) <= len(LETTERS):
        raise LabError(
            f"releases: a sweep has 2 to {len(LETTERS)} releases, not {len(names)}; name them with commas between them, such as "
            "releases=debian-12,debian-13"
        )
    for name in names:
        _check_recipe(name, releases)
    return {"name": SWEEP, "releases": list(names)}


def _check_recipe(name: str, releases: Mapping[str, Any]) -> None:
    """Refuse a release whose recipe is not complete or not possible."""
    release = resolve_release(name, releases)
    check_daemons(name, release)
    check_obtainable(name, release)
