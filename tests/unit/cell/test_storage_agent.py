# SPDX-License-Identifier: GPL-3.0-or-later
"""The disks and the state of domains on a machine, in folders of the test's own and without a real loop device."""

from __future__ import annotations

import errno
import json
import os
import signal
import stat
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from migration_lab.cell import storage_agent
from migration_lab.cell.storage_agent import StorageAgent, attach, loop_info

MIB = 1024 * 1024


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.fixture
def attached(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Path and size of the file behind it of each device that was attached; a plain file takes its place."""
    made: list[tuple[str, int]] = []

    def fake(path: str, backing: int) -> int:
        made.append((path, os.fstat(backing).st_size))
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL)

    monkeypatch.setattr(storage_agent, "attach", fake)
    return made


def test_disks_are_devices_over_sparse_files(tmp_path: Path, attached: list[tuple[str, int]]) -> None:
    StorageAgent().make_disks(str(tmp_path), {"mlab-noo-001-vda": 8, "mlab-noo-001-vdb": 1})
    assert attached == [(f"{tmp_path}/mlab-noo-001-vda", 8 * MIB), (f"{tmp_path}/mlab-noo-001-vdb", MIB)]
    assert (tmp_path / "mlab-noo-001-vda.img").stat().st_blocks == 0


def test_disk_is_kept_open_until_it_is_removed(tmp_path: Path, attached: list[tuple[str, int]]) -> None:
    agent = StorageAgent()
    before = open_files()
    agent.make_disks(str(tmp_path), {"a": 1})
    assert open_files() == before + 1
    agent.remove_disks(str(tmp_path), ["a", "never-made"])
    assert open_files() == before and not list(tmp_path.iterdir())


def test_disk_that_was_left_is_replaced(tmp_path: Path, attached: list[tuple[str, int]]) -> None:
    (tmp_path / "a").write_text("old")
    (tmp_path / "a.img").write_text("old")
    StorageAgent().make_disks(str(tmp_path), {"a": 1})
    assert (tmp_path / "a.img").read_bytes() == bytes(MIB)


def test_all_disks_of_the_lab_are_cleared_and_no_others(tmp_path: Path, attached: list[tuple[str, int]]) -> None:
    agent = StorageAgent()
    agent.make_disks(str(tmp_path), {"mlab-noo-001-vda": 1, "mlab-onn-002-sda": 1, "mine-vda": 1})
    (tmp_path / "mlab-noo-003-vda.img").touch()
    assert agent.clear_disks(str(tmp_path), "mlab-") == 5
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine-vda", "mine-vda.img"]
    assert agent.clear_disks(str(tmp_path / "none"), "mlab-") == 0


def test_state_of_one_domain_is_removed(tmp_path: Path) -> None:
    nvram, tpm = tmp_path / storage_agent.NVRAM, tmp_path / storage_agent.TPM
    nvram.mkdir(parents=True)
    for name in ("mlab-noo-001_VARS.fd", "mlab-noo-001-2_VARS.fd"):
        (nvram / name).touch()
    (tpm / "one" / "tpm2").mkdir(parents=True)
    (tpm / "two").mkdir()
    for _ in range(2):
        StorageAgent(str(tmp_path)).remove_state("mlab-noo-001", "one")
        assert [path.name for path in nvram.iterdir()] == ["mlab-noo-001-2_VARS.fd"]
        assert [path.name for path in tpm.iterdir()] == ["two"]
    StorageAgent(str(tmp_path / "none")).remove_state("mlab-noo-001", "one")


class Kernel:
    """Loop devices as the kernel gives them; the first ``taken`` are lost to somebody else."""

    def __init__(self, taken: int, error: int = errno.EBUSY) -> None:
        self.taken, self.error = taken, error
        self.calls: list[tuple[int, Any]] = []
        self.nodes: list[int] = []
        self.refused = 0
        self.alarms: list[float] = []

    def ioctl(self, descriptor: int, request: int, argument: Any = 0) -> int:
        self.calls.append((request, argument))
        if request == self.refused:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        if request == storage_agent.LOOP_SET_FD:
            self.alarms.append(signal.getitimer(signal.ITIMER_REAL)[0])
        if request == storage_agent.LOOP_SET_FD and len(self.nodes) <= self.taken:
            raise OSError(self.error, os.strerror(self.error))
        return 7 + len(self.nodes)

    def mknod(self, path: str, mode: int, device: int) -> None:
        assert stat.S_ISBLK(mode) and os.major(device) == 7
        self.nodes.append(os.minor(device))
        Path(path).touch()


def using(kernel: Kernel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    control = tmp_path / "loop-control"
    control.touch()
    monkeypatch.setattr(storage_agent, "CONTROL", str(control))
    monkeypatch.setattr("fcntl.ioctl", kernel.ioctl)
    monkeypatch.setattr("os.mknod", kernel.mknod)
    return tmp_path / "vda"


def test_device_that_others_take_first_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = Kernel(taken=2)
    path = using(kernel, tmp_path, monkeypatch)
    os.close(attach(str(path), 99))
    assert kernel.nodes == [7, 8, 9] and path.exists()
    assert kernel.calls[-2:] == [(storage_agent.LOOP_SET_FD, 99), (storage_agent.LOOP_SET_STATUS64, loop_info(4))]


def test_device_that_cannot_be_used_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = using(Kernel(taken=1, error=errno.EPERM), tmp_path, monkeypatch)
    with pytest.raises(OSError, match="not permitted"):
        attach(str(path), 99)
    assert not path.exists()


def test_device_that_would_stay_is_detached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kernel, before = Kernel(taken=0), open_files()
    kernel.refused = storage_agent.LOOP_SET_STATUS64
    path = using(kernel, tmp_path, monkeypatch)
    with pytest.raises(OSError, match="Invalid argument"):
        attach(str(path), 99)
    assert kernel.calls[-1][0] == storage_agent.LOOP_CLR_FD and not path.exists() and open_files() == before


def test_device_of_others_is_not_detached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = Kernel(taken=1)
    os.close(attach(str(using(kernel, tmp_path, monkeypatch)), 99))
    assert storage_agent.LOOP_CLR_FD not in [request for request, _ in kernel.calls]


def test_node_that_cannot_be_opened_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = using(Kernel(taken=0), tmp_path, monkeypatch)
    monkeypatch.setattr("os.mknod", lambda path, mode, device: Path(path).symlink_to("none"))
    with pytest.raises(OSError, match="No such file"):
        attach(str(path), 99)
    assert not path.is_symlink()


def test_time_limit_does_not_end_the_agent_while_it_attaches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = Kernel(taken=0)
    path = using(kernel, tmp_path, monkeypatch)
    signal.alarm(30)
    try:
        os.close(attach(str(path), 99))
        assert kernel.alarms == [0.0] and signal.getitimer(signal.ITIMER_REAL)[0] > 25
    finally:
        signal.alarm(0)


def test_agent_has_only_disks_of_its_own(tmp_path: Path, attached: list[tuple[str, int]]) -> None:
    agent = StorageAgent()
    agent.make_disks(str(tmp_path), {"a": 1, "b": 1})
    assert agent.has_disks(str(tmp_path), ["a", "b"])
    assert not StorageAgent().has_disks(str(tmp_path), ["a", "b"]), "an agent that is started later"
    agent.remove_disks(str(tmp_path), ["a"])
    assert not agent.has_disks(str(tmp_path), ["a", "b"])


# The agent with what stands for the loop devices, and for a call that outlasts its limit.
PROGRAM = """
import os, time
from migration_lab.cell import storage_agent
storage_agent.attach = lambda path, backing: os.open(path, os.O_RDWR | os.O_CREAT)
storage_agent.StorageAgent.hang = lambda self: time.sleep(60)
storage_agent.main()
"""


@pytest.mark.parametrize("end", ["end of input", "time limit"])
def test_agent_that_ends_leaves_no_node_to_open(tmp_path: Path, end: str) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        env={"PYTHONPATH": str(Path(storage_agent.__file__).parents[2])},
    )
    with process:
        assert process.stdin and process.stdout
        request = {"call": "make_disks", "limit": 20, "folder": str(tmp_path), "disks": {"a": 1}}
        process.stdin.write(json.dumps(request) + "\n")
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["ok"] is True and (tmp_path / "a").exists()
        if end == "time limit":
            process.stdin.write(json.dumps({"call": "hang", "limit": 1}) + "\n")
            process.stdin.flush()
        else:
            process.stdin.close()
        process.wait(20)
    assert [path.name for path in tmp_path.iterdir()] == ["a.img"]


def test_flags_are_where_the_kernel_reads_them() -> None:
    # struct loop_info64: lo_device, lo_inode, lo_rdevice, lo_offset, lo_sizelimit; lo_number, lo_encrypt_type,
    # lo_encrypt_key_size, lo_flags; lo_file_name, lo_crypt_name, lo_encrypt_key, lo_init
    fields = struct.unpack("<5Q4I64s64s32s2Q", loop_info(4))
    assert fields[8] == 4 and not any(fields[:8]) and not any(fields[12:])
