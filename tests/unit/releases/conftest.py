# SPDX-License-Identifier: GPL-3.0-or-later
"""Releases are tested without images."""

from __future__ import annotations

import subprocess

import pytest

from fake_podman import FakePodman


@pytest.fixture
def podman(monkeypatch: pytest.MonkeyPatch) -> FakePodman:
    """What is called in podman's place."""
    fake = FakePodman()
    monkeypatch.setattr(subprocess, "run", fake.run)
    return fake
