# SPDX-License-Identifier: GPL-3.0-or-later
"""The user's files are read with nothing resolved, and refused with a sentence that names file and line."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from migration_lab.model.errors import LabError
from migration_lab.own_guest.domain_file import read_domains

GUESTS = Path(__file__).parents[2] / "guests"
DOMAIN = (
    "<domain type='kvm'>\n<name>{name}</name>\n<memory>1024</memory>\n"
    "<os><type arch='x86_64' machine='pc-q35-7.2'>hvm</type></os>\n<devices/>\n</domain>\n"
)


def test_elements_know_their_line() -> None:
    (file,) = read_domains([GUESTS / "two-cores.xml"])
    topology = file.domain.child("cpu", "topology")
    assert topology is not None
    assert topology.attributes == {"sockets": "1", "dies": "1", "cores": "2", "threads": "1"}
    assert "<topology" in file.lines[topology.line - 1]


def test_a_folder_gives_all_its_files_with_names_that_differ(tmp_path: Path) -> None:
    for file, name in (("a.xml", "Web 01"), ("b.xml", "web-01"), ("c.xml", "..."), ("d.txt", "other")):
        (tmp_path / file).write_text(DOMAIN.format(name=name))
    assert [file.name for file in read_domains([tmp_path])] == ["web-01", "web-01-2", "guest"]


BILLION = "<!DOCTYPE domain [<!ENTITY a 'aaaaaaaaaa'><!ENTITY b '&a;&a;&a;'>]>\n<domain>&b;</domain>"
EXTERNAL = "<?xml version='1.0'?>\n<!DOCTYPE domain SYSTEM 'http://localhost:1/x.dtd'>\n<domain/>"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("<domain type='kvm'>\n<name>a</domain>", "x.xml:2: it is not well-formed XML (mismatched tag)"),
        ("", "x.xml:1: it is not well-formed XML (no element found)"),
        (DOMAIN + DOMAIN, "x.xml:7: it is not well-formed XML (junk after document element)"),
        ("\0\1\2" * 100, "it is not well-formed XML"),
        (BILLION, "x.xml:1: it has a document type declaration"),
        (EXTERNAL, "x.xml:2: it has a document type declaration"),
        ("<domain>&undefined;</domain>", "x.xml:1: it is not well-formed XML (undefined entity)"),
        ("<a>" * 100, "elements are nested more than 64 deep"),
        ("<network><name>a</name></network>", "it is a <network>, not a <domain>"),
        (DOMAIN.replace("'kvm'", "'xen'"), "it is a domain of type 'xen'"),
        (DOMAIN.replace("'kvm'", "'lxc'"), "it is a domain of type 'lxc'"),
        (DOMAIN.replace("hvm", "exe"), "it has no <os><type arch=... machine=...>hvm</type>"),
        (DOMAIN.replace("<devices/>", ""), "it has no <devices>"),
        (DOMAIN + "<!--" + "x" * 1024 * 1024 + "-->", "it is larger than 1 MiB"),
    ],
)
def test_what_is_no_domain_of_qemu_is_refused(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "x.xml").write_text(text)
    with pytest.raises(LabError) as refused:
        read_domains([tmp_path / "x.xml"])
    assert said in str(refused.value)
    assert str(refused.value).startswith(str(tmp_path / "x.xml"))


def test_a_file_that_is_not_there_and_an_empty_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="cannot be read"):
        read_domains([tmp_path / "none.xml"])
    with pytest.raises(LabError, match=r"has no \*\.xml"):
        read_domains([tmp_path])
    with pytest.raises(LabError, match="no file is named"):
        read_domains([])


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("<devices/>", "<devices/>\n<devices><emulator>/bin/x</emulator></devices>", "x.xml:6: there is a second <devices>"),
        ("<devices/>", "<cpu><topology sockets='1' cores='two'/></cpu><devices/>", "x.xml:5: cores is 'two', which is no number"),
        ("<devices/>", "<vcpu>-1</vcpu><devices/>", "x.xml:5: vcpu is '-1', which is no number of processors"),
        ("<domain", "<?xml version='1.0' encoding='shift_jis'?><domain", "x.xml: its encoding cannot be read"),
        ("<domain", "<?xml version='1.0' encoding='foo'?><domain", "x.xml: its encoding cannot be read"),
    ],
)
def test_what_libvirt_would_read_in_another_way_is_refused(tmp_path: Path, old: str, new: str, said: str) -> None:
    (tmp_path / "x.xml").write_text(DOMAIN.replace(old, new))
    with pytest.raises(LabError) as refused:
        read_domains([tmp_path / "x.xml"])
    assert said in str(refused.value)


def test_a_file_that_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.xml")
    with pytest.raises(LabError, match=r"x\.xml: it is no regular file"):
        read_domains([tmp_path])


def test_lines_are_counted_as_the_parser_counts_them(tmp_path: Path) -> None:
    (tmp_path / "x.xml").write_bytes(DOMAIN.replace("<memory>", "<title>a\u2028b</title>\n<memory>").encode("utf-16"))
    (file,) = read_domains([tmp_path])
    memory = file.domain.child("memory")
    assert memory is not None and file.lines[memory.line - 1] == "<memory>1024</memory>"
