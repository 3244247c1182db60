# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs a command on a terminal of its own and reads what a person would see there."""

from __future__ import annotations

import fcntl
import os
import select
import signal
import struct
import subprocess
import termios
import time
from pathlib import Path
from types import TracebackType
from typing import Callable, Mapping, Sequence

import pyte

# Longest that a test waits for something to appear, seconds.
PATIENCE = 60.0


def environment(**changes: str) -> dict[str, str]:
    """This process's environment without what says how a terminal is, and with the given variables."""
    said = ("CI", "NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES", "TERM")
    return {**{name: value for name, value in os.environ.items() if name not in said}, **changes}


def _take_terminal() -> None:
    """In the child: the terminal is its own, and Ctrl-C reaches it, as after a login."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def in_foreground() -> None:
    """Be what a shell starts on its terminal: Ctrl-C ends it, also where the tests run in the background and ignore it."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class PseudoTerminal:
    """A command on a terminal. To be used as a context manager, which ends the command."""

    def __init__(
        self, command: Sequence[str], cwd: Path, variables: Mapping[str, str], columns: int = 100, lines: int = 50
    ) -> None:
        self._screen = pyte.HistoryScreen(columns, lines, history=2000)
        self._stream = pyte.ByteStream(self._screen)
        self._master, slave = os.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self.process = subprocess.Popen(
            command, cwd=cwd, env=dict(variables), stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
            preexec_fn=_take_terminal,
        )
        os.close(slave)

    def __enter__(self) -> PseudoTerminal:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        os.close(self._master)

    @property
    def screen(self) -> list[str]:
        """The lines that are on the screen, down to the last that is not empty."""
        return "\n".join(line.rstrip() for line in self._screen.display).rstrip().split("\n")

    @property
    def everything(self) -> list[str]:
        """The lines that have gone up from the screen, and those on it."""
        columns = range(self._screen.columns)
        gone = ["".join(line[column].data for column in columns).rstrip() for line in self._screen.history.top]
        return gone + self.screen

    @property
    def cursor_hidden(self) -> bool:
        return bool(self._screen.cursor.hidden)

    def wait_for(self, what: str, condition: Callable[[PseudoTerminal], bool]) -> None:
        """Read until the screen is as wanted, and fail when it does not become so."""
        deadline = time.monotonic() + PATIENCE
        while not condition(self):
            assert time.monotonic() < deadline, f"{what} did not appear:\n" + "\n".join(self.everything)
            assert self._read(), f"the command ended before {what} appeared:\n" + "\n".join(self.everything)

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        os.write(self._master, b"\x03")

    def end(self) -> int:
        """Read to the end of the command and return its exit status."""
        deadline = time.monotonic() + PATIENCE
        while self._read():
            assert time.monotonic() < deadline, "the command did not end:\n" + "\n".join(self.everything)
        return self.process.wait(PATIENCE)

    def _read(self) -> bool:
        """Show what was written; returns whether more may come."""
        if not select.select([self._master], [], [], 1.0)[0]:
            return True
        try:
            data = os.read(self._master, 65536)
        except OSError:  # EIO: nobody has the terminal open any more
            return False
        self._stream.feed(data)
        return bool(data)
