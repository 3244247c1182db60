# SPDX-License-Identifier: GPL-3.0-or-later
"""Which runs are comparable: those that asked the same question."""

from __future__ import annotations

from typing import Any, Mapping

# What makes two pairs the same question; how many cases run at a time does not.
_PAIR = ("name", "old", "new", "releases", "boundary", "ceiling")


def question(data: Mapping[str, Any]) -> dict[str, Any]:
    """What a run asked, equal for comparable runs: ``pair``, ``profile``, ``guest``, and ``asked``, the combinations and cases.

    Of suite recovery, runs with another selection, another aftermath, other faults or other keepalive asked something else; of
    suite chain, runs with other chains.

    :param data: of run.json.
    :raises KeyError, TypeError: when run.json is damaged.
    """
    return {
        "pair": {field: data["pair"][field] for field in _PAIR if data["pair"].get(field)},
        "profile": data["profile"],
        "guest": data["guest"],
        "asked": {
            "combinations": sorted(data["combinations"]), "cases": sorted(data["cases"]), **_struck(data), **_followed(data),
        },
    }


def _struck(data: Mapping[str, Any]) -> dict[str, Any]:
    """What a run of suite recovery asked besides its combinations and cases; nothing of other suites."""
    profile = data.get("profile_data", {})
    fields = ("selection", "repeat", "aftermath", "keepalive", "call_limit", "fault_patterns")
    return {field: profile[field] for field in fields} if "faults" in profile else {}


def _followed(data: Mapping[str, Any]) -> dict[str, Any]:
    """The chains of a run of suite chain; nothing of other suites."""
    profile = data.get("profile_data", {})
    return {"chains": profile["chains"]} if "chains" in profile else {}
