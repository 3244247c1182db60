# SPDX-License-Identifier: GPL-3.0-or-later
"""What is killed or hangs in the middle of a run costs what it must, and no more."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lab import Lab, cases_of, descendants, events_of, kill_all, machine, wait_for, wait_for_cases
from migration_lab.cell.agent_process import BOOTSTRAP
from migration_lab.journal.case_result import CaseResult
from migration_lab.journal.journal import read_journal
from migration_lab.model.verdict import Verdict

CHOSEN = "p2p/transient*"
CASES = 16


def daemon(role: str) -> int:
    """Process number of a machine's daemon on this host."""
    pid = subprocess.check_output(["podman", "inspect", "--format", "{{.State.Pid}}", machine(role, "nnn")], text=True)
    for process in descendants(int(pid)):
        try:
            name = Path(f"/proc/{process}/comm").read_text().strip()
        except (FileNotFoundError, ProcessLookupError):  # a guest that has just ended
            continue
        if name == "libvirtd":
            return process
    raise AssertionError(f"no libvirtd in {machine(role, 'nnn')}")


def agents() -> list[int]:
    """Process numbers of the agents in the tests' client machine, on this host."""
    init = subprocess.check_output(["podman", "inspect", "--format", "{{.State.Pid}}", machine("client", "nnn")], text=True)
    namespace = Path("/proc", init.strip(), "ns", "pid").readlink()
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if (entry / "ns" / "pid").readlink() == namespace and BOOTSTRAP.encode() in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
        except (FileNotFoundError, PermissionError, ProcessLookupError):
            continue
    return found


def standing() -> bool:
    """Whether no agent has computed anything for a second."""

    def computed() -> list[str]:
        return [line for pid in agents() for line in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]]

    before = computed()
    time.sleep(1)
    return before != [] and before == computed()


def run_with(lab: Lab, run: str, after: int, fault: Callable[[], None], **settings: object) -> tuple[int, str, Path]:
    """Run the chosen cases on nnn, do something to the cell after some cases, and return exit status, output and journal."""
    journal = lab.journal(run, "nnn")
    process = lab.start("run", combination="nnn", cases=CHOSEN, run=run, clean=True, **settings)
    try:
        wait_for_cases(journal, after, process)
        fault()
        output, _ = process.communicate(timeout=300)
    finally:
        if process.poll() is None:
            kill_all(process)
    return process.returncode, " ".join(output.split()), journal


def test_a_killed_agent_costs_its_case(lab: Lab) -> None:
    def kill_an_agent() -> None:
        # While the target stands still, every agent soon waits for it in the middle of a case.
        target = daemon("target")
        os.kill(target, signal.SIGSTOP)
        try:
            wait_for("agents that wait", standing)
            os.kill(agents()[0], signal.SIGKILL)
        finally:
            os.kill(target, signal.SIGCONT)

    status, output, journal = run_with(lab, "agent-killed", 3, kill_an_agent)
    cases = cases_of(journal)
    assert len(cases) == CASES, output
    lost = [case for case in cases if case["verdict"] != "pass"]
    assert [case["verdict"] for case in lost] == ["error"], lost
    assert "the agent was ended by SIGKILL" in lost[0]["reason"]
    assert status != 0
    assert "NOT green" in output and lost[0]["case"] in output


@pytest.mark.parametrize("role", ["source", "target"])
def test_a_killed_daemon_is_started_again_and_the_run_goes_on(lab: Lab, role: str) -> None:
    run = f"{role}-killed"
    status, output, journal = run_with(lab, run, 3, lambda: os.kill(daemon(role), signal.SIGKILL))
    cases = cases_of(journal)
    final = {case["case"]: case for case in cases if case["final"]}
    assert len(final) == CASES, output
    # The neighbours in flight were run again alone, and nobody is blamed for a death from outside.
    assert {case["verdict"] for case in final.values()} == {"pass"}, final
    (death,) = events_of(journal, "daemon-death")
    assert death["machine"] == role and death["culprits"] == []
    assert {case["case"] for case in cases if not case["final"]} == set(death["in_flight"])
    assert all((journal.parent / log).is_file() for log in death["logs"])
    assert status != 0
    assert f"the daemon on the {role}" in output and "NOT green" in output


def test_a_hanging_daemon_is_found_and_started_again(lab: Lab) -> None:
    holders = []

    def stop_a_daemon() -> None:
        os.kill(daemon("target"), signal.SIGSTOP)
        # The run stands still for its time limit, long enough for somebody else to come.
        busy = lab.play("provision", combination="nnn")
        assert busy.status != 0
        holder = re.search(r"another run is active on this cell: ansible-playbook process (\d+) holds", busy.message())
        assert holder, busy.output
        holders.append(Path("/proc", holder.group(1), "cmdline").read_text())

    status, output, journal = run_with(lab, "hanging", 3, stop_a_daemon, time_limit=20)
    assert ['"run": "hanging"' in holder for holder in holders] == [True]
    (death,) = events_of(journal, "daemon-death")
    assert "does not answer" in death["detail"]
    final = {case["case"]: case for case in cases_of(journal) if case["final"]}
    assert len(final) == CASES, output
    assert {case["verdict"] for case in final.values()} == {"pass"}
    assert status != 0


def test_a_killed_run_loses_no_case_and_is_resumed(lab: Lab) -> None:
    run, journal = "killed", lab.journal("killed", "nnn")
    process = lab.start("run", combination="nnn", cases=CHOSEN, run=run, clean=True)
    wait_for_cases(journal, 5, process)
    kill_all(process)
    before = journal.read_bytes()
    kept = [line for line in before.split(b"\n") if b'"type":"case"' in line]
    assert len(kept) >= 5

    refused = lab.play("run", combination="nnn", run=run, resume=True, profile="tck")
    assert refused.status != 0
    assert "its profile is canonical, asked for is tck" in refused.message()
    assert journal.read_bytes() == before

    # Killed with guests in flight: their domains are left, and are only removed when that is asked for.
    left = lab.play("run", combination="nnn", run=run, resume=True)
    if left.status != 0:
        assert "domains of an earlier run are left on the cell: mlab-nnn-" in left.message()
        resumed = lab.play("run", combination="nnn", run=run, resume=True, clean=True)
    else:
        resumed = left
    assert resumed.status == 0, resumed.output
    assert journal.read_bytes().startswith(before), "what was written before the kill must stay"
    final = [attempt for attempt in attempts_of_whole_lines(journal) if attempt.final]
    assert len(final) == len({attempt.case for attempt in final}) == CASES, "every case has one result"
    assert {attempt.verdict for attempt in final} == {Verdict.PASS}
    assert "green: 1 combination, 16 of 16 cases, 160 of 160 checks" in resumed.message()


def attempts_of_whole_lines(journal: Path) -> list[CaseResult]:
    """The attempts, without the torn line of a killed run."""
    return read_journal(journal).attempts


def test_the_run_ends_when_its_playbook_is_killed_and_leaves_no_lock(lab: Lab) -> None:
    journal = lab.journal("orphaned", "nnn")
    process = lab.start("run", combination="nnn", cases=CHOSEN, run="orphaned", clean=True)
    wait_for_cases(journal, 1, process)
    process.kill()
    process.wait()
    wait_for("the end of the orphaned run", lambda: bool(events_of(journal, "end")), 60)
    assert events_of(journal, "end")[0]["complete"] is False
    ended = len(cases_of(journal))
    assert ended < CASES
    resumed = lab.play("run", combination="nnn", run="orphaned", resume=True)
    assert resumed.status == 0, resumed.output
    assert len(cases_of(journal)) == CASES
