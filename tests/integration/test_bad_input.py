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
from refusals import PLAN, Attempt, include_role, refusals

LAB_HOST = include_role("lab_host")


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What the planner and the lab host say to settings that no other integration test gives; nothing is changed."""
    folder = tmp_path_factory.mktemp("refusals")
    wrong: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
        "results_root": (PLAN, {"results_root": "/proc/version/results", "plan_start": True}),
        "workers": (PLAN, {"workers": 0}),
        "domain_prefix": (PLAN, {"domain_prefix": ""}),
        "packages": (LAB_HOST, {"lab_host_packages": ["podman", "no-such-package-of-the-lab"]}),
        "runtimes": (LAB_HOST, {"lab_host_runtimes": ["no-such-runtime"]}),
    }
    before = podman_state()
    refused = refusals(folder, {
        name: Attempt([task], {"results_root": str(folder / "results"), **settings}) for name, (task, settings) in wrong.items()
    })
    assert podman_state() == before
    assert not (folder / "results").exists()
    return refused


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("results_root", "cannot be written"),
        ("workers", "workers is '0'; it must be auto, or a number"),
        ("domain_prefix", "domain_prefix is ''"),
        ("packages", "could not be installed on lab"),
        ("runtimes", "no OCI runtime can start a container on this lab host (no-such-runtime: not installed)"),
    ],
)
def test_a_wrong_setting_is_refused_with_a_sentence(said: dict[str, str], name: str, sentence: str) -> None:
    """tests/unit/planning has all sentences of the planner."""
    assert sentence in said[name]


def test_a_refusal_reaches_the_user_and_nothing_is_changed(lab: Lab, tmp_path: Path) -> None:
    before = podman_state()
    played = lab.play("full_matrix", results_root=str(tmp_path / "results"), lab_host_min_free=1000000)
    assert played.status != 0
    assert "The disk of lab is nearly full" in played.message(), played.output
    assert podman_state() == before


def podman_state() -> str:
    """Containers and images, to see that nothing was changed; none before podman is installed."""
    try:
        ids = "{{.ID}} {{.Names}}"
        containers = subprocess.check_output(["podman", "ps", "--all", "--format", ids], text=True)
        return containers + subprocess.check_output(["podman", "images", "--all", "--format", ids], text=True)
    except FileNotFoundError:
        return ""


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
