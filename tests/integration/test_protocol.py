# SPDX-License-Identifier: GPL-3.0-or-later
"""Protocol v2 on real daemons, whose old side the relay emulates: what is known, what is seen of it, and what is reported."""

from __future__ import annotations

import json
import shutil
import subprocess
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab import ROOT, Lab, Played, cases_of, events_of

# Every method and every scenario is among them. A case that crashes a daemon runs alone, and takes the daemon's restart.
CASES = "p2p/*/none,*/transient-running/none,*/persistent-paused-dst/none"
CHOSEN, CHOSEN_NORMAL = 12, 2
EMULATED = "old is emulated: debian-12 presented as libvirt 0.9.1"


@pytest.fixture(scope="module")
def emulated(lab: Lab) -> Played:
    return lab.play("full_matrix", pair="emulated-v2", combinations="noo,onn", cases=CASES, run="emulated", explain=True)


def further(case: dict[str, Any]) -> dict[str, str]:
    """Results of a case's further checks by name."""
    return {check["name"]: check["result"] for check in case["further"]}


def test_the_crashes_of_protocol_v2_are_known_and_the_run_is_complete(lab: Lab, emulated: Played) -> None:
    assert emulated.status == 0, emulated.output
    for combination, known in (("noo", CHOSEN), ("onn", CHOSEN_NORMAL)):
        cases = cases_of(lab.journal("emulated", combination))
        assert len(cases) == CHOSEN and all(case["final"] for case in cases), "one attempt each: nobody suffers from a neighbour"
        crashed = [case for case in cases if case["verdict"] == "known"]
        assert len(crashed) == known, combination
        assert {case["verdict"] for case in cases if case not in crashed} <= {"pass"}
        # With new source and target, only the client's own control needs the client to know v3.
        assert combination == "noo" or {case["case"].split("/")[0] for case in crashed} <= {"normal"}
        for case in crashed:
            assert case["deviation"] == "v2-crashes-target" and case["beside"] == []
            assert further(case)["daemons-alive"] == "fail"
            # The restarted daemon has found its guests again, and they went on.
            found_again = ("source-intact", "guest-continuity", "guest-memory", "no-leftovers")
            assert {further(case)[name] for name in found_again} == {"pass"}
            logs = {Path(log).stem.rpartition("-")[2]: log for log in case["logs"]}
            assert {"source", "target"} <= set(logs)
            # Where the kernel's log can be read, it says where: at the field `automatic` of a mig->caps that is not there.
            if "kernel" in logs:
                assert "segfault at 8 " in (lab.journal("emulated", combination).parent / logs["kernel"]).read_text()
        assert not events_of(lab.journal("emulated", combination), "daemon-death")


def test_the_relay_has_seen_the_protocol_that_the_oracle_expects(lab: Lab, emulated: Played) -> None:
    for combination in ("noo", "onn"):
        for case in cases_of(lab.journal("emulated", combination)):
            v2 = combination == "noo" or (combination == "onn" and case["case"].startswith("normal/"))
            assert further(case)["protocol"] == "pass"
            assert case["seen_protocol"].startswith("v2" if v2 else "v3"), case
            on_target = [step["procedure"] for step in case["steps"] if step["link"].endswith("-target")]
            if v2:
                assert on_target in (["prepare2"], ["prepare-tunnel"]), "it crashed there"
            else:
                assert len(on_target) == 2 and on_target[0].startswith("prepare") and on_target[1].startswith("finish")
            assert all(step["result"] == "ok" for step in case["steps"]) or v2


def test_every_output_says_that_the_old_side_is_emulated(lab: Lab, emulated: Played) -> None:
    assert EMULATED in emulated.message()
    folder = lab.results / "emulated"
    assert json.loads((folder / "run.json").read_text())["pair"]["ceiling"] == "0.9.1"
    for path in ("index.html", "noo/results.tap", "noo/junit.xml"):
        assert "presented as libvirt 0.9.1" in (folder / path).read_text(), path


def test_known_deviations_are_explained_and_counted(lab: Lab, emulated: Played) -> None:
    assert "deviation v2-crashes-target: migrated got " in emulated.message()
    assert f"green: 2 combinations, {2 * CHOSEN} of {2 * CHOSEN} cases" in emulated.message()
    folder = lab.results / "emulated"
    tap = subprocess.run(["prove", "-e", "cat", str(folder / "noo" / "results.tap")], capture_output=True, text=True, check=False)
    assert tap.returncode == 0, tap.stdout
    skipped = ElementTree.parse(folder / "noo" / "junit.xml").findall(".//skipped")
    assert len(skipped) == CHOSEN and {element.get("message") for element in skipped} == {"known: v2-crashes-target"}
    assert "v2-crashes-target" in (folder / "index.html").read_text()


def test_a_deviation_that_does_not_come_makes_the_run_red(lab: Lab, emulated: Played, tmp_path: Path) -> None:
    """The ledger says that today's versions crash in protocol v3 as well: that is wrong, and must not go unnoticed."""
    played = lab.play(
        "run", pair="emulated-v2", combination="nnn", cases="normal/*/none", run="fixed",
        scenarios_path=str(wrong_ledger(tmp_path)),
    )
    assert played.status != 0
    assert "8 fixed" in played.message()
    assert {case["verdict"] for case in cases_of(lab.journal("fixed", "nnn"))} == {"fixed"}


def wrong_ledger(folder: Path) -> Path:
    """A copy of scenarios/ whose ledger expects v2's crash in protocol v3."""
    scenarios = folder / "scenarios"
    shutil.copytree(ROOT / "scenarios", scenarios)
    ledger = scenarios / "deviations.yml"
    entries = yaml.safe_load(ledger.read_text())
    (crash,) = [entry for entry in entries if entry["id"] == "v2-crashes-target"]
    crash["when"]["protocol"] = "v3"
    # Alone: what other entries expect in protocol v3 would contradict it.
    ledger.write_text(yaml.safe_dump([crash]))
    return scenarios


def test_without_relay_and_guest_checks_the_verdicts_are_the_same(lab: Lab) -> None:
    without = lab.play(
        "run", combination="nnn", cases="*/persistent-*/none", run="unwatched", relay=False, guest_checks=False,
    )
    assert without.status == 0, without.output
    cases = cases_of(lab.journal("unwatched", "nnn"))
    assert len(cases) == 12
    assert {case["verdict"] for case in cases} == {"pass"}
    assert all(case["steps"] == [] and not {"protocol", "guest-memory"} & set(further(case)) for case in cases)
