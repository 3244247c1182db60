# SPDX-License-Identifier: GPL-3.0-or-later
"""Bad input gets one clear sentence and a non-zero exit, before anything is changed."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from default_catalogue import PAIRS, RELEASES
from lab import INVENTORY, PLAYBOOK, ROOT, Lab


def pairs(name: str, **fields: str) -> dict[str, Any]:
    """A pair with fields changed, which replaces the lab's own."""
    return {name: {**PAIRS[name], **fields}}


def releases(**fields: Any) -> dict[str, Any]:
    """debian-12 with fields changed, which replaces the lab's own."""
    return {"debian-12": {**RELEASES["debian-12"], **fields}}


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"combinations": "nnx"}, "there is no combination 'nnx'; the combinations are ooo, noo"),
        ({"cases": "p2p/*,post/*"}, "the case pattern 'post/*' matches none of the 96 cases"),
        ({"own_pairs": pairs("debian", new="debian-99")}, "pair 'debian': there is no release 'debian-99' (new)"),
        ({"own_releases": releases(kind="rpm")}, "own_releases: debian-12, kind: 'rpm'"),
        ({"results_root": "/proc/version/results"}, "cannot be written"),
        ({"lab_host_min_free": 1000000}, "The disk of lab is nearly full"),
        ({"lab_host_packages": ["podman", "no-such-package-of-the-lab"]}, "could not be installed on lab"),
        ({"workers": 0}, "workers is '0'; it must be auto, or a number"),
        ({"domain_prefix": ""}, "domain_prefix is ''"),
        ({"pair": "emulated-v2", "relay": False},
         "pair 'emulated-v2' has a ceiling, which the relay presents, and relay is false"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_wrong_setting_is_refused_with_a_sentence(lab: Lab, tmp_path: Path, settings: dict[str, Any], sentence: str) -> None:
    """One setting for each way that it takes to what refuses it; tests/unit/planning has all sentences."""
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


@pytest.mark.parametrize(
    ("name", "old", "new", "sentence"),
    [
        ("deviations.yml", "check: target-state", "check: target-mood",
         "deviation 'paused-guest-arrives-running', effects, entry 1, check: there is no check 'target-mood'"),
        ("profiles/canonical.yml", "state: paused, target_config: false}", "state: asleep, target_config: false}",
         "canonical.yml: scenarios, 'transient-paused', state: 'asleep' is not one of"),
    ],
    ids=["ledger", "profile"],
)
def test_a_malformed_ledger_or_profile_is_refused_with_file_entry_and_field(
    lab: Lab, tmp_path: Path, name: str, old: str, new: str, sentence: str
) -> None:
    scenarios = tmp_path / "scenarios"
    shutil.copytree(ROOT / "scenarios", scenarios)
    path = scenarios / name
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    played = lab.play("full_matrix", scenarios_path=str(scenarios), results_root=str(tmp_path / "results"))
    assert played.status != 0
    assert sentence in played.message(), played.output
    assert not (tmp_path / "results").exists()


def test_no_combination_named(lab: Lab) -> None:
    for playbook in ("run", "provision"):
        played = lab.play(playbook)
        assert played.status != 0
        assert "No combination is named. Name one: -e combination=noo" in played.message()


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"mirror": "http://127.0.0.1:9/debian"}, "could not be built from suite bookworm of http://127.0.0.1:9/debian"),
        ({"suite": "nosuchsuite"}, "could not be built from suite nosuchsuite"),
    ],
    ids=["mirror", "suite"],
)
def test_a_release_that_cannot_be_had_is_said_and_nothing_is_half_made(
    lab: Lab, fields: dict[str, str], sentence: str
) -> None:
    before = podman_state()
    played = lab.play("provision", combination="ooo", own_releases=releases(**fields))
    assert played.status != 0
    assert sentence in played.message(), played.output
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
