# SPDX-License-Identifier: GPL-3.0-or-later
"""Integration tests run the playbooks on this machine, with real daemons in the tests' own cell."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Optional

import pytest

from lab import Lab
from leftovers import left_behind, mark_processes, namespaces

# Filled in when the session ends, shown in the summary.
LEFT_BEHIND: Optional[list[str]] = None


@pytest.fixture(scope="session", autouse=True)
def nothing_left() -> Iterator[None]:
    """The suite leaves no container, network, namespace or process behind."""
    global LEFT_BEHIND
    assert os.geteuid() == 0, "the integration tests need root; run the unit tests alone with `make unit`"
    mark, before = mark_processes(), namespaces()
    yield
    destroyed = Lab(Path("/nonexistent")).play("destroy")
    assert destroyed.status == 0, destroyed.output
    deadline = time.monotonic() + 10  # a killed process may take a moment to be gone
    while (left := left_behind(mark, before)) and time.monotonic() < deadline:
        time.sleep(0.5)
    LEFT_BEHIND = sorted(left)
    assert not LEFT_BEHIND


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """The lab with a results folder for the session."""
    return Lab(tmp_path_factory.mktemp("results"))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say what the suite left behind."""
    if LEFT_BEHIND is not None:
        left = ", ".join(LEFT_BEHIND) or "no container, network, namespace or process"
        terminalreporter.write_line(f"left behind by the integration tests: {left}")
