# SPDX-License-Identifier: GPL-3.0-or-later
"""Finding the domain that a migration call is about."""

from __future__ import annotations

import struct

import pytest

from fake_rpc import DOMAIN, NAMES, domain_payload, string
from migration_lab.relay.domain_names import DomainNames

XML = f"<domain type='qemu' id='7'>\n  <name>{DOMAIN}</name>\n  <memory>16384</memory>\n</domain>"


@pytest.mark.parametrize("payload", [
    pytest.param(domain_payload(), id="begin, perform, confirm: a UUID follows at once"),
    pytest.param(string(DOMAIN) + struct.pack(">I", 0), id="finish"),
    pytest.param(struct.pack(">IQIQ", 0, 1, 0, 0) + string(XML), id="prepare2"),
    pytest.param(string("destination_name") + struct.pack(">I", 7) + string(DOMAIN), id="parameters"),
    pytest.param(string(f"/run/domain-7-{DOMAIN}0/monitor.sock") + domain_payload(), id="after one that is another's"),
])
def test_name_is_found(payload: bytes) -> None:
    assert DomainNames(NAMES).find(memoryview(payload)) == DOMAIN
    assert DomainNames(NAMES).find(b"\0" + payload) == DOMAIN


@pytest.mark.parametrize("name", ["mlab-noo-001", "mlab-noo-096-2", "mlab-noo-1000", "mlab-noo-1000-12", "mlab-noo-22816"])
@pytest.mark.parametrize("uuid", [b"0123456789abcdef", b"-123456789abcdef", b"zyxwvutsrqponmlk"])
def test_number_of_any_width_ends_where_its_string_ends(name: str, uuid: bytes) -> None:
    names = DomainNames(r"mlab-noo-\d+(?:-\d+)?")
    assert names.find(string(name) + uuid + struct.pack(">i", 7)) == name
    assert names.find(string(f"<domain><name>{name}</name></domain>") + uuid) == name


@pytest.mark.parametrize("payload", [
    b"",
    string("tcp://a-target:49152"),
    string(DOMAIN + "1"),
    string("my" + DOMAIN),
    f"<name>{DOMAIN}-clone</name>".encode(),
    f"<name>old.{DOMAIN}</name>".encode(),
])
def test_other_domains_are_not_taken_for_it(payload: bytes) -> None:
    assert DomainNames(NAMES).find(payload) is None
