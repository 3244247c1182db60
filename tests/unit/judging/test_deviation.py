# SPDX-License-Identifier: GPL-3.0-or-later
"""The ledger of deviations: what applies, what it makes of a judgement, what is refused, and the entries themselves."""

from __future__ import annotations

import csv
import re
import shutil
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any, Callable

import pytest
import yaml

from migration_lab.judging.check import FAIL, PASS, Check, Judgement
from migration_lab.judging.condition import Conditions, Situation, Versions, conditions_text, reported_packages
from migration_lab.judging.deviation import Deviation, apply, find
from migration_lab.model.case import ROLES, Case
from migration_lab.model.combination import COMBINATIONS, classes
from migration_lab.model.errors import LabError
from migration_lab.model.package_version import package_key
from migration_lab.model.profile import Profile
from migration_lab.model.protocol import expect_protocol
from migration_lab.model.verdict import Verdict
from migration_lab.model.version import parse_version
from migration_lab.planning.ledger import load_ledger
from migration_lab.planning.schema import read_yaml
from migration_lab.suites.migration.checks import CANONICAL_CHECKS

ROOT = Path(__file__).parents[3]
SCENARIOS = ROOT / "scenarios"
LEDGER = [Deviation.from_data(entry) for entry in load_ledger(SCENARIOS)]
PAUSED, TARGET, SOURCE = "paused-guest-arrives-running", "v2-crashes-target", "v2-crashes-source"
OLD_SOURCE = "v2-crashes-target-and-old-source"


def cases(profile: str = "canonical") -> list[Case]:
    return Profile.from_data(read_yaml(SCENARIOS / "profiles" / f"{profile}.yml")).cases()


BY_ID = {case.id: case for case in cases()}
CASE = BY_ID["p2p/transient-paused-dst/persist-dest"]


def situation(case: Case, *versions: str, shown: str = "") -> Situation:
    """The versions of client, source and target; those called ``shown`` are presented as 0.9.1."""
    libvirt = {role: parse_version(version) for role, version in zip(ROLES, versions)}
    effective = {role: parse_version("0.9.1") if role in shown.split() else number for role, number in libvirt.items()}
    qemu = {"source": parse_version("5.2.0"), "target": parse_version("7.2.22")}
    return Situation(libvirt, qemu, expect_protocol(case, effective))


def found(case: Case, *versions: str, shown: str = "") -> str:
    deviation = find(LEDGER, case, situation(case, *versions, shown=shown))
    return deviation.id if deviation else ""


def entry(**changes: Any) -> dict[str, Any]:
    data = {
        "id": "an-entry", "title": "Something is wrong", "when": {"state": "paused"},
        "effects": [{"check": "target-state", "got": "running"}], "cause": "a bug", "reference": "a commit",
    }
    return {**data, **changes}


def judgement(*failed: tuple[str, str], verdict: Verdict = Verdict.FAIL) -> Judgement:
    got = dict(failed)
    checks = [Check(name, FAIL if name in got else PASS, "x", got.get(name, "x")) for name in CANONICAL_CHECKS]
    further = [Check(name, FAIL, "x", text) for name, text in failed if name not in CANONICAL_CHECKS]
    return Judgement(checks, further, verdict, "the judge's reason" if failed else "")


@pytest.mark.parametrize(("profile", "number"), [("canonical", 32), ("tck", 24)])
@pytest.mark.parametrize("combination", COMBINATIONS)
def test_deviations_of_real_0_9_1_and_0_9_2(combination: str, profile: str, number: int) -> None:
    version = {role: {"old": "0.9.1", "new": "0.9.2"}[age] for role, age in classes(combination).items()}
    known = [case for case in cases(profile) if found(case, version["client"], version["source"], version["target"])]
    assert len(known) == (number if combination in ("ooo", "noo", "oon", "non") else 0)
    assert {found(case, version["client"], version["source"], version["target"]) for case in known} <= {PAUSED}
    if known:
        with (ROOT / f"tests/expected/{profile}.csv").open(newline="") as stream:
            rows = [row["case"] for row in csv.DictReader(stream) if row["target_state_when_source_below_0.9.2"]]
        assert [case.id for case in known] == rows


