# SPDX-License-Identifier: GPL-3.0-or-later
"""junit.xml, read with the standard library and held against the schema that Jenkins' xunit plugin validates by."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import pytest

from migration_lab.report.junit import junit_text
from migration_lab.results.run import read_run
from synthetic_run import CASES, DEVIATION, EMULATED, SyntheticRun, lab_error, left_over, refused, wrong_state

# Attributes that junit-10.xsd of jenkinsci/xunit-plugin allows, those it requires first, of the elements that the lab writes.
ALLOWED = {
    "testsuites": ("", "name time tests failures errors"),
    "testsuite": ("name tests failures errors", "time skipped timestamp hostname id package"),
    "properties": ("", ""),
    "property": ("name value", ""),
    "testcase": ("name", "time classname"),
    "failure": ("", "type message"),
    "error": ("", "type message"),
    "skipped": ("", "type message"),
}
CHILDREN = {
    "testsuites": {"testsuite"},
    "testsuite": {"properties", "testcase"},
    "properties": {"property"},
    "testcase": {"failure", "error", "skipped"},
}
TIME = re.compile(r"(([0-9]{0,3},)*[0-9]{3}|[0-9]{0,3})*(\.[0-9]{0,3})?")


@pytest.fixture
def one(tmp_path: Path) -> SyntheticRun:
    return SyntheticRun(tmp_path / "run", ["noo"])


def written(lab: SyntheticRun, name: str = "noo") -> Element:
    """The parsed file, after it was held against the schema and its sums were checked."""
    run = read_run(lab.folder)
    text = junit_text(run, next(combination for combination in run.combinations if combination.name == name))
    root = ElementTree.fromstring(text)
    assert root.tag == "testsuites"
    for element in root.iter():
        required, optional = (names.split() for names in ALLOWED[element.tag])
        assert set(required) <= set(element.attrib) <= set(required + optional), element.tag
        assert {child.tag for child in element} <= CHILDREN.get(element.tag, set())
        if "time" in element.attrib:
            assert TIME.fullmatch(element.attrib["time"])
    for suite in root:
        assert {"skipped", "time"} <= set(suite.attrib)
        cases = suite.findall("testcase")
        assert int(suite.attrib["tests"]) == len(cases)
        for tag, counter in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
            assert int(suite.attrib[counter]) == len(suite.findall(f"testcase/{tag}"))
        assert float(suite.attrib["time"]) == pytest.approx(sum(float(case.attrib["time"]) for case in cases))
    for counter in ("tests", "failures", "errors"):
        assert int(root.attrib[counter]) == sum(int(suite.attrib[counter]) for suite in root)
    return root


def test_suite_for_each_method_case_for_each_case(one: SyntheticRun) -> None:
    one.complete("noo", order=reversed(CASES))
    root = written(one)
    assert [suite.attrib["name"] for suite in root] == ["noo.normal", "noo.p2p", "noo.tunnelled"]
    cases = list(root.iter("testcase"))
    assert [case.attrib["name"] for case in cases] == [case.id for case in CASES]
    assert cases[40].attrib == {
        "name": "p2p/persistent-running/none", "classname": "noo.p2p.persistent-running", "time": "1.2",
    }
    assert root.attrib["tests"] == "96" and root.attrib["failures"] == "0" and root.attrib["errors"] == "0"
    properties = {item.attrib["name"]: item.attrib["value"] for item in root[1].iter("property")}
    assert properties["client.libvirt"] == "11.3.0" and properties["target.hypervisor"] == "7.2.22"
    assert properties["combination"] == "2 noo: new client, old source, old target"
    assert root[1].attrib["hostname"] == "lab-host"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", root[1].attrib["timestamp"])


def test_failed_case_tells_all_that_is_needed(one: SyntheticRun) -> None:
    one.complete("noo", {CASES[40].id: refused('operation failed:\n<domain> & "x" \x1b[0m \x00 é')})
    root = written(one)
    (failure,) = root.iter("failure")
    said = 'migrated: expected success, got operation failed: <domain> & "x" \\x1b[0m \\x00 é'
    assert failure.attrib == {"type": "fail", "message": said}
    assert (failure.text or "").splitlines() == [
        said,
        "not run: source-inactive, source-config, target-exists, target-active, target-persistent, target-state",
        "migration: virDomainMigrateToURI to qemu+tcp://10.0.0.3/system, flags peer2peer (2), 0.510 s",
        "log: logs/041-p2p-source.log",
        "journal: journal.jsonl",
    ]
    assert root[1].find("testcase[@name='p2p/persistent-running/none']/failure") is failure


def test_further_check_fails_its_case(one: SyntheticRun) -> None:
    one.complete("noo", {CASES[0].id: left_over})
    (failure,) = written(one).iter("failure")
    assert "no-leftovers: expected none" in (failure.text or "")


def test_error_is_no_failure(one: SyntheticRun) -> None:
    one.complete("noo", {CASES[0].id: lab_error("the agent hung"), CASES[1].id: wrong_state})
    root = written(one)
    assert root.attrib["errors"] == "1" and root.attrib["failures"] == "1"
    (error,) = root.iter("error")
    assert error.attrib == {"type": "error", "message": "the agent hung"}
    assert (error.text or "").startswith("the agent hung\nnot run: migrated,")


def test_known_is_skipped_and_fixed_a_failure(one: SyntheticRun) -> None:
    known, fixed = CASES[48].id, CASES[49].id
    one.complete("noo", {known: wrong_state}, expected=[known, fixed], note="failed beside 3 other cases; alone: known")
    root = written(one)
    assert root.attrib["failures"] == "1" and root.attrib["errors"] == "0" and root[1].attrib["skipped"] == "1"
    (skipped,) = root.iter("skipped")
    assert skipped.attrib == {"type": "known", "message": f"known: {DEVIATION.id}"}
    lines = (skipped.text or "").splitlines()
    assert lines[0] == "target-state: expected paused, got running"
    assert "note: failed beside 3 other cases; alone: known" in lines
    (failure,) = root.iter("failure")
    said = f"deviation {DEVIATION.id} was expected and did not come: target-state got running"
    assert failure.attrib == {"type": "fixed", "message": said}


def test_properties_tell_of_emulated_and_untried_machines(tmp_path: Path) -> None:
    lab = SyntheticRun(tmp_path / "run", ["noo"], pair=EMULATED, untried=["ubuntu-11.04", "debian-6"])
    lab.complete("noo")
    properties = {item.attrib["name"]: item.attrib["value"] for item in written(lab)[0].iter("property")}
    assert properties["emulated"] == "old is emulated: debian-12 presented as libvirt 0.9.1"
    assert properties["untried"] == "nobody has run it before: ubuntu-11.04, debian-6"


def test_case_without_a_result_is_an_error(one: SyntheticRun) -> None:
    journal = one.start("noo")
    for case in CASES[:95]:
        one.record(journal, case)
    journal.close()
    root = written(one)
    (error,) = root.iter("error")
    assert error.attrib["type"] == "not obtained" and "resume=true" in error.attrib["message"]
    assert root[2].find(f"testcase[@name='{CASES[95].id}']/error") is error and root.attrib["tests"] == "96"


def test_combination_not_obtained_is_96_errors(tmp_path: Path) -> None:
    lab = SyntheticRun(tmp_path / "run", ["noo", "nnn"])
    lab.complete("nnn")
    lab.not_obtained("noo", "the mirror cannot be reached")
    root = written(lab)
    assert root.attrib["tests"] == "96" and root.attrib["errors"] == "96"
    assert {error.attrib["message"] for error in root.iter("error")} == {"the mirror cannot be reached"}


def test_nothing_known_is_one_error(one: SyntheticRun) -> None:
    root = written(one)
    assert root.attrib["tests"] == "1" and root.attrib["errors"] == "1"


def test_unexplained_death_is_a_failure_of_its_own(one: SyntheticRun) -> None:
    journal = one.start("noo")
    for case in CASES:
        one.record(journal, case)
    one.die(journal)
    journal.close()
    root = written(one)
    assert root.attrib["tests"] == "97" and root.attrib["failures"] == "1"
    (failure,) = root.iter("failure")
    assert failure.attrib["type"] == "daemon-death" and (failure.text or "").splitlines()[1] == "log: logs/death-source.log"
