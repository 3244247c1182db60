# SPDX-License-Identifier: GPL-3.0-or-later
"""A survey's table, file and page."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from migration_lab.model.errors import LabError
from migration_lab.report.survey import survey_advice, survey_page, survey_text, write_survey
from migration_lab.results.run import read_run
from migration_lab.results.survey import Fate, Survey, read_survey
from synthetic_run import ROOT, lab_error, refused
from synthetic_survey import CASES, PREPARE_FAILED, start_survey

TEMPLATES = ROOT / "roles/report/templates"
QEMU = (
    "internal error: QEMU unexpectedly closed the monitor: 2026-11-28T12:29:03.863266Z qemu-system-x86_64: -device "
    "{\"driver\":\"igb\",\"bus\":\"pci.0\"}: 'igb' is not a <valid> device model name"
)


@pytest.fixture
def survey(tmp_path: Path) -> Survey:
    run = start_survey(tmp_path / "run")
    run.complete("oon", {CASES[2].id: refused("no qxl here")}, steps=PREPARE_FAILED)
    run.complete("nno", {case.id: refused(QEMU) for case in (CASES[0], CASES[3])}, steps=PREPARE_FAILED)
    return read_survey(read_run(run.folder))


def test_the_terminal_has_what_does_not_move_first_and_the_rest_in_short(survey: Survey) -> None:
    lines = survey_text(survey).splitlines()
    assert lines[0] == "survey run: pair debian, 6 devices, counted once per machine family (q35), 1 of them not tried"
    assert lines[2] == (
        "nno (new -> old): libvirt 11.3.0, QEMU 10.0.6 -> libvirt 9.0.0, QEMU 7.2.22: 1 move, 1 refused, 1 not on old, "
        "1 not on new, 1 on neither, 1 not tried"
    )
    table = [re.split("  +", line) for line in lines[4:8]]
    assert table == [
        ["device", "q35 oon", "q35 nno"],
        ["net igb", "moves", "refused"],
        ["video qxl", "not on new", "not on new"],
        ["crypto virtio", "not on old", "not on old"],
    ]
    text = "\n".join(lines[8:])
    assert (
        "net igb\n    refused (q35 nno): the target does not take it: internal error: QEMU unexpectedly closed the monitor: "
        "qemu-system-x86_64: 'igb' is not a <valid> device model name\n" in text
    )
    assert "Move wherever they exist:\n    net: e1000\n" in text
    assert "Known on neither side:\n    disk: ide\n" in text
    assert "Not tried:\n    hostdev pci: it belongs to the host\n" in text


def test_the_page_has_every_device_with_libvirts_words(survey: Survey) -> None:
    page = survey_page(survey, TEMPLATES)
    assert "<h1>Which devices move between bookworm and trixie</h1>" in page
    for words in ("not a &lt;valid&gt; device", "no qxl", "it ignores &lt;crypto&gt;"):
        assert words in page
    assert page.count('scope="row">net ') == 2
    for fate in Fate:
        assert fate.value in page
    assert "Not every device has a result" not in page
    assert re.findall(r'(?:href|src)="([^"#]+)"', page) == ["survey.json", "index.html"]


def test_an_incomplete_survey_says_so(tmp_path: Path) -> None:
    run = start_survey(tmp_path / "run")
    run.complete("oon")
    survey = read_survey(read_run(run.folder))
    assert "Not every device has a result" in survey_page(survey, TEMPLATES)
    assert "not obtained (q35 nno): there is no journal in nno" in survey_text(survey)


def test_what_did_not_run_is_resumed_and_where_the_lab_failed_a_new_survey_tries_again(survey: Survey, tmp_path: Path) -> None:
    assert survey_advice(survey) == ""
    run = start_survey(tmp_path / "half")
    run.complete("oon", {case.id: lab_error("the agent went") for case in CASES[:2]})
    failed = (
        "the lab failed with net-igb-q35 (oon: the agent went), net-e1000-q35 (oon: the agent went), which a resumed run does "
        "not try again; put that right and start a new survey with -e devices=net-igb-q35,net-e1000-q35"
    )
    resume = "3 devices did not run; resume with -e resume=true -e run=half; "
    assert survey_advice(read_survey(read_run(run.folder))) == resume + failed
    run.complete("nno")
    assert survey_advice(read_survey(read_run(run.folder))) == failed


def test_the_files_are_written_into_the_runs_folder(survey: Survey) -> None:
    files = write_survey(survey, TEMPLATES)
    assert [path.name for path in files] == ["survey.json", "survey.html"]
    data = json.loads(files[0].read_text())
    assert data["devices"][0]["results"]["nno"]["words"].endswith("'igb' is not a <valid> device model name")


def test_a_missing_template_is_named(survey: Survey, tmp_path: Path) -> None:
    with pytest.raises(LabError, match=r"survey\.html\.j2 cannot be read"):
        write_survey(survey, tmp_path)
