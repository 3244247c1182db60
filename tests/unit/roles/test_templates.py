# SPDX-License-Identifier: GPL-3.0-or-later
"""The machines' files: for each version of libvirt the keys that it takes, and scripts that do what they say."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from machine_files import keys, render
from migration_lab.cell import saboteur

VERSIONS = ("0.8.3", "0.9.1", "0.9.2", "0.9.12", "1.3.5", "2.0.0", "7.0.0", "9.0.0", "11.3.0")

# From libvirt's history: the version with which each key came. `none` as security driver is there in all of them.
ALL = {"user", "group", "dynamic_ownership", "security_driver", "cgroup_controllers"}
MODERN = {"stdio_handler": "1.3.0", "namespaces": "3.0.0", "remember_owner": "5.6.0"}


def number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


@pytest.mark.parametrize("libvirt", VERSIONS)
def test_daemon_has_the_keys_that_its_version_takes(libvirt: str) -> None:
    found = keys(render("daemon.conf", libvirt))
    assert {key: found.pop(key) for key in ("listen_tls", "listen_tcp", "auth_tcp")} == {
        "listen_tls": "0", "listen_tcp": "1", "auth_tcp": '"none"'
    }
    assert found == ({"host_uuid_source": '"machine-id"'} if number(libvirt) >= (1, 3, 5) else {})


@pytest.mark.parametrize("libvirt", VERSIONS)
def test_qemu_driver_has_the_keys_that_its_version_takes(libvirt: str) -> None:
    found = keys(render("qemu.conf", libvirt))
    wanted = ALL | {key for key, since in MODERN.items() if number(libvirt) >= number(since)}
    if number(libvirt) < (1, 0, 0):
        wanted.add("clear_emulator_capabilities")
    assert set(found) == wanted
    # A list of drivers, numeric users or the lock manager "none" keep an old daemon from starting.
    assert (found["security_driver"], found["user"], found["group"]) == ('"none"', '"root"', '"root"')
    assert found["cgroup_controllers"] == "[]" and found.get("clear_emulator_capabilities", "0") == "0"


@pytest.mark.parametrize("daemons", ["monolithic", "modular"])
@pytest.mark.parametrize("kind", ["debootstrap", "tree"])
@pytest.mark.parametrize("libvirt", VERSIONS)
@pytest.mark.parametrize("name", ["machine", "python", "emulator"])
def test_scripts_are_shell_without_anything_of_bash(name: str, libvirt: str, kind: str, daemons: str) -> None:
    text = render(name, libvirt, kind=kind, daemons=daemons)
    assert text.startswith("#!/bin/sh\n")
    subprocess.run(["dash", "-n"], input=text, text=True, check=True)


@pytest.mark.parametrize("libvirt", VERSIONS)
def test_control_script_gives_the_identity_to_versions_that_do_not_read_it(libvirt: str) -> None:
    text = render("machine", libvirt)
    command = re.search(r"sed '.*' \\\n +/etc/machine-id >>/etc/libvirt/libvirtd.conf", text)
    assert (command is not None) == (number(libvirt) < (1, 3, 5))
    if command:
        program = command.group(0).partition(" \\\n")[0]
        done = subprocess.run(program, shell=True, input="0123456789abcdef0123456789abcdef\n", capture_output=True, text=True)
        assert done.stdout == 'host_uuid = "01234567-89ab-cdef-0123-456789abcdef"\n'


def test_control_script_starts_the_trees_own_daemon() -> None:
    tree, other = render("machine", "0.9.1", kind="tree"), render("machine", "0.9.1")
    assert "sbin=$prefix/sbin/\n" in tree and ". /etc/migration-lab-tree\n" in tree
    assert 'cp /etc/libvirt/qemu.conf "$prefix/etc/libvirt/"' in tree
    assert "sbin=\n" in other and "prefix" not in other and "LD_LIBRARY_PATH" not in other


@pytest.mark.parametrize("libvirt", VERSIONS)
def test_control_script_gives_keepalive_to_versions_that_know_it(libvirt: str) -> None:
    """An older daemon is neither given what it does not know nor restarted for it."""
    text = render("machine", libvirt)
    assert ("keepalive_interval = %s" in text) == (number(libvirt) >= (0, 9, 8))
    assert ("    restart\n}\n" in text) == (number(libvirt) >= (0, 9, 8))


def test_control_script_undoes_what_a_saboteur_does() -> None:
    text = render("machine", "11.3.0")
    places = (f"/{saboteur.BELOW}/", f"/{saboteur.HIDDEN}", f"/{saboteur.pid_file('$1')}")
    for name in (saboteur.FULL, saboteur.ASIDE, saboteur.SCRIPT, *places):
        assert name in text


def test_interpreter_of_a_tree_has_its_libraries_and_binding() -> None:
    text = render("python", "0.9.1")
    assert text.endswith('export LD_LIBRARY_PATH="$libraries" PYTHONPATH="$binding"\nexec /usr/bin/python2.7 "$@"\n')


@pytest.fixture
def emulator(tmp_path: Path) -> Path:
    """The script before an emulator that prints its arguments, and for ``-cpu help`` models as QEMU 7 and QEMU 10 do."""
    script = tmp_path / "qemu-system-x86_64"
    script.write_text(render("emulator", "0.9.1"))
    real = tmp_path / "qemu-system-x86_64.real"
    real.write_text(
        '#!/bin/sh\nif [ "$*" = "-cpu help" ]; then\n'
        "printf 'Available CPUs:\\nx86 486                   (alias)\\n  qemu64-v1             QEMU Virtual CPU\\n'\n"
        "else printf '<%s>' \"$@\"; fi\n"
    )
    for path in (script, real):
        path.chmod(0o755)
    return script


def run(emulator: Path, *arguments: str) -> str:
    return subprocess.run([emulator, *arguments], capture_output=True, text=True, check=True, env=os.environ).stdout


def test_list_of_cpus_looks_as_it_did(emulator: Path) -> None:
    assert run(emulator, "-cpu", "?") == "Available CPUs:\nx86 486\nx86 qemu64-v1\n"


@pytest.mark.parametrize(
    ("given", "got"),
    [
        (["-S", "-M", "pc"], "<-S><-M><pc>"),
        (["-M", "pc", "-no-acpi", "-S"], "<-M><pc><-machine><acpi=off><-S>"),
        (["-no-hpet", "-name", "a b*"], "<-machine><hpet=off><-name><a b*>"),
        (["-cpu", "pentium2"], "<-cpu><pentium2>"),
        (["-append", ""], "<-append><>"),
    ],
)
def test_options_that_are_gone_become_what_replaces_them(emulator: Path, given: list[str], got: str) -> None:
    assert run(emulator, *given) == got
