# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes the results folder of a device survey as the lab leaves it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from migration_lab.model.case import with_guests
from migration_lab.model.profile import Profile
from migration_lab.planning.schema import read_yaml
from synthetic_run import ROOT, SyntheticRun

PROFILE = Profile.from_data(read_yaml(ROOT / "scenarios/profiles/survey.yml"))
GUESTS = ["net-igb-q35", "net-e1000-q35", "video-qxl-q35", "crypto-virtio-q35"]
CASES = with_guests(PROFILE.cases(), GUESTS)


def device(name: str, not_tried: str = "", **support: str) -> dict[str, Any]:
    """An entry of devices.json."""
    kind, model, family = name.split("-")
    return {
        "name": name, "kind": kind, "model": model, "family": family, "not_tried": not_tried,
        "support": {} if not_tried else {"old": "", "new": "", **support},
    }


DEVICES = [
    *(device(name) for name in GUESTS[:2]),
    device("video-qxl-q35", new="no\nqxl"),
    device("crypto-virtio-q35", old="it ignores <crypto>"),
    device("disk-ide-q35", old="no IDE", new="none here either"),
    device("hostdev-pci-q35", "it belongs to the host"),
]
FACTS = {"capabilities": {"source": {"video/modelType": ["vga"]}, "target": None}, "devices": DEVICES}

PREPARED = ({"link": "source-target", "procedure": "prepare3-params", "started": 1764000000.1, "seconds": 0.2, "result": "ok"},)
PREPARE_FAILED = ({**PREPARED[0], "result": "error: unknown model"},)


def start_survey(folder: Path, combinations: tuple[str, ...] = ("oon", "nno")) -> SyntheticRun:
    """A survey of two devices that both sides know, two that one does, and two without a case; no case has run."""
    cases = [case.id for case in CASES]
    run = SyntheticRun(
        folder, combinations, CASES, profile="survey", guest=",".join(GUESTS), selected=dict.fromkeys(combinations, cases),
        axes={case.id: list(case.axes.values()) for case in CASES},
        suite={"name": "migration", "checks": ["source-defined"]},
    )
    (folder / "devices.json").write_text(json.dumps(FACTS))
    return run
