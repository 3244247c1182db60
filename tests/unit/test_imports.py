# SPDX-License-Identifier: GPL-3.0-or-later
"""The import rule of docs/architecture.md: a package imports only those of the layers below its own."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path
from typing import Iterator

import pytest

MODULE_UTILS = Path(__file__).parents[2] / "module_utils"
ROOT = MODULE_UTILS / "migration_lab"
MODULES = sorted(path for path in ROOT.rglob("*.py") if path.name != "__init__.py")

LAYERS = (
    ("model",),
    ("judging", "guest", "relay", "releases"),
    ("cell", "lab_host", "journal"),
    ("suites", "own_guest"),
    ("runner", "planning", "results"),
    ("history", "progress"),
    ("nightly",),
    ("report",),
)
LAYER = {package: number for number, packages in enumerate(LAYERS) for package in packages}

# Which package may import which library. The others run where there is only Python: on lab hosts and machines.
LIBRARIES = {
    "planning": {"jinja2", "jsonschema", "yaml"},
    "progress": {"rich"},
    "report": {"jinja2", "junitparser", "markupsafe"},
}
# The client machine's own binding.
AGENT = ("cell/agent.py", "libvirt")

def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def imports(path: Path) -> Iterator[tuple[str, ...]]:
    """What a module imports: ("migration_lab", package, ...) of the lab's own, else the library's name in parts."""
    inside = ("migration_lab", *path.relative_to(ROOT).parent.parts)
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (tuple(alias.name.split(".")) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = inside[: len(inside) - node.level + 1] if node.level else ()
            module = (*base, *(node.module.split(".") if node.module else ()))
            yield from ((*module, alias.name) for alias in node.names)


def test_every_package_has_a_layer() -> None:
    assert {path.name for path in ROOT.iterdir() if (path / "__init__.py").exists()} == set(LAYER)
    assert {path.relative_to(ROOT).parts[0] for path in MODULES} == set(LAYER)


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_a_module_imports_only_what_is_below_it(path: Path) -> None:
    package = path.relative_to(ROOT).parts[0]
    names = list(imports(path))
    own = {name[1] for name in names if name[0] == "migration_lab"}
    above = {other for other in own - {package} if LAYER.get(other, 99) >= LAYER[package]}
    assert above == set(), "see docs/architecture.md"
    libraries = {name[0] for name in names} - {"migration_lab"} - sys.stdlib_module_names
    if relative(path) == AGENT[0]:
        libraries.remove(AGENT[1])
    assert libraries <= LIBRARIES.get(package, set())


def test_packages_import_nothing() -> None:
    """Sending a mail does not need what the page needs."""
    packages = [path for path in ROOT.rglob("__init__.py") if list(imports(path))]
    assert packages == []


def test_what_runs_on_lab_hosts_and_in_a_night_needs_no_library() -> None:
    """The modules are really imported, with the libraries out of reach."""
    names = [
        ".".join(path.relative_to(MODULE_UTILS).with_suffix("").parts)
        for path in MODULES
        if path.relative_to(ROOT).parts[0] not in LIBRARIES and relative(path) != AGENT[0]
    ]
    assert "migration_lab.nightly.notification" in names and "migration_lab.runner.combination" in names
    libraries = sorted(set().union(*LIBRARIES.values()))
    script = f"""
import importlib, sys
sys.modules.update(dict.fromkeys({libraries}))
for name in {names}:
    importlib.import_module(name)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], env={"PYTHONPATH": str(MODULE_UTILS)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
