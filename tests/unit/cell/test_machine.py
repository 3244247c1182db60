# SPDX-License-Identifier: GPL-3.0-or-later
"""A machine: commands on it, and its daemon's controls."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from fake_machines import kill_daemon, make_machine
from migration_lab.cell.machine import Machine
from migration_lab.model.errors import LabError


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return make_machine(tmp_path, "source")


def test_machine_is_made_from_a_modules_argument() -> None:
    given = {
        "name": "a-source", "exec": ["podman", "exec", "-i", "a-source"], "python": "/usr/bin/python3",
        "uri": "qemu+tcp://10.0.0.2/system", "daemon": ["/lab/machine"], "logs": "/var/log/libvirt",
        "address": "10.0.0.2", "namespace": ["podman", "inspect", "a-source"],
    }
    assert Machine.from_data(given) == Machine(
        "a-source", ("podman", "exec", "-i", "a-source"), "/usr/bin/python3", "qemu+tcp://10.0.0.2/system", ("/lab/machine",),
        "/var/log/libvirt", "10.0.0.2", ("podman", "inspect", "a-source"),
    )


@pytest.mark.parametrize("given", [{}, {"uri": None, "daemon": None, "logs": None, "address": None, "namespace": None}])
def test_client_has_no_daemon(given: dict[str, None]) -> None:
    client = Machine.from_data({"name": "a-client", "exec": [], "python": "/usr/bin/python2.7", **given})
    assert (client.uri, client.daemon, client.logs, client.address, client.namespace) == ("", (), "", "", ())


def test_network_namespace_is_asked_for_on_the_lab_host() -> None:
    elsewhere = Machine("a-client", ("/no/podman",), "python3", namespace=("echo", "/run/netns/a-client"))
    assert elsewhere.network_namespace() == "/run/netns/a-client"
    assert replace(elsewhere, namespace=()).network_namespace() is None


def test_network_namespace_that_cannot_be_found_is_told() -> None:
    machine = Machine("a-client", (), "python3", namespace=("sh", "-c", "echo no such container >&2; exit 125"))
    with pytest.raises(LabError, match=r"^machine a-client: 'sh -c .*' failed: no such container$"):
        machine.network_namespace()


def test_shortcut_replaces_the_exec_prefix(machine: Machine) -> None:
    direct = replace(machine, exec=("/no/podman",), shortcut=("echo", "env WHERE=there")).direct()
    assert direct.exec == ("env", "WHERE=there") and direct.run("sh", "-c", "echo $WHERE") == b"there\n"


@pytest.mark.parametrize(
    "shortcut", [(), ("true",), ("echo", "/no/runc exec 1234"), ("echo", "false"), ("echo", "true"), ("/no/podman",), ("false",)]
)
def test_shortcut_that_leads_nowhere_changes_nothing(machine: Machine, shortcut: tuple[str, ...]) -> None:
    longer = replace(machine, exec=("env", "WHERE=there"), shortcut=shortcut)
    assert longer.direct() == longer


def test_command_runs_behind_the_exec_prefix(machine: Machine) -> None:
    assert replace(machine, exec=("env", "WHERE=there")).run("sh", "-c", "echo $WHERE") == b"there\n"


@pytest.mark.parametrize(
    ("command", "timeout", "said"),
    [
        (("sh", "-c", "echo no such file >&2; exit 3"), 30.0, "machine a-source: '.*' failed: no such file$"),
        (("sh", "-c", "exit 3"), 30.0, "machine a-source: 'sh -c exit 3' failed: exit status 3$"),
        (("sleep", "30"), 0.1, "machine a-source: 'sleep 30' could not be run: .*timed out after 0.1 seconds"),
    ],
)
def test_command_that_fails_is_told_with_the_machine(
    machine: Machine, command: tuple[str, ...], timeout: float, said: str
) -> None:
    with pytest.raises(LabError, match=said):
        machine.run(*command, timeout=timeout)


def test_exec_prefix_that_is_not_there_is_told() -> None:
    with pytest.raises(LabError, match=r"machine a: 'true' could not be run: .*No such file or directory: '/no/podman'"):
        Machine("a", ("/no/podman",), "python3").run("true")


def test_command_gets_no_input(machine: Machine) -> None:
    assert machine.run("cat") == b""


def test_daemon_has_a_process_number_while_it_runs(machine: Machine) -> None:
    assert machine.daemons() == {"libvirtd": 100}
    kill_daemon(machine)
    assert machine.daemons() == {}


@pytest.mark.parametrize("runs", [True, False])
def test_daemon_is_started_again(machine: Machine, runs: bool) -> None:
    if not runs:
        kill_daemon(machine)
    assert machine.restart_daemons() == machine.daemons() == {"libvirtd": 101}


def test_one_of_several_daemons_is_started_again(tmp_path: Path) -> None:
    machine = make_machine(tmp_path, "source", daemons=("virtproxyd", "virtqemud"))
    assert machine.restart_daemons("virtqemud") == {"virtqemud": 201}
    assert machine.daemons() == {"virtproxyd": 100, "virtqemud": 201}
    kill_daemon(machine, "virtproxyd")
    assert machine.daemons() == {"virtqemud": 201}
    assert machine.start_daemons() == {"virtproxyd": 101}
    assert machine.restart_daemons() == machine.daemons() == {"virtproxyd": 102, "virtqemud": 202}


def test_daemon_that_does_not_come_up_is_told(machine: Machine) -> None:
    with pytest.raises(LabError, match=r"machine a-source: no daemon could be started; look at .*daemons there"):
        replace(machine, daemon=("true",)).restart_daemons()
    broken = ("sh", "-c", "echo unable to bind >&2; exit 1")
    with pytest.raises(LabError, match=r"machine a-source: '.*restart' failed: unable to bind"):
        replace(machine, daemon=broken).restart_daemons()


def test_log_is_read_from_an_offset(machine: Machine) -> None:
    size = machine.log_size("libvirtd")
    assert machine.log_since("libvirtd", 0) == b"started 100\n" and size == 12
    with Path(machine.logs, "libvirtd.log").open("ab") as log:
        log.write(b"more \xff\n")
    assert machine.log_since("libvirtd", size) == b"more \xff\n"
    assert machine.log_since("libvirtd", machine.log_size("libvirtd")) == b""


@pytest.mark.parametrize(
    ("seconds", "found"), [(10, ["at 8"]), (1000, ["at 0", "at 8"]), (0, [])]
)
@pytest.mark.parametrize("thread", ["rpc-libvirtd", "virtqemud", "rpc-virtproxyd"])
def test_kernels_word_on_a_crash_is_taken_from_its_time_only(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, seconds: float, found: list[str], thread: str
) -> None:
    log = (
        "1000.50 1900.00\n[  100.1] rpc-libvirtd[7]: segfault at 0 ip 00 in libvirt.so\n[  995.2] e1000: link is up\n"
        "[  995.2] virtiofsd[8]: segfault at 4 ip 00 in virtiofsd\n"
        f"[  995.3] {thread}[9]: segfault at 8 ip 00 in libvirt_driver_qemu.so[10,20+30]\nnot a line of the kernel's\n"
    )
    monkeypatch.setattr(Machine, "run", lambda self, *command: log.encode())
    lines = machine.crash_since(seconds).splitlines()
    assert [line.partition("segfault ")[2][:4] for line in lines] == found


@pytest.mark.parametrize(
    ("says", "packages"),
    [
        (
            "deb libvirt0 9.0.0-4+deb12u2 install ok installed\ndeb qemu-system-common 1:7.2+dfsg-7 install ok installed\n",
            {"libvirt_package": "deb 9.0.0-4+deb12u2", "qemu_package": "deb 1:7.2+dfsg-7"},
        ),
        (
            "deb libvirt0 9.0.0-4 install ok installed\ndeb qemu-kvm 1.7.2 install ok installed\ntree\n",
            {"qemu_package": "deb 1.7.2"},
        ),
        (
            "rpm libvirt-libs 11.3.0-1.fc42\nrpm qemu-guest-agent 3:1-1\nrpm qemu-kvm-core 2:9.2.4-1.fc42\n",
            {"libvirt_package": "rpm 11.3.0-1.fc42", "qemu_package": "rpm 2:9.2.4-1.fc42"},
        ),
        ("", {}),
    ],
    ids=["deb", "tree", "rpm", "nothing"],
)
def test_packages_of_libvirt_and_qemu_are_those_that_run(tmp_path: Path, says: str, packages: dict[str, str]) -> None:
    (tmp_path / "says").write_text(f"6.18\n0123456789abcdef\n{says}")
    machine = Machine("a-source", ("sh", "-c", f"cat {tmp_path}/says", "sh"), "python3")
    assert machine.system() == {"kernel": "6.18", "packages": "0123456789ab", **packages}


def test_machine_without_a_list_of_packages_has_its_kernel(tmp_path: Path) -> None:
    (tmp_path / "says").write_text("6.18\n\n")
    assert Machine("a", ("sh", "-c", f"cat {tmp_path}/says", "sh"), "python3").system() == {"kernel": "6.18"}


def test_real_machine_says_what_is_installed(machine: Machine) -> None:
    assert machine.system()["kernel"] == os.uname().release


def test_a_daemon_is_replaced_and_put_back(machine: Machine) -> None:
    assert machine.replace_daemons() == machine.daemons() == {"libvirtd": 101} and machine.restart_daemons() == {"libvirtd": 102}
    with pytest.raises(LabError, match="'false replace' failed"):
        replace(machine, daemon=("false",)).replace_daemons()
    assert replace(machine, daemon=("true",)).replace_daemons() == {}, "it ended by itself"
