# SPDX-License-Identifier: GPL-3.0-or-later
"""The record of what a run has seen: read, added to, and never true for another version."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from default_catalogue import GUESTS, PAIRS, RELEASES, SCENARIOS
from migration_lab.model.combination import COMBINATIONS, LETTERS
from migration_lab.model.errors import LabError
from migration_lab.model.pair import SWEEP
from migration_lab.planning.recorded import HEADER, read_record, record, recorded
from migration_lab.releases.recipe import release_id, with_features

ENTRY: dict[str, Any] = {
    "id": "old-0123456789ab", "libvirt": "0.9.1", "run": "20261124T100000Z", "date": "2026-11-24", "pair": "v3-protocol",
    "combinations": ["ooo", "noo"], "guest": "x86_64",
}
RELEASE = {"name": "old", "id": "old-0123456789ab", "kind": "tree", "libvirt": "0.9.1"}


@pytest.fixture
def scenarios(tmp_path: Path) -> Path:
    """A folder of scenarios with the lab's schema and no record."""
    (tmp_path / "schema").symlink_to(SCENARIOS / "schema")
    return tmp_path


def test_record_of_the_lab_is_of_its_own_catalogue() -> None:
    lines = read_record(SCENARIOS)
    assert {"debian-12", "debian-13"} <= set(lines)
    for name, entry in lines.items():
        assert entry["libvirt"] == RELEASES[name]["libvirt"]
        needs = {need for guest in entry["guest"].split(",") for need in (GUESTS[guest]["arch"], *GUESTS[guest].get("needs", []))}
        assert entry["id"] == release_id(name, with_features(RELEASES[name], needs))
        if entry["pair"] == SWEEP:
            assert all(set(combination) <= set(LETTERS) for combination in entry["combinations"])
        else:
            assert name in (PAIRS[entry["pair"]]["old"], PAIRS[entry["pair"]]["new"])
            assert set(entry["combinations"]) <= set(COMBINATIONS)


def test_catalogue_carries_the_mark_of_what_is_not_in_the_record() -> None:
    text = (SCENARIOS / "releases.yml").read_text()
    marked = {name for name in RELEASES if f"\n{name}:  # not run yet\n" in text}
    assert marked == set(RELEASES) - set(read_record(SCENARIOS))


def test_release_is_not_recorded_until_it_is(scenarios: Path) -> None:
    assert not recorded(RELEASE, scenarios)
    assert record(scenarios, "old", ENTRY)
    assert recorded(RELEASE, scenarios)
    assert not recorded({**RELEASE, "name": "other"}, scenarios)


def test_another_version_is_not_recorded(scenarios: Path) -> None:
    record(scenarios, "old", ENTRY)
    assert not recorded({**RELEASE, "libvirt": "0.9.2"}, scenarios)


@pytest.mark.parametrize(("kind", "seen"), [("tree", False), ("debootstrap", True)])
def test_another_tree_of_the_same_name_is_not_recorded(scenarios: Path, kind: str, seen: bool) -> None:
    record(scenarios, "old", ENTRY)
    assert recorded({**RELEASE, "kind": kind, "id": "old-ba9876543210"}, scenarios) == seen


def test_record_is_sorted_and_has_its_header(scenarios: Path) -> None:
    for name in ("old", "new", "debian-12"):
        record(scenarios, name, ENTRY)
    text = (scenarios / "recorded.yml").read_text()
    assert text.startswith(HEADER)
    assert list(yaml.safe_load(text)) == ["debian-12", "new", "old"]
    assert {path.name for path in scenarios.iterdir()} == {"schema", "recorded.yml"}


def test_same_entry_changes_nothing_and_another_replaces_it(scenarios: Path) -> None:
    assert record(scenarios, "old", ENTRY)
    assert not record(scenarios, "old", ENTRY)
    assert record(scenarios, "old", {**ENTRY, "run": "later"})
    assert read_record(scenarios) == {"old": {**ENTRY, "run": "later"}}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"combinations": []}, "old, combinations: [] "),
        ({"combinations": ["xyz"]}, "old, combinations, entry 1: 'xyz' does not match"),
        ({"date": "24 November"}, "old, date: '24 November' does not match"),
        ({"by": "me"}, "old: Additional properties are not allowed ('by' was unexpected)"),
    ],
)
def test_malformed_entry_is_refused_and_not_written(scenarios: Path, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(LabError) as refusal:
        record(scenarios, "old", {**ENTRY, **changes})
    assert str(refusal.value).startswith(f"the record's entry 'old': {said}")
    assert not (scenarios / "recorded.yml").exists()


@pytest.mark.parametrize(
    ("text", "said"), [("old: [", "is not YAML"), ("- old", "is not of type 'object'"), ("old: {}", "old: ")]
)
def test_malformed_record_is_refused_by_name(scenarios: Path, text: str, said: str) -> None:
    path = scenarios / "recorded.yml"
    path.write_text(text)
    with pytest.raises(LabError) as refusal:
        recorded(RELEASE, scenarios)
    assert str(refusal.value).startswith(str(path)) and said in str(refusal.value)
