# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan of a run: every input checked and resolved on the controller before anything is changed."""

from __future__ import annotations

import json
import os
import re
import time
from pathlib import Path
from typing import Any, Mapping, Sequence

from ..journal.files import RUN_FILE, not_obtained_paths
from ..journal.journal import SCHEMA, read_journals
from ..journal.run_file import read_run_file
from ..journal.whole_file import write_whole
from ..lab_host.abilities import WANTED_LIMITS
from ..model.case import select_cases
from ..model.combination import PAIR_CLASSES, check_combinations, deal, running_order, spread
from ..model.digest import data_id, files_id
from ..model.errors import LabError
from ..model.pair import is_sweep, pair_in_full, releases_of
from ..model.version import parse_version
from ..releases.recipe import read_release, release_id, resolve_release, with_features
from ..suites.chain.suite import ChainSuite
from ..suites.migration.suite import MigrationSuite
from ..suites.recovery.suite import RecoverySuite
from ..suites.registry import SUITES, suite_of
from ..suites.suite import Suite
from .catalogue import choose_pair, choose_sweep, load_catalogue, of_pair
from .chains import follow
from .faults import complete
from .guests import choose_guests
from .ledger import load_ledger
from .profiles import load_profile
from .recorded import recorded

# What a resumed run must have in common with its earlier start.
IDENTITY = ("pair", "profile", "guest", "guests_id", "profile_id", "lab_files_id", "ledger_id")

_ADVICE = "set results_root to a folder that can be written"

# A daemon's connections to client and peer, the guest's monitor and what migrates it.
FILES_PER_CASE = 4

# Seconds that a case of suite recovery may take besides the call that migrates: to set up, to heal, to watch, to migrate again.
CASE_BESIDE_CALL = 40.0


def make_plan(given: Mapping[str, Any]) -> dict[str, Any]:
    """Check and resolve a run's inputs. See the module ``migration_plan`` for the arguments and the result.

    :raises LabError: on the first input that is wrong.
    """
    scenarios = Path(given["scenarios"])
    given = {**given, **load_catalogue(scenarios, given["settings"], given)}
    _check_values(given)
    swept = _listed(given.get("sweep", ""))
    for name in swept or of_pair(given["pair"], given["pairs"]):
        given["releases"] = read_release(name, given["releases"])
    pair = choose_sweep(swept, given["releases"]) if swept else choose_pair(given["pair"], given["pairs"], given["releases"])
    if "ceiling" in pair and not given["relay"]:
        raise LabError(f"pair '{pair['name']}' has a ceiling, which the relay presents, and relay is false; leave relay out")
    guests = choose_guests(_listed(given["guest"]), given["guests"], pair, given["releases"], given["guest_machine"])
    profile = load_profile(given["profile"], scenarios)
    sides = releases_of(pair)
    names = _listed(given["combinations"])
    every = running_order(tuple(sides))
    combinations = check_combinations(every if names == ["all"] else names, tuple(sides))
    suite = suite_of(profile)
    if suite.name != MigrationSuite.name and is_sweep(pair):
        raise LabError(f"profile '{profile['name']}' is of suite {suite.name}, which has no sweep; name one of suite migration")
    if suite.name == ChainSuite.name:
        profile = follow(profile, given["hops"], pair, given["releases"])
        combinations = _those_with_cases(combinations, names, suite, profile)
    elif given["hops"]:
        raise LabError(f"hops is '{given['hops']}', and profile '{profile['name']}' has no chains; run playbooks/chain.yml")
    machines = {name: suite.machines(profile, name) for name in every}
    expected = {name: _expected(roles, pair, given["releases"]) for name, roles in machines.items()}
    if suite.name == RecoverySuite.name:
        # All combinations', so that the profile of a run does not depend on which of them it has.
        profile = complete(profile, scenarios, given, {name: _shown(roles) for name, roles in expected.items()})
    deviations = load_ledger(scenarios)
    features = {need for guest in guests.values() for need in (guest["arch"], *guest["needs"])}
    releases = {
        name: with_features(resolve_release(name, given["releases"]), features) for name in sorted(set(sides.values()))
    }
    releases = {name: {"name": name, "id": release_id(name, release), **release} for name, release in releases.items()}
    patterns = _listed(given["cases"]) or ["*"]
    digests = {
        "ledger_id": data_id(deviations), "profile_id": data_id(profile),
        "lab_files_id": files_id([Path(path) for path in given["lab_files"]]), "guests_id": data_id(guests),
    }
    identity = {"pair": pair, "profile": profile["name"], "guest": ",".join(guests), **digests}
    earlier = _earlier_run(given, identity) if given["resume"] else None
    if earlier:
        if (names != ["all"] and combinations != earlier["combinations"]) or patterns not in (["*"], earlier["cases"]):
            raise LabError(
                f"run {earlier['run']} is resumed with its own combinations ({', '.join(earlier['combinations'])}) and cases "
                f"({', '.join(earlier['cases'])}); leave them out, or start another run"
            )
        combinations, patterns = earlier["combinations"], earlier["cases"]
    selected = {name: select_cases(suite.cases_of_guests(profile, name, list(guests)), patterns) for name in combinations}
    run = earlier["run"] if earlier else given["run"] or time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    folder = Path(given["results_root"]).resolve() / run
    if given["start"] and not earlier and folder.exists():
        raise LabError(f"there is a run '{run}' already in {folder}; resume it with resume=true, or give another name")
    done = {name: read_journals(folder / name).cases if earlier else {} for name in combinations}
    rest = {
        name: {case.id: suite.effort(profile, case) for case in cases if case.id not in done[name]}
        for name, cases in selected.items()
    }
    return {
        "run": run,
        "folder": str(folder),
        "pair": pair,
        "releases": releases,
        "sides": sides,
        "untried": [name for name, release in releases.items() if not recorded(release, scenarios)],
        "deviations": deviations,
        **digests,
        "guest": identity["guest"],
        "guests": guests,
        "architectures": [
            {"arch": arch, "machine": next(guest["machine"] for guest in guests.values() if guest["arch"] == arch)}
            for arch in sorted({guest["arch"] for guest in guests.values()})
        ],
        "workers_per_core": pair.get("workers_per_core", min(guest["workers_per_core"] for guest in guests.values())),
        "profile": profile,
        "time_limit": max(given["time_limit"], profile["call_limit"] + CASE_BESIDE_CALL if "call_limit" in profile else 0.0),
        "suite": suite.name,
        "patterns": patterns,
        "cases": {name: [case.id for case in cases] for name, cases in selected.items()},
        "axes": {case.id: list(case.axes.values()) for cases in selected.values() for case in cases},
        "combinations": combinations,
        "shares": (spread if suite.spread else deal)(rest, given["cells"]),
        "classes": {name: machines[name] for name in combinations},
        "replaceable": suite.replaces(profile),
        "expected": {name: expected[name] for name in combinations},
        "cells": given["cells"],
        "resume": earlier is not None,
    }


