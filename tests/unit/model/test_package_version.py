# SPDX-License-Identifier: GPL-3.0-or-later
"""The order of packages' versions: dpkg's as dpkg itself has it, rpm's as its documentation and tests have it."""

from __future__ import annotations

import shutil
import subprocess
from itertools import pairwise, product

import pytest

from migration_lab.model.errors import LabError
from migration_lab.model.package_version import package_key

# Rising, by deb-version(7).
DEB = [
    "0.9.2-4ubuntu15", "7.0.0-3+deb11u3", "9.0.0~rc1-1", "9.0.0", "9.0.0-3~bpo11+1", "9.0.0-4+deb12u1", "9.0.0-4+deb12u2",
    "11.3.0-2~bpo12+1", "11.3.0-2", "11.3.0-3", "11.3.0-3+b1", "11.3.0-3+deb13u2", "11.3.0-3+deb13u3", "11.3.0-10",
    "11.3.0+dfsg-1", "12.8.0-1+b1", "1:7.2+dfsg-7+deb12u18", "1:11.1.2+ds-3", "1:11.1.3+ds-1~bpo13+1", "1:11.1.3+ds-1",
]
ALIKE = ["1.0", "1.0-0", "0:1.0", "1.00", "1.0~", "1.0a", "1.0.", "1.0.0", "1.a", "1.0+", "1.0-a~1", "1.0-a", "1.0-1-1"]
# Rising, by rpmvercmp.
RPM = [
    "11.3.0~rc1-1", "11.3.0-1.el9", "11.3.0-1.el9_1", "11.3.0-1.fc42", "11.3.0-2", "11.3.0^20260101-1", "11.3.0a-1", "11.3.0.1-1",
    "11.10.0-1", "2:9.2.4-1.fc42", "17:9.1.0-15.el9",
]


def test_deb_versions_rise() -> None:
    for before, after in pairwise(DEB):
        assert package_key(f"deb {before}") < package_key(f"deb {after}"), (before, after)


@pytest.mark.skipif(not shutil.which("dpkg"), reason="there is no dpkg here")
def test_deb_versions_have_the_order_of_dpkg() -> None:
    for left, right in product(ALIKE, ALIKE):
        keys = package_key(f"deb {left}"), package_key(f"deb {right}")
        relation = "eq" if keys[0] == keys[1] else "lt" if keys[0] < keys[1] else "gt"
        assert subprocess.run(["dpkg", "--compare-versions", left, relation, right], check=False).returncode == 0, (left, right)


def test_rpm_versions_rise() -> None:
    for before, after in pairwise(RPM):
        assert package_key(f"rpm {before}") < package_key(f"rpm {after}"), (before, after)
    assert package_key("rpm 1.05-1") == package_key("rpm 1_5-1")


@pytest.mark.parametrize("text", ["", "9.0.0-4", "deb", "deb 9.0 0", "apk 9.0.0-r1", "rpm x:1", "deb 1:"])
def test_what_is_no_version_of_a_package_is_refused(text: str) -> None:
    with pytest.raises(LabError, match=f"'{text}' is not a package's version; write it like 'deb 9.0.0-4"):
        package_key(text)
