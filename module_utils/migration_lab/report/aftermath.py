# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes what a manager should do about a failed migration: the table for a terminal, and aftermath.html beside the runs."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Iterator, Sequence

from ..journal.whole_file import write_whole
from ..results.aftermath import Aftermath, Left, Place, total
from ..results.recovery import STAGES
from ..results.wording import table_lines
from ..suites.recovery.reaction import REACTIONS
from .page import render
from .recovery_page import cases_path

AFTERMATH_PAGE = "aftermath.html"
TEMPLATE = "aftermath.html.j2"

_ADVICE = "the journals are whole, so put that right and run playbooks/aftermath.yml again"


def write_aftermath(aftermath: Aftermath, folder: Path, templates: Path) -> Path:
    """Write the page, at once or not at all.

    :param folder: of the runs' folders.
    :param templates: the folder of the page's templates.
    :returns: the page.
    :raises LabError: when it cannot be written, or a template cannot be used.
    """
    path = folder / AFTERMATH_PAGE
    write_whole(path, aftermath_page(aftermath, templates).encode(), _ADVICE)
    return path


def aftermath_page(aftermath: Aftermath, templates: Path) -> str:
    """The page, whole in itself, with links to the cases of the runs.

    :raises LabError: when a template cannot be used.
    """
    first = next(iter(aftermath.runs.values()))
    return render(
        templates, TEMPLATE, aftermath=aftermath, run=first.run, stages=STAGES, total=total, cell_text=cell_text, code=code,
        cases_path=cases_path, run_of={recovery.aftermath: name for name, recovery in aftermath.runs.items()}, words=list(Left),
        reactions={one: REACTIONS.get(one, "not known") for one in aftermath.reactions},
    )


def cell_text(counts: Counter[Left]) -> str:
    """What a reaction leaves at a place: ``8 of 8``, ``5 of 8; 3 two copies``."""
    cases = sum(counts.values())
    if not cases:
        return "no case"
    other = [f"{counts[left]} {left.value}" for left in Left if counts[left] and not left.kept]
    return "; ".join([f"{counts[Left.ONE]} of {cases}", *other])


def code(counts: Counter[Left]) -> str:
    """The colour of a reaction at a place, by the codes of style.css: it keeps the guest always, never or sometimes."""
    cases = sum(counts.values())
    if not cases:
        return "n"
    return "p" if counts[Left.ONE] == cases else "k" if counts[Left.ONE] else "f"


def aftermath_text(aftermath: Aftermath, page: Path) -> str:
    """The table for a terminal: what each reaction keeps, and the places at which it matters what a manager does.

    :param page: the page that has all places.
    """
    lines = ["Of cases whose call failed or was never answered, those in which a reaction keeps exactly one whole copy:", ""]
    header = ["combination", "places", *aftermath.reactions]
    rows = [[name, str(len(places)), *_totals(places, aftermath.reactions)] for name, places in aftermath.combinations.items()]
    lines += table_lines([header, *rows], left=1)
    for name, places in aftermath.combinations.items():
        telling = [place for place in places if len(place.keeping) < len(aftermath.reactions)]
        lines += ["", f"{name}: where a reaction does not always keep it:" if telling else f"{name}: any reaction keeps it."]
        if telling:
            lines += _places(telling, aftermath.reactions)
    return "\n".join([*lines, "", f"All of it: {page}"])


def _totals(places: Sequence[Place], reactions: Sequence[str]) -> list[str]:
    return ["{} of {}".format(*total(places, reaction)) for reaction in reactions]


def _places(places: Sequence[Place], reactions: Sequence[str]) -> Iterator[str]:
    rows = [["method", "point", "fault", *reactions, "always"]]
    rows += [
        [
            place.table, place.point, place.fault, *(cell_text(place.left[reaction]) for reaction in reactions),
            ", ".join(place.keeping) or "none",
        ]
        for place in places
    ]
    return (f"    {line}" for line in table_lines(rows, left=len(rows[0])))
