# SPDX-License-Identifier: GPL-3.0-or-later
"""What daemons know of devices: read of their domain capabilities, and of what they make of a domain."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from fake_libvirt import lay
from migration_lab.cell.cell import Cell
from migration_lab.cell.device_support import ignored_in, models_in, read_models, read_support
from migration_lab.cell.machine import Machine
from migration_lab.guest.config import GuestConfig
from migration_lab.model.errors import LabError

CAPABILITIES = """
<domainCapabilities>
  <os supported='yes'><enum name='firmware'><value>efi</value></enum></os>
  <devices>
    <video supported='yes'><enum name='modelType'><value>vga</value><value>qxl</value></enum></video>
    <tpm supported='no'><enum name='model'><value>tpm-tis</value></enum></tpm>
    <hostdev supported='yes'><enum name='mode'><value>subsystem</value></enum><enum name='capsType'/></hostdev>
  </devices>
</domainCapabilities>
"""


def test_models_are_read_by_their_place() -> None:
    assert models_in(CAPABILITIES) == {
        "video/modelType": ["vga", "qxl"], "tpm/model": [], "hostdev/mode": ["subsystem"], "hostdev/capsType": [],
    }


DOMAIN = "<domain type='qemu'><name>x</name><memory unit='M'>1</memory>{}<devices>{}</devices></domain>"


@pytest.mark.parametrize(("given", "shown", "ignored"), [
    (("", "<crypto model='virtio'/>"), ("", ""), ["<crypto model='virtio'>"]),
    (("", "<crypto model='virtio'/>"), ("", "<crypto model='virtio'><alias name='crypto0'/></crypto>"), []),
    (("<genid/>", ""), ("", ""), ["<genid>"]),
    (("<genid/>", ""), ("<genid>1</genid>", ""), []),
    (("<features><acpi/><vmcoreinfo state='on'/></features>", ""), ("<features><acpi/></features>", ""), ["<features>"]),
    # An attribute that a version does not know, and one that it only writes in another way.
    (("", "<filesystem model='virtio'/>"), ("", "<filesystem/>"), ["<filesystem model='virtio'>"]),
    (("", "<rng><rate bytes='1'/></rng>"), ("", "<rng><rate bytes='01'/></rng>"), []),
    (("", "<video><model type='bochs'/></video>"), ("", "<video><model type='vga'/></video>"), ["<video>"]),
])
def test_what_a_daemon_does_not_show_it_has_ignored(
    given: tuple[str, str], shown: tuple[str, str], ignored: list[str]
) -> None:
    assert ignored_in(DOMAIN.format(*given), DOMAIN.format(*shown).replace("unit='M'>1", ">1024")) == ignored


# Real agents, on a libvirt that is not one


def cell(tmp_path: Path, source: str = "fake://a-source/", target: str = "fake://a-target/") -> Cell:
    command = ("env", f"PYTHONPATH={lay(tmp_path)}")
    client, one, other = (Machine("a-machine", command, sys.executable, uri=uri) for uri in ("", source, target))
    return Cell(client, one, other)


def guest(devices: str) -> GuestConfig:
    xml = f"<domain type='@type@'><name>@name@</name><uuid>@uuid@</uuid><devices>{devices}</devices></domain>"
    return GuestConfig("mine", "x86_64", "tcg", "pc-i440fx-7.2", 16, xml)


def test_both_sides_are_asked_for_their_models(tmp_path: Path) -> None:
    known = {"video/modelType": ["vga", "bochs"], "tpm/model": []}
    assert read_models(cell(tmp_path), "x86_64", ["pc-i440fx-7.2"], "qemu") == {"source": known, "target": known}


def test_a_side_without_domain_capabilities_is_told_apart(tmp_path: Path) -> None:
    told = read_models(cell(tmp_path, source="fake://elderly"), "x86_64", ["pc-i440fx-7.2"], "qemu")
    assert told["source"] is None and told["target"]


def test_a_machine_type_that_a_daemon_does_not_know_ends_the_survey(tmp_path: Path) -> None:
    with pytest.raises(LabError, match=r"could not be asked for their devices: .*'pc-q35-7.2' is not supported"):
        read_models(cell(tmp_path), "x86_64", ["pc-q35-7.2"], "qemu")


def test_each_side_is_had_to_define_each_guest(tmp_path: Path) -> None:
    guests = {"fine": guest("<rng/>"), "refused": guest("<forbidden/>"), "ignored": guest("<unknown model='x'/>")}
    support = read_support(cell(tmp_path), guests, "mlab-")
    assert support["fine"] == {"source": "", "target": ""}
    assert support["refused"]["target"] == "XML error: unknown OS type (error 27, domain 20)"
    assert support["ignored"]["source"] == "it ignores <unknown model='x'>"


def test_a_daemon_that_does_not_answer_is_named(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="could not be asked for their devices: unable to connect to server"):
        read_support(cell(tmp_path, target="fake://refused"), {"fine": guest("")}, "mlab-")