def start_run(plan: Mapping[str, Any], about: Mapping[str, Any]) -> None:
    """Make the run's folder and its run.json, unless it is resumed.

    :param about: who and where: fields of run.json that the plan does not have.
    :raises LabError: when the results folder cannot be written.
    """
    folder = Path(plan["folder"])
    try:
        for combination in plan["combinations"]:
            (folder / combination).mkdir(parents=True, exist_ok=True)
            for reason in not_obtained_paths(folder / combination):  # of an earlier start
                reason.unlink()
    except OSError as error:
        raise LabError(f"the results folder {folder} cannot be written ({error.strerror}); {_ADVICE}") from error
    if not plan["resume"]:
        facts = {
            "schema": SCHEMA, "run": plan["run"], "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            **about, "pair": plan["pair"], "profile": plan["profile"]["name"], "guest": plan["guest"],
            "profile_id": plan["profile_id"], "lab_files_id": plan["lab_files_id"],
            "ledger_id": plan["ledger_id"], "guests_id": plan["guests_id"],
            "guests": {
                name: {field: guest[field] for field in ("description", "does_not_cover", "arch", "machine", "memory")}
                for name, guest in plan["guests"].items()
            },
            "untried": plan["untried"], "cells": plan["cells"],
            "releases": {
                name: {field: release[field] for field in ("id", "kind", "libvirt")}
                for name, release in plan["releases"].items()
            },
            "deviations": plan["deviations"],
            "combinations": plan["combinations"], "cases": plan["patterns"],
            "machines": {
                name: {role: machine["release"] for role, machine in plan["expected"][name].items()}
                for name in plan["combinations"]
            },
            "suite": {"name": plan["suite"], "checks": list(SUITES[plan["suite"]].checks_of(plan["profile"]))},
            "profile_data": plan["profile"], "axes": plan["axes"],
            "selected": plan["cases"],
        }
        write_whole(folder / RUN_FILE, (json.dumps(facts, indent=2) + "\n").encode(), _ADVICE)


