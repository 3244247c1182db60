# SPDX-License-Identifier: GPL-3.0-or-later
"""Which packages of an image are newer in its suite."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from migration_lab.model.errors import LabError
from migration_lab.releases.packages import ask, dpkg_newer, installed_packages, newer_packages, offered_packages, simulate

STATUS = """\
Package: libvirt0
Status: install ok installed
Architecture: amd64
Version: 9.0.0-4+deb12u1
Description: library
 Version: 1 is not the version, as it stands in the description

Package: removed
Status: deinstall ok config-files
Version: 1.0

Package: tar
Version: 1.34
Status: install ok installed
"""

SIMULATED = """\
The following NEW packages will be installed:
  libvirt0 tar
Inst libvirt0 (9.0.0-4+deb12u2 Debian:12.5/stable, Debian-Security:12/stable [amd64]) []
Inst libc6:i386 (2.36-9 Debian:12.5/stable [i386])
Inst tar [1.30] (1.34 Debian:12.5/stable [amd64])
Conf libvirt0 (9.0.0-4+deb12u2 Debian:12.5/stable [amd64])
"""


def test_installed_are_those_that_dpkg_says_are_installed() -> None:
    assert installed_packages(STATUS) == {"libvirt0": "9.0.0-4+deb12u1", "tar": "1.34"}


def test_offered_is_what_apt_would_install() -> None:
    assert offered_packages(SIMULATED) == {"libvirt0": "9.0.0-4+deb12u2", "libc6": "2.36-9", "tar": "1.34"}


def test_newer_is_what_dpkg_orders_later() -> None:
    found = newer_packages(installed_packages(STATUS), offered_packages(SIMULATED), dpkg_newer)
    assert found == [{"name": "libvirt0", "old": "9.0.0-4+deb12u1", "new": "9.0.0-4+deb12u2"}]


@pytest.mark.parametrize(
    ("old", "new", "newer"),
    [("1.9", "1.10", True), ("1.0~rc1", "1.0", True), ("2:1", "1:9", False), ("1.0+deb12u1", "1.0", False)],
)
def test_an_older_mirror_makes_nothing_newer(old: str, new: str, newer: bool) -> None:
    assert bool(newer_packages({"a": old}, {"a": new}, dpkg_newer)) is newer


def script(folder: Path, commands: str) -> str:
    """A program in place of mmdebstrap."""
    path = folder / "mmdebstrap"
    path.write_text(f"#!/bin/sh\n{commands}\n")
    path.chmod(0o755)
    return str(path)


def test_a_simulated_build_has_its_preferences_in_a_file_of_their_own(tmp_path: Path) -> None:
    program = script(tmp_path, """printf '%s\\n' "$@"; cat "$(echo "$3" | cut -d '"' -f 2)"; exit 3""")
    status, output = simulate([program, "--variant=minbase", "sid"], "Package: a\n")
    assert status == 3
    first, second, pins, *rest = output.splitlines()
    assert (first, second, rest) == ("--simulate", "--verbose", ["--variant=minbase", "sid", "Package: a"])
    file = re.fullmatch('--aptopt=Dir::Etc::Preferences "(.*)"', pins)
    assert file and not Path(file[1]).exists()
    assert "--aptopt" not in simulate([program, "sid"], "")[1]


def test_a_suite_that_cannot_be_asked_is_said(tmp_path: Path) -> None:
    command = [script(tmp_path, "echo 'E: The repository has no Release file' >&2; exit 25")]
    with pytest.raises(LabError, match=r"suite of release debian-12 could not be asked .*E: The repository has no Release"):
        ask("debian-12", "no-image", command)


def test_an_answer_without_packages_is_not_taken_for_nothing_newer() -> None:
    with pytest.raises(LabError, match="mmdebstrap named no package"):
        ask("debian-12", "no-image", ["true"])
