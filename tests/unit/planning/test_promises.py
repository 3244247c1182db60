# SPDX-License-Identifier: GPL-3.0-or-later
"""Promises are read, and refused with a sentence that names file, entry and field."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from migration_lab.model.errors import LabError
from migration_lab.planning.promises import load_promises
from synthetic_run import ROOT

SCENARIOS = ROOT / "scenarios"


def row(**changes: Any) -> dict[str, Any]:
    return {"id": "a-row", "when": {"stage": [1]}, "outcomes": ["intact"], "says": "It is so.", "source": "there", **changes}


@pytest.fixture
def scenarios(tmp_path: Path) -> Path:
    for name in ("faults", "schema"):
        shutil.copytree(SCENARIOS / name, tmp_path / name)
    return tmp_path


def test_rows_are_read_in_their_order(scenarios: Path) -> None:
    rows = [row(), row(id="another", when={"does": ["kill-*"], "also": ["delivery closed"], "source": "<0.9.2"})]
    (scenarios / "promises.yml").write_text(yaml.safe_dump(rows))
    assert load_promises(scenarios) == rows


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ("[", r"promises\.yml is not YAML"),
        ([], r"promises\.yml: \[\] should be non-empty"),
        ([row(id="A row")], r"promises\.yml: entry 1, id: "),
        ([row(), row()], "the id 'a-row' is there twice"),
        ([row(colour="red")], r"entry 1: .*'colour'"),
        ([row(when={})], "entry 1, when: "),
        ([row(when={"mood": "good"})], "entry 1, when: .*'mood'"),
        ([row(when={"guest": ["tpm"]})], "entry 1, when: .*'guest'"),
        ([row(when={"also": ["*"]})], "entry 1, when: 'does' is a dependency of 'also'"),
        ([row(when={"stage": [6]})], "entry 1, when, stage, entry 1: 6 is not one of"),
        ([row(outcomes=["well"])], "entry 1, outcomes, entry 1: 'well' is not one of"),
        ([row(outcomes=["not-obtained"])], "entry 1, outcomes, entry 1: 'not-obtained' is not one of"),
        ([row(says="")], "entry 1, says: "),
        ([row(source="")], "entry 1, source: "),
        ([row(when={"point": ["middle-*"]})], "promise 'a-row', when, point: nothing is like 'middle-*'; there are begin-call, "),
        ([row(when={"fault": ["rain"]})], "promise 'a-row', when, fault: nothing is like 'rain'; there are agent-killed, "),
        ([row(when={"group": ["rain"]})], "promise 'a-row', when, group: nothing is like 'rain'; there are client, "),
        ([row(when={"does": ["kill-daemon moon"]})], "when, does: nothing is like 'kill-daemon moon'; there are "),
        ([row(when={"does": ["*"], "also": ["delivery eaten"]})], "when, also: nothing is like 'delivery eaten'; there are "),
        ([row(when={"source": "=1.0"})], "promise 'a-row', when, source: '=1.0' is not a range of versions"),
    ],
)
def test_refused(scenarios: Path, rows: Any, words: str) -> None:
    (scenarios / "promises.yml").write_text(rows if isinstance(rows, str) else yaml.safe_dump(rows))
    with pytest.raises(LabError, match=words.replace("-*'", r"-\*'")) as refusal:
        load_promises(scenarios)
    assert "\n" not in str(refusal.value)


def test_a_missing_file_is_said(scenarios: Path) -> None:
    with pytest.raises(LabError, match=r"promises\.yml cannot be read"):
        load_promises(scenarios)
