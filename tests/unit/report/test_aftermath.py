# SPDX-License-Identifier: GPL-3.0-or-later
"""What a manager should do: what each reaction leaves, in the text and on the page, and which runs are comparable."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from migration_lab.journal.case_result import CaseResult
from migration_lab.model.errors import LabError
from migration_lab.report.aftermath import aftermath_page, aftermath_text, code, write_aftermath
from migration_lab.results.aftermath import Aftermath, Left, left_of, read_aftermath, total
from migration_lab.results.recovery import Trial
from migration_lab.suites.recovery.case import RecoveryCase
from migration_lab.suites.recovery.reaction import REACTIONS
from synthetic_recovery import SyntheticRecovery, recovery_result
from synthetic_run import ROOT, SyntheticRun

TEMPLATES = ROOT / "roles/report/templates"
ERROR = {"answer": "error", "code": 38, "domain": 7, "text": "", "seconds": 0.1}


def late(case: RecoveryCase) -> bool:
    return case.point.name in ("finish-reply", "confirm-call") and case.fault.name in ("connection-closed", "agent-killed")


def make(folder: Path, aftermath: str, left: Mapping[str, str], **facts: Any) -> Path:
    """A run whose guests stay paused on the source, with what its reaction leaves."""
    lab = SyntheticRecovery(folder, selection="full", keep=late, profile_data={"aftermath": aftermath}, **facts)
    lab.carry_out("nnn", lambda case: ("paused-on-source", False), {"reaction": aftermath, "reaction_left": dict(left)})
    return folder


@pytest.fixture(scope="module")
def aftermath(tmp_path_factory: pytest.TempPathFactory) -> Aftermath:
    """Two reactions: one destroys the target's copy and leaves the source's running, one leaves both."""
    root = tmp_path_factory.mktemp("aftermath")
    return read_aftermath([
        make(root / "trusting", "trust-the-error", {"source": "running"}),
        make(root / "again", "again", {"source": "standing", "target": "running"}),
    ])


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> RecoveryCase:
    return SyntheticRecovery(tmp_path_factory.mktemp("case") / "run", selection="full", keep=late).chosen["nnn"][0]


def trial_of(case: RecoveryCase, result: CaseResult) -> Trial:
    return Trial(case.id, "normal", case.scenario.name, "none", case.point.name, case.fault.name, "", result)


@pytest.mark.parametrize(
    ("outcome", "details", "left"),
    [
        ("intact", {}, Left.ONE),
        ("paused-on-source", {"reaction": "again", "reaction_left": {"source": "running"}}, Left.ONE),
        ("paused-on-source", {"reaction": "again", "reaction_left": {"source": "standing"}}, Left.STANDS),
        ("target-left", {"reaction": "again", "reaction_left": {"source": "running", "target": "standing"}}, Left.TWO),
        ("lost", {"reaction": "again", "reaction_left": {}}, Left.NONE),
        ("stuck", {}, Left.UNTRIED),
        ("running-twice", {"reaction": "again", "reaction_left": {"source": "running"}}, Left.DAMAGED),
        ("moved", {"reaction": "again", "reaction_left": {"target": "running"}, "pattern": False}, Left.DAMAGED),
        ("moved", {"reaction": "again", "reaction_left": {"target": "damaged"}}, Left.DAMAGED),
        ("paused-on-source", {"told": {**ERROR, "answer": "success"}}, None),
        ("intact", {"told": {**ERROR, "answer": "nothing"}}, Left.ONE),
        ("killed", {}, None),
        ("error", {}, None),
    ],
)
def test_what_is_left(case: RecoveryCase, outcome: str, details: dict[str, Any], left: Left | None) -> None:
    result = recovery_result(case, outcome, False, {"told": ERROR, **details})
    assert left_of(trial_of(case, result), True) is left


def test_a_guest_that_was_paused_may_stand(case: RecoveryCase) -> None:
    result = recovery_result(case, "moved", False, {"told": ERROR, "reaction": "again", "reaction_left": {"target": "standing"}})
    assert left_of(trial_of(case, result), False) is Left.ONE


def test_the_reactions_are_side_by_side(aftermath: Aftermath) -> None:
    assert aftermath.reactions == ("again", "trust-the-error")
    place = aftermath.places[0]
    assert (place.combination, place.table, place.point, place.stage) == ("nnn", "normal", "finish-reply", 3)
    assert (place.rate("again"), place.rate("trust-the-error"), place.keeping) == ((0, 8), (8, 8), ["trust-the-error"])
    cases = 8 * len(aftermath.places)
    assert (total(aftermath.places, "again"), total(aftermath.places, "trust-the-error")) == ((0, cases), (cases, cases))
    assert [code(place.left[one]) for one in aftermath.reactions] == ["f", "p"]


def test_text(aftermath: Aftermath) -> None:
    lines = aftermath_text(aftermath, Path("results/aftermath.html")).splitlines()
    places = len(aftermath.places)
    assert [line.split() for line in lines[2:4]] == [
        ["combination", "places", "again", "trust-the-error"],
        ["nnn", str(places), *f"0 of {8 * places} {8 * places} of {8 * places}".split()],
    ]
    row = next(line for line in lines if "normal" in line)
    assert re.split("  +", row.strip()) == [
        "normal", "finish-reply", row.split()[2], "0 of 8; 8 two copies", "8 of 8", "trust-the-error",
    ]
    assert lines[-1] == "All of it: results/aftermath.html"


def test_page_leads_to_the_cases(aftermath: Aftermath) -> None:
    html = aftermath_page(aftermath, TEMPLATES)
    assert 'href="trusting/nnn/cases-normal.html#finish-reply/connection-closed">8 of 8</a>' in html
    assert 'href="again/nnn/cases-normal.html#finish-reply/connection-closed">0 of 8; 8 two copies</a>' in html
    assert 'href="again/index.html"' in html and "Finish has run, its reply is not seen" in html
    assert all(f"<dt>{one}</dt><dd>{REACTIONS[one]}</dd>" in html for one in aftermath.reactions)
    assert "<dt>restart-daemons</dt>" not in html


def test_page_is_written_beside_the_runs(aftermath: Aftermath, tmp_path: Path) -> None:
    path = write_aftermath(aftermath, tmp_path, TEMPLATES)
    assert path == tmp_path / "aftermath.html" and path.read_text() == aftermath_page(aftermath, TEMPLATES)


def test_where_no_call_failed_there_is_nothing_to_compare(tmp_path: Path) -> None:
    lab = SyntheticRecovery(tmp_path / "run", keep=late)
    lab.carry_out("nnn", lambda case: ("moved", False), {"told": {**ERROR, "answer": "success"}})
    assert "No call failed." in aftermath_page(read_aftermath([lab.folder]), TEMPLATES)


def test_what_cannot_be_compared_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="no runs are named; name recovery runs"):
        read_aftermath([])
    matrix = SyntheticRun(tmp_path / "matrix", ["nnn"])
    with pytest.raises(LabError, match=r"run matrix is not one of playbooks/recovery\.yml"):
        read_aftermath([matrix.folder])
    one, other = make(tmp_path / "one", "again", {}), make(tmp_path / "other", "again", {}, guest="s390x")
    with pytest.raises(LabError, match="runs one and other cannot be compared: the guest differs"):
        read_aftermath([one, other])
    with pytest.raises(LabError, match="runs one and twin both reacted with again; name one run of each aftermath"):
        read_aftermath([one, make(tmp_path / "twin", "again", {})])
