# SPDX-License-Identifier: GPL-3.0-or-later
"""The schemas have the words of the model."""

from __future__ import annotations

import json
from typing import Any

import pytest

from default_catalogue import PAIRS, SCENARIOS
from migration_lab.judging.condition import CONDITIONS
from migration_lab.model.case import MIGRATE_FLAGS, Method, State
from migration_lab.planning.ledger import ledger_schema
from migration_lab.planning.schema import validate

# No guest has a disk, no cell TLS or RDMA, and post-copy has to be switched on from beside the migration.
MEANINGLESS = {"non-shared-disk", "rdma-pin-all", "postcopy", "tls"}


def schema(name: str) -> dict[str, Any]:
    data: dict[str, Any] = json.loads((SCENARIOS / "schema" / f"{name}.json").read_text())
    return data


def test_profile_has_the_methods_states_and_flags_of_the_model() -> None:
    properties = schema("profile")["properties"]
    assert properties["methods"]["items"]["enum"] == [method.value for method in Method]
    assert properties["scenarios"]["items"]["properties"]["state"]["enum"] == [state.value for state in State]
    flags = properties["flags"]["items"]["properties"]["migrate"]["items"]["enum"]
    assert flags == [flag for flag in MIGRATE_FLAGS if flag not in MEANINGLESS | set(Method.TUNNELLED.migrate_flags)]


def test_pair_of_a_run_has_the_fields_of_the_catalogues_pairs() -> None:
    pair = schema("run")["properties"]["pair"]
    assert set(pair["properties"]) == {"name", "releases", *schema("pairs")["additionalProperties"]["properties"]}


@pytest.mark.parametrize("name", list(CONDITIONS))
def test_each_condition_has_words_and_a_place_in_the_ledger(name: str) -> None:
    value: dict[str, Any] = {"method": ["p2p"], "flags": ["live"], "without_flags": ["live"]}
    assert CONDITIONS[name].words(value.get(name, "<1.0.0"))
    when = ledger_schema(SCENARIOS)["$defs"]["when"]
    assert when["properties"][name] == CONDITIONS[name].schema


@pytest.mark.parametrize("name", list(PAIRS))
def test_pair_of_the_lab_fits_the_schema_of_a_run(name: str) -> None:
    run = schema("run")
    validate({"name": name, **PAIRS[name]}, {**run["properties"]["pair"], "$defs": run["$defs"]}, "run.json")
