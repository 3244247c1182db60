# SPDX-License-Identifier: GPL-3.0-or-later
"""What a user gave for a run, as far as run.json keeps it: enough to run a case again, and no secrets."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Iterable, Mapping

from .catalogue import OWN

# Settings that a case depends on, besides those that stand for values in the catalogue. The command that runs a case again names
# pair, profile, guests, combination and cases itself.
SETTINGS = (
    "accel", "aftermath", "call_limit", "cell_subnet", "domain_prefix", "faults", "guest_checks", "guest_machine", "guest_xml",
    "hops", "keepalive_count", "keepalive_interval", "lab_state", "methods", "relay", "results_root", "tap", "time_limit",
    "workers", *OWN,
)

# A URL with a user's name, and perhaps a password.
_CREDENTIALS = re.compile(r"://[^/\s\"]*@")


def kept(
    inventories: list[str], vars_files: list[str], settings: Mapping[str, Any], catalogue_settings: Iterable[str]
) -> dict[str, Any]:
    """What run.json keeps of what ``ansible-playbook`` was given.

    :param settings: extra variables that are in none of the files.
    :param catalogue_settings: names of the settings that stand for values in the catalogue.
    """
    allowed = {*SETTINGS, *catalogue_settings}
    chosen = {
        name: value for name, value in settings.items() if name in allowed and not _CREDENTIALS.search(json.dumps(value))
    }
    if "guest_xml" in chosen:
        paths = [path.strip() for path in chosen["guest_xml"].split(",")]
        chosen["guest_xml"] = ",".join(str(Path(path).expanduser().resolve()) for path in paths if path)
    return {"inventories": inventories, "vars_files": vars_files, "settings": chosen}
