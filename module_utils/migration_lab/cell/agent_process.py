# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's side of an agent: starts it through a machine's exec prefix, sends requests, minds the clock.

The agent is agent.py, or another program that is asked and answers as serving.py has it.
"""

from __future__ import annotations

import inspect
import json
import math
import os
import select
import signal
import subprocess
import tempfile
import threading
import time
from types import ModuleType
from typing import Any, Optional, Sequence

from ..judging.observation import Outcome
from ..model.errors import LabError
from . import agent as agent_source
from . import processes, serving

# The sources come in over standard input, all in the first line (sent), so nothing is copied to the machine. There they are
# modules of one package, as they are here, and the last one is the program.
BOOTSTRAP = """\
import json, sys, types
sys.modules['cell'] = types.ModuleType('cell')
for name, source in json.loads(sys.stdin.readline()):
    module = sys.modules['cell.' + name] = types.ModuleType(str('cell.' + name))
    exec(compile(source, name + '.py', 'exec'), module.__dict__)
module.main()
"""
# The modules of the package that programs import, each after those that it imports itself.
PARTS = (serving, processes)

# Two threads at once may find no source (linecache), as happens in the zip file that Ansible makes of a module.
_READING = threading.Lock()
_SENT: dict[str, bytes] = {}

# Exit statuses of a client library that crashed inside a call: 128 + signal, as podman and shells report it.
CRASH_SIGNALS = (signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL)


class AgentFailure(Exception):
    """A call of an agent without a result."""


class CallError(AgentFailure):
    """libvirt refused a call. Carries libvirt's error code and domain (None where it is not libvirt's error)."""

    def __init__(self, error: dict[str, Any], seconds: float) -> None:
        self.code: Optional[int] = error.get("code")
        self.domain: Optional[int] = error.get("domain")
        self.message: str = error["message"]
        self.seconds = seconds
        numbers = "" if self.code is None else f" (error {self.code}, domain {self.domain})"
        super().__init__(self.message + numbers)


class CallTimeout(AgentFailure):
    """A call did not answer within its time. The agent has been ended: what it was doing is unknown."""


class AgentDied(AgentFailure):
    """The agent's process ended. ``crashed`` is true when its own libvirt library brought it down."""

    def __init__(self, status: int, detail: str) -> None:
        number = -status if status < 0 else status - 128
        self.crashed = number in CRASH_SIGNALS
        ending = f"was ended by {signal.Signals(number).name}" if number in set(signal.Signals) else f"exited {status}"
        super().__init__(f"the agent {ending}" + (f": {detail}" if detail else ""))


class AgentProcess:
    """A running agent. One request at a time; not for use from two threads."""

    def __init__(self, prefix: Sequence[str], python: str, program: ModuleType = agent_source) -> None:
        """Start an agent.

        :param prefix: what to put before a command to run it on the client machine (``podman exec -i a-client``).
        :param python: that machine's Python interpreter; agent.py needs a libvirt module in it.
        :param program: the module whose source is sent; its ``main`` serves.
        """
        command = [*prefix, python, "-c", BOOTSTRAP]
        self.call_seconds = 0.0
        self._buffer = b""
        # A file, because nobody reads it while the agent works, and a full pipe would stop the agent.
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the agent
        try:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._complaints, bufsize=0
            )
        except OSError as error:
            self._complaints.close()
            raise LabError(f"no agent could be started with '{command[0]}': {error.strerror}") from error
        try:
            self._write(sent(program))
        except AgentDied as error:
            self.close()
            raise LabError(f"no agent could be started with '{' '.join(command[:-2])}': {error}") from error

    def call(self, call: str, timeout: float, **fields: Any) -> Any:
        """Make a call and return its result.

        :param timeout: seconds until the call counts as hung; the agent is ended then.
        :raises CallError: when libvirt refused it.
        :raises CallTimeout: when it did not answer in time.
        :raises AgentDied: when the agent ended.
        :raises LabError: when something else than an agent answered.
        """
        # The agent's own limit is the later one, so that a hung call is reported here and as what it is.
        request = {"call": call, "limit": math.ceil(timeout) + 1, **fields}
        self._write(json.dumps(request).encode("ascii") + b"\n")
        started = time.monotonic()
        line = self._read_line(started + timeout, f"'{call}' did not answer within {timeout:.0f} s")
        try:
            answer = json.loads(line)
        except ValueError as error:
            self.kill()
            raise LabError(f"the agent answered '{line[:80].decode(errors='replace')}', which is not its protocol") from error
        self.call_seconds += answer["seconds"]
        if not answer["ok"]:
            raise CallError(answer["error"], answer["seconds"])
        return answer["result"]

    def outcome(self, call: str, timeout: float, **fields: Any) -> Outcome:
        """Make a call and return how it ended; a hung call and a crashed library are failures of libvirt.

        :raises AgentDied: when the agent ended for a reason that is not libvirt's.
        """
        started = time.monotonic()
        try:
            self.call(call, timeout, **fields)
        except CallError as error:
            return Outcome(False, str(error), error.seconds, code=error.code, domain=error.domain)
        except CallTimeout as error:
            return Outcome(False, str(error), time.monotonic() - started, timed_out=True)
        except AgentDied as error:
            if not error.crashed:
                raise
            return Outcome(False, f"the client library crashed: {error}", time.monotonic() - started)
        return Outcome(True, "", time.monotonic() - started)

    @property
    def alive(self) -> bool:
        """Whether the agent can be asked."""
        return self._process.poll() is None

    def end(self) -> None:
        """Let the agent end, by end of input, without waiting for it: to leave a container takes 0.1 s and more."""
        if self._process.stdin and not self._process.stdin.closed:
            self._process.stdin.close()

    def close(self) -> None:
        """End the agent: kindly by end of input, else by a signal."""
        self.end()
        try:
            self._process.wait(timeout=2)
        except subprocess.TimeoutExpired:
            self.kill()
        if self._process.stdout:
            self._process.stdout.close()
        self._complaints.close()

    def kill(self) -> None:
        """End the agent at once."""
        self._process.kill()
        self._process.wait()

    def _write(self, data: bytes) -> None:
        assert self._process.stdin is not None
        try:
            view = memoryview(data)
            while view:
                view = view[self._process.stdin.write(view):]
        except BrokenPipeError:
            raise self._death() from None

    def _read_line(self, deadline: float, late: str) -> bytes:
        assert self._process.stdout is not None
        descriptor = self._process.stdout.fileno()
        while b"\n" not in self._buffer:
            ready, _, _ = select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                self.kill()
                raise CallTimeout(late)
            data = os.read(descriptor, 65536)
            if not data:
                raise self._death()
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line

    def _death(self) -> AgentDied:
        status = self._process.wait()
        self._complaints.seek(0)
        detail = self._complaints.read().decode(errors="replace").strip().splitlines()
        return AgentDied(status, detail[-1] if detail else "")


def sent(program: ModuleType) -> bytes:
    """The line with the sources of a program and of what it imports; they are read once, for a run starts many agents."""
    with _READING:
        if program.__name__ not in _SENT:
            sources = [(module.__name__.rpartition(".")[2], inspect.getsource(module)) for module in (*PARTS, program)]
            _SENT[program.__name__] = json.dumps(sources).encode("ascii") + b"\n"
        return _SENT[program.__name__]
