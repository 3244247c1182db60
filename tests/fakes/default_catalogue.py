# SPDX-License-Identifier: GPL-3.0-or-later
"""The catalogue that the lab ships, and ways to change it."""

from __future__ import annotations

import json
import re
from typing import Any

from migration_lab.planning.catalogue import OWN, SECTIONS, load_catalogue
from migration_lab.planning.schema import read_yaml
from synthetic_run import ROOT

SCENARIOS = ROOT / "scenarios"
DEFAULTS: dict[str, Any] = read_yaml(ROOT / "roles/settings/defaults/main.yml")
NAMED = re.findall(r": \$(\w+)$", "".join((SCENARIOS / f"{section}.yml").read_text() for section in SECTIONS), re.MULTILINE)
SETTINGS = {name: DEFAULTS[name] for name in NAMED}
NO_OWN: dict[str, Any] = {name: {} for name in OWN}

CATALOGUE = load_catalogue(SCENARIOS, SETTINGS, NO_OWN)
RELEASES, PAIRS, GUESTS = CATALOGUE["releases"], CATALOGUE["pairs"], CATALOGUE["guests"]

TREE: dict[str, Any] = {
    "kind": "tree", "base": "debian-11", "tree": "/srv/libvirt-0.9.1.tar.gz", "sha256": "0" * 64,
    "packages": ["python2.7", "qemu-system-x86"], "python": "/usr/bin/python2.7", "libvirt": "0.9.1",
}


def changed(data: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """A copy of the data with the entry at a path such as ``releases/debian-12/suite`` replaced, or removed for None."""
    data = json.loads(json.dumps(data))  # entries that share a list or mapping get one each
    *folders, last = path.split("/")
    place = data
    for key in folders:
        place = place[int(key)] if isinstance(place, list) else place[key]
    if value is None:
        del place[last]
    else:
        place[last] = value
    return data
