# SPDX-License-Identifier: GPL-3.0-or-later
"""The molecule scenario of the role that makes cells."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from lab import ROOT


def test_the_cell_scenario() -> None:
    molecule = Path(sys.executable).with_name("molecule")
    environment = {**os.environ, "PATH": f"{molecule.parent}:{os.environ['PATH']}", "ANSIBLE_FORCE_COLOR": "0", "NO_COLOR": "1"}
    environment.pop("ANSIBLE_CONFIG", None)
    done = subprocess.run(
        [str(molecule), "test"], cwd=ROOT / "roles" / "cell", env=environment, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )
    assert done.returncode == 0, done.stdout
    for action in ("create", "converge", "idempotence", "verify", "destroy"):
        assert f"{action}: Executed: Successful" in done.stdout, done.stdout[-4000:]
