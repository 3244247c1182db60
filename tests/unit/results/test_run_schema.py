# SPDX-License-Identifier: GPL-3.0-or-later
"""The published schema of run.json: every run.json that the lab writes meets it, and none of another shape does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from default_catalogue import NO_OWN, PAIRS, SCENARIOS, SETTINGS
from migration_lab.model.combination import COMBINATIONS
from migration_lab.planning.plan import make_plan, start_run
from migration_lab.report.run_json import run_text
from migration_lab.results.run import read_run
from synthetic_page import COMPARISON, every_verdict
from synthetic_run import ROOT, SyntheticRun

SCHEMA = json.loads((ROOT / "scenarios/schema/run.json").read_text())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


def errors(data: Any) -> list[str]:
    return [f"{error.json_path}: {error.message}" for error in VALIDATOR.iter_errors(data)]


@pytest.fixture(scope="module")
def completed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """run.json of a run with every kind of verdict and failure."""
    lab = every_verdict(tmp_path_factory.mktemp("schema") / "run")
    data: dict[str, Any] = json.loads(run_text(read_run(lab.folder), "a line", COMPARISON))
    return data


def test_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_run_file_with_every_kind_of_failure(completed: dict[str, Any]) -> None:
    assert errors(completed) == []
    assert {failure["kind"] for failure in completed["results"]["failures"]} == {
        "case", "cases-not-obtained", "combination-not-obtained", "daemon-death",
    }


@pytest.mark.parametrize("pair", sorted(PAIRS))
def test_run_file_of_every_pair_as_it_is_written_at_the_start(tmp_path: Path, pair: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tarball or archive that only a site has is taken to be there."""
    monkeypatch.setattr("migration_lab.planning.plan.choose_pair", lambda name, pairs, releases: {"name": name, **pairs[name]})
    plan = make_plan({
        **NO_OWN, "settings": SETTINGS, "pair": pair, "profile": "tck", "guest": "x86_64", "guest_machine": "", "start": True,
        "combinations": "noo,nnn", "cases": "p2p/*", "cells": ["a"], "scenarios": str(SCENARIOS), "lab_files": [],
        "results_root": str(tmp_path), "run": "run", "resume": False, "workers": "auto", "time_limit": 60.0, "prefix": "mlab-",
        "relay": True, "hops": "",
    })
    start_run(plan, {"user": "root", "host": "lab-host", "revision": "0123abc"})
    data = json.loads((tmp_path / "run/run.json").read_text())
    assert errors(data) == []
    assert data["machines"]["noo"] == {
        "client": data["pair"]["new"], "source": data["pair"]["old"], "target": data["pair"]["old"],
    }
    run = read_run(tmp_path / "run")
    assert errors(json.loads(run_text(run, "a line"))) == [], "before its first case"
    planned = sum(map(len, plan["cases"].values()))
    assert run.counts["not_obtained"] == planned > 0, "the cases are known before any journal tells them"


def test_green_run(tmp_path: Path) -> None:
    lab = SyntheticRun(tmp_path / "run", ["nnn"])
    lab.complete("nnn")
    assert errors(json.loads(run_text(read_run(lab.folder), "a line"))) == []


def places(data: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every value in nested data."""
    entries = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in entries:
        yield (*path, key)
        yield from places(value, (*path, key))


def shortened(data: Any) -> Any:
    """Nested data with the first entry of every list, and of the combinations the first four: some ran, some did not."""
    if isinstance(data, dict):
        return {key: shortened(value) for key, value in data.items() if key not in COMBINATIONS[4:]}
    return [shortened(value) for value in data[:1]] if isinstance(data, list) else data


def test_another_type_anywhere_is_refused(completed: dict[str, Any]) -> None:
    data = shortened(completed)
    assert errors(data) == []
    found = [path for path in places(data) if path[:2] != ("deviations", 0)]
    assert len(found) > 200
    accepted = []
    for path in found:
        holder = data
        for key in path[:-1]:
            holder = holder[key]
        kept = holder[path[-1]]
        holder[path[-1]] = [{}] if not isinstance(kept, list) else "text"
        if VALIDATOR.is_valid(data):
            accepted.append(path)
        holder[path[-1]] = kept
    assert accepted == [] and errors(data) == []


def test_a_field_more_or_less_is_refused(completed: dict[str, Any]) -> None:
    results = completed["results"]
    for name in results:
        assert errors({**completed, "results": {field: value for field, value in results.items() if field != name}}), name
    assert errors({**completed, "results": {**results, "more": 1}}) and errors({**completed, "more": 1})
