# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks the modules' documentation against their argument specs with ansible-test's validate-modules.

validate-modules only knows collections, so a throw-away one is made of the checkout. ``ansible-test`` itself would make a
virtual environment of its own for the same program; its requirements are in requirements-test.txt.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import ansible_test

ROOT = Path(__file__).parents[1]
PROGRAM = Path(ansible_test.__file__).parent / "_util/controller/sanity/validate-modules"
NAME = "migration_lab.libvirt"
COLLECTION = Path("ansible_collections", *NAME.split("."))
# In a collection, the modules' code has another name.
OWN, COLLECTIONS_OWN = "ansible.module_utils.migration_lab", f"ansible_collections.{NAME}.plugins.module_utils.migration_lab"


def make_collection(top: Path) -> Path:
    """The checkout as a collection below a folder; returns the collection's folder."""
    folder = top / COLLECTION
    shutil.copytree(ROOT / "plugins", folder / "plugins")
    shutil.copytree(ROOT / "library", folder / "plugins/modules")
    shutil.copytree(ROOT / "module_utils", folder / "plugins/module_utils")
    for module in (folder / "plugins/modules").glob("*.py"):
        text = module.read_text().replace(OWN, COLLECTIONS_OWN)
        module.write_text(re.sub(r"^(extends_documentation_fragment: )(\w+)$", rf"\1{NAME}.\2", text, flags=re.MULTILINE))
    return folder


def validate(folder: Path) -> list[str]:
    """The errors that validate-modules reports of a collection's modules."""
    modules = sorted(str(path.relative_to(folder)) for path in (folder / "plugins/modules").glob("*.py"))
    command = [sys.executable, str(PROGRAM / "validate.py"), "--format", "json", "--arg-spec"]
    command += ["--collection", str(COLLECTION), "--collection-version", "0.1.0", *modules]
    paths = os.pathsep.join([str(PROGRAM), str(folder.parents[2])])
    environment = {**os.environ, "PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 3):
        raise SystemExit(f"validate-modules failed:\n{done.stdout}{done.stderr}")
    return [
        f"{module.replace('plugins/modules', 'library')}:{error['line'] or 1}: {error['code']}: {error['msg']}"
        for module, found in json.loads(done.stdout).items() for error in found["errors"]
    ]


def main() -> int:
    """Print the errors; 0 when there are none."""
    with tempfile.TemporaryDirectory() as top:
        errors = validate(make_collection(Path(top)))
    print("\n".join(errors) or "validate-modules: no errors")
    return int(bool(errors))


if __name__ == "__main__":
    sys.exit(main())
