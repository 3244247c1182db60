# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs of a check of the user's own guests as the lab leaves them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Mapping, Sequence

from migration_lab.model.case import Case, with_guests
from migration_lab.model.profile import Profile
from migration_lab.planning.schema import read_yaml
from synthetic_run import ROOT, SyntheticRun, refused

PROFILE = Profile.from_data(read_yaml(ROOT / "scenarios/profiles/guest-check.yml"))
PREFERRED = "p2p/transient-running/live"

HT = {
    "oon": "operation failed: guest CPU doesn't match specification: extra features: ht",
    "nno": "operation failed: guest CPU doesn't match specification: missing features: ht",
}
CHECKS: list[dict[str, Any]] = [
    {"name": "app", "path": "/root/app.xml", "changes": [{"line": 7, "what": "emulator is left out", "why": "a <reason>"}]},
    {"name": "web", "path": "/root/web.xml", "changes": []},
]


def cases(guests: Sequence[str], only: str = "") -> list[Case]:
    """The cases of guests, all or those of one id."""
    return [case for case in with_guests(PROFILE.cases(), guests) if case.id.endswith(only)]


def run_of(
    folder: Path, guests: Sequence[str], fails: Mapping[str, Mapping[str, str]], only: str = "", without: str = "", **facts: Any
) -> Path:
    """Make a run both ways.

    :param fails: by combination, by guest the words of the migrations that fail.
    :param without: the id of a case without a result.
    """
    run = SyntheticRun(folder, ("oon", "nno"), cases(guests, only), profile="guest-check", guest=",".join(guests), **facts)
    for combination in ("oon", "nno"):
        journal = run.start(combination)
        for case in run.cases:
            words = fails.get(combination, {}).get(case.guest or guests[0])
            if case.id != without:
                run.record(journal, case, refused(words) if words else None)
        journal.close()
    return folder


def variant(guest: str, name: str, breadth: int, line: int, what: str) -> dict[str, Any]:
    """A variant as the module ``guest_check_info`` returns it."""
    return {
        "guest": guest, "name": name, "breadth": breadth, "lines": [line] if line else [], "what": what,
        "source": f"<line number='{line}'/>" if line else "",
    }
