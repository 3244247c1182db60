# SPDX-License-Identifier: GPL-3.0-or-later
"""Bad input gets one clear sentence and a non-zero exit, before anything is changed."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from default_catalogue import RELEASES
from lab import INVENTORY, PLAYBOOK, ROOT, Lab


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"results_root": "/proc/version/results"}, "cannot be written"),
        ({"lab_host_min_free": 1000000}, "The disk of lab is nearly full"),
        ({"lab_host_packages": ["podman", "no-such-package-of-the-lab"]}, "could not be installed on lab"),
        ({"workers": 0}, "workers is '0'; it must be auto, or a number"),
        ({"domain_prefix": ""}, "domain_prefix is ''"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_wrong_setting_is_refused_with_a_sentence(lab: Lab, tmp_path: Path, settings: dict[str, Any], sentence: str) -> None:
    """What the lab host refuses, and settings that no other integration test gives; tests/unit/planning has all sentences."""
    before = podman_state()
    played = lab.play("full_matrix", **{"results_root": str(tmp_path / "results"), **settings})
    assert played.status != 0
    assert sentence in played.message(), played.output
    assert podman_state() == before


def podman_state() -> str:
    """Containers and images, to see that nothing was changed."""
    try:
        ids = "{{.ID}} {{.Names}}"
        containers = subprocess.check_output(["podman", "ps", "--all", "--format", ids], text=True)
        return containers + subprocess.check_output(["podman", "images", "--all", "--format", ids], text=True)
    except FileNotFoundError:
        return "no podman"


def test_no_combination_named(lab: Lab) -> None:
    for playbook in ("run", "provision"):
        played = lab.play(playbook)
        assert played.status != 0
        assert "No combination is named. Name one: -e combination=noo" in played.message()


def test_a_release_that_cannot_be_had_is_said_and_nothing_is_half_made(lab: Lab) -> None:
    before = podman_state()
    release = {**RELEASES["debian-12"], "mirror": "http://127.0.0.1:9/debian"}
    played = lab.play("provision", combination="ooo", own_releases={"debian-12": release})
    assert played.status != 0
    assert "could not be built from suite bookworm of http://127.0.0.1:9/debian" in played.message(), played.output
    assert "set another mirror in the catalogue" in played.message()
    assert podman_state() == before
    assert not list(Path("/var/lib/migration-lab/build").iterdir())


def test_not_root(tmp_path: Path) -> None:
    # Another user, who can read this checkout and its virtual environment wherever they are.
    reader = ["--inh-caps", "+dac_override", "--ambient-caps", "+dac_override"]
    environment = {**os.environ, "HOME": str(tmp_path)}
    command = ["setpriv", "--reuid", "65534", *reader, str(PLAYBOOK), "-i", str(INVENTORY)]
    command += [str(ROOT / "playbooks" / "provision.yml"), "-e", "combination=noo"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "the lab host's work needs root" in " ".join(done.stdout.split()), done.stdout + done.stderr


def test_a_runtime_that_refuses_this_host_is_passed_over_or_said(lab: Lab) -> None:
    played = lab.play("provision", combination="noo", lab_host_runtimes=["no-such-runtime"])
    assert played.status != 0
    assert "no OCI runtime can start a container on this lab host (no-such-runtime: not installed)" in played.message()
