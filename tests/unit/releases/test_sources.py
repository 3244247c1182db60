# SPDX-License-Identifier: GPL-3.0-or-later
"""Releases of several suites: what apt is given, and what is made of its answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from migration_lab.model.errors import LabError
from migration_lab.releases.sources import Sources, check_sources, resolve_sources

RELEASE: dict[str, Any] = {
    "name": "newer", "suite": "trixie", "mirror": "", "keyring": "", "packages": ["libvirt-daemon"], "libvirt": "12.9.0",
    "qemu": "11.1", "sources": [{"suite": "trixie-backports", "packages": ["libvirt*", "src:qemu"]}],
}
FITS = """\
Inst libvirt0 (12.9.0-1~bpo13+1 Debian Backports:stable-backports [amd64])
Inst qemu-system-x86 (1:11.1.3+ds-1~bpo13+1 Debian Backports:stable-backports [amd64])
"""


def defaults(suite: str) -> list[str]:
    updates = [f"deb http://tool/debian {suite}-updates main"] if "-" not in suite else []
    return [f"deb [signed-by=/tool.gpg] http://tool/debian {suite} main", *updates]


def test_the_tools_own_lines_are_taken_where_no_mirror_is_set() -> None:
    assert resolve_sources(RELEASE, defaults).lines == (
        "deb [signed-by=/tool.gpg] http://tool/debian trixie main", "deb http://tool/debian trixie-updates main",
        "deb [signed-by=/tool.gpg] http://tool/debian trixie-backports main",
    )


def test_a_source_has_its_own_mirror_components_and_key_and_may_be_expired() -> None:
    own = {"suite": "vendor", "mirror": "http://vendor/apt", "components": ["main", "extra"], "keyring": "/vendor.gpg"}
    sources = [own, {"suite": "old", "mirror": "/srv/snapshot", "expired": True}, {"suite": "sid", "keyring": "/debian.gpg"}]
    assert resolve_sources({**RELEASE, "mirror": "file:///srv/debian", "sources": sources}, defaults).lines == (
        "deb copy:///srv/debian trixie main", "deb [signed-by=/vendor.gpg] http://vendor/apt vendor main extra",
        "deb [check-valid-until=no] copy:///srv/snapshot old main", "deb [signed-by=/debian.gpg] http://tool/debian sid main",
        "deb [signed-by=/debian.gpg] http://tool/debian sid-updates main",
    )


def test_options_of_the_tools_own_lines_are_kept() -> None:
    def tool(suite: str) -> list[str]:
        return [f'deb [arch=amd64 signed-by="/its keys.gpg"] http://tool/debian {suite} main']

    sources = [{"suite": "sid", "expired": True}, {"suite": "old", "expired": True, "keyring": "/mine.gpg"}]
    assert resolve_sources({**RELEASE, "sources": sources}, tool).lines == (
        'deb [arch=amd64 signed-by="/its keys.gpg"] http://tool/debian trixie main',
        'deb [arch=amd64 signed-by="/its keys.gpg" check-valid-until=no] http://tool/debian sid main',
        "deb [arch=amd64 signed-by=/mine.gpg check-valid-until=no] http://tool/debian old main",
    )


def test_packages_of_a_source_are_pinned_to_all_its_suites_by_either_name() -> None:
    sources = [{"suite": "bookworm", "packages": ["libvirt*", "src:qemu"], "priority": 1001}, {"suite": "sid"}]
    pins = [f"Pin: release {key}={suite}" for suite in ("bookworm", "bookworm-updates") for key in "na"]
    assert resolve_sources({**RELEASE, "sources": sources}, defaults).preferences == "\n".join(
        f"Package: libvirt* src:qemu\n{pin}\nPin-Priority: 1001\n" for pin in pins
    )
    assert resolve_sources({**RELEASE, "sources": []}, defaults).preferences == ""


def checked(tmp_path: Path, says: str, status: int = 0, versions: str = "") -> str:
    """The sentence that refuses a release whose simulated build prints this; versions come from the second call."""
    (tmp_path / "says").write_text(says)
    (tmp_path / "versions").write_text(versions)
    program = tmp_path / "mmdebstrap"
    program.write_text(
        f"#!/bin/sh\ncase $1 in --simulate) cat {tmp_path}/says; exit {status};; *) cat {tmp_path}/versions >&2;; esac\n"
    )
    program.chmod(0o755)
    try:
        check_sources(RELEASE, Sources(("deb http://x trixie main",), ""), [str(program), "--aptopt=a", "trixie", "/x.tar"])
    except LabError as error:
        return str(error)
    return ""


def test_suites_that_have_what_the_entry_says_are_let_through(tmp_path: Path) -> None:
    assert checked(tmp_path, FITS) == ""


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("12.9.0-1~bpo13+1", "11.3.0-3+deb13u3", "install libvirt 11.3.0 (libvirt0 11.3.0-3+deb13u3), not 12.9.0; correct"),
        ("1:11.1.3+ds", "1:11.10.0+ds", "install QEMU 11.10.0 (qemu-system-x86 1:11.10.0+ds-1~bpo13+1), not 11.1; correct"),
    ],
)
def test_suites_with_other_versions_than_the_entry_says_are_refused(
    tmp_path: Path, before: str, after: str, said: str
) -> None:
    assert said in checked(tmp_path, FITS.replace(before, after))


@pytest.mark.parametrize(
    ("says", "said"),
    [
        (
            "E: The repository 'http://tool/debian foo Release' does not have a Release file.\n",
            "http://tool/debian has no suite foo; correct 'suite', or set a 'mirror' that has it",
        ),
        (
            "E: Release file for http://tool/debian/dists/old/InRelease is expired (invalid since 23d 0h 17min 45s). Updates\n",
            "http://tool/debian/dists/old/InRelease is expired since 23d 0h 17min 45s; set 'expired: true' for that suite",
        ),
        (
            "E: The repository 'http://vendor/apt stable InRelease' is not signed.\n",
            "the lab host's keys do not verify suite stable of http://vendor/apt; set its 'keyring'",
        ),
        ("E: Unable to locate package qemu-novel\n", "none of its suites has the package qemu-novel; correct 'packages'"),
        (
            "The following packages have unmet dependencies:\n qemu : Depends: seabios (> 2) but 1 is to be installed\nE: held\n",
            "its packages do not fit together: qemu : Depends: seabios (> 2) but 1 is to be installed; add what is missing",
        ),
        ("Err:1 http://tool\n  refused\nE: Failed\n", "Err:1 http://tool E: Failed; check that its mirrors are reachable"),
        ("", "mmdebstrap named no package; check that its mirrors are reachable"),
    ],
)
def test_what_apt_refuses_is_one_sentence(tmp_path: Path, says: str, said: str) -> None:
    assert checked(tmp_path, says, status=25).startswith(f"release 'newer' cannot be built: {said}")


def test_a_version_that_is_gone_is_named_with_those_that_there_are(tmp_path: Path) -> None:
    there = " libvirt0 | 12.9.0-1 | http://x trixie/main amd64 Packages\n libvirt0 | 11.3.0-3 | http://x old/main Packages\n"
    gone = "E: Version \u20189.9\u2019 for \u2018libvirt0\u2019 was not found\n"
    said = "none of its suites has libvirt0 in version 9.9; they have "
    assert f"{said}12.9.0-1 (trixie), 11.3.0-3 (old): correct" in checked(tmp_path, gone, 25, there)
    assert f"{said}no version of it: correct" in checked(tmp_path, gone, 25)
