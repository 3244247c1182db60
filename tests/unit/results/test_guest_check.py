# SPDX-License-Identifier: GPL-3.0-or-later
"""What a check finds: which guests move, which lines stop the others, and what the ledger knows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from checked_guests import CHECKS, HT, PREFERRED, run_of, variant
from migration_lab.own_guest.adaptation import adapt
from migration_lab.own_guest.domain_file import read_domains
from migration_lab.own_guest.variants import BARE, PART, PROCESSOR
from migration_lab.results.guest_check import Culprit, read_check, search
from migration_lab.results.run import read_run

GUESTS = Path(__file__).parents[2] / "guests"
FAILS = {combination: {"app": words} for combination, words in HT.items()}
VARIANTS = [
    variant("app", "app-without-3", PART, 3, "without a"), variant("app", "app-without-4", PART, 4, "without b"),
    variant("app", "app-without-5", PROCESSOR, 5, "with one processor"), variant("app", "app-bare", BARE, 0, "bare"),
]
NAMES = [entry["name"] for entry in VARIANTS]


def test_a_guest_moves_only_when_all_its_migrations_do(tmp_path: Path) -> None:
    check = read_check(read_run(run_of(tmp_path / "run", ["app", "web"], FAILS)), CHECKS)
    assert [(guest.name, guest.moves) for guest in check.guests] == [("app", False), ("web", True)] and not check.moves
    old_to_new = check.guests[0].directions[0]
    assert (old_to_new.source, old_to_new.target, len(old_to_new.tried)) == ("bookworm", "trixie", 6)
    assert {tried.words for tried in old_to_new.tried} == {HT["oon"]}
    assert {(tried.method, tried.state) for tried in old_to_new.tried} == {
        (method, state) for method in ("normal", "p2p", "tunnelled") for state in ("running", "paused")
    }


def test_a_guest_without_a_result_does_not_move(tmp_path: Path) -> None:
    check = read_check(read_run(run_of(tmp_path / "run", ["app", "web"], {}, without=f"web/{PREFERRED}")), CHECKS)
    assert [guest.moves for guest in check.guests] == [True, False]
    (missing,) = check.guests[1].directions[0].missing
    assert missing.case == PREFERRED and not check.guests[1].directions[0].failed


def test_a_guest_of_which_no_case_was_chosen_was_not_tried(tmp_path: Path) -> None:
    other = {**CHECKS[0], "name": "db"}
    check = read_check(read_run(run_of(tmp_path / "run", ["app", "web"], {})), [*CHECKS, other])
    assert [guest.moves for guest in check.guests] == [True, True, False] and not check.moves
    assert {direction.remark for direction in check.guests[2].directions} == {"not tried: no case was chosen"}


@pytest.mark.parametrize(
    ("stays", "culprits", "remark"),
    [
        ({"app-without-4"}, [3], ""),
        ({"app-without-3", "app-without-4"}, [5], ""),
        ({"app-without-4", "app-without-5", "app-bare"}, [3], ""),
        (set(), [3, 4], ""),
        ({"app-without-3", "app-without-4", "app-without-5"}, [], "no single part stops it"),
        (set(NAMES), [], "none of 4 variants with a part left out moves"),
    ],
)
def test_of_the_variants_that_move_those_that_change_least_name_the_lines(
    tmp_path: Path, stays: set[str], culprits: list[int], remark: str
) -> None:
    run = read_run(run_of(tmp_path / "run", ["app", "web"], FAILS))
    fails = {combination: dict.fromkeys(stays, words) for combination, words in HT.items()}
    searched = read_run(run_of(tmp_path / "run/search", NAMES, fails, PREFERRED))
    for direction in read_check(run, CHECKS, searched, VARIANTS).guests[0].directions:
        assert [culprit.lines for culprit in direction.culprits] == [(line,) for line in culprits]
        assert remark in direction.remark and bool(remark) == bool(direction.remark)
    if culprits == [3]:
        assert direction.culprits == (Culprit((3,), "<line number='3'/>", "without a"),)


def test_a_search_without_all_results_says_so(tmp_path: Path) -> None:
    run = read_run(run_of(tmp_path / "run", ["app", "web"], FAILS))
    assert read_check(run, CHECKS).guests[0].directions[0].remark == "the lab did not look for the line that stops it"
    fails = {combination: dict.fromkeys(NAMES, words) for combination, words in HT.items()}
    searched = read_run(run_of(tmp_path / "run/search", NAMES, fails, PREFERRED, without=f"app-bare/{PREFERRED}"))
    assert "not every part could be left out" in read_check(run, CHECKS, searched, VARIANTS).guests[0].directions[0].remark


def test_the_ledger_advises_by_versions_and_effects_whatever_guest_it_was_seen_with(tmp_path: Path) -> None:
    entry: dict[str, Any] = {
        "id": "ht", "title": "Title", "when": {"guest": ["two-cores"], "source": "<10.0.0", "target": ">=10.0.0"},
        "effects": [{"check": "migrated", "got": "*extra features: ht*"}], "cause": "Cause.", "advice": "Do it.",
        "reference": "x",
    }
    check = read_check(read_run(run_of(tmp_path / "run", ["app", "web"], FAILS, deviations=[entry])), CHECKS)
    there, back = check.guests[0].directions
    assert [(advice.id, advice.advice) for advice in there.advice] == [("ht", "Do it.")]
    assert back.advice == () and check.guests[1].directions[0].advice == ()
    others: list[dict[str, Any]] = [
        {"when": {"source": ">=10.0.0"}},
        {"effects": [{**entry["effects"][0], "optional": True}]},
        {"any_of": [{"effects": []}, {"when": {"source_qemu": ">=100.0"}, "effects": entry["effects"]}]},
    ]
    for number, changes in enumerate(others):
        run = read_run(run_of(tmp_path / f"other-{number}", ["app", "web"], FAILS, deviations=[{**entry, **changes}]))
        assert read_check(run, CHECKS).guests[0].directions[0].advice == (), changes
    entry["any_of"] = [{"effects": []}, {"when": {"client": ">=1.0.0"}, "effects": entry.pop("effects")}]
    check = read_check(read_run(run_of(tmp_path / "ways", ["app", "web"], FAILS, deviations=[entry])), CHECKS)
    assert [advice.id for advice in check.guests[0].directions[0].advice] == ["ht"]


def test_only_what_failed_is_searched_and_only_where_it_failed(tmp_path: Path) -> None:
    guests = [
        adapt(file, {"old": "7.2", "new": "10.0"}, {"uefi", "tpm"}, {"x86_64"}, {"x86_64"})
        for file in read_domains([GUESTS / "two-cores.xml", GUESTS / "tpm.xml"])
    ]
    names = [guest.name for guest in guests]
    run = read_run(run_of(tmp_path / "run", names, {"nno": {"app01": HT["nno"]}}))
    found = search(run, guests)
    assert found.combinations == ("nno",) and found.cases == (f"*/{PREFERRED}",)
    assert {(guest, variant.breadth) for guest, variant in found.variants} == {("app01", PART), ("app01", PROCESSOR)}
    # The images of the first run serve the second.
    assert {tuple(variant.data["needs"]) for _, variant in found.variants} == {("tpm", "uefi")}
    assert search(read_run(run_of(tmp_path / "green", names, {})), guests).variants == ()
    devices = search(read_run(run_of(tmp_path / "device", names, {"oon": {"app01": "load of migration failed"}})), guests)
    assert BARE in {variant.breadth for _, variant in devices.variants}
