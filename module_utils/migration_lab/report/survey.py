# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes a device survey: the table for the terminal, survey.json, and the page."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from pathlib import Path
from typing import Iterator, Mapping, Sequence

from ..journal.whole_file import write_whole
from ..results.machine_versions import machine_versions
from ..results.survey import Fate, Result, Survey, SurveyedDevice, direction
from ..results.wording import count, table_lines
from .page import render

SURVEY_FILE = "survey.json"
SURVEY_PAGE = "survey.html"
TEMPLATE = "survey.html.j2"

_ADVICE = "the journals are whole, so put that right and run playbooks/survey.yml with resume=true"

# The fates that say something of a device that both sides know.
_TELLING = (Fate.REFUSED, Fate.FAILS, Fate.NOT_ON_OLD, Fate.NOT_ON_NEW, Fate.NOT_OBTAINED)
# The colours of the page, by the codes that style.css has.
CODES = {
    Fate.MOVES: "p", Fate.REFUSED: "k", Fate.FAILS: "f", Fate.NOT_ON_OLD: "s", Fate.NOT_ON_NEW: "s", Fate.ON_NEITHER: "n",
    Fate.NOT_TRIED: "n", Fate.NOT_OBTAINED: "e",
}


def write_survey(survey: Survey, templates: Path) -> list[Path]:
    """Write ``survey.json`` and the page into the run's folder, each at once or not at all.

    :param templates: the folder of the page's templates.
    :returns: the files.
    :raises LabError: when one cannot be written, or a template cannot be used.
    """
    files = {
        survey.run.folder / SURVEY_FILE: json.dumps(survey.to_data(), indent=2) + "\n",
        survey.run.folder / SURVEY_PAGE: survey_page(survey, templates),
    }
    for path, content in files.items():
        write_whole(path, content.encode(), _ADVICE)
    return list(files)


def survey_page(survey: Survey, templates: Path) -> str:
    """The page, whole in itself, with links to the run's own page.

    :raises LabError: when a template cannot be used.
    """
    run = survey.run
    return render(
        templates, TEMPLATE, run=run, survey=survey, rows=_rows(survey.devices), families=_families(survey), codes=CODES,
        columns=_columns(survey), headings=headings(survey), extent=extent(survey),
        versions=machine_versions(run), fates=list(Fate),
    )


def extent(survey: Survey) -> str:
    """How many devices there are, and how many of them were not tried."""
    idle = sum({result.fate for result in device.results.values()} == {Fate.NOT_TRIED} for device in survey.devices)
    counted = f"{count(len(survey.devices), 'device')}, counted once per machine family ({', '.join(_families(survey))})"
    return counted + (f", {idle} of them not tried" if idle else "")


def headings(survey: Survey) -> list[str]:
    """For each combination what moves from where to where, and how many devices of each fate there are."""
    lines = []
    for combination in survey.run.combinations:
        ends = [combination.versions.get(role, {}) for role in ("source", "target")]
        versions = " -> ".join(f"libvirt {end.get('libvirt', '?')}, QEMU {end.get('hypervisor', '?')}" for end in ends)
        counts = survey.counts[combination.name]
        words = {Fate.MOVES: "move", Fate.FAILS: "fail"}
        told = ", ".join(f"{counts[fate]} {words.get(fate, fate.value)}" for fate in Fate if counts[fate])
        lines.append(f"{combination.name} ({direction(combination.name)}): {versions}: {told}")
    return lines


def survey_text(survey: Survey) -> str:
    """The survey for a terminal: what does not move everywhere with libvirt's words, then what does."""
    run = survey.run
    heading = f"survey {run.data['run']}: pair {run.data['pair']['name']}, {extent(survey)}"
    lines = [heading, *headings(survey), ""]
    rows = _rows(survey.devices)
    telling = {title: row for title, row in rows.items() if _fates(row) & set(_TELLING)}
    if telling:
        lines += [*_table(survey, telling), ""]
        for title, row in telling.items():
            lines += [title, *(f"    {line}" for line in _reasons(row, _columns(survey)))]
        lines.append("")
    lines += _listed("Move wherever they exist:", {
        title: _only(row) for title, row in rows.items() if Fate.MOVES in _fates(row) and title not in telling
    })
    lines += _listed("Known on neither side:", {title: "" for title, row in rows.items() if _fates(row) == {Fate.ON_NEITHER}})
    lines += _not_tried(rows)
    return "\n".join([*lines, f"All of it: {run.folder / SURVEY_PAGE} and {SURVEY_FILE}"])


