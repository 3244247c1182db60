# SPDX-License-Identifier: GPL-3.0-or-later
"""The oracle against the expected files, which were written apart from the code."""

from __future__ import annotations

import csv
from collections.abc import Iterator

import pytest
import yaml

from migration_lab.model import Case, FlagSet, Method, Profile, Scenario, State
from migration_lab.oracle import Expectation, expect
from synthetic_run import ROOT


def rows(profile: str) -> Iterator[dict[str, str]]:
    with (ROOT / f"tests/expected/{profile}.csv").open(newline="") as stream:
        yield from csv.DictReader(stream)


def cases(profile: str) -> dict[int, Case]:
    data = yaml.safe_load((ROOT / f"scenarios/profiles/{profile}.yml").read_text())
    return {case.number: case for case in Profile.from_data(data).cases()}


PLANNED = {name: cases(name) for name in ("canonical", "tck")}


@pytest.mark.parametrize(
    ("case", "row"),
    [
        pytest.param(PLANNED[name].get(int(row["number"])), row, id=f"{name}:{row['number']}")
        for name in PLANNED
        for row in rows(name)
    ],
)
def test_case_is_expected_to_come_to_what_the_file_says(case: Case | None, row: dict[str, str]) -> None:
    assert case is not None and case.id == row["case"]
    yes = {"yes": True, "no": False}
    assert expect(case) == Expectation(
        source_config_kept=yes[row["source_config_kept"]],
        target_persistent=yes[row["target_persistent"]],
        target_state=State(row["target_state"]),
    )


@pytest.mark.parametrize("name", PLANNED)
def test_no_case_is_without_a_row(name: str) -> None:
    assert sorted(PLANNED[name]) == [int(row["number"]) for row in rows(name)]


@pytest.mark.parametrize("flag", ["live", "unsafe", "compressed", "auto-converge"])
@pytest.mark.parametrize("persistent", [True, False])
@pytest.mark.parametrize("target_config", [True, False])
def test_flags_about_the_transfer_change_nothing(flag: str, persistent: bool, target_config: bool) -> None:
    scenario = Scenario("s", persistent, State.RUNNING, target_config)
    case = Case(1, Method.NORMAL, scenario, FlagSet("f", (flag,)))
    assert expect(case) == Expectation(persistent, target_config, State.RUNNING)
