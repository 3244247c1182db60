# SPDX-License-Identifier: GPL-3.0-or-later
"""How results are put into words, the same in every output."""

from __future__ import annotations

import json
import re
import shlex
from datetime import datetime, timezone
from typing import Any, Iterator, Mapping, Optional, Sequence

from ..model.case import ROLES
from ..model.combination import classes, label
from ..model.pair import is_sweep

# The profiles of playbooks/survey.yml and playbooks/guest_check.yml, whose guests are in no file of the lab.
SURVEY = "survey"
GUEST_CHECK = "guest-check"
# The profile of playbooks/recovery.yml, whose cases depend on its settings.
RECOVERY = "recovery"
# The run of a check that leaves parts of the guests out (playbooks/guest_check.yml).
SEARCH = "search"


def one_line(text: Any) -> str:
    """The text on one line and printable: libvirt's errors may span lines, and XML 1.0 bears no control characters."""
    words = " ".join(str(text).split())
    # Nearly always: a report has tens of thousands of words to look at.
    if words.isprintable():
        return words
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in words)


def count(number: int, noun: str) -> str:
    """``1 case``, ``2 cases``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def timestamp(seconds: float) -> str:
    """Seconds since 1970 as ISO 8601 in UTC, to the second, without the zone (which JUnit's schema forbids)."""
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S")


def check_text(check: Mapping[str, Any]) -> str:
    """A check of the journal: its name, what was expected and what was got."""
    return f"{check['name']}: expected {one_line(check['expected'])}, got {one_line(check['got'])}"


def migration_text(migration: Optional[Mapping[str, Any]]) -> str:
    """The migrate call as it was made; seconds are those of the call."""
    if migration is None:
        return "not called"
    flags = ", ".join(migration["flags"]) or "none"
    call = f"{migration['call']} to {migration['uri']}, flags {flags} ({migration['bits']})"
    return one_line(f"{call}, {migration['seconds']:.3f} s")


def table_lines(rows: Sequence[Sequence[str]], left: int) -> Iterator[str]:
    """Rows as lines with their columns below each other: so many aligned to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows)]
    for row in rows:
        cells = [
            cell.ljust(width) if column < left else cell.rjust(width) for column, (cell, width) in enumerate(zip(row, widths))
        ]
        yield "  ".join(cells).rstrip()


def combination_text(name: str) -> str:
    """``2 noo: new client, old source, old target``; of a sweep ``abd: a client, b source, d target``."""
    ages = classes(name)
    return f"{label(name)}: " + ", ".join(f"{ages[role]} {role}" for role in ROLES)


def step_text(step: Mapping[str, Any]) -> str:
    """A migration procedure as the relay saw it."""
    seconds = step["seconds"]
    return one_line(f"{step['link']}: {step['procedure']}, {'' if seconds is None else f'{seconds:.3f} s, '}{step['result']}")


def effect_text(effect: Mapping[str, Any]) -> str:
    """An effect of a deviation: the check that fails and the patterns of what it gets."""
    got = [effect["got"]] if isinstance(effect["got"], str) else effect["got"]
    return f"{effect['check']}: got {' or '.join(got)}{', only sometimes' if effect.get('optional') else ''}"


def again_text(run: Mapping[str, Any], combination: str, case: str) -> str:
    """The one command that runs a case again, with the inventories, vars files and settings of its run.

    :param run: the data of run.json.
    """
    given = run.get("given", {})
    settings = {**given.get("settings", {}), **({} if is_sweep(run["pair"]) else {"pair": run["pair"]["name"]})}
    guest, _, rest = case.partition("/") if "," in run["guest"] else (run["guest"], "", case)
    playbook, chosen = "run", f"'cases={case}'"
    if is_sweep(run["pair"]):
        playbook = "sweep"
        settings |= {"releases": ",".join(run["pair"]["releases"]), "sweep_profile": run["profile"]}
        settings |= {"guest": run["guest"], "combinations": combination}
    elif run["profile"] == SURVEY:
        playbook, chosen = "survey", f"devices={guest}"
        settings["combination"] = combination
    elif run["profile"] == GUEST_CHECK:
        playbook = "guest_check"
        settings["combinations"] = combination
        if run.get("run") == SEARCH:  # its guests are made again by the search for what stops the user's
            chosen = f"'cases={rest}'"
    elif run["profile"] == RECOVERY:
        playbook = "recovery"
        data = run["profile_data"]
        settings |= {"guest": run["guest"], "combinations": combination, "selection": data["selection"]}
        if data["repeat"] > 1:
            settings["repeat"] = str(data["repeat"])
    else:
        settings |= {"profile": run["profile"], "guest": run["guest"], "combination": combination}
    return " ".join([
        f"ansible-playbook playbooks/{playbook}.yml",
        *(f"-i {shlex.quote(path)}" for path in given.get("inventories", ())),
        *(f"-e {shlex.quote(f'@{path}')}" for path in given.get("vars_files", ())),
        *(f"-e {_setting_text(name, value)}" for name, value in settings.items()),
        f"-e {chosen}",
    ])


def _setting_text(name: str, value: Any) -> str:
    """An extra variable for a shell: as JSON where Ansible would not read ``name=value`` as it was."""
    plain = isinstance(value, str) and re.fullmatch(r"[\w.,:+/@-]+", value)
    return f"{name}={value}" if plain else shlex.quote(json.dumps({name: value}))


def duration_text(seconds: float) -> str:
    """A time span in words: ``9 min 40 s``, ``2 h 5 min``; to the second below an hour."""
    whole = round(seconds)
    hours, minutes = divmod(whole // 60, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {whole % 60} s" if minutes else f"{whole} s"