def survey_advice(survey: Survey) -> str:
    """Which devices have no result and how to obtain one, in a sentence without its stop; empty when the survey is complete."""
    failed: dict[str, str] = {}
    missing = set()
    for device in survey.devices:
        for combination, result in device.results.items():
            if result.lab_failed:
                failed.setdefault(device.name, f"{device.name} ({combination}: {result.words})")
            elif result.fate is Fate.NOT_OBTAINED:
                missing.add(device.name)
    parts = []
    if missing:
        parts.append(f"{count(len(missing), 'device')} did not run; resume with -e resume=true -e run={survey.run.data['run']}")
    if failed:
        parts.append(
            f"the lab failed with {', '.join(failed.values())}, which a resumed run does not try again; put that right and "
            f"start a new survey with -e devices={','.join(failed)}"
        )
    return "; ".join(parts)


Row = Mapping[str, SurveyedDevice]  # a device model's devices by machine family


def _rows(devices: Sequence[SurveyedDevice]) -> dict[str, Row]:
    """The devices by their titles, class and model, and family."""
    rows: dict[str, dict[str, SurveyedDevice]] = defaultdict(dict)
    for device in devices:
        rows[f"{device.kind} {device.model}"][device.family] = device
    return dict(rows)


def _families(survey: Survey) -> list[str]:
    return list(dict.fromkeys(device.family for device in survey.devices))


def _columns(survey: Survey) -> list[tuple[str, str]]:
    """Machine family and combination of each column."""
    return [(family, combination.name) for family in _families(survey) for combination in survey.run.combinations]


def _fates(row: Row) -> set[Fate]:
    return {result.fate for device in row.values() for result in device.results.values()}


def _first(row: Row) -> Result:
    return next(result for device in row.values() for result in device.results.values())


def _only(row: Row) -> str:
    """The machine families that know the device, where others do not."""
    known = [family for family, device in row.items() if any(one.fate is Fate.MOVES for one in device.results.values())]
    return "" if len(known) == len(row) else f" (only {', '.join(known)})"


def _table(survey: Survey, rows: Mapping[str, Row]) -> Iterator[str]:
    columns = _columns(survey)
    header = ["device", *(f"{family} {name}" for family, name in columns)]
    table = [header]
    for title, row in rows.items():
        table.append([title, *(row[family].results[name].fate.value if family in row else "-" for family, name in columns)])
    return table_lines(table, left=len(header))


def _reasons(row: Row, columns: Sequence[tuple[str, str]]) -> Iterator[str]:
    """For each fate of a device where it has it, and the words of the first; the page has them all."""
    where: dict[Fate, list[str]] = defaultdict(list)
    words: dict[Fate, str] = {}
    for family, device in row.items():
        for name, result in device.results.items():
            if result.fate in _TELLING:
                where[result.fate].append(f"{family} {name}")
                words.setdefault(result.fate, result.words)
    for fate, places in where.items():
        where_text = "everywhere" if len(places) == len(columns) else ", ".join(places)
        yield f"{fate.value} ({where_text}): {_short(words[fate])}"


def _short(words: str) -> str:
    """libvirt's words without the times and the command line's JSON that QEMU repeats in them."""
    words = re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+Z ", "", words)
    return re.sub(r"-device \{.*?\}: ", "", words)


def _not_tried(rows: Mapping[str, Row]) -> list[str]:
    """The devices that are not tried, those of a class with the same reason in a line."""
    models: dict[tuple[str, str], list[str]] = defaultdict(list)
    for title, row in rows.items():
        if _fates(row) == {Fate.NOT_TRIED}:
            kind, model = title.split(" ", 1)
            models[kind, _first(row).words].append(model)
    lines = [f"    {kind} {', '.join(names)}: {words}" for (kind, words), names in models.items()]
    return ["Not tried:", *lines, ""] if lines else []


def _listed(heading: str, titles: Mapping[str, str]) -> list[str]:
    """Titles with remarks behind them, a line for each class."""
    if not titles:
        return []
    classes: dict[str, list[str]] = defaultdict(list)
    for title, remark in titles.items():
        kind, model = title.split(" ", 1)
        classes[kind].append(model + remark)
    return [heading, *(f"    {kind}: {', '.join(models)}" for kind, models in classes.items()), ""]
