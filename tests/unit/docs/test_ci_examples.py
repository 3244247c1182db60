# SPDX-License-Identifier: GPL-3.0-or-later
"""The workflows, that of this repository and the examples, call what is in the repository."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Iterator

import pytest

from migration_lab.planning.schema import read_yaml

ROOT = Path(__file__).parents[3]
EXAMPLES = sorted((ROOT / "docs" / "ci").glob("*.yml"))
WORKFLOW = ROOT / ".github" / "workflows" / "ci.yml"
SETTINGS = {
    name for path in ROOT.glob("roles/*/defaults/main.yml") for name in read_yaml(path) or ()
}


def commands(data: Any, under: str = "") -> Iterator[str]:
    """The texts of a workflow that a shell runs."""
    if isinstance(data, dict):
        for key, value in data.items():
            yield from commands(value, str(key))
    elif isinstance(data, list):
        for value in data:
            yield from commands(value, under)
    elif under in ("run", "script", "before_script"):
        yield data


def make_targets(text: str) -> list[str]:
    """The targets that a text calls make with; each is one of the Makefile."""
    targets = re.findall(r"\bmake ([a-z]+)\b", text)
    assert all(re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE) for target in targets)
    return targets


def test_continuous_integration_runs_all_tests() -> None:
    data = read_yaml(WORKFLOW)
    assert set(make_targets("\n".join(commands(data)))) == {"lint", "unit", "test"}


def test_continuous_integration_tries_the_pinned_ansible_core_and_the_oldest_python() -> None:
    tried = read_yaml(WORKFLOW)["jobs"]["unit"]["strategy"]["matrix"]["include"]
    pinned = re.search(r"^ansible-core==(\d+\.\d+)", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    assert pinned and pinned[1] in {entry["ansible-core"] for entry in tried}
    oldest = re.search(r"Python (\d\.\d+) or later", (ROOT / "Makefile").read_text())
    assert oldest and min(entry["python"] for entry in tried) == oldest[1]


def test_there_is_an_example_for_each_service() -> None:
    assert [path.name for path in EXAMPLES] == ["github-actions.yml", "gitlab-ci.yml"]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_runs_what_exists(path: Path) -> None:
    text = "\n".join(commands(read_yaml(path)))
    playbooks = re.findall(r"playbooks/\S+\.yml", text)
    assert "playbooks/nightly.yml" in playbooks
    assert all((ROOT / playbook).is_file() for playbook in playbooks)
    assert make_targets(text) == ["setup"]
    settings = re.findall(r"-e (\w+)=", text)
    assert settings and set(settings) <= SETTINGS


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_keeps_results_of_a_night_that_failed(path: Path) -> None:
    data = read_yaml(path)
    if path.stem == "gitlab-ci":
        job = data["nightly"]
        assert job["artifacts"]["when"] == job["cache"]["when"] == "always"
        assert job["artifacts"]["paths"] == job["cache"]["paths"] == ["results"]
        return
    steps = data["jobs"]["nightly"]["steps"]
    kept = [step for step in steps if "save" in step.get("uses", "") or "upload" in step.get("uses", "")]
    assert len(kept) == 2
    assert all(step["if"] == "always()" and step["with"]["path"] == "results" for step in kept)


def test_the_commit_hooks_run_what_make_lint_runs_and_download_nothing() -> None:
    repositories = read_yaml(ROOT / ".pre-commit-config.yaml")["repos"]
    assert [repository["repo"] for repository in repositories] == ["local"]
    entries = [hook["entry"].rpartition(".venv/bin/")[2] for hook in repositories[0]["hooks"]]
    assert [hook["language"] for hook in repositories[0]["hooks"]] == ["system"] * len(entries)
    lint = re.search(r"^lint:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert lint and all(entry in lint[1] for entry in entries)
