# SPDX-License-Identifier: GPL-3.0-or-later
"""The choice of cases, on the repository's own faults."""

from __future__ import annotations

from collections import Counter
from functools import cache
from typing import Any

import pytest

from migration_lab.model.case import Method
from migration_lab.planning.schema import read_yaml
from migration_lab.suites.recovery.case import RecoveryCase, choose, triples
from migration_lab.suites.recovery.fault import DELIVERIES, Fault
from migration_lab.suites.recovery.injection import VERBS
from synthetic_run import ROOT

CANONICAL = read_yaml(ROOT / "scenarios/profiles/canonical.yml")
FAULTS: list[dict[str, Any]] = [
    {**entry, "group": path.stem}
    for path in sorted((ROOT / "scenarios/faults").glob("*.yml")) for entry in read_yaml(path)
]
V3 = {method.value: "v3" for method in Method}
V2 = {method.value: "v2" for method in Method}


@cache
def chosen(selection: str, protocol: str = "v3") -> tuple[RecoveryCase, ...]:
    data = {**CANONICAL, "faults": FAULTS, "selection": selection}
    return tuple(choose(data, {method.value: protocol for method in Method}))


def test_faults_have_names_of_their_own_and_strike_somewhere() -> None:
    faults = list(map(Fault.from_data, FAULTS))
    assert len({fault.name for fault in faults}) == len(faults)
    assert all(fault.delivery in DELIVERIES for fault in faults)
    for protocols in (V3, V2):
        assert {fault for _, _, fault in triples(list(Method), protocols, faults)} == set(faults)


def test_fault_that_touches_more_than_its_guest_runs_alone() -> None:
    own = {
        "kill-agent", "freeze-agent", "kill-qemu", "abort-job", "destroy-guest", "suspend-guest", "resume-guest",
        "undefine-guest", "migrate-again",
    }
    for fault in map(Fault.from_data, FAULTS):
        assert fault.alone == any(strike.do not in own for strike in fault.strikes), fault.name


@pytest.mark.parametrize(("selection", "least", "most"), [("smoke", 40, 48), ("pairwise", 400, 520), ("full", 3000, 3500)])
def test_selections_have_their_sizes(selection: str, least: int, most: int) -> None:
    cases = chosen(selection)
    assert least <= len(cases) <= most
    assert [case.number for case in cases] == list(range(1, len(cases) + 1))
    assert len({case.id for case in cases}) == len(cases)


def test_choice_is_the_same_again() -> None:
    again = choose({**CANONICAL, "faults": FAULTS, "selection": "pairwise"}, V3)
    assert [case.id for case in again] == [case.id for case in chosen("pairwise")]


@pytest.mark.parametrize("protocol", ["v3", "v2"])
def test_pairwise_has_every_method_point_and_fault_and_every_pair_of_other_values(protocol: str) -> None:
    full, pairwise = chosen("full", protocol), chosen("pairwise", protocol)
    assert {(case.method, case.point, case.fault) for case in pairwise} == {
        (case.method, case.point, case.fault) for case in full
    }
    scenarios, flags = CANONICAL["scenarios"], CANONICAL["flags"]
    names = {case.fault.name for case in full} | {case.point.name for case in full} | {method.value for method in Method}
    pairs = {
        (name, other) for case in pairwise for name in (case.fault.name, case.point.name, case.method.value)
        for other in (case.scenario.name, case.flags.name)
    }
    assert pairs == {(name, other["name"]) for name in names for other in (*scenarios, *flags)}
    assert {(case.scenario.name, case.flags.name) for case in pairwise} == {
        (scenario["name"], flag["name"]) for scenario in scenarios for flag in flags
    }


@pytest.mark.parametrize("protocol", ["v3", "v2"])
def test_smoke_has_each_fault_once_over_all_stages_methods_and_scenarios(protocol: str) -> None:
    cases = chosen("smoke", protocol)
    assert Counter(case.fault.name for case in cases) == Counter(entry["name"] for entry in FAULTS)
    assert {case.point.stage for case in cases} == ({1, 2, 3, 4, 5} if protocol == "v3" else {1, 2, 3, 5})
    for values in (
        Counter(case.method.value for case in cases), Counter(case.scenario.name for case in cases),
        Counter(case.flags.name for case in cases),
    ):
        assert max(values.values()) - min(values.values()) <= 2
    assert {case.point.kind for case in cases} == {"call", "reply", "stream"}


def test_full_has_each_fault_and_each_point_with_every_flag_set() -> None:
    flags = {flag["name"] for flag in CANONICAL["flags"]}
    for key in ("fault", "point"):
        met: dict[str, set[str]] = {}
        for case in chosen("full"):
            met.setdefault(getattr(case, key).name, set()).add(case.flags.name)
        assert all(names == flags for names in met.values())


def test_strikes_are_what_their_verbs_take() -> None:
    for fault in map(Fault.from_data, FAULTS):
        for strike in fault.strikes:
            verb, options = VERBS[strike.do], dict(strike.options)
            assert strike.on in verb.on and (strike.seconds is None or verb.lasts), fault.name
            assert set(options) == set(verb.options) and all(options[name] in verb.options[name] for name in options), fault.name
    assert {strike.do for fault in map(Fault.from_data, FAULTS) for strike in fault.strikes} == set(VERBS), "no verb is idle"
