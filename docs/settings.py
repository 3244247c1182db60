# SPDX-License-Identifier: GPL-3.0-or-later
"""Prints docs/settings.md: the settings of the roles, with their defaults, from their argument specs. `make settings`."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import yaml

HEADING = """\
# Settings

Variables that you can set with `-e name=value`, in a vars file (`-e @my.yml`) or in an inventory. Made from the roles'
`meta/argument_specs.yml` by `make settings`.
"""
# Other roles get all that they need from the playbooks.
ROLES = {"settings": "A run", "nightly": "Every night", "lab_host": "Lab hosts", "cell": "Cells"}
MARKUP = re.compile(r"\b[CVOM]\(([^)]*)\)")


def document(roles: Path) -> str:
    """The document.

    :param roles: the folder of the roles.
    """
    return "\n".join([HEADING, *(section(title, roles / role) for role, title in ROLES.items())])


def section(title: str, role: Path) -> str:
    """The settings of one role as a table. What a playbook must pass is not a setting."""
    defaults = yaml.safe_load((role / "defaults/main.yml").read_text())
    specs = yaml.safe_load((role / "meta/argument_specs.yml").read_text())["argument_specs"]
    options = {name: option for spec in specs.values() for name, option in spec.get("options", {}).items()}
    lines = [f"## {title}", "", "| setting | default | meaning |", "|---|---|---|"]
    for name, option in options.items():
        if not option.get("required"):
            lines.append(f"| `{name}` | {value(defaults.get(name, ''))} | {meaning(option)} |")
    return "\n".join([*lines, ""])


def value(default: Any) -> str:
    """A default as the table has it. An expression is described in the setting's meaning."""
    if default == "" or "{{" in str(default):
        return ""
    return f"`{default if isinstance(default, str) else json.dumps(default)}`"


def meaning(option: dict[str, Any]) -> str:
    """An option's description in Markdown, with its choices."""
    text = option["description"]
    text = MARKUP.sub(r"`\1`", " ".join(text) if isinstance(text, list) else text).replace("|", "\\|")
    named = all(f"`{choice}`" in text for choice in option.get("choices", ()))
    return text if named else f"{text} One of {', '.join(f'`{choice}`' for choice in option['choices'])}."


if __name__ == "__main__":
    print(document(Path(__file__).parents[1] / "roles"), end="")
