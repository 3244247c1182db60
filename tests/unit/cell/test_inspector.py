# SPDX-License-Identifier: GPL-3.0-or-later
"""The inspector: processes told by their command lines, guest memory found and read in a process that is like a QEMU."""

from __future__ import annotations

import hashlib
import json
import os
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fake_machines import GuestProcess
from fake_rpc import wait_for
from interpreters import interpreters
from migration_lab.cell import inspector
from migration_lab.cell.agent_process import BOOTSTRAP, sent
from migration_lab.cell.inspector import QemuInspector, counter_in, possible_addresses, writable_mappings
from migration_lab.guest import kernel as guest

MIB = 1024 * 1024
MEMORY = 16
STATUS = 2 * MIB
RAM = {"memory_mib": MEMORY, "status_offset": STATUS}


# --- the program; its syntax is looked at in test_agent.py, command lines in test_processes.py


def test_magic_is_the_guests() -> None:
    built = guest.build("x86_64")
    assert guest.MAGIC == inspector.MAGIC
    assert built.counter_address - built.magic_address == len(inspector.MAGIC)
    assert built.magic_address - built.ram_base == STATUS


# --- mappings


def test_mappings_that_can_be_ram_are_written_to_and_not_executed() -> None:
    maps = b"""\
55d000000000-55d000001000 r--p 00000000 fe:00 12   /usr/bin/qemu-system-x86_64
55d000001000-55d000002000 rw-p 00000000 00:00 0    [heap]
7f0000000000-7f0040000000 rwxp 00000000 00:00 0
7f0050000000-7f0051000000 rw-s 00000000 00:01 2050 /memfd:pc.ram (deleted)
7f0060000000-7f0061000000 ---p 00000000 00:00 0
ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0  [vsyscall]
"""
    assert writable_mappings(maps) == [(0x55D000001000, 0x55D000002000), (0x7F0050000000, 0x7F0051000000)]


def test_possible_addresses_are_the_likely_ones_first() -> None:
    exact, odd, small = (64 * MIB, 80 * MIB), (90 * MIB + 4096, 109 * MIB), (120 * MIB, 121 * MIB)
    found = list(possible_addresses([small, odd, exact], 16 * MIB))
    assert found[:3] == [90 * MIB + 4096, 92 * MIB, 64 * MIB]
    assert sorted(found[3:]) == [
        address for address in range(odd[0], 93 * MIB + 1, 4096) if address not in (odd[0], 92 * MIB)
    ]
    assert len(found) == len(set(found))
    assert all(address + 16 * MIB <= 109 * MIB for address in found)


def test_huge_mapping_is_not_searched_page_by_page() -> None:
    assert len(list(possible_addresses([(0, 1024 * MIB)], 16 * MIB))) == (1024 - 16) // 2 + 1


@pytest.mark.parametrize(
    ("status", "counter"),
    [
        (guest.MAGIC + struct.pack("<Q", 2**40), 2**40),
        (guest.MAGIC + bytes(8), 0),
        (bytes(16), None),
        (guest.MAGIC + bytes(7), None),
        (b"", None),
    ],
)
def test_counter_in_a_status_page(status: bytes, counter: int | None) -> None:
    assert counter_in(status) == counter


