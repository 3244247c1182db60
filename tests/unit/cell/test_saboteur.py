# SPDX-License-Identifier: GPL-3.0-or-later
"""The saboteur: on processes of this machine, and on folders in place of a machine's."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fake_machines import GuestProcess
from migration_lab.cell import saboteur
from migration_lab.cell.agent_process import AgentProcess, CallError
from migration_lab.cell.saboteur import ASIDE, BELOW, FULL, HIDDEN, SCRIPT, Saboteur, carry_over, copy_in, pid_file, size_of

SLEEPER = "import sys, time; sys.stdout.write('up'); sys.stdout.flush(); time.sleep(60)"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for folder in ("run/libvirt/qemu", "etc/libvirt/qemu", "var/tmp", "usr/bin"):
        (tmp_path / folder).mkdir(parents=True)
    return tmp_path


@pytest.fixture(params=["libvirtd", "virtqemud"])
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def daemon(root: Path, name: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process that looks like the daemon, with its number in the file; virtproxyd, which is there as well, is this process."""
    (root / pid_file("virtproxyd")).write_text(f"{os.getpid()}\n")
    process = subprocess.Popen([name, "-c", SLEEPER], executable=sys.executable, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.read(2) == b"up"
    (root / pid_file(name)).write_text(f"{process.pid}\n")
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """The commands that would have been run."""
    ran: list[tuple[str, ...]] = []
    monkeypatch.setattr(saboteur, "run", lambda *command: ran.append(command))
    return ran


def state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_daemon_is_killed(root: Path, name: str, daemon: subprocess.Popen[bytes]) -> None:
    agent = Saboteur(root=str(root))
    assert agent.daemon() == {name: daemon.pid}
    assert agent.kill_daemon() == {name: daemon.pid}
    assert state(daemon.pid) == "Z", "its parent has not yet asked for it"
    assert daemon.wait() == -9
    assert agent.daemon() == agent.kill_daemon() == agent.freeze_daemon() == {}


def test_number_of_a_dead_daemon_that_another_process_got_is_not_killed(root: Path) -> None:
    (root / pid_file("libvirtd")).write_text(f"{os.getpid()}\n")
    assert Saboteur(root=str(root)).kill_daemon() == {}


def test_daemon_stands_still_until_it_is_thawed(root: Path, name: str, daemon: subprocess.Popen[bytes]) -> None:
    agent = Saboteur(root=str(root))
    assert agent.freeze_daemon() == {name: daemon.pid}
    assert state(daemon.pid) == "T"
    # Another saboteur, as after this one was killed; other tests' processes are none of this one's.
    assert Saboteur(root=str(root)).thaw(daemon.pid) == [f"process {daemon.pid} goes on"]
    assert state(daemon.pid) != "T"
    assert agent.thaw(daemon.pid) == []


def test_process_is_killed_by_its_number(daemon: subprocess.Popen[bytes]) -> None:
    agent = Saboteur()
    assert agent.freeze_process(daemon.pid) is True
    assert agent.kill_process(daemon.pid) is True
    daemon.wait()
    assert agent.kill_process(daemon.pid) is False and agent.freeze_process(daemon.pid) is False


def test_guest_is_killed_by_its_name() -> None:
    guest, other = GuestProcess("mlab-noo-001", b""), GuestProcess("mlab-noo-0012", b"")
    try:
        agent = Saboteur()
        (process,) = agent.qemu("mlab-noo-001")
        assert process["pid"] == guest.pid and process["program"] == "/usr/bin/qemu-system-x86_64"
        assert process["peak_kib"] > 16 * 1024
        assert agent.kill_qemu("mlab-noo-001") == [guest.pid]
        assert agent.qemu("mlab-noo-001") == [] and agent.kill_qemu("mlab-noo-001") == []
        assert other.process.poll() is None
    finally:
        guest.end()
        other.end()


def fake_process(proc: Path, pid: int, parent: int, command: str, state: str = "S") -> None:
    folder = proc / str(pid)
    folder.mkdir(parents=True)
    (folder / "stat").write_text(f"{pid} (a (b) c) {state} {parent} 0 0\n")
    (folder / "cmdline").write_bytes(command.replace(" ", "\0").encode() + b"\0")


def test_power_cut_ends_what_is_the_machines_own(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    proc = root / "proc"
    fake_process(proc, 1, 0, "/run/podman-init -- /lab/machine run daemon")
    fake_process(proc, 6, 1, "sleep infinity")
    fake_process(proc, 15, 1, "virtqemud --daemon")
    fake_process(proc, 19, 1, "virtproxyd --daemon")
    fake_process(proc, 16, 15, "dnsmasq")
    fake_process(proc, 17, 16, "sleep infinity --of=dnsmasq")
    fake_process(proc, 20, 1, "qemu-system-s390x -name guest=mlab-noo-001")
    fake_process(proc, 21, 1, "gone", state="Z")
    fake_process(proc, 30, 0, "python3 -c inspector")
    fake_process(proc, 31, 30, "of the inspector")
    (proc / "mounts").write_text("")
    files = [root / pid_file("virtqemud"), root / pid_file("virtproxyd")]
    for file in files:
        file.write_text("15\n")
    signals: list[tuple[int, int]] = []

    def kill(pid: int, number: int) -> None:
        signals.append((pid, number))
        if number == 9:
            (proc / str(pid) / "stat").unlink()

    monkeypatch.setattr(os, "kill", kill)
    assert Saboteur(str(proc), str(root)).power_cut() == 5
    victims = [15, 16, 17, 19, 20]
    assert signals == [(pid, 19) for pid in victims] + [(pid, 9) for pid in victims], "all stand still before the first is gone"
    assert not (root / "run/libvirt").exists() and not any(file.exists() for file in files)
    assert (root / "run").is_dir()


def test_ports_are_taken_until_they_are_free_again(root: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("0.0.0.0", 0))
        port = probe.getsockname()[1]
    (root / "mounts").write_text("")
    agent = Saboteur(str(root), str(root))
    assert agent.occupy_ports(port, port) == 1

    def free() -> bool:
        with socket.socket() as asked:
            # As libvirt asks (virPortAllocatorBindToPort).
            asked.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                asked.bind(("0.0.0.0", port))
            except OSError:
                return False
            return True

    assert not free()
    agent.occupy_ports(port, port)
    for taken in agent._sockets:
        assert taken.getsockname()[1] == port
    assert agent.undo() == ["ports are free"]
    assert free()


def test_emulator_starts_with_too_little_memory_only_where_a_guest_comes_in(
    root: Path, commands: list[tuple[str, ...]]
) -> None:
    emulator = str(root / "usr/bin/qemu-system-s390x")
    Saboteur(root=str(root)).limit_memory(emulator, 654321)
    assert commands == [("mount", "--bind", emulator, emulator + ASIDE), ("mount", "--bind", emulator + SCRIPT, emulator)]
    Path(emulator + ASIDE).write_text('#!/bin/sh\nulimit -v; printf "<%s>" "$@"\n')
    Path(emulator + ASIDE).chmod(0o755)

    def run(*arguments: str) -> str:
        return subprocess.run([emulator + SCRIPT, *arguments], capture_output=True, text=True, check=True).stdout

    assert run("-name", "a b", "-incoming", "defer") == "654321\n<-name><a b><-incoming><defer>"
    assert run("-name", "x").splitlines()[0] != "654321"


def test_memory_is_given_back_by_another_saboteur(root: Path, commands: list[tuple[str, ...]]) -> None:
    emulator = str(root / "usr/bin/qemu-system-s390x")
    for ending in (ASIDE, SCRIPT):
        Path(emulator + ending).touch()
    points = ("/", emulator + ASIDE, emulator)
    (root / "mounts").write_text("".join(f"none {point} overlay rw 0 0\n" for point in points))
    assert Saboteur(str(root), str(root)).undo() == [f"{emulator} has memory"]
    assert commands == [("umount", "-l", emulator), ("umount", "-l", emulator + ASIDE)]
    assert not Path(emulator + ASIDE).exists() and not Path(emulator + SCRIPT).exists()


def test_hidden_emulator_comes_back_by_another_saboteur(root: Path) -> None:
    emulator = root / "usr/bin/qemu-system-s390x"
    emulator.write_text("emulator")
    (root / "mounts").write_text("")
    Saboteur(str(root), str(root)).hide_emulator(str(emulator))
    assert not emulator.exists()
    another = Saboteur(str(root), str(root))
    assert another.undo() == [f"{emulator} is there"]
    assert emulator.read_text() == "emulator" and not (root / HIDDEN).exists()
    assert another.undo() == []


@pytest.mark.parametrize(
    ("what", "tree", "own", "folder"),
    [
        ("config", "", "", "etc/libvirt/qemu"), ("state", "", "", "run/libvirt/qemu"),
        ("config", "opt/libvirt", "etc/libvirt/qemu", "opt/libvirt/etc/libvirt/qemu"),
        ("state", "opt/libvirt", "var/run/libvirt/qemu", "opt/libvirt/var/run/libvirt/qemu"),
        # Of 6.7 and later, which without an option have their state in /run, or made for /usr as it is.
        ("state", "opt/libvirt", "etc/libvirt/qemu", "run/libvirt/qemu"), ("config", "usr", "", "etc/libvirt/qemu"),
    ],
)
def test_space_is_filled_where_the_daemon_has_its_files(
    root: Path, commands: list[tuple[str, ...]], monkeypatch: pytest.MonkeyPatch, what: str, tree: str, own: str, folder: str
) -> None:
    filled: list[str] = []
    monkeypatch.setattr(saboteur, "fill", filled.append)
    if tree:
        (root / "etc/migration-lab-tree").write_text(f"prefix={root}/{tree}\nlibraries=/x\n")
    if own:
        (root / tree / own).mkdir(parents=True)
    Saboteur(root=str(root)).fill_space(what)
    place, below = str(root / folder), str(root / BELOW / str(root / folder).strip("/").replace("/", "_"))
    assert commands[0] == ("mount", "--bind", place, below)
    assert commands[1][:3] == ("mount", "-t", "tmpfs") and commands[1][-2:] == (FULL, place)
    assert filled == [f"{place}/{FULL}"]


def test_copy_has_what_was_there_and_what_is_done_there_is_carried_over(tmp_path: Path) -> None:
    original, copy = tmp_path / "original", tmp_path / "copy"
    for name in ("kept.xml", "removed.xml", "changed.xml", "inside/kept", "gone/file"):
        (original / name).parent.mkdir(parents=True, exist_ok=True)
        (original / name).write_text(name)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(original / "socket"))
        listening.listen()
        copy.mkdir()
        copy_in(str(original), str(copy))
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(copy / "socket"))
    assert (copy / "inside/kept").read_text() == "inside/kept"
    for each in ("removed.xml", "socket", "gone/file"):
        (copy / each).unlink()
    (copy / "gone").rmdir()
    (copy / "changed.xml").write_text("new")
    (copy / "added").mkdir()
    (copy / "added/file").write_text("added")
    (copy / FULL).write_text("filler")
    carry_over(str(copy), str(original))
    left = {str(path.relative_to(original)): path.read_text() for path in original.rglob("*") if path.is_file()}
    assert left == {"kept.xml": "kept.xml", "changed.xml": "new", "inside/kept": "inside/kept", "added/file": "added"}
    assert not (original / "gone").exists() and not os.path.lexists(original / "socket")