@pytest.mark.parametrize(
    ("versions", "method", "expected"),
    [
        (("0.9.1", "0.9.1", "9.0.0"), "p2p", OLD_SOURCE),
        (("0.9.1", "0.9.1", "11.3.0"), "normal", TARGET),
        (("0.9.1", "9.0.0", "0.9.1"), "tunnelled", SOURCE),
        (("9.0.0", "7.0.0", "0.9.1"), "normal", SOURCE),
        (("0.9.1", "9.0.0", "9.0.0"), "normal", TARGET),
        (("0.9.1", "9.0.0", "9.0.0"), "p2p", ""),
        (("9.0.0", "9.0.0", "9.0.0"), "normal", ""),
        (("0.9.2", "9.0.0", "0.9.2"), "p2p", ""),
        (("0.9.1", "3.0.0", "0.9.1"), "p2p", ""),
    ],
)
def test_crashes_of_modern_daemons(versions: tuple[str, str, str], method: str, expected: str) -> None:
    assert found(BY_ID[f"{method}/persistent-paused/none"], *versions) == expected


@pytest.mark.parametrize(
    ("shown", "method", "expected"),
    [("client source target", "p2p", TARGET), ("source", "p2p", TARGET), ("client", "p2p", ""), ("client", "normal", TARGET)],
)
def test_an_emulated_old_side_counts_for_the_protocol_alone(shown: str, method: str, expected: str) -> None:
    case = BY_ID[f"{method}/transient-paused/none"]
    assert found(case, "9.0.0", "9.0.0", "9.0.0", shown=shown) == expected


def test_no_two_entries_apply_to_a_case() -> None:
    """By brute force, at and beside every bound of the ledger: what ``load_ledger`` refuses by reckoning."""
    plain = [
        (one.id, way.when) for one in LEDGER for way in one.alternatives if way.when.values["suite"] == "migration"
    ]
    ranges = [when.values[role] for _, when in plain for role in ROLES if role in when.values]
    bounds = {edge for versions in ranges for edge in (versions.low, versions.end)}
    numbers = sorted({max(bound + step, 0) for bound in bounds if bound < 10**9 for step in (-1, 0, 1)})
    some = [case for case in cases("tck") if not case.scenario.target_config and not case.scenario.persistent]
    # What else a case is does not matter, so one is tried of those that the same entries fit, where it is more than one.
    fitting = {
        tuple(place for place, (_, when) in enumerate(plain) if when.fits(case)): case for case in some
    }
    tried = [(case, [plain[place] for place in places]) for places, case in fitting.items() if len(places) > 1]
    assert tried
    for source, target, client, protocol in product(numbers, numbers, numbers[::4], ("v2", "v3")):
        here = Situation({"client": client, "source": source, "target": target}, {}, protocol)
        for case, entries in tried:
            assert len({name for name, when in entries if when.met(case, here)}) < 2, (here, case.id)


def test_exactly_the_effects_are_known() -> None:
    deviation = find(LEDGER, CASE, situation(CASE, "0.9.2", "0.9.1", "0.9.2"))
    result = apply(judgement(("target-state", "running")), deviation)
    assert (result.verdict, result.deviation) == (Verdict.KNOWN, PAUSED)
    assert result.reason == f"known deviation {PAUSED}: target-state got running"
    assert result.rule == f"deviation {PAUSED}: target-state got running"
    both = judgement(("target-state", "running"), ("guest-continuity", "25, counting"))
    assert apply(both, deviation).verdict is Verdict.KNOWN, "an optional effect may come"


def test_a_race_may_come_or_not() -> None:
    optional = [{"check": name, "got": "running", "optional": True} for name in ("target-state", "source-state")]
    deviation = Deviation.from_data(entry(effects=optional))
    assert apply(judgement(verdict=Verdict.PASS), deviation) == judgement(verdict=Verdict.PASS)
    assert apply(judgement(("target-state", "running")), deviation).verdict is Verdict.KNOWN
    other = apply(judgement(("target-state", "paused")), deviation)
    assert (other.verdict, other.deviation) == (Verdict.FAIL, "")
    assert other.reason.endswith("expects exactly: target-state got running; source-state got running")


RUNS, STAYS = {"check": "target-state", "got": "running"}, {"check": "source-state", "got": "paused"}
LEFT = {"check": "no-leftovers", "got": "*", "optional": True}


