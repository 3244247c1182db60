# SPDX-License-Identifier: GPL-3.0-or-later
"""The words of the lab as types: cases, their ids and flags, case patterns, versions."""

from __future__ import annotations

import csv

import pytest

from migration_lab.model.case import MIGRATE_FLAGS, Case, FlagSet, Method, Scenario, State, select_cases
from migration_lab.model.errors import LabError
from migration_lab.model.profile import Profile
from migration_lab.model.verdict import JUDGED, RED_VERDICTS, Verdict
from migration_lab.model.version import format_version, parse_version
from migration_lab.planning.schema import read_yaml
from synthetic_run import CASES, PROFILE, ROOT

# include/libvirt/libvirt-domain.h, enum virDomainMigrateFlags
LIBVIRT_FLAGS = {
    "live": 1, "peer2peer": 2, "tunnelled": 4, "persist-dest": 8, "undefine-source": 16, "paused": 32,
    "non-shared-disk": 64, "non-shared-inc": 128, "change-protection": 256, "unsafe": 512, "offline": 1024,
    "compressed": 2048, "abort-on-error": 4096, "auto-converge": 8192, "rdma-pin-all": 16384, "postcopy": 32768,
    "tls": 65536, "parallel": 131072,
}


def test_migrate_flags_are_libvirts() -> None:
    assert MIGRATE_FLAGS == LIBVIRT_FLAGS


@pytest.mark.parametrize("profile", ["canonical", "tck"])
def test_cases_are_numbered_in_the_order_of_the_expected_files(profile: str) -> None:
    data = read_yaml(ROOT / f"scenarios/profiles/{profile}.yml")
    with (ROOT / f"tests/expected/{profile}.csv").open() as stream:
        expected = [(int(row["number"]), row["case"]) for row in csv.DictReader(stream)]
    assert [(case.number, case.id) for case in Profile.from_data(data).cases()] == expected
    assert len(expected) == 96


def test_flag_sets_in_turn_meet_every_method_and_every_kind_of_config() -> None:
    data = read_yaml(ROOT / "scenarios/profiles/sweep.yml")
    cases = Profile.from_data(data).cases()
    assert [case.number for case in cases] == list(range(1, 25))
    assert len({(case.method, case.scenario.name) for case in cases}) == 24, "each method and scenario once"
    assert len({(case.method, case.flags.name) for case in cases}) == 3 * 4
    assert len({(case.scenario.persistent, case.scenario.target_config, case.flags.name) for case in cases}) == 4 * 4
    every = Profile.from_data({**data, "flags_in_turn": False}).cases()
    canonical = Profile.from_data(read_yaml(ROOT / "scenarios/profiles/canonical.yml"))
    assert every == canonical.cases() and {case.id for case in cases} <= {case.id for case in every}


def test_profile_is_made_from_data() -> None:
    profile = Profile.from_data(
        {
            "name": "small",
            "methods": ["tunnelled", "normal"],
            "scenarios": [{"name": "s", "persistent": True, "state": "paused", "target_config": False}],
            "flags": [{"name": "f", "migrate": ["live", "unsafe"]}, {"name": "g", "migrate": []}],
        }
    )
    scenario = Scenario("s", persistent=True, state=State.PAUSED, target_config=False)
    f, g = FlagSet("f", ("live", "unsafe")), FlagSet("g", ())
    assert profile.cases() == [
        Case(1, Method.TUNNELLED, scenario, f),
        Case(2, Method.TUNNELLED, scenario, g),
        Case(3, Method.NORMAL, scenario, f),
        Case(4, Method.NORMAL, scenario, g),
    ]


@pytest.mark.parametrize(
    ("method", "flags", "names", "bits"),
    [
        (Method.NORMAL, (), (), 0),
        (Method.P2P, (), ("peer2peer",), 2),
        (Method.TUNNELLED, (), ("peer2peer", "tunnelled"), 6),
        (Method.NORMAL, ("live",), ("live",), 1),
        (Method.P2P, ("undefine-source", "persist-dest"), ("peer2peer", "undefine-source", "persist-dest"), 26),
        (Method.TUNNELLED, ("paused",), ("peer2peer", "tunnelled", "paused"), 38),
    ],
)
def test_case_adds_the_methods_flags_to_its_own(
    method: Method, flags: tuple[str, ...], names: tuple[str, ...], bits: int
) -> None:
    case = Case(1, method, PROFILE.scenarios[0], FlagSet("f", flags))
    assert (case.migrate_flags, case.migrate_bits) == (names, bits)


def test_red_verdicts() -> None:
    assert set(JUDGED) - set(RED_VERDICTS) == {Verdict.PASS, Verdict.KNOWN, Verdict.SKIP}


@pytest.mark.parametrize(
    ("patterns", "numbers"),
    [
        (["*"], range(1, 97)),
        (["p2p/*"], range(33, 65)),
        (["*/transient-running/none"], [1, 33, 65]),
        (["tunnelled/persistent-paused-dst/undefine-source+persist-dest"], [96]),
        (["*/transient-running-dst/none", "normal/transient-running/none"], [1, 5, 37, 69]),
        (["p2p/*", "p2p/*paused*", "*2p/*"], range(33, 65)),
        (["normal/transient-running[!-]*"], range(1, 5)),
    ],
)
def test_patterns_choose_cases_each_once_and_in_order(patterns: list[str], numbers: range | list[int]) -> None:
    assert [case.number for case in select_cases(CASES, patterns)] == list(numbers)


@pytest.mark.parametrize("patterns", [["P2P/*"], ["p2p"], ["*", "nothing/*"], [""]])
def test_pattern_that_matches_nothing_is_refused_by_name(patterns: list[str]) -> None:
    with pytest.raises(LabError, match="matches none of the 96 cases") as refusal:
        select_cases(CASES, patterns)
    assert f"'{patterns[-1]}'" in str(refusal.value)
    assert "'normal/transient-running/none'" in str(refusal.value), "the user sees what an id looks like"


@pytest.mark.parametrize(
    ("text", "number", "shown"),
    [
        ("0.9.2", 9002, "0.9.2"),
        ("9.0.0", 9000000, "9.0.0"),
        ("11.3.0", 11003000, "11.3.0"),
        ("7.2", 7002000, "7.2.0"),
        ("10.0", 10000000, "10.0.0"),
        ("0.9.13", 9013, "0.9.13"),
        ("1.999.999", 1999999, "1.999.999"),
    ],
)
def test_version_as_libvirts_number_and_back(text: str, number: int, shown: str) -> None:
    assert parse_version(text) == number
    assert format_version(number) == shown


def test_versions_compare_by_number_not_by_text() -> None:
    texts = ["0.9.2", "0.9.10", "0.10.0", "1.0.0", "7.2", "9.0.0", "10.0", "11.3.0"]
    assert sorted(sorted(texts), key=parse_version) == texts != sorted(texts)


@pytest.mark.parametrize("text", ["", "9", "9.", "9.0.0.1", "v9.0.0", "9.0.0 ", "9.0.0\n", "1.2345.0", "latest", "-1.0.0"])
def test_text_that_is_no_version_is_refused(text: str) -> None:
    with pytest.raises(LabError, match="is not a version"):
        parse_version(text)
