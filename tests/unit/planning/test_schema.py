# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading YAML and validating it: what was read or found valid once is not taken for what it is not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from migration_lab.model.errors import LabError
from migration_lab.planning.schema import read_yaml, validate

NAMES = {"type": "object", "properties": {"name": {"type": "string"}}, "additionalProperties": False}


def test_what_is_read_is_the_callers_own(tmp_path: Path) -> None:
    path = tmp_path / "some.yml"
    path.write_text("a: [1, 2]\n")
    read_yaml(path)["a"].append(3)
    assert read_yaml(path) == {"a": [1, 2]}


def test_a_file_that_changes_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "some.yml"
    for content in ("a: 1\n", "a: 2\n"):
        path.write_text(content)
        os.utime(path, (0, 0))
        assert read_yaml(path) == {"a": int(content[3])}
    path.write_text("a: [\n")
    for _ in range(2):
        with pytest.raises(LabError, match="is not YAML"):
            read_yaml(path)


def test_what_is_wrong_is_refused_each_time_and_where_it_is() -> None:
    validate({"name": "x"}, NAMES, "one")
    for where in ("one", "other"):
        with pytest.raises(LabError, match=f"^{where}: name: 1 is not of type 'string'"):
            validate({"name": 1}, NAMES, where)


def test_what_is_valid_by_one_schema_is_not_by_another() -> None:
    data = {"name": "x"}
    validate(data, NAMES, "here")
    with pytest.raises(LabError, match="'x' is not of type 'integer'"):
        validate(data, {"properties": {"name": {"type": "integer"}}}, "here")
    data["name"] = ""
    with pytest.raises(LabError, match="should be non-empty"):
        validate(data, {"properties": {"name": {"minLength": 1}}}, "here")
    with pytest.raises(LabError, match="here: "):
        validate({"name": "x", "age": "1"}, NAMES, "here")


def test_types_that_json_does_not_tell_apart_are_told_apart() -> None:
    rules = {"items": {"type": "boolean"}}
    validate([True], rules, "here")
    with pytest.raises(LabError, match="1 is not of type 'boolean'"):
        validate([1], rules, "here")