def either(*ways: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {name: value for name, value in entry(any_of=list(ways), **changes).items() if name != "effects"}


@pytest.mark.parametrize(
    ("failed", "verdict"),
    [
        ([("target-state", "running")], Verdict.KNOWN),
        ([("target-state", "running"), ("no-leftovers", "a file")], Verdict.KNOWN),
        ([("target-state", "paused"), ("source-state", "paused")], Verdict.KNOWN),
        ([("source-state", "paused")], Verdict.FAIL),
        ([("target-state", "running"), ("source-state", "paused")], Verdict.FAIL),
        ([("target-state", "paused"), ("source-state", "paused"), ("no-leftovers", "a file")], Verdict.FAIL),
        ([("no-leftovers", "a file")], Verdict.FAIL),
        ([], Verdict.FIXED),
    ],
)
def test_exactly_one_alternative_is_seen_and_whole(failed: list[tuple[str, str]], verdict: Verdict) -> None:
    deviation = Deviation.from_data(either({"effects": [RUNS, LEFT]}, {"effects": [STAYS, {**RUNS, "got": "paused"}]}))
    seen = apply(judgement(*failed, verdict=Verdict.FAIL if failed else Verdict.PASS), deviation)
    assert seen.verdict is verdict and not deviation.races
    if verdict is not Verdict.KNOWN:
        assert "target-state got running or else source-state got paused; target-state got paused" in seen.reason


def test_an_alternative_without_effects_is_a_race_that_was_won() -> None:
    deviation = Deviation.from_data(either({"effects": [RUNS, STAYS]}, {"effects": []}))
    assert deviation.races and apply(judgement(verdict=Verdict.PASS), deviation).verdict is Verdict.PASS
    both = judgement(("target-state", "running"), ("source-state", "paused"))
    assert apply(both, deviation).verdict is Verdict.KNOWN
    half = apply(judgement(("target-state", "running")), deviation)
    assert half.verdict is Verdict.FAIL and half.reason.endswith("source-state got paused or else nothing")


def test_an_alternative_counts_where_its_own_conditions_are_met() -> None:
    died = {"check": "daemons-alive", "got": "*"}
    ledger = [Deviation.from_data(either(
        {"when": {"method": ["p2p"], "source_qemu": ">=6.0"}, "effects": [STAYS]},
        {"when": {"method": ["p2p"]}, "effects": [RUNS]}, {"when": {"method": ["normal"]}, "effects": [died]},
    ))]

    def verdict(case: Case, qemu: str, *failed: tuple[str, str]) -> Verdict:
        here = Situation({}, {"source": parse_version(qemu)}, "v3")
        return apply(judgement(*failed), find(ledger, case, here)).verdict

    assert verdict(CASE, "7.2.0", ("source-state", "paused")) is Verdict.KNOWN
    assert verdict(CASE, "7.2.0", ("target-state", "running")) is Verdict.KNOWN
    assert verdict(CASE, "5.2.0", ("source-state", "paused")) is Verdict.FAIL
    assert verdict(CASE, "5.2.0", ("target-state", "running")) is Verdict.KNOWN
    here = Situation({}, {}, "v3")
    assert find(ledger, BY_ID["tunnelled/transient-paused/none"], here) is None, "an entry applies where an alternative does"
    direct, ours = find(ledger, BY_ID["normal/transient-paused/none"], here), find(ledger, CASE, here)
    assert direct and direct.kills and ours and not ours.kills, "only what may be seen of the case is run alone"


@pytest.mark.parametrize(
    "failed",
    [
        [("target-state", "absent")],
        [("target-state", "running"), ("target-persistent", "transient")],
        [("target-state", "running"), ("no-leftovers", "a guest")],
        [("guest-continuity", "25, counting")],
    ],
)
def test_anything_else_stays_a_failure_that_names_the_deviation(failed: list[tuple[str, str]]) -> None:
    result = apply(judgement(*failed), find(LEDGER, CASE, situation(CASE, "0.9.2", "0.9.1", "0.9.2")))
    assert (result.verdict, result.deviation) == (Verdict.FAIL, "")
    assert result.reason == f"the judge's reason; deviation {PAUSED} expects exactly: target-state got running"
    assert all(f"{name} got {got}" in result.rule.partition("; seen: ")[2] for name, got in failed)


def test_a_deviation_that_did_not_come_is_fixed() -> None:
    result = apply(judgement(verdict=Verdict.PASS), find(LEDGER, CASE, situation(CASE, "0.9.2", "0.9.1", "0.9.2")))
    assert (result.verdict, result.deviation) == (Verdict.FIXED, PAUSED)
    assert result.reason == f"deviation {PAUSED} was expected and did not come: target-state got running"


@pytest.mark.parametrize("verdict", [Verdict.ERROR, Verdict.SKIP])
def test_a_fault_of_the_lab_is_never_explained(verdict: Verdict) -> None:
    before = judgement(verdict=verdict)
    assert apply(before, LEDGER[0]) is before


def test_without_a_deviation_nothing_changes() -> None:
    before = judgement(("target-state", "running"))
    assert apply(before, None) is before


def test_a_crash_needs_both_effects() -> None:
    crash = next(deviation for deviation in LEDGER if deviation.id == TARGET)
    assert crash.kills and not LEDGER[0].kills
    end = ("migrated", "End of file while reading data: Input/output error (39, 7)")
    died = ("daemons-alive", "the daemon on the target (process 7) died")
    assert apply(judgement(end, died), crash).verdict is Verdict.KNOWN
    assert apply(judgement(end), crash).verdict is Verdict.FAIL
    assert apply(judgement(end, ("daemons-alive", "the daemon on the source (process 7) died")), crash).verdict is Verdict.FAIL
    assert apply(judgement(("migrated", "operation failed"), died), crash).verdict is Verdict.FAIL


HUNG = ("migrated", "'migrate_to_uri' did not answer within 59 s")
CLOSED = ("migrated", "server closed connection:  (error 38, domain 13)")
ONE = "the daemon on the target (process 7742) died"


@pytest.mark.parametrize(
    ("seen", "verdict"),
    [
        ([CLOSED, ("daemons-alive", ONE)], Verdict.KNOWN),
        ([HUNG, ("daemons-alive", f"the daemon on the source (process 21) does not answer; {ONE}")], Verdict.KNOWN),
        (
            [CLOSED, ("guest-continuity", "4, standing"), ("daemons-alive", f"the daemon on the source (process 9) died; {ONE}")],
            Verdict.KNOWN,
        ),
        ([HUNG, ("daemons-alive", "the daemon on the source (process 21) does not answer")], Verdict.FAIL),
        ([CLOSED, ("source-intact", "source gone; target gone"), ("daemons-alive", ONE)], Verdict.FAIL),
    ],
)
def test_an_old_source_may_hang_or_die_with_its_target(seen: list[tuple[str, str]], verdict: Verdict) -> None:
    crash = next(deviation for deviation in LEDGER if deviation.id == OLD_SOURCE)
    assert crash.kills and apply(judgement(*seen), crash).verdict is verdict


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        ("<0.9.2", ["0.8.8", "0.9.1"], ["0.9.2"]),
        (">=7.0.0", ["7.0.0", "11.3.0"], ["6.10.0"]),
        (">=0.9.2 <1.3.0", ["0.9.2", "1.2.9"], ["0.9.1", "1.3.0"]),
    ],
)
def test_versions(text: str, inside: list[str], outside: list[str]) -> None:
    versions = Versions.parse(text)
    assert all(parse_version(version) in versions for version in inside)
    assert not any(parse_version(version) in versions for version in outside)


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        ("deb <11.3.0-3+deb13u3", ["deb 9.0.0-4", "deb 11.3.0-3+deb13u2"], ["deb 11.3.0-3+deb13u3", "rpm 9.0.0-4"]),
        ("deb >=11.3.0-1 <11.3.0-3", ["deb 11.3.0-2~bpo12+1"], ["deb 11.3.0-1~bpo12+1", "deb 11.3.0-3", "rpm 11.3.0-2"]),
        ("rpm >=17:9.1.0-15", ["rpm 17:10.0-1.el10"], ["rpm 2:99-1", "deb 18:1"]),
    ],
)
def test_packages(text: str, inside: list[str], outside: list[str]) -> None:
    packages = Versions.parse_package(text)
    assert all(package_key(version) in packages for version in inside)
    assert not any(package_key(version) in packages for version in outside)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("<11.3.0-3", "'<11.3.0-3' is not a range of packages' versions; write it like 'deb >=11.3.0-1 <"),
        ("deb 11.3.0-3", "'deb 11.3.0-3' is not a range of versions; write it like 'deb >=11.3.0-1 <"),
        ("deb <1:", "'deb 1:' is not a package's version"),
        ("deb >=2-1 <1-1", "the range 'deb >=2-1 <1-1' has no version in it"),
    ],
)
def test_what_is_no_range_of_packages_is_refused(text: str, said: str) -> None:
    with pytest.raises(LabError, match=f"when, source_package: {re.escape(said)}"):
        Conditions.from_data({"source_package": text})


