# SPDX-License-Identifier: GPL-3.0-or-later
"""The machines' control script, on programs in place of daemons: it starts, watches and ends each of them."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from machine_files import keys, render

# Its process has the daemon's name in its command line, as a daemon has.
DAEMON = """#!/bin/sh
echo "$*" >>{root}/arguments/{name}
[ ! -e {root}/broken ] || exit $(cat {root}/broken)
while [ "$1" != --pid-file ]; do shift; done
{root}/processes/{name} 300 >/dev/null 2>&1 &
echo $! >"$2"
"""
INSTALLED = ("libvirtd", "virtqemud", "virtproxyd", "virtnetworkd", "virtlogd")
MODULAR = ["virtqemud", "virtproxyd"]


class Control:
    """A machine's files in a folder, with the script that controls it."""

    def __init__(self, root: Path, daemons: str) -> None:
        self.root = root
        for folder in ("lab", "run", "etc", "var/log", "bin", "processes", "arguments"):
            (root / folder).mkdir(parents=True)
        for name in ("machine", "daemon.conf", "qemu.conf"):
            text = render(name, "11.3.0", daemons=daemons)
            for folder in ("run", "etc", "var"):
                text = text.replace(f" /{folder}/", f" {root}/{folder}/").replace(f'"/{folder}/', f'"{root}/{folder}/')
                text = text.replace(f"=/{folder}/", f"={root}/{folder}/")
            # The script looks as often as ever, and sooner again: these are no daemons that take seconds.
            text = text.replace("sleep 0.5\n", "sleep 0.1\n")
            (root / "lab" / name).write_text(text)
        (root / "lab/machine").chmod(0o755)
        for name in INSTALLED:
            (root / "bin" / name).write_text(DAEMON.format(root=root, name=name))
            (root / "bin" / name).chmod(0o755)
            (root / "processes" / name).symlink_to("/bin/sleep")

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "PATH": f"{self.root}/bin:{os.environ['PATH']}"}
        return subprocess.run([self.root / "lab/machine", *words], capture_output=True, text=True, check=False, env=environment)

    def __call__(self, *words: str) -> dict[str, int]:
        """The daemons that a command prints, in its order."""
        done = self.run(*words)
        assert done.returncode == 0, done.stderr
        return {name: int(process) for name, process in map(str.split, done.stdout.splitlines())}

    def configuration(self, name: str) -> dict[str, str]:
        return keys((self.root / "etc/libvirt" / f"{name}.conf").read_text())


@pytest.fixture
def control(tmp_path: Path) -> Iterator[Callable[[str], Control]]:
    """Makes a machine with daemons of a kind; they have ended after the test."""
    made: list[Control] = []

    def make(daemons: str) -> Control:
        made.append(Control(tmp_path / daemons, daemons))
        return made[-1]

    yield make
    for machine in made:
        machine("stop")
        assert machine("status") == {}


def test_daemons_are_started_and_watched_one_by_one(control: Callable[[str], Control]) -> None:
    machine = control("modular")
    assert machine("status") == {}
    started = machine("start")
    assert list(started) == MODULAR and machine("status") == started
    assert machine("start") == {}, "all of them run"
    os.kill(started["virtproxyd"], signal.SIGKILL)
    assert machine("status") == {"virtqemud": started["virtqemud"]}
    again = machine("start")
    assert list(again) == ["virtproxyd"] and again["virtproxyd"] != started["virtproxyd"]
    assert machine("status") == {**started, **again}


def test_one_daemon_is_restarted_and_stopped_while_the_others_go_on(control: Callable[[str], Control]) -> None:
    machine = control("modular")
    started = machine("start")
    restarted = machine("restart", "virtqemud")
    assert list(restarted) == ["virtqemud"] and machine("status") == {**started, **restarted}
    assert machine("stop", "virtqemud") == {}
    assert list(machine("status")) == ["virtproxyd"]
    every = machine("restart")
    assert list(every) == MODULAR and not set(every.values()) & {*started.values(), *restarted.values()}


def test_process_that_got_the_number_of_a_dead_daemon_is_not_it(control: Callable[[str], Control]) -> None:
    machine = control("modular")
    started = machine("start")
    (machine.root / "run/virtqemud.pid").write_text(f"{started['virtproxyd']}\n")
    assert "virtqemud" not in machine("status")
    os.kill(started["virtqemud"], signal.SIGKILL)


@pytest.mark.parametrize(
    ("daemons", "names", "listening"), [("modular", MODULAR, "virtproxyd"), ("monolithic", ["libvirtd"], "libvirtd")]
)
def test_each_daemon_has_its_configuration_and_log(
    control: Callable[[str], Control], daemons: str, names: list[str], listening: str
) -> None:
    machine = control(daemons)
    assert list(machine("start")) == names
    for name in names:
        assert machine.configuration(name)["log_outputs"] == f'"3:file:{machine.root}/var/log/libvirt/{name}.log"'.replace(
            f"file:{machine.root}", "file:"
        )
        (arguments,) = (machine.root / "arguments" / name).read_text().splitlines()
        assert f"--config {machine.root}/etc/libvirt/{name}.conf" in arguments
        # virtproxyd listens by its configuration and does not know the option.
        assert ("--listen" in arguments) == (name == "libvirtd")
    before = machine("status")
    changed = machine("keepalive", "2", "3")
    assert list(changed) == names and not set(changed.values()) & set(before.values())
    assert machine("keepalive", "2", "3") == {}, "nothing changes"
    for name in [*names, "qemu"]:
        found = machine.configuration(name)
        wanted = ("2", "3") if name in (listening, "qemu") else (None, None)
        assert (found.get("keepalive_interval"), found.get("keepalive_count")) == wanted, name
    assert list(machine("keepalive", "default")) == names
    assert "keepalive_count" not in machine.configuration(listening)


def test_repair_undoes_what_a_fault_left_and_starts_what_is_dead(control: Callable[[str], Control]) -> None:
    machine = control("modular")
    (machine.root / "run/migration-lab-started").touch()
    started = machine("start")
    os.kill(started["virtqemud"], signal.SIGKILL)
    os.kill(started["virtproxyd"], signal.SIGSTOP)
    assert list(machine("repair")) == ["virtqemud"]
    state = Path(f"/proc/{started['virtproxyd']}/stat").read_text().rpartition(")")[2].split()[0]
    assert state != "T", "it goes on"
    (machine.root / "etc/migration-lab-keepalive").write_text("2 3\n")
    assert list(machine("repair")) == MODULAR, "what is left of a fault ends them all"


# The last three as for a setting that it refuses, for an abort, and for a library that is not there.
@pytest.mark.parametrize(("ends", "status"), [(0, 3), (1, 3), (134, 3), (127, 127)])
def test_daemon_that_does_not_come_up_is_named(control: Callable[[str], Control], ends: int, status: int) -> None:
    machine = control("modular")
    machine("start")
    (machine.root / "broken").write_text(str(ends))
    done = machine.run("restart", "virtqemud")
    assert done.returncode == status
    assert done.stderr.startswith("virtqemud does not run after it was started; look at ") == (status == 3)