def test_size_has_room_for_each_file_and_folder(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/large").write_bytes(bytes(10000))
    (tmp_path / "empty").touch()
    assert size_of(str(tmp_path)) == 4096 * (1 + 1 + 3 + 1)


def test_full_file_system_is_given_up_by_another_saboteur(root: Path, commands: list[tuple[str, ...]]) -> None:
    place = root / "etc/libvirt/qemu"
    below = root / BELOW / str(place).strip("/").replace("/", "_")
    below.mkdir(parents=True)
    (root / "mounts").write_text(f"/dev/vda {below} ext4 rw 0 0\n{FULL} {place} tmpfs rw 0 0\n")
    (place / "new.xml").write_text("new")
    (place / FULL).write_text("filler")

    def removable(path: str) -> None:
        assert [each.name for each in Path(path).iterdir()] == ["new.xml"]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "rmdir", removable)
        assert Saboteur(str(root), str(root)).undo() == [f"{place} has space"]
    assert commands == [("umount", "-l", str(place)), ("umount", "-l", str(below))]


def test_agent_answers_and_reports_a_failure() -> None:
    agent = AgentProcess(("env",), sys.executable, saboteur)
    try:
        assert agent.call("qemu", 5, name="mlab-nobody") == []
        with pytest.raises(CallError, match="TypeError"):
            agent.call("kill_process", 5, pid="a number")
        assert agent.alive
    finally:
        agent.close()