def test_a_revision_tells_machines_of_one_version_apart() -> None:
    when = Conditions.from_data({"source": ">=11.3.0 <11.4.0", "source_package": "deb <11.3.0-3+deb13u3"})
    here = situation(CASE, "11.3.0", "11.3.0", "11.3.0")
    for revision, met in (("deb 11.3.0-3+deb13u2", True), ("deb 11.3.0-3+deb13u3", False), ("rpm 11.3.0-1", False)):
        machines = {"source": {"libvirt_package": revision}, "target": {}}
        assert when.met(CASE, replace(here, packages=reported_packages(machines))) is met
    assert not when.met(CASE, here), "a revision that is not known meets no condition"
    fixed = Conditions.from_data({"source_package": "deb >=11.3.0-3+deb13u3"})
    assert not when.possible(CASE.method, fixed) and when.possible(CASE.method)
    assert not when.possible(CASE.method, Conditions.from_data({"source_package": "rpm >=11.3.0-1"}))
    words = conditions_text({"source_package": "deb <11.3.0-3+deb13u3", "target_qemu_package": "rpm >=17:9.1"})
    assert words == "package of the source deb below 11.3.0-3+deb13u3, QEMU's package of the target rpm from 17:9.1"


def test_every_condition_counts() -> None:
    here = situation(CASE, "0.9.2", "0.9.1", "0.9.2")

    def applies(**when: Any) -> bool:
        return find([Deviation.from_data(entry(when=when))], CASE, here) is not None

    assert applies(client=">=0.9.2", source="<0.9.2", target_qemu=">=7.2.0", protocol="v2", method=["p2p"], state="paused",
                   persistent=False, target_config=True, flags=["persist-dest", "peer2peer"], without_flags=["live"])
    assert not applies(client="<0.9.2") and not applies(source_qemu=">=5.2.1") and not applies(protocol="v3")
    assert not applies(method=["normal"]) and not applies(state="running") and not applies(persistent=True)
    assert not applies(target_config=False) and not applies(flags=["live", "persist-dest"])
    assert not applies(without_flags=["persist-dest"])
    unknown = Deviation.from_data(entry(when={"source_qemu": "<5.2.0"}))
    assert find([unknown], CASE, Situation(here.libvirt, {}, "v2")) is None, "a version that is not known meets no condition"