# --- processes and files of a made-up machine


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A directory with a proc and the directories of libvirt in it."""
    (tmp_path / "proc").mkdir()
    for path in ("run/libvirt/qemu/autostart", "var/lib/libvirt/qemu", "etc/libvirt/qemu", "var/log/libvirt/qemu"):
        (tmp_path / path).mkdir(parents=True)
    (tmp_path / "var/run").symlink_to("../run")
    for pid, arguments in {
        "1": ["/sbin/init"],
        "20": ["/usr/bin/qemu-system-x86_64", "-name", "guest=mlab-noo-001,debug-threads=on"],
        "9": ["/usr/bin/qemu-system-x86_64", "-name", "guest=mlab-noo-0011,debug-threads=on"],
        "30": ["/usr/bin/kvm", "-name", "other"],
        "40": [],  # a zombie
    }.items():
        (tmp_path / "proc" / pid).mkdir()
        (tmp_path / "proc" / pid / "cmdline").write_text("".join(f"{each}\0" for each in arguments))
        (tmp_path / "proc" / pid / "maps").write_text("10000000-11000000 rw-p 00000000 00:00 0\n")
        (tmp_path / "proc" / pid / "mem").write_bytes(b"")
    (tmp_path / "proc/self").symlink_to("1")
    (tmp_path / "proc/50").mkdir()  # a process that went after it was listed
    return tmp_path


def inspecting(machine: Path) -> QemuInspector:
    return QemuInspector(str(machine / "proc"), str(machine))


def test_guest_without_a_magic_is_found_but_not_ready(machine: Path) -> None:
    assert inspecting(machine).copies("mlab-noo-001", **RAM) == [{"pid": 20, "counter": None}]
    assert inspecting(machine).copies("mlab-noo-0011", **RAM) == [{"pid": 9, "counter": None}]
    assert inspecting(machine).digest("mlab-noo-001", **RAM, address_offset=0, size=1) is None


def test_guest_that_is_not_there(machine: Path) -> None:
    assert inspecting(machine).copies("mlab-noo-002", **RAM) == []
    assert inspecting(machine).digest("mlab-noo-002", **RAM, address_offset=0, size=1) is None


LEFT = [
    "run/libvirt/qemu/mlab-noo-001.xml",
    "run/libvirt/qemu/mlab-noo-001.pid",
    "run/libvirt/qemu/autostart/mlab-noo-001.xml",
    "var/lib/libvirt/qemu/mlab-noo-001.monitor",
    "var/lib/libvirt/qemu/domain-3-mlab-noo-001/monitor.sock",
    "var/lib/libvirt/qemu/channel/target/domain-3-mlab-noo-001/org.qemu.guest_agent.0",
    "var/lib/libvirt/qemu/save/mlab-noo-001.save",
    "etc/libvirt/qemu/mlab-noo-001.xml",
]


def lay(machine: Path, *paths: str) -> None:
    for path in paths:
        (machine / path).parent.mkdir(parents=True, exist_ok=True)
        (machine / path).write_text("")


def test_leftovers_of_one_domain(machine: Path) -> None:
    lay(
        machine, *LEFT,
        "run/libvirt/qemu/mlab-noo-0011.xml", "run/libvirt/qemu/mlab-noo-001-2.xml", "run/libvirt/qemu/xmlab-noo-001.xml",
        "var/lib/libvirt/qemu/domain-3-mlab-noo-0011/monitor.sock", "var/lib/libvirt/qemu/domain-13-mlab-noo-002/monitor.sock",
        "var/log/libvirt/qemu/mlab-noo-001.log", "var/cache/libvirt/qemu/mlab-noo-001.xml",
        "etc/libvirt/qemu/networks/default.xml",
        # The guest's own storage, which the lab removes.
        "var/lib/libvirt/qemu/nvram/mlab-noo-001_VARS.fd",
    )
    left = inspecting(machine).leftovers(name="mlab-noo-001")
    assert left[0] == "process 20 mlab-noo-001"
    directories = ("var/lib/libvirt/qemu/domain-3-mlab-noo-001", "var/lib/libvirt/qemu/channel/target/domain-3-mlab-noo-001")
    files = [path for path in LEFT if "domain-3" not in path]
    assert sorted(left[1:]) == sorted(
        [f"directory {machine}/{path}" for path in directories] + [f"file {machine}/{path}" for path in files]
    )


def test_leftovers_of_a_name_that_libvirt_shortened(machine: Path) -> None:
    name = "mlab-a-long-name-noo-001"
    lay(machine, f"var/lib/libvirt/qemu/domain-7-{name[:20]}/monitor.sock", f"run/libvirt/qemu/channel/7-{name[:20]}/agent")
    assert sorted(inspecting(machine).leftovers(name=name)) == [
        f"directory {machine}/run/libvirt/qemu/channel/7-mlab-a-long-name-noo",
        f"directory {machine}/var/lib/libvirt/qemu/domain-7-mlab-a-long-name-noo",
    ]


def test_no_leftovers_on_a_machine_without_libvirt(tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    assert inspecting(tmp_path).leftovers("mlab-noo-001") == []


# --- a process that has guest memory

# Byte number i of each MiB of RAM, from 4 MiB on.
PATTERN = b"".join(bytes([mib]) * MIB for mib in range(4, 12))
DIGEST = hashlib.sha1(PATTERN).hexdigest()


@pytest.fixture
def start() -> Iterator[Callable[..., GuestProcess]]:
    """Starts processes that look like QEMU's."""
    children: list[GuestProcess] = []

    def start_child(name: str, begin: int = 0, ready: bool = True) -> GuestProcess:
        children.append(GuestProcess(name, PATTERN, begin, ready))
        return children[-1]

    yield start_child
    for child in children:
        child.end()


