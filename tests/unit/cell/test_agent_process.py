# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's side of an agent, with real processes: what is refused, hangs, crashes or is killed is told apart."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fake_libvirt import CAPABILITIES, lay
from migration_lab.cell.agent_process import AgentDied, AgentProcess, CallError, CallTimeout
from migration_lab.judging.observation import Outcome
from migration_lab.model.errors import LabError

TIMEOUT = 10.0


@pytest.fixture(scope="module")
def prefix(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """An exec prefix to a machine whose libvirt is the fake one."""
    return ["env", f"PYTHONPATH={lay(tmp_path_factory.mktemp('machine'))}"]


@pytest.fixture
def start(prefix: list[str]) -> Iterator[Callable[..., AgentProcess]]:
    """Starts agents, and ends them after the test."""
    started: list[AgentProcess] = []

    def start_agent(*wrapper: str) -> AgentProcess:
        started.append(AgentProcess([*wrapper, *prefix], sys.executable))
        return started[-1]

    yield start_agent
    for agent in started:
        agent.close()


@pytest.fixture(scope="module")
def agent(prefix: list[str]) -> Iterator[AgentProcess]:
    """An agent that tests ask one after another; none of them ends it."""
    agent = AgentProcess(prefix, sys.executable)
    yield agent
    assert agent.alive
    agent.close()


def opening(uri: str) -> dict[str, Any]:
    return {"call": "open", "timeout": TIMEOUT, "connection": "source", "uri": uri}


def test_call_returns_the_result(agent: AgentProcess) -> None:
    hello = agent.call("hello", TIMEOUT)
    assert hello.pop("pid") > 1
    assert hello == {"libvirt": 9002, "python": "{}.{}.{}".format(*sys.version_info[:3])}
    assert agent.call(**opening("fake://a-source/")) == {"libvirt": 11003000, "hostname": "a-source"}
    assert agent.alive


def test_several_agents_do_not_share_anything(start: Callable[..., AgentProcess]) -> None:
    one, other = start(), start()
    one.call(**opening("fake://a-source/"))
    with pytest.raises(CallError, match="KeyError: 'source'"):
        other.call("hypervisor", TIMEOUT, connection="source")
    assert one._process.pid != other._process.pid


def test_refused_call_carries_libvirts_numbers(agent: AgentProcess) -> None:
    with pytest.raises(CallError) as refusal:
        agent.call(**opening("fake://h/refused"))
    assert (refusal.value.code, refusal.value.domain) == (38, 7)
    assert refusal.value.message == "unable to connect to server: Connection refused"
    assert str(refusal.value) == "unable to connect to server: Connection refused (error 38, domain 7)"
    assert agent.alive and agent.call("hello", TIMEOUT)["libvirt"] == 9002, "the agent goes on"


def test_error_that_is_not_libvirts_has_no_numbers(agent: AgentProcess) -> None:
    with pytest.raises(CallError) as refusal:
        agent.call(**opening("fake://h/broken"))
    assert (refusal.value.code, refusal.value.domain, str(refusal.value)) == (None, None, "ValueError: not libvirt's")


def test_machine_without_a_binding_is_told_by_the_first_call(tmp_path: Path) -> None:
    (tmp_path / "libvirt.py").write_text("raise ImportError\n")
    agent = AgentProcess(["env", f"PYTHONPATH={tmp_path}"], sys.executable)
    try:
        with pytest.raises(subprocess.TimeoutExpired):
            agent._process.wait(0.5)
        with pytest.raises(CallError, match="has no libvirt module"):
            agent.call("hello", TIMEOUT)
    finally:
        agent.close()


def test_answer_larger_than_a_pipe_arrives_whole(agent: AgentProcess) -> None:
    agent.call(**opening("fake://a-source/"))
    assert agent.call("capabilities", TIMEOUT, connection="source") == {"xml": CAPABILITIES + " " * 300000}
    assert agent.call("hypervisor", TIMEOUT, connection="source") == {"hypervisor": 7002022}, "and nothing of it is left"


def test_request_larger_than_a_pipe_arrives_whole(agent: AgentProcess) -> None:
    agent.call(**opening("fake://a-source/"))
    name = "n" * 300000
    agent.call("define", TIMEOUT, connection="source", xml=f"<domain><name>{name}</name></domain>")
    assert agent.call("domains", TIMEOUT, connection="source") == {"names": [name]}


def test_seconds_in_calls_add_up(start: Callable[..., AgentProcess]) -> None:
    agent = start()
    assert agent.call_seconds == 0
    agent.call(**opening("fake://a-source/"))
    after_one = agent.call_seconds
    with pytest.raises(CallError):
        agent.call("destroy", TIMEOUT, connection="source", name="nothing")
    assert 0 < after_one < agent.call_seconds < TIMEOUT, "a refused call took its time too"


def test_call_that_hangs_ends_the_agent(start: Callable[..., AgentProcess]) -> None:
    agent = start()
    agent.call("hello", TIMEOUT)
    started = time.monotonic()
    with pytest.raises(CallTimeout, match="'open' did not answer within 0 s"):
        agent.call("open", 0.1, connection="source", uri="fake://h/hang")
    assert time.monotonic() - started < 5
    assert not agent.alive
    with pytest.raises(AgentDied):
        agent.call("hello", TIMEOUT)


@pytest.mark.parametrize(
    ("how", "said", "crashed"),
    [
        ("segv", "the agent was ended by SIGSEGV", True),
        ("kill", "the agent was ended by SIGKILL", False),
        ("exit", "the agent exited 7: the last words", False),
    ],
)
def test_agent_that_died_says_how(start: Callable[..., AgentProcess], how: str, said: str, crashed: bool) -> None:
    agent = start()
    with pytest.raises(AgentDied) as death:
        agent.call(**opening(f"fake://h/{how}"))
    assert (str(death.value), death.value.crashed) == (said, crashed)
    assert not agent.alive


@pytest.mark.parametrize(
    ("status", "said", "crashed"),
    [
        (-signal.SIGSEGV, "the agent was ended by SIGSEGV", True),
        (128 + signal.SIGSEGV, "the agent was ended by SIGSEGV", True),
        (128 + signal.SIGABRT, "the agent was ended by SIGABRT", True),
        (-signal.SIGBUS, "the agent was ended by SIGBUS", True),
        (-signal.SIGKILL, "the agent was ended by SIGKILL", False),
        (128 + signal.SIGKILL, "the agent was ended by SIGKILL", False),
        (128 + signal.SIGALRM, "the agent was ended by SIGALRM", False),
        (128 + signal.SIGTERM, "the agent was ended by SIGTERM", False),
        (0, "the agent exited 0", False),
        (1, "the agent exited 1", False),
        (signal.SIGSEGV, "the agent exited 11", False),
        (125, "the agent exited 125", False),
        (128, "the agent exited 128", False),
        (255, "the agent exited 255", False),
    ],
)
def test_exit_status_in_words(status: int, said: str, crashed: bool) -> None:
    death = AgentDied(status, "")
    assert (str(death), death.crashed) == (said, crashed)
    assert str(AgentDied(status, "detail")) == f"{said}: detail"


def test_exec_prefix_that_ends_with_the_agents_status_is_read_the_same(start: Callable[..., AgentProcess]) -> None:
    """podman exec reports a signal as 128 + its number; a shell does so too."""
    agent = start("sh", "-c", '"$@"; exit $?', "sh")
    with pytest.raises(AgentDied, match="ended by SIGSEGV") as death:
        agent.call(**opening("fake://h/segv"))
    assert death.value.crashed


def test_exec_prefix_that_refuses_is_told_with_its_words(start: Callable[..., AgentProcess]) -> None:
    script = 'read line; echo "Error: no such container" >&2; exit 125'
    with pytest.raises(AgentDied, match="the agent exited 125: Error: no such container"):
        start("sh", "-c", script).call("hello", TIMEOUT)


def test_outcome_of_a_call_that_worked(agent: AgentProcess) -> None:
    outcome = agent.outcome(**opening("fake://a-source/"))
    assert (outcome.ok, outcome.error) == (True, "")
    assert 0 < outcome.seconds < TIMEOUT


@pytest.mark.parametrize(
    ("how", "timeout", "error"),
    [
        ("refused", TIMEOUT, "unable to connect to server: Connection refused (error 38, domain 7)"),
        ("segv", TIMEOUT, "the client library crashed: the agent was ended by SIGSEGV"),
        ("hang", 0.1, "'open' did not answer within 0 s"),
    ],
)
def test_refused_crashed_and_hung_calls_are_libvirts(
    start: Callable[..., AgentProcess], how: str, timeout: float, error: str
) -> None:
    outcome = start().outcome("open", timeout, connection="source", uri=f"fake://h/{how}")
    code, domain = (38, 7) if how == "refused" else (None, None)
    assert outcome == Outcome(False, error, outcome.seconds, timed_out=how == "hang", code=code, domain=domain)
    assert 0 < outcome.seconds < TIMEOUT


@pytest.mark.parametrize("how", ["kill", "exit"])
def test_agent_that_was_ended_is_the_labs(start: Callable[..., AgentProcess], how: str) -> None:
    with pytest.raises(AgentDied):
        start().outcome(**opening(f"fake://h/{how}"))


def test_agent_that_says_nothing_is_given_up(start: Callable[..., AgentProcess]) -> None:
    agent = start("sh", "-c", "exec sleep 30")
    with pytest.raises(CallTimeout, match="'hello' did not answer"):
        agent.call("hello", 0.1)
    assert not agent.alive


def test_agent_killed_between_calls_is_noticed(start: Callable[..., AgentProcess]) -> None:
    agent = start()
    agent.call("hello", TIMEOUT)
    os.kill(agent._process.pid, signal.SIGKILL)
    with pytest.raises(AgentDied, match="ended by SIGKILL"):
        agent.call("hello", TIMEOUT)


def test_exec_prefix_that_is_not_there_is_the_labs_fault() -> None:
    with pytest.raises(LabError, match="no agent could be started with '/no/podman': No such file or directory"):
        AgentProcess(["/no/podman", "exec", "-i", "a-client"], "/usr/bin/python3")


def test_exec_prefix_that_cannot_be_run_is_the_labs_fault(tmp_path: Path) -> None:
    (tmp_path / "podman").write_text("")
    with pytest.raises(LabError, match=r"no agent could be started with '.*/podman': Permission denied"):
        AgentProcess([str(tmp_path / "podman")], "/usr/bin/python3")


@pytest.mark.parametrize("call_first", [True, False])
def test_closed_agent_ends_with_its_input(start: Callable[..., AgentProcess], tmp_path: Path, call_first: bool) -> None:
    agent = start("sh", "-c", f'"$@"; echo $? > {tmp_path}/status', "sh")
    if call_first:
        agent.call("hello", TIMEOUT)
    agent.close()
    assert not agent.alive
    assert (tmp_path / "status").read_text() == "0\n", "kindly, not by a signal"
    agent.close()


def test_agent_that_is_let_go_ends_by_itself(start: Callable[..., AgentProcess]) -> None:
    agent = start("sh", "-c", '"$@"; sleep 0.3', "sh")
    agent.call("hello", TIMEOUT)
    agent.end()
    assert agent.alive, "nobody waited"
    assert agent._process.wait(TIMEOUT) == 0
    agent.close()


def test_ended_agent_leaves_no_process(start: Callable[..., AgentProcess]) -> None:
    agent = start()
    agent.call("hello", TIMEOUT)
    agent.kill()
    assert not agent.alive and not Path(f"/proc/{agent._process.pid}").exists()


def test_agent_is_given_the_machines_own_python(tmp_path: Path, prefix: list[str]) -> None:
    python = tmp_path / "python-of-the-machine"
    python.write_text(f'#!/bin/sh\ntouch "$0.ran"\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    agent = AgentProcess([str(shutil.which("env")), *prefix[1:]], str(python))
    try:
        agent.call("hello", TIMEOUT)
    finally:
        agent.close()
    assert (tmp_path / "python-of-the-machine.ran").exists()
