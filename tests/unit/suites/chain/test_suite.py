# SPDX-License-Identifier: GPL-3.0-or-later
"""The rules of chains: each hop by its own machines, the ledger at each step, and nothing after a step that did not pass."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from migration_lab.judging.deviation import Deviation
from migration_lab.judging.observation import Copy, Observation, Outcome, Sight, Survival
from migration_lab.model.case import Case, FlagSet, Method, Scenario, State
from migration_lab.model.verdict import Verdict
from migration_lab.suites.attempt import Attempt
from migration_lab.suites.chain.case import ChainCase
from migration_lab.suites.chain.observation import ChainObservation, ReplacementObservation
from migration_lab.suites.chain.suite import ChainRules, ChainSuite
from synthetic_run import as_expected, refused

VERSIONS = {"client": 9000000, "source": 9000000, "target": 11003000, "third": 11003000}
QEMU = {"source": 7002000, "target": 10000000, "third": 10000000}
HOPS = ("old", "new", "old", "new", "new")
SCENARIO = Scenario("persistent-running", True, State.RUNNING, False)
PROFILE: dict[str, Any] = {
    "name": "chain", "methods": ["p2p"], "flags": [{"name": "none", "migrate": []}], "chains": [list(HOPS)],
    "scenarios": [{"name": "persistent-running", "persistent": True, "state": "running", "target_config": False}],
}


def deviation(when: dict[str, str], check: str, got: str) -> Deviation:
    return Deviation.from_data({
        "id": f"{check}-fails", "when": when, "effects": [{"check": check, "got": got}], "cause": "a bug",
        "reference": "a commit",
    })


FAILS = deviation({"source": ">=11.0.0", "target": "<10.0.0"}, "migrated", "*")
LOSES = deviation({"replaces": ">=11.0.0", "source": "<10.0.0"}, "in-place-guest", "persistent, inactive")


def rules(*ledger: Deviation, **versions: int) -> ChainRules:
    libvirt = {**VERSIONS, **versions}
    return ChainRules(libvirt, QEMU, libvirt, False, ledger)


def chain(*hops: str) -> ChainCase:
    return ChainCase(1, Method.P2P, SCENARIO, FlagSet("none", ()), hops=hops or HOPS)


def spoiled(part: Case) -> Observation:
    """A hop that is refused."""
    seen = as_expected(part)
    refused("guest CPU doesn't match")(part, seen)
    return seen


def went_well(case: ChainCase) -> ChainObservation:
    steps = []
    for step, part in zip(case.walk.steps, case.parts):
        if step.target:
            steps.append(Attempt(part, seen=replace(as_expected(part), leftovers=None)))
        else:
            shown, survival = Sight(True, True, True, "running"), Survival(20, 25, True, (Copy("source", 22, 3),))
            seen = ReplacementObservation(daemon=Outcome(True), libvirt=11003000, shown=shown, survival=survival)
            steps.append(Attempt(part, seen=seen))
    return ChainObservation(steps=steps, leftovers=[])


def test_a_chain_passes_when_all_its_hops_do() -> None:
    judgement = rules().judge(chain(), went_well(chain()))
    assert judgement.verdict is Verdict.PASS and judgement.reason == ""
    assert tuple(check.name for check in judgement.checks) == ChainSuite().checks_of(PROFILE) and len(judgement.checks) == 40
    assert judgement.checks[10].name == "hop-2-source-defined" and judgement.further[-1].name == "hop-4-no-leftovers"


def test_a_hop_that_fails_fails_the_chain_and_the_next_are_not_run() -> None:
    seen = went_well(chain())
    seen.steps = [seen.steps[0], Attempt(chain().parts[1], seen=spoiled(chain().parts[1]))]
    judgement = rules().judge(chain(), seen)
    assert judgement.verdict is Verdict.FAIL and judgement.reason.startswith("hop-2: migrated: expected success, got ")
    assert {check.result for check in judgement.checks[20:]} == {"not-run"}
    assert judgement.checks[20].got == "hop-2 did not pass" and len(judgement.checks) == 40


def test_the_ledger_knows_a_hop_by_the_versions_between_which_it_was() -> None:
    seen = went_well(chain())
    seen.steps = [seen.steps[0], Attempt(chain().parts[1], seen=spoiled(chain().parts[1]))]
    known = rules(FAILS).judge(chain(), seen)
    assert (known.verdict, known.deviation) == (Verdict.KNOWN, "migrated-fails")
    assert rules(FAILS).judge(chain(), went_well(chain())).verdict is Verdict.FIXED
    assert rules(FAILS).judge(chain("old", "new"), went_well(chain("old", "new"))).verdict is Verdict.PASS


def test_a_death_or_what_is_left_is_the_step_s_that_ended_the_judging() -> None:
    seen = went_well(chain())
    seen.daemon_deaths = ["the daemon on the third died"]
    judgement = rules().judge(chain(), seen)
    assert judgement.reason == "hop-4: daemons-alive: expected alive, got the daemon on the third died"
    # A deviation explains a hop only when nothing else went wrong in the chain.
    seen = went_well(chain())
    seen.steps[1].seen.target_config = "another"
    seen.daemon_deaths = ["the daemon on the third died"]
    odd = deviation({"source": ">=11.0.0", "target": "<10.0.0"}, "target-config", "*")
    assert rules(odd).judge(chain(), seen).verdict is Verdict.FAIL
    seen.daemon_deaths = []
    assert rules(odd).judge(chain(), seen).verdict is Verdict.KNOWN


def test_a_lab_error_is_the_labs() -> None:
    nothing = ChainObservation(lab_error="no agent answers")
    judgement = rules().judge(chain(), nothing)
    assert (judgement.verdict, judgement.reason) == (Verdict.ERROR, "no agent answers")
    assert len(judgement.checks) == 40 and {check.result for check in judgement.checks} == {"not-run"}
    seen = went_well(chain())
    seen.steps, seen.lab_error = seen.steps[:1], "the agent died"
    assert rules().judge(chain(), seen).verdict is Verdict.ERROR


def test_after_a_replacement_the_hop_is_judged_by_the_new_version() -> None:
    case = chain("old", "in-place:new", "new")
    new_only = deviation({"source": ">=11.0.0"}, "migrated", "*")
    seen = went_well(case)
    seen.steps[1] = Attempt(case.parts[1], seen=spoiled(case.parts[1]))
    assert rules(new_only).judge(case, seen).verdict is Verdict.KNOWN
    assert rules(new_only).judge(chain("old", "new"), went_well(chain("old", "new"))).verdict is Verdict.PASS
    assert rules().alone(case) and not rules().alone(chain()), "a replacement restarts a daemon"


def test_a_loss_in_a_downgrade_is_known_by_the_version_that_is_replaced() -> None:
    case = chain("new", "in-place:old", "old")
    seen = went_well(case)
    lost = seen.steps[0].seen
    assert isinstance(lost, ReplacementObservation)
    lost.libvirt, lost.shown = 9000000, Sight(True, False, True, "shutoff")
    seen.steps = seen.steps[:1]
    judgement = rules(LOSES, source=11003000, target=9000000).judge(case, seen)
    assert (judgement.verdict, judgement.deviation) == (Verdict.KNOWN, "in-place-guest-fails")
    assert rules(LOSES, source=10000000, target=9000000).judge(case, seen).verdict is Verdict.FAIL


def test_a_combination_has_the_chains_that_begin_on_it() -> None:
    suite = ChainSuite()
    both = {**PROFILE, "chains": [["old", "in-place:new", "new"], ["new", "in-place:old", "old"]]}
    assert [case.id.split("/")[-1] for name in ("oon", "non", "ono", "nno", "ooo") for case in suite.cases(both, name)] == [
        *2 * ["old-in-place:new-new"], *2 * ["new-in-place:old-old"],
    ]
    assert suite.machines(PROFILE, "non") == {"client": "new", "source": "old", "target": "new", "third": "new"}
    assert suite.replaces(both) and not suite.replaces(PROFILE)
    assert suite.checks_of(both)[:3] == ("in-place-daemon", "in-place-guest", "hop-1-source-defined")
