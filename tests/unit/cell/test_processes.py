# SPDX-License-Identifier: GPL-3.0-or-later
"""Processes told by their command lines. That they are found among those of a machine is tested in test_inspector.py."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from migration_lab.cell.processes import domain_name, read_file


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (["/usr/bin/qemu-system-x86_64", "-S", "-name", "mlab-noo-001", "-m", "16"], "mlab-noo-001"),
        (["/usr/bin/kvm", "-name", "mlab-noo-001,process=qemu:mlab-noo-001"], "mlab-noo-001"),
        (["/usr/libexec/qemu-kvm", "-name", "guest=mlab-noo-001,debug-threads=on"], "mlab-noo-001"),
        (["qemu-system-aarch64", "-name", "debug-threads=on,guest=mlab-noo-001"], "mlab-noo-001"),
        (["qemu", "-name", "guest=mlab-noo-001"], "mlab-noo-001"),
        (["qemu-system-x86_64", "-name", "mlab-\u00fc"], "mlab-\u00fc"),
        (["qemu-system-x86_64", "-S", "-no-user-config", "-machine", "none"], None),  # libvirt asking for capabilities
        (["qemu-system-x86_64", "-name"], None),
        (["/usr/bin/python3", "qemu-system-x86_64", "-name", "mlab-noo-001"], None),
        (["/bin/sh", "/usr/bin/qemu-system-x86_64", "-name", "mlab-noo-001"], None),  # a wrapper that has not come so far
        (["qemu-img", "-name", "mlab-noo-001"], None),
        ([], None),
    ],
)
def test_domain_name_from_a_command_line(arguments: list[str], name: str | None) -> None:
    assert domain_name("".join(f"{each}\0" for each in arguments).encode()) == name


def test_file_is_read_whole_and_one_that_is_not_there_is_empty(tmp_path: Path) -> None:
    (tmp_path / "long").write_bytes(b"x" * 200000)
    assert read_file(str(tmp_path / "long")) == b"x" * 200000
    assert read_file(str(tmp_path / "none")) == b""
    with pytest.raises(IsADirectoryError):
        read_file(str(tmp_path))


def test_file_of_a_process_that_ends_meanwhile_is_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    def read(descriptor: int, size: int) -> bytes:
        raise ProcessLookupError(errno.ESRCH, "No such process")

    monkeypatch.setattr(os, "read", read)
    assert read_file("/proc/self/cmdline") == b""
