# SPDX-License-Identifier: GPL-3.0-or-later
"""The oracle against the expected files, which were written apart from the code."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator

import pytest

from migration_lab.model.case import Case, FlagSet, Method, Scenario, State
from migration_lab.model.combination import COMBINATIONS, classes
from migration_lab.model.profile import Profile
from migration_lab.model.protocol import expect_protocol
from migration_lab.model.version import parse_version
from migration_lab.planning.schema import read_yaml
from migration_lab.suites.migration.expectation import Expectation, expect, replaces_config
from synthetic_run import ROOT


def rows(profile: str) -> Iterator[dict[str, str]]:
    with (ROOT / f"tests/expected/{profile}.csv").open(newline="") as stream:
        yield from csv.DictReader(stream)


def cases(profile: str) -> dict[int, Case]:
    data = read_yaml(ROOT / f"scenarios/profiles/{profile}.yml")
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
    expected = expect(case)
    assert expected.source_config_kept == yes[row["source_config_kept"]]
    assert expected.target_persistent == yes[row["target_persistent"]]
    assert expected.target_state == State(row["target_state"])


@pytest.mark.parametrize("name", PLANNED)
def test_no_case_is_without_a_row(name: str) -> None:
    assert sorted(PLANNED[name]) == [int(row["number"]) for row in rows(name)]


@pytest.mark.parametrize("flag", ["live", "unsafe", "compressed", "auto-converge"])
@pytest.mark.parametrize("persistent", [True, False])
@pytest.mark.parametrize("target_config", [True, False])
def test_flags_about_the_transfer_change_nothing(flag: str, persistent: bool, target_config: bool) -> None:
    scenario = Scenario("s", persistent, State.RUNNING, target_config)
    case = Case(1, Method.NORMAL, scenario, FlagSet("f", (flag,)))
    assert expect(case) == Expectation(persistent, target_config, State.RUNNING, "kept" if target_config else "absent")


# Config of the target after the migration: a table of its own, by persist-dest in the case's id and -dst in the scenario's.
TARGET_CONFIGS = {(False, False): "absent", (False, True): "kept", (True, False): "made", (True, True): "replaced"}


@pytest.mark.parametrize(
    ("profile", "counts"),
    [
        ("canonical", {"absent": 24, "kept": 24, "made": 24, "replaced": 24}),
        ("tck", {"absent": 36, "kept": 36, "made": 12, "replaced": 12}),
    ],
)
def test_targets_config_is_the_guests_only_with_persist_dest(profile: str, counts: dict[str, int]) -> None:
    planned = PLANNED[profile].values()
    for case in planned:
        _, scenario, flags = case.id.split("/")
        wanted = TARGET_CONFIGS["persist-dest" in flags.split("+"), scenario.endswith("-dst")]
        assert expect(case).target_config == wanted, case.id
        assert expect(case).target_persistent == (wanted != "absent"), case.id
    assert Counter(expect(case).target_config for case in planned) == counts


V3 = {Method.NORMAL: ["nnn"], Method.P2P: ["onn", "nnn"], Method.TUNNELLED: ["onn", "nnn"]}


@pytest.mark.parametrize(("old", "new"), [("0.9.1", "0.9.2"), ("0.8.3", "0.9.2"), ("0.9.1", "11.3.0")])
@pytest.mark.parametrize("method", Method)
@pytest.mark.parametrize("combination", COMBINATIONS)
def test_protocol_of_every_method_in_every_combination(combination: str, method: Method, old: str, new: str) -> None:
    libvirt = {role: parse_version({"old": old, "new": new}[age]) for role, age in classes(combination).items()}
    protocols = {expect_protocol(case, libvirt) for case in PLANNED["canonical"].values() if case.method is method}
    assert protocols == {"v3" if combination in V3[method] else "v2"}


@pytest.mark.parametrize("version", ["0.9.2", "0.9.3", "1.0.0", "11.3.0"])
def test_protocol_between_equal_versions_is_v3_from_0_9_2_on(version: str) -> None:
    libvirt = dict.fromkeys(("client", "source", "target"), parse_version(version))
    assert {expect_protocol(case, libvirt) for case in PLANNED["tck"].values()} == {"v3"}


@pytest.mark.parametrize(
    ("source", "target", "replaces"),
    [("1.2.20", "1.2.20", True), ("1.2.19", "1.2.20", False), ("1.2.20", "1.2.19", False), ("11.3.0", "9.0.0", True)],
)
def test_config_is_documented_to_be_replaced_from_1_2_20_on(source: str, target: str, replaces: bool) -> None:
    for client in ("0.9.1", "11.3.0"):
        versions = {"client": client, "source": source, "target": target}
        assert replaces_config({role: parse_version(version) for role, version in versions.items()}) is replaces