def check_results_root(root: Path) -> None:
    """Refuse a results folder that cannot be written, without making anything.

    :raises LabError: naming the folder.
    """
    existing = root
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    if not existing.is_dir() or not os.access(existing, os.W_OK):
        raise LabError(
            f"the results folder {root} cannot be written ({existing} is in the way); set results_root to one that can"
        )


def _earlier_run(given: Mapping[str, Any], identity: Mapping[str, Any]) -> dict[str, Any]:
    """run.json of the run to resume: the named one, or the newest.

    :raises LabError: when there is none, or it was made with another pair, profile, guests or files of the machines.
    """
    root = Path(given["results_root"])
    runs = [read_run_file(path) for path in sorted(root.glob(f"{given['run'] or '*'}/{RUN_FILE}"))]
    if not runs:
        raise LabError(f"there is no run to resume in {root / given['run']}; start one without resume=true")
    earlier = max(runs, key=lambda run: str(run["started"]))
    for field in IDENTITY:
        if earlier.get(field) != identity[field]:
            raise LabError(
                f"run {earlier['run']} cannot be resumed: its {field} is {_short(earlier.get(field))}, asked for is "
                f"{_short(identity[field])}; put back the same {field}, or start another run"
            )
    return earlier


def _short(value: Any) -> str:
    return pair_in_full(value) if isinstance(value, dict) else str(value)


def _check_values(given: Mapping[str, Any]) -> None:
    if not given["cells"]:
        raise LabError("the inventory has no cell; add one to the group 'cells'")
    if given["run"] and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", given["run"]):
        raise LabError(f"'{given['run']}' cannot be the name of a run: use letters, digits, dots, dashes and underscores")
    if given["run"] == "last" and not given["resume"]:
        raise LabError("a run cannot be named 'last', which base=last has for the last comparable run; give it another name")
    workers = given["workers"]
    if not re.fullmatch("auto|[1-9][0-9]*", workers):
        raise LabError(f"workers is '{workers}'; it must be auto, or a number of cases at a time, at least 1")
    most = WANTED_LIMITS["nofile"][1] // FILES_PER_CASE
    if workers != "auto" and int(workers) > most:
        raise LabError(
            f"workers is '{workers}'; it must be at most {most}: a process may have {WANTED_LIMITS['nofile'][1]} files "
            f"open, and its daemon needs about {FILES_PER_CASE} for each case"
        )
    if given["time_limit"] < 1:
        raise LabError(f"time_limit is {given['time_limit']:g}; it must be at least 1 second")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*-", given["prefix"]):
        raise LabError(
            f"domain_prefix is '{given['prefix']}'; it must be letters or digits with a dash at the end, so that it tells the "
            "lab's domains from others"
        )


def _expected(classes: Mapping[str, str], pair: Mapping[str, Any], releases: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """By role the release, its libvirt version and class, and the ceiling of an emulated old one.

    :param classes: by role, of a combination.
    """
    sides = releases_of(pair)
    return {
        role: {
            "release": sides[kind], "libvirt": releases[sides[kind]]["libvirt"], "class": kind,
            **({"ceiling": pair["ceiling"]} if kind == "old" and "ceiling" in pair else {}),
        }
        for role, kind in classes.items()
    }


def _those_with_cases(
    combinations: list[str], names: Sequence[str], suite: Suite, profile: Mapping[str, Any]
) -> list[str]:
    """The combinations that the profile has cases for.

    :raises LabError: when one that was named is none of them.
    """
    fitting = [name for name in running_order(PAIR_CLASSES) if suite.cases(profile, name)]
    if names != ["all"] and (wrong := [name for name in combinations if name not in fitting]):
        raise LabError(f"the hops make no case on combination {wrong[0]}; they do on {', '.join(fitting)}")
    return [name for name in combinations if name in fitting]


def _shown(expected: Mapping[str, Mapping[str, str]]) -> dict[str, int]:
    """By role libvirt's version as the other machines are shown it."""
    return {role: parse_version(facts.get("ceiling") or facts["libvirt"]) for role, facts in expected.items()}


def _listed(value: Sequence[str] | str) -> list[str]:
    """A list, or a text with commas, as a list of names."""
    parts = value.split(",") if isinstance(value, str) else value
    return [part.strip() for part in parts if part.strip()]
