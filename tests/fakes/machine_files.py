# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of a machine, rendered from their templates as the role machine_files does."""

from __future__ import annotations

import re
from typing import Any

from ansible.plugins.test import core
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from synthetic_run import ROOT

TEMPLATES = ROOT / "roles/machine_files/templates"
# As Ansible renders templates.
JINJA = Environment(
    loader=FileSystemLoader(TEMPLATES), undefined=StrictUndefined, trim_blocks=True, keep_trailing_newline=True
)
JINJA.tests.update(core.TestModule().tests())


def render(name: str, libvirt: str, **release: Any) -> str:
    fields = {
        "name": "some-release", "kind": "debootstrap", "libvirt": libvirt, "interpreter": "/usr/bin/python2.7",
        "emulators": {"x86_64": "/usr/bin/qemu-system-x86_64"},
    }
    return JINJA.get_template(f"{name}.j2").render(
        machine_files_release={**fields, **release}, machine_files_log_level=3
    )


def keys(text: str) -> dict[str, str]:
    """The settings of a configuration in libvirt's format; each must be on a line of its own, and there once."""
    settings = [line.partition(" = ") for line in text.splitlines() if line and not line.startswith("#")]
    assert all(re.fullmatch("[a-z_]+", key) and value for key, _, value in settings), text
    assert len({key for key, _, _ in settings}) == len(settings), text
    return {key: value for key, _, value in settings}