@pytest.fixture
def scenarios(tmp_path: Path) -> Callable[[Any], Path]:
    """A copy of the scenarios with another ledger."""

    def with_ledger(data: Any) -> Path:
        folder = tmp_path / "scenarios"
        shutil.copytree(SCENARIOS, folder)
        (folder / "deviations.yml").write_text(data if isinstance(data, str) else yaml.safe_dump(data))
        return folder

    return with_ledger


@pytest.mark.parametrize(
    ("ledger", "words"),
    [
        ("[", r"deviations\.yml is not YAML"),
        ("{}", r"deviations\.yml: .*is not of type 'array'"),
        ([entry(cause="")], r"deviations\.yml: entry 1, cause: "),
        ([entry(), entry(id="b", when={})], r"deviations\.yml: entry 2, when: "),
        ([entry(when={"sauce": "<1.0"})], "entry 1, when: .*'sauce'"),
        ([entry(effects=[])], "entry 1, effects: "),
        ([entry(), entry()], "the id 'an-entry' is there twice"),
        ([{**entry(), "any_of": [{"effects": [RUNS]}, {"effects": []}]}], "'an-entry': it needs either 'effects' or 'any_of'"),
        ([{name: value for name, value in entry().items() if name != "effects"}], "needs either 'effects' or 'any_of'"),
        ([either({"effects": [RUNS]})], "entry 1, any_of: "),
        ([either({"effects": [RUNS]}, {"effects": [{"check": "mood", "got": "*"}]})],
         "'an-entry', any_of, entry 2, effects, entry 1, check: there is no check 'mood'"),
        ([either({"effects": [RUNS]}, {"when": {"state": "paused"}, "effects": []})],
         "'an-entry', any_of, entry 2, when: 'state' is in the entry's own 'when' as well; keep one"),
        ([either({"effects": [RUNS]}, {"when": {"sauce": "<1.0"}, "effects": []})], "any_of, entry 2, when: .*'sauce'"),
        ([either({"effects": [RUNS]}, {"when": {"target": "=2.0"}, "effects": []})], "entry 2, when, target: '=2.0' is not"),
        ([either({"effects": [RUNS]}, {"when": {"flags": ["postcopy"]}, "effects": []})],
         "'an-entry': any_of, entry 2, field 'when' matches nothing that exists"),
        ([either({"effects": [RUNS]}, {"when": {"guest": ["none"]}, "effects": []})],
         "any_of, entry 2, when, guest: there is no guest 'none'"),
        ([either(*({"when": {"method": [name]}, "effects": [RUNS]} for name in ("p2p", "normal"))),
          entry(id="b", when={"method": ["normal"]})], "'an-entry' and 'b' contradict each other: both apply to normal/"),
        ([entry(effects=[{"check": "mood", "got": "*"}])], "'an-entry', effects, entry 1, check: there is no check 'mood'"),
        ([entry(when={"flags": ["fast"]})], "entry 1, when, flags, entry 1: 'fast' is not one of "),
        ([entry(when={"source": ">=2.0.0 <1.0.0"})], "'an-entry', when, source: the range '>=2.0.0 <1.0.0' has no version in it"),
        ([entry(when={"source": "=2.0.0"})], "when, source: '=2.0.0' is not a range"),
        ([entry(when={"target_qemu": ">=old"})], "when, target_qemu: 'old' is not a version"),
        ([entry(when={"flags": ["postcopy"]})], "'an-entry': field 'when' matches nothing that exists"),
        ([entry(when={"guest": ["none"]})], "'an-entry', when, guest: there is no guest 'none'; the guests are aarch64, "),
        ([entry(when={"guest": ["tpm"]}), entry(id="b")], "contradict each other: both apply to tpm/normal/"),
        ([entry(when={"protocol": "v3", "source": "<0.9.2"})], "matches nothing that exists"),
        ([entry(when={"protocol": "v3", "client": "<0.9.2", "method": ["normal"]})], "matches nothing that exists"),
        ([entry(), entry(id="b", when={"method": ["p2p"]})], "'an-entry' and 'b' contradict each other: both apply to p2p/"),
        ([entry(when={"source": "<2.0.0"}), entry(id="b", when={"source": ">=1.999.999"})], "contradict each other"),
    ],
)
def test_refused(scenarios: Callable[[Any], Path], ledger: Any, words: str) -> None:
    with pytest.raises(LabError, match=words) as refusal:
        load_ledger(scenarios(ledger))
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    "whens",
    [
        [{"source": "<2.0.0"}, {"source": ">=2.0.0"}],
        [{"protocol": "v2"}, {"protocol": "v3"}],
        [{"state": "paused"}, {"state": "running"}],
        [{"source_qemu": "<5.0", "state": "paused"}, {"source_qemu": ">=5.0"}],
        [{"flags": ["paused"]}, {"without_flags": ["paused"]}],
        [{"client": "<0.9.2", "protocol": "v3", "method": ["p2p"]}, {"target": "<0.9.2"}],
    ],
)
def test_entries_that_go_together(scenarios: Callable[[Any], Path], whens: list[dict[str, Any]]) -> None:
    ledger = [entry(id=f"entry-{number}", when=when) for number, when in enumerate(whens)]
    ways = [{"when": {"method": [name]}, "effects": []} for name in ("p2p", "normal")]
    ledger.append(either(*ways, id="elsewhere", when={"state": "running", "suite": "recovery"}))
    assert load_ledger(scenarios(ledger)) == ledger


def test_a_missing_ledger_is_said(scenarios: Callable[[Any], Path]) -> None:
    folder = scenarios([])
    assert load_ledger(folder) == []
    (folder / "deviations.yml").unlink()
    with pytest.raises(LabError, match="cannot be read"):
        load_ledger(folder)