def name_of(test: str) -> str:
    return f"inspected-{os.getpid()}-{test}"


@pytest.mark.parametrize("begin", [0, 4096 * 3, 2 * MIB, 5 * MIB + 4096])
def test_guest_memory_is_found_wherever_it_is_in_its_mapping(start: Callable[..., GuestProcess], begin: int) -> None:
    name = name_of("found")
    child = start(name, begin)
    looking = QemuInspector()
    (first,) = looking.copies(name, **RAM)
    assert first["pid"] == child.pid
    (later,) = wait_for(lambda: [copy for copy in looking.copies(name, **RAM) if copy["counter"] > first["counter"]])
    assert 0 <= first["counter"] < later["counter"] < 1000
    assert looking.digest(name, **RAM, address_offset=4 * MIB, size=8 * MIB) == DIGEST


def test_digest_may_be_of_any_size_but_not_beyond_the_memory(start: Callable[..., GuestProcess]) -> None:
    name = name_of("digest")
    start(name)
    part = QemuInspector().digest(name, **RAM, address_offset=5 * MIB - 1, size=MIB + 2)
    assert part == hashlib.sha1(b"\4" + b"\5" * MIB + b"\6").hexdigest()
    beyond = QemuInspector().digest(name, **RAM, address_offset=4 * MIB, size=2**46)
    assert beyond is None


def test_memory_that_changed_has_another_digest(start: Callable[..., GuestProcess]) -> None:
    name, looking = name_of("changed"), QemuInspector()
    child = start(name)
    whole, part = {"address_offset": 4 * MIB, "size": 8 * MIB}, {"address_offset": 4 * MIB, "size": 4096}
    assert [looking.digest(name, **RAM, **whole) for _ in range(2)] == [DIGEST] * 2
    assert looking.digest(name, **RAM, **part) == hashlib.sha1(PATTERN[:4096]).hexdigest()
    assert looking.digest(name, **RAM, **whole) == DIGEST
    with Path(f"/proc/{child.pid}/mem").open("r+b", buffering=0) as memory:
        memory.seek(looking._ram[child.pid] + 12 * MIB - 1)
        memory.write(b"\0")
    assert looking.digest(name, **RAM, **whole) == hashlib.sha1(PATTERN[:-1] + b"\0").hexdigest()


def test_guest_that_has_not_begun_is_not_ready(start: Callable[..., GuestProcess]) -> None:
    name = name_of("unready")
    child = start(name, ready=False)
    assert QemuInspector().copies(name, **RAM) == [{"pid": child.pid, "counter": None}]
    assert QemuInspector().digest(name, **RAM, address_offset=0, size=1) is None


def test_remembered_address_is_not_believed(start: Callable[..., GuestProcess]) -> None:
    name = name_of("cache")
    child = start(name)
    looking = QemuInspector()
    assert looking.copies(name, **RAM)[0]["counter"] is not None
    for wrong in (4096, looking._ram[child.pid] + 4096):
        looking._ram[child.pid] = wrong
        assert looking.copies(name, **RAM)[0]["counter"] is not None
    child.end()
    assert looking.copies(name, **RAM) == []


def test_both_processes_of_a_domain_are_shown(start: Callable[..., GuestProcess]) -> None:
    name = name_of("two")
    halted, running = start(name), start(name)
    halted.halt()
    looking = QemuInspector()
    first = {copy["pid"]: copy["counter"] for copy in looking.copies(name, **RAM)}
    wait_for(lambda: {copy["pid"]: copy["counter"] for copy in looking.copies(name, **RAM)}[running.pid] > first[running.pid])
    last = {copy["pid"]: copy["counter"] for copy in looking.copies(name, **RAM)}
    assert set(first) == set(last) == {halted.pid, running.pid}, "one domain, two processes"
    assert last[halted.pid] == first[halted.pid] and last[running.pid] > first[running.pid]


