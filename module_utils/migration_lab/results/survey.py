# SPDX-License-Identifier: GPL-3.0-or-later
"""The result of a device survey: what becomes of each device in each combination. Pure but for reading."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import Enum
from typing import Any, Mapping, Sequence

from ..journal.case_result import CaseResult
from ..journal.run_file import read_object
from ..model.combination import classes
from ..model.errors import LabError
from ..model.verdict import Verdict
from .run import CombinationResult, Run
from .wording import one_line

# In a run's folder: the devices, and what source and target make of them.
DEVICES_FILE = "devices.json"


class Fate(str, Enum):
    """What becomes of a device in a combination."""

    MOVES = "moves"
    REFUSED = "refused"  # before the transfer: the guest was not started, or stayed where it was
    FAILS = "fails"  # the transfer began, or ended with a guest that is not as it was
    NOT_ON_OLD = "not on old"
    NOT_ON_NEW = "not on new"
    ON_NEITHER = "on neither"
    NOT_TRIED = "not tried"
    NOT_OBTAINED = "not obtained"  # the lab failed, or the run was interrupted


_NOT_ON = {"old": Fate.NOT_ON_OLD, "new": Fate.NOT_ON_NEW}


@dataclass(frozen=True)
class Result:
    """What became of a device in a combination, and why: ``words`` are libvirt's, empty when it moves.

    ``lab_failed`` is of a case that ran and tells nothing, because the lab failed. It is final: the run does not try it again.
    """

    fate: Fate
    words: str = ""
    lab_failed: bool = False


@dataclass(frozen=True)
class SurveyedDevice:
    """A device of a survey with its result in each combination."""

    name: str
    kind: str
    model: str
    family: str
    results: Mapping[str, Result]

    def to_data(self) -> dict[str, Any]:
        return {
            "device": self.kind, "model": self.model, "machine": self.family,
            "results": {name: {"fate": one.fate.value, "words": one.words} for name, one in self.results.items()},
        }


@dataclass(frozen=True)
class Survey:
    """A device survey: its run, devices in order, and what was found out before it ran (``DEVICES_FILE``)."""

    run: Run
    devices: tuple[SurveyedDevice, ...]
    facts: Mapping[str, Any]

    @property
    def counts(self) -> dict[str, Counter[Fate]]:
        """By combination the devices of each fate."""
        names = [combination.name for combination in self.run.combinations]
        return {name: Counter(device.results[name].fate for device in self.devices) for name in names}

    @property
    def complete(self) -> bool:
        """Whether every device that was tried has a result. Devices that do not move do not change that."""
        return not any(counts[Fate.NOT_OBTAINED] for counts in self.counts.values())

    def to_data(self) -> dict[str, Any]:
        """The survey as ``survey.json`` has it."""
        return {
            "run": self.run.data["run"], "pair": self.run.data["pair"], "complete": self.complete,
            "combinations": {
                combination.name: {
                    "direction": direction(combination.name),
                    "libvirt": {role: facts["libvirt"] for role, facts in combination.versions.items()},
                    "qemu": {role: facts["hypervisor"] for role, facts in combination.versions.items() if "hypervisor" in facts},
                    "counts": {fate.value: self.counts[combination.name][fate] for fate in Fate},
                }
                for combination in self.run.combinations
            },
            "capabilities": self.facts["capabilities"],
            "devices": [device.to_data() for device in self.devices],
        }


def direction(combination: str) -> str:
    """``old -> new``."""
    sides = classes(combination)
    return f"{sides['source']} -> {sides['target']}"


def read_survey(run: Run) -> Survey:
    """Make a run's survey of its journals and of what was found out before it.

    :raises LabError: when the run is no survey, or its file of devices is broken.
    """
    path = run.folder / DEVICES_FILE
    if not path.exists():
        raise LabError(f"run {run.data['run']} is no device survey: there is no {path}; name one that playbooks/survey.yml made")
    facts = read_object(path, "start the survey again")
    several = "," in run.data["guest"]
    try:
        devices = tuple(
            SurveyedDevice(
                data["name"], data["kind"], data["model"], data["family"],
                {combination.name: _result(data, combination, several) for combination in run.combinations},
            )
            for data in facts["devices"]
        )
        facts["capabilities"]
    except (KeyError, TypeError) as error:
        raise LabError(f"{path} is broken ({type(error).__name__}: {error}); start the survey again") from error
    return Survey(run, devices, facts)


def _result(data: Mapping[str, Any], combination: CombinationResult, several: bool) -> Result:
    if data["not_tried"]:
        return Result(Fate.NOT_TRIED, data["not_tried"])
    lacking = {side: one_line(words) for side, words in data["support"].items() if words}
    if len(lacking) > 1:
        return Result(Fate.ON_NEITHER, "; ".join(dict.fromkeys(lacking.values())))
    sides = classes(combination.name)
    if sides["source"] in lacking:
        return Result(_NOT_ON[sides["source"]], lacking[sides["source"]])
    # The guest is no part of the case's id where it is the run's only one.
    prefix = f"{data['name']}/" if several else ""
    case = next((result for case, result in combination.results.items() if case.startswith(prefix)), None)
    if case is None:
        return Result(Fate.NOT_OBTAINED, one_line(combination.reason or "the run has no such case"))
    judged = judge_case(case)
    # A target may take what it would not define itself, where libvirt leaves it out of what it sends.
    if sides["target"] in lacking and judged.fate in (Fate.REFUSED, Fate.FAILS):
        return Result(_NOT_ON[sides["target"]], lacking[sides["target"]])
    return judged


def judge_case(case: CaseResult) -> Result:
    """What became of the device of a case.

    Whether the transfer began is what the relay saw: it begins when Prepare, the target's start of its QEMU, has succeeded.
    """
    if case.verdict is Verdict.PASS or (case.verdict is Verdict.FIXED and not case.failed):
        return Result(Fate.MOVES)
    if case.verdict is Verdict.ERROR:
        return Result(Fate.NOT_OBTAINED, one_line(case.reason), lab_failed=True)
    if case.migration is None:
        return Result(Fate.REFUSED, f"the source does not start it: {_first_failure(case)}")
    if not case.migration["error"]:
        return Result(Fate.FAILS, f"the call succeeded, but {_first_failure(case)}")
    error = one_line(case.migration["error"])
    prepares = [step for step in case.steps if step["procedure"].startswith("prepare")]
    if not prepares:
        return Result(Fate.REFUSED, f"the source does not migrate it: {error}")
    if prepares[-1]["result"] != "ok":
        return Result(Fate.REFUSED, f"the target does not take it: {error}")
    return Result(Fate.FAILS, error)


def _first_failure(case: CaseResult) -> str:
    failed: Sequence[Mapping[str, Any]] = case.failed
    if not failed:
        return one_line(case.reason)
    check = failed[0]
    if check["name"] in ("source-defined", "source-state"):
        return one_line(check["got"])
    return one_line(f"{check['name']}: expected {check['expected']}, got {check['got']}")
