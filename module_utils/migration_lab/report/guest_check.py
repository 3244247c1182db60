# SPDX-License-Identifier: GPL-3.0-or-later
"""The answer of a check of the user's own guests: for the terminal, as a page and as JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Iterator, Mapping, Sequence

from ..results.guest_check import Advice, CheckedGuest, Culprit, Direction, GuestCheck, Tried
from ..results.wording import one_line
from .page import render

PAGE_FILE = "guest_check.html"
DATA_FILE = "guest_check.json"
_PAGE = "guest_check.html.j2"


def answer_files(check: GuestCheck, templates: Path) -> dict[Path, str]:
    """The page and the JSON, by path, to be written into the run's folder.

    :raises LabError: when a template cannot be read or is faulty.
    """
    page = render(
        templates, _PAGE, check=check, run=check.run, groups=groups, culprit_text=culprit_text, change_text=change_text,
        advice_lines=advice_lines,
    )
    folder = check.run.folder
    return {folder / PAGE_FILE: page, folder / DATA_FILE: json.dumps(check.to_data(), indent=2) + "\n"}


def changes_text(guests: Sequence[Mapping[str, Any]]) -> list[str]:
    """What the lab changed, a line for each change.

    :param guests: the ``checks`` of the module ``guest_check_info``.
    """
    lines = []
    for guest in guests:
        lines.append(f"{guest['name']}: what the lab changed of {guest['path']}; all else stays as it is")
        lines += [f"    {change_text(change)}" for change in guest["changes"]]
    return lines


def change_text(change: Mapping[str, Any]) -> str:
    """``line 22: cpu feature pcid is left out: emulation does not have it``."""
    where = f"line {change['line']}: " if change["line"] else ""
    return one_line(f"{where}{change['what']}: {change['why']}")


def answer_text(check: GuestCheck) -> list[str]:
    """The answer for a terminal, line by line."""
    lines = [f"Between {check.releases['old']} and {check.releases['new']}:"]
    for guest in check.guests:
        lines += ["", f"{guest.name} ({guest.path}) {'moves' if guest.moves else _verdict(guest)}"]
        for direction in guest.directions:
            lines += [f"    {line}" for line in _direction_lines(direction)]
    return [*lines, "", f"The page: {check.run.folder / PAGE_FILE}"]


def _verdict(guest: CheckedGuest) -> str:
    if any(direction.failed for direction in guest.directions):
        return "DOES NOT MOVE"
    return "has no complete result"


def _direction_lines(direction: Direction) -> Iterator[str]:
    title = f"{direction.source} -> {direction.target}"
    for words, tried in groups(direction).items():
        fate = {True: "moves", False: "does not move", None: "not obtained"}[tried[0].moves]
        yield f"{title}: {fate}: {_cases(tried)}"
        if words:
            yield f"    {words}"
    for culprit in direction.culprits:
        yield f"    {culprit_text(culprit)}"
    if direction.remark:
        yield f"    {direction.remark}"
    for advice in direction.advice:
        yield from (f"    {line}" for line in advice_lines(advice))


def groups(direction: Direction) -> dict[str, list[Tried]]:
    """The migrations with the same words together; empty words are those that moved."""
    found: dict[str, list[Tried]] = {}
    for tried in direction.tried:
        found.setdefault(tried.words, []).append(tried)
    return found


def _cases(tried: Sequence[Tried]) -> str:
    methods: dict[str, list[str]] = {}
    for one in tried:
        methods.setdefault(one.method, []).append(one.state)
    return "; ".join(f"{method} ({', '.join(states)})" for method, states in methods.items())


def culprit_text(culprit: Culprit) -> str:
    """``stopped by line 22: <topology .../> (it moves with 2 sockets of one core in place of its topology)``."""
    first, *others = culprit.lines
    also = f", with line{'s' if len(others) > 1 else ''} {', '.join(map(str, others))}" if others else ""
    return one_line(f"stopped by line {first}{also}: {culprit.source} (it moves {culprit.what})")


def advice_lines(advice: Advice) -> list[str]:
    """What the ledger knows of a failure, and what to do where it says so."""
    known = f"known ({advice.id}): {advice.title}"
    return [one_line(known), *([one_line(f"what to do: {advice.advice}")] if advice.advice else [])]


def summary(check: GuestCheck) -> str:
    """The answer in a line, for the end of a playbook."""
    still = [f"{guest.name} {'does not move' if _verdict(guest) == 'DOES NOT MOVE' else 'has no complete result'}"
             for guest in check.guests if not guest.moves]
    return ", ".join(still) or f"{', '.join(guest.name for guest in check.guests)}: every migration succeeded"
