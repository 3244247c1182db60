# SPDX-License-Identifier: GPL-3.0-or-later
"""The device survey on real daemons: a dozen devices, both directions."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lab import Lab, Played

DEVICES = (
    "net-virtio,net-igb,video-vga,disk-virtio,scsi-am53c974,watchdog-*,crypto-virtio,serial-usb-serial,sound-ich9,rng-virtio,"
    "hostdev-usb"
)


@pytest.fixture(scope="module")
def played(lab: Lab) -> Played:
    return lab.play("survey", run="survey", devices=DEVICES, machine_families="q35")


@pytest.fixture(scope="module")
def fates(lab: Lab, played: Played) -> dict[str, list[tuple[str, str]]]:
    """By device what became of it in oon and nno, and why."""
    assert played.status == 0, played.output
    survey: dict[str, Any] = json.loads((lab.results / "survey" / "survey.json").read_text())
    assert survey["complete"] is True
    directions = {name: data["direction"] for name, data in survey["combinations"].items()}
    assert directions == {"oon": "old -> new", "nno": "new -> old"}
    return {
        f"{device['device']} {device['model']}": [
            (device["results"][name]["fate"], device["results"][name]["words"]) for name in ("oon", "nno")
        ]
        for device in survey["devices"]
    }


@pytest.mark.parametrize("device", ["net virtio", "video vga", "disk virtio", "sound ich9", "rng virtio", "watchdog i6300esb"])
def test_ordinary_devices_move_both_ways(fates: dict[str, list[tuple[str, str]]], device: str) -> None:
    assert fates[device] == [("moves", ""), ("moves", "")]


@pytest.mark.parametrize(("device", "there", "back", "words"), [
    ("watchdog ib700", "not on new", "not on new", "ib700 model of watchdog cannot be used with this machine type"),
    ("crypto virtio", "not on old", "not on old", "it ignores <crypto"),
    ("net igb", "refused", "refused", "'igb' is not a valid device model name"),
    ("serial usb-serial", "refused", "refused", "non-migratable device"),
    ("hostdev usb", "not tried", "not tried", "it belongs to the host"),
])
def test_devices_that_do_not_move_have_libvirts_words(
    fates: dict[str, list[tuple[str, str]]], device: str, there: str, back: str, words: str
) -> None:
    assert [fate for fate, _ in fates[device]] == [there, back]
    assert all(words in why for _, why in fates[device])


def test_what_the_old_side_does_not_know_may_go_there_all_the_same(fates: dict[str, list[tuple[str, str]]]) -> None:
    """libvirt 11.3.0 leaves q35's own watchdog out of what it sends, unless it has another action than reset."""
    (there, words), (back, _) = fates["watchdog itco"]
    assert (there, back) == ("not on old", "moves") and "unknown watchdog model 'itco'" in words


def test_a_device_whose_state_the_new_qemu_misreads_fails(fates: dict[str, list[tuple[str, str]]]) -> None:
    """The transfer itself fails: QEMU 10.0 reads more of an am53c974 than QEMU 7.2 sends."""
    (there, words), (back, _) = fates["scsi am53c974"]
    # Which end notices first varies: "migration out" or "migration in".
    assert (there, back) == ("fails", "moves") and "job 'migration" in words


def test_a_second_watchdog_keeps_a_q35_guest_from_going_back(fates: dict[str, list[tuple[str, str]]]) -> None:
    """libvirt 11.3.0 sends q35's own watchdog along when it has another action than reset."""
    (there, _), (back, words) = fates["watchdog i6300esb-poweroff"]
    assert (there, back) == ("moves", "refused")
    assert words.startswith("the target does not take it: internal error: only a single watchdog device is supported")


def test_the_table_is_printed_and_nothing_is_left(lab: Lab, played: Played) -> None:
    assert "Move wherever they exist: net: virtio" in played.message()
    page = (lab.results / "survey" / "survey.html").read_text()
    assert "Which devices move between debian-12 and debian-13" in page
    again = lab.play("survey", run="survey", devices=DEVICES, machine_families="q35", resume=True)
    assert again.status == 0, again.output
    assert "Move wherever they exist: net: virtio" in again.message()


def test_bad_input_is_refused_before_anything_runs(lab: Lab) -> None:
    refused = lab.play("survey", run="refused", combinations="ooo")
    assert refused.status != 0
    assert "the survey cannot run on combination 'ooo': its source and target are both old" in refused.message()
    assert not (lab.results / "refused").exists()