def test_samples_are_taken_of_several_domains_until_each_ends(start: Callable[..., GuestProcess]) -> None:
    one, other = name_of("sampled"), name_of("sampled-too")
    child, unready = start(one), start(other, ready=False)
    looking, began = QemuInspector(), time.time()
    assert began <= looking.begin_samples(one, **RAM) <= looking.begin_samples(other, **RAM) <= time.time()
    wait_for(lambda: len({seen[0][1] for _, seen in looking._sampled[one]["samples"]}) >= 3)
    samples, others = looking.end_samples(one), looking.end_samples(other)
    times, counters = [when for when, _ in samples], [seen[0][1] for _, seen in samples]
    assert began <= times[0] < times[-1] <= time.time() and times == sorted(set(times))
    assert {pid for _, seen in samples for pid, _ in seen} == {child.pid} and counters == sorted(counters)
    assert all(seen == [(unready.pid, None)] for _, seen in others) and others
    with pytest.raises(KeyError):
        looking.end_samples(one)
    assert looking.begin_samples(one, **RAM) and len(looking.end_samples(one)) <= 1, "the old ones are gone"
    wait_for(lambda: looking._sampler is None)  # nothing is left to look at


def test_samples_that_could_not_be_taken_are_an_error(machine: Path) -> None:
    looking = inspecting(machine)
    (machine / "proc/20/cmdline").unlink()
    (machine / "proc/20/cmdline").mkdir()
    for _ in range(2):
        looking.begin_samples("mlab-noo-001", **RAM)
        wait_for(lambda: looking._sampled["mlab-noo-001"]["failure"])
        with pytest.raises(RuntimeError, match="IsADirectoryError"):
            looking.end_samples("mlab-noo-001")


def test_of_two_processes_the_ready_one_is_read(start: Callable[..., GuestProcess]) -> None:
    name = name_of("target")
    waiting, ready = start(name, ready=False), start(name)
    assert QemuInspector().digest(name, **RAM, address_offset=4 * MIB, size=8 * MIB) == DIGEST
    ready.end()
    assert QemuInspector().copies(name, **RAM) == [{"pid": waiting.pid, "counter": None}]


def test_zombie_is_no_guest(start: Callable[..., GuestProcess]) -> None:
    name = name_of("zombie")
    child = start(name)
    looking = QemuInspector()
    assert looking.copies(name, **RAM)
    child.process.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert looking.copies(name, **RAM) == []
    assert QemuInspector()._counter(child.pid, MEMORY, STATUS) is None


# --- the protocol, sent as agent_process.py sends the agent


@pytest.mark.parametrize("python", interpreters(), ids=lambda path: Path(path).name)
def test_requests_are_answered(start: Callable[..., GuestProcess], python: str) -> None:
    name = name_of("protocol")
    child = start(name)
    requests: list[dict[str, Any]] = [
        {"call": "digest", "name": name, **RAM, "address_offset": 4 * MIB, "size": 8 * MIB},
        {"call": "copies", "name": name, **RAM},
        {"call": "leftovers", "name": name},
        {"call": "copies"},
        {"call": "copies", "name": "absent", **RAM},
    ]
    given = sent(inspector) + b"".join(json.dumps({"limit": 10, **request}).encode("ascii") + b"\n" for request in requests)
    done = subprocess.run([python, "-c", BOOTSTRAP], input=given, capture_output=True, check=True, timeout=20)
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [each["ok"] for each in answers] == [True] * 3 + [False, True]
    digest, copies, left = (each["result"] for each in answers[:3])
    assert digest == DIGEST
    assert [copy["pid"] for copy in copies] == [child.pid] and copies[0]["counter"] >= 0 and answers[4]["result"] == []
    assert left == [f"process {child.pid} {name}"]
    assert set(answers[3]) == {"ok", "error", "seconds"}
    assert set(answers[3]["error"]) == {"code", "domain", "message"}
    assert answers[3]["error"]["message"].startswith("TypeError: ")
    assert done.stderr == b""
