# SPDX-License-Identifier: GPL-3.0-or-later
"""A user's own guests on real daemons: the answer, and the line that stops one."""

from __future__ import annotations

import json
from pathlib import Path

from lab import ROOT, Lab

GUESTS = ROOT / "tests/guests"


def test_two_cores_do_not_move_and_their_topology_is_the_line_that_stops_them(lab: Lab) -> None:
    path = GUESTS / "two-cores.xml"
    before = path.read_bytes()
    played = lab.play("guest_check", guest_xml=str(path), methods="p2p", run="cores")
    assert played.status != 0
    line = next(number for number, text in enumerate(before.decode().splitlines(), start=1) if "<topology" in text)
    stops = f"stopped by line {line}: <topology sockets='1' dies='1' cores='2' threads='1'/>"
    answer = " ".join(played.output.split())
    assert "app01 does not move" in answer, played.output
    assert answer.count(stops) == 2, played.output
    guest = json.loads((lab.results / "cores/guest_check.json").read_text())["guests"][0]
    there, back = sorted(guest["directions"], key=lambda direction: direction["combination"], reverse=True)
    assert (there["source"], there["target"], back["target"]) == ("debian-12", "debian-13", "debian-12")
    for direction, words in ((there, "extra features: ht"), (back, "missing features: ht")):
        assert [culprit["lines"] for culprit in direction["culprits"]] == [[line]]
        assert [(tried["method"], tried["state"], tried["moves"]) for tried in direction["tried"]] == [
            ("p2p", "running", False), ("p2p", "paused", False),
        ]
        assert all(words in tried["words"] for tried in direction["tried"])
    assert (lab.results / "cores/guest_check.html").exists()
    assert path.read_bytes() == before


def test_what_the_lab_replaces_moves_and_a_device_that_stops_a_guest_is_found(lab: Lab, tmp_path: Path) -> None:
    """A host device with host-passthrough, SPICE with qxl, and UEFI with a TPM move; a watchdog of q35 does not move back."""
    text = (GUESTS / "two-cores.xml").read_text()
    text = text.replace("sockets='1' dies='1' cores='2'", "sockets='2' dies='1' cores='1'")
    text = text.replace("<memballoon", "<watchdog model='i6300esb' action='none'/>\n    <memballoon")
    (tmp_path / "watchdog.xml").write_text(text)
    files = [tmp_path / "watchdog.xml", *(GUESTS / f"{name}.xml" for name in ("host-device", "spice", "tpm"))]
    played = lab.play("guest_check", guest_xml=",".join(map(str, files)), cases="*/p2p/*-running/*", run="several")
    assert played.status != 0
    guests = json.loads((lab.results / "several/guest_check.json").read_text())["guests"]
    assert {guest["name"]: guest["moves"] for guest in guests} == {
        "app01": False, "gpu-node": True, "desktop": True, "win11": True,
    }, played.output
    assert "line 32: host device pci is left out: it is a device of the host" in played.message()
    directions = {direction["combination"]: direction for direction in guests[0]["directions"]}
    assert directions["oon"]["moves"] and not directions["nno"]["moves"]
    line = next(number for number, words in enumerate(text.splitlines(), start=1) if "<watchdog" in words)
    assert [culprit["lines"] for culprit in directions["nno"]["culprits"]] == [[line]], directions["nno"]
    assert "watchdog" in directions["nno"]["tried"][0]["words"]


def test_what_the_lab_cannot_run_is_refused_before_anything_starts(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "own.xml").write_text(
        "<domain type='kvm'><memory>1</memory><devices/><os><type arch='x86_64' machine='pc-i440fx-2.1'>hvm</type></os></domain>"
    )
    played = lab.play("guest_check", guest_xml=str(tmp_path / "own.xml"), results_root=str(tmp_path / "results"))
    assert played.status != 0
    assert "own.xml:1: machine type 'pc-i440fx-2.1' is gone from QEMU 10.0 on" in played.message()
    assert not (tmp_path / "results").exists()
