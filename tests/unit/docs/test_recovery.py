# SPDX-License-Identifier: GPL-3.0-or-later
"""The tables of docs/recovery.md have what there is: faults, their fields, outcomes, aftermaths, selections and points."""

from __future__ import annotations

import json
import re

import pytest

from migration_lab.model.case import Method
from migration_lab.planning.faults import load_faults
from migration_lab.suites.recovery.case import SELECTIONS
from migration_lab.suites.recovery.fault import DELIVERIES
from migration_lab.suites.recovery.outcome import Outcome
from migration_lab.suites.recovery.point import points
from migration_lab.suites.recovery.reaction import REACTIONS
from synthetic_run import ROOT

TEXT = (ROOT / "docs" / "recovery.md").read_text()
FIELDS = json.loads((ROOT / "scenarios" / "schema" / "faults.json").read_text())["items"]["properties"]


def rows(first: str) -> list[list[str]]:
    """The rows of the table whose heading begins so."""
    table = TEXT[TEXT.index(f"| {first} |"):].partition("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in table]


def test_faults_are_those_of_the_files_in_their_order() -> None:
    assert rows("group") == [
        [fault["group"], f"`{fault['name']}`", fault["description"]] for fault in load_faults(ROOT / "scenarios")
    ]


def test_fields_are_those_of_the_schema() -> None:
    named = {name for row in rows("field") for name in re.findall(r"`(\w+)`", row[0])}
    assert named == set(FIELDS)
    assert all(f"`{delivery}`" in TEXT for delivery in DELIVERIES)


def test_outcomes_have_their_words() -> None:
    assert rows("word") == [[f"`{one}`", one.text] for one in Outcome if one is not Outcome.NOT_OBTAINED]


@pytest.mark.parametrize("name", [*REACTIONS, *SELECTIONS])
def test_what_can_be_chosen_is_explained(name: str) -> None:
    assert f"`{name}`" in TEXT


def test_points_are_all_there() -> None:
    named = {name for row in rows("points") for name in re.findall(r"`([\w-]+)`", row[0])}
    assert named == {point.name for method in Method for protocol in ("v2", "v3") for point in points(method, protocol)}
