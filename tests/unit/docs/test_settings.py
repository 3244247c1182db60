# SPDX-License-Identifier: GPL-3.0-or-later
"""Each setting has one default, its description, and its line in docs/settings.md."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest
from jinja2 import Template

from default_catalogue import SETTINGS
from migration_lab.planning.schema import read_yaml

ROOT = Path(__file__).parents[3]
ROLES = sorted(path.parents[1].name for path in ROOT.glob("roles/*/defaults/main.yml"))


def options(role: str) -> dict[str, Any]:
    """The options of all entry points of a role."""
    specs = read_yaml(ROOT / "roles" / role / "meta/argument_specs.yml")["argument_specs"]
    return {name: option for spec in specs.values() for name, option in spec.get("options", {}).items()}


@pytest.mark.parametrize("role", ROLES)
def test_defaults_of_a_role_are_those_that_its_argument_spec_gives(role: str) -> None:
    defaults = read_yaml(ROOT / "roles" / role / "defaults/main.yml")
    documented = options(role)
    # An expression is described in words.
    plain = {name: default for name, default in defaults.items() if "{{" not in str(default)}
    assert plain == {name: option["default"] for name, option in documented.items() if "default" in option}
    assert set(defaults) <= set(documented)


@pytest.mark.parametrize(("given", "used"), [({}, "True"), ({"tap": False}, "False")])
def test_the_old_name_of_a_setting_still_works(given: dict[str, Any], used: str) -> None:
    defaults = read_yaml(ROOT / "roles/settings/defaults/main.yml")
    assert Template(defaults["relay"]).render(given) == used


def test_planner_gets_the_settings_that_the_catalogue_names() -> None:
    given = read_yaml(ROOT / "roles/settings/vars/main.yml")
    assert given["settings_catalogue"] == {name: f"{{{{ {name} }}}}" for name in SETTINGS}


@pytest.mark.parametrize("path", [*ROOT.glob("playbooks/*.yml"), *ROOT.glob("playbooks/parts/*.yml")], ids=lambda path: path.name)
def test_every_play_has_the_settings(path: Path) -> None:
    """An inventory has none of them. A play that only asserts that a combination is named needs none."""
    for play in read_yaml(path):
        if "hosts" in play and [list(task)[1] for task in play["tasks"]] != ["ansible.builtin.assert"]:
            assert play.get("roles") == ["settings"], play["name"]


def test_document_of_the_settings_is_what_the_argument_specs_say() -> None:
    spec = importlib.util.spec_from_file_location("settings", ROOT / "docs/settings.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert (ROOT / "docs/settings.md").read_text() == module.document(ROOT / "roles"), "run `make settings`"
