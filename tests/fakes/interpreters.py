# SPDX-License-Identifier: GPL-3.0-or-later
"""The interpreters that agents are tried with."""

from __future__ import annotations

import shutil
import subprocess
import sys
from functools import lru_cache


@lru_cache(maxsize=1)
def interpreters() -> list[str]:
    """This Python, and a Python 2 if there is one that works."""
    for name in ("python2.6", "python2.7", "python2"):
        command = shutil.which(name)
        # What is found may be a version manager's shim: slow, and not there for an agent without its environment.
        asked = command and subprocess.run([command, "-c", "import sys; print(sys.executable)"], capture_output=True, check=False)
        if asked and asked.returncode == 0:
            return [sys.executable, asked.stdout.decode().strip()]
    return [sys.executable]
