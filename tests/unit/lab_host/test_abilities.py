# SPDX-License-Identifier: GPL-3.0-or-later
"""What a lab host can do, on made-up hosts: cgroup trees in a folder, and programs of our own in front of the real ones."""

from __future__ import annotations

import os
import resource
from pathlib import Path
from types import SimpleNamespace

import pytest

from migration_lab.lab_host.abilities import abilities, cgroup_mode, missing_packages, runs_ia32
from migration_lab.model.errors import LabError

DPKG_QUERY = r"""#!/bin/sh
echo "$*" > "$0.called"
cat <<'EOF'
podman installed
catatonit installed
libc6:amd64 installed
crun config-files
runc half-configured
netavark not-installed
EOF
echo "dpkg-query: no packages found matching mmdebstrap" >&2
exit 1
"""

# Starts a container with runc and with `other`, not with crun.
PODMAN = r"""#!/bin/sh
echo "$*" >> "$0.called"
if [ "$2" = crun ]; then
    echo "Error: something went wrong" >&2
    echo "Error: OCI runtime error: crun: cgroups in hybrid mode not supported, drop all controllers" >&2
    exit 126
fi
if [ "$2" = silent ]; then exit 125; fi
while [ "$1" != --rootfs ]; do shift; done
if [ "$3 $4" != "/catatonit -V" ] || [ ! -x "$2/catatonit" ]; then echo "$*" >&2; exit 127; fi
"""

LIMITS = {"nofile": 4096, "nproc": 16384}


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder with programs, empty but for what a shell script needs; the user is root."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("cat", "sh"):
        (folder / name).symlink_to(f"/bin/{name}")
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr("migration_lab.lab_host.abilities.os.geteuid", lambda: 0)
    return folder


def add(programs: Path, name: str, text: str = "#!/bin/sh\n") -> Path:
    path = programs / name
    path.write_text(text)
    path.chmod(0o755)
    return path


@pytest.fixture
def host(programs: Path) -> Path:
    """A host with podman, two runtimes and an init; returns the init's path."""
    for name in ("crun", "runc"):
        add(programs, name)
    add(programs, "podman", PODMAN)
    return add(programs, "catatonit")


@pytest.mark.parametrize(
    ("tree", "mode"),
    [
        (["cgroup.controllers", "cgroup.procs"], "v2"),
        (["memory/", "cpu/", "unified/"], "hybrid"),
        (["memory/", "cpu/"], "v1"),
        ([], "v1"),
    ],
)
def test_cgroup_mode_is_told_by_the_tree(tmp_path: Path, tree: list[str], mode: str) -> None:
    for entry in tree:
        if entry.endswith("/"):
            (tmp_path / entry).mkdir()
        else:
            (tmp_path / entry).write_text("")
    assert cgroup_mode(tmp_path) == mode


def test_packages_that_are_not_installed_are_missing(programs: Path) -> None:
    dpkg = add(programs, "dpkg-query", DPKG_QUERY)
    wanted = ["runc", "podman", "libc6", "mmdebstrap", "catatonit", "netavark", "crun"]
    assert missing_packages(wanted) == ["runc", "mmdebstrap", "netavark", "crun"]
    assert dpkg.with_name("dpkg-query.called").read_text().rstrip().endswith(" ".join(wanted))


def test_no_package_is_missing_where_all_are_installed(programs: Path) -> None:
    add(programs, "dpkg-query", DPKG_QUERY)
    assert missing_packages(["podman", "catatonit"]) == []


def test_user_who_is_not_root_is_refused_before_anything_is_run(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dpkg = add(programs, "dpkg-query", DPKG_QUERY)
    monkeypatch.setattr("migration_lab.lab_host.abilities.os.geteuid", lambda: 1000)
    with pytest.raises(LabError, match=r"needs root.*; run the playbook as root, or set ansible_become"):
        missing_packages(["podman"])
    assert not dpkg.with_name("dpkg-query.called").exists()


def test_host_without_dpkg_is_refused(programs: Path) -> None:
    with pytest.raises(LabError, match="this lab host has no dpkg"):
        missing_packages(["podman"])


def test_first_runtime_that_starts_a_container_is_chosen(host: Path, tmp_path: Path) -> None:
    found = abilities(str(host), ["crun", "runc"], str(tmp_path))
    assert found["runtime"] == "runc"
    assert found["refused"] == {
        "crun": "Error: OCI runtime error: crun: cgroups in hybrid mode not supported, drop all controllers"
    }
    trials = host.with_name("podman.called").read_text().splitlines()
    assert [trial.split()[:3] for trial in trials] == [["--runtime", "crun", "run"], ["--runtime", "runc", "run"]]


def test_runtimes_after_the_first_that_works_are_not_tried(host: Path, tmp_path: Path) -> None:
    found = abilities(str(host), ["runc", "crun"], str(tmp_path))
    assert (found["runtime"], found["refused"]) == ("runc", {})


def test_runtime_that_is_not_there_is_passed_over(host: Path, tmp_path: Path) -> None:
    found = abilities(str(host), ["youki", "runc"], str(tmp_path))
    assert (found["runtime"], found["refused"]) == ("runc", {"youki": "not installed"})


def test_host_where_no_runtime_works_is_refused_with_each_reason(host: Path, tmp_path: Path) -> None:
    add(host.parent, "silent")
    with pytest.raises(LabError) as refusal:
        abilities(str(host), ["crun", "silent", "youki"], str(tmp_path))
    assert str(refusal.value) == (
        "no OCI runtime can start a container on this lab host (crun: Error: OCI runtime error: crun: cgroups in hybrid "
        "mode not supported, drop all controllers; silent: exit status 125; youki: not installed)"
    )


@pytest.mark.parametrize(
    ("hard", "limits"),
    [
        ({}, LIMITS),
        ({resource.RLIMIT_NOFILE: 1024}, {"nofile": 1024, "nproc": 16384}),
        ({resource.RLIMIT_NOFILE: 1048576, resource.RLIMIT_NPROC: 500}, {"nofile": 4096, "nproc": 500}),
    ],
)
def test_limits_are_at_most_the_hard_ones(
    host: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hard: dict[int, int], limits: dict[str, int]
) -> None:
    monkeypatch.setattr(
        "migration_lab.lab_host.abilities.resource.getrlimit", lambda number: (1, hard.get(number, resource.RLIM_INFINITY))
    )
    assert abilities(str(host), ["runc"], str(tmp_path))["ulimits"] == limits
    trial = host.with_name("podman.called").read_text()
    for name, limit in limits.items():
        assert f"--ulimit={name}={limit}:{limit}" in trial


def test_host_is_described(host: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Path] = []

    def disk_usage(path: Path) -> SimpleNamespace:
        asked.append(path)
        return SimpleNamespace(free=12.34 * 1024**3)

    monkeypatch.setattr("migration_lab.lab_host.abilities.shutil.disk_usage", disk_usage)
    monkeypatch.setattr("migration_lab.lab_host.abilities.CGROUP_ROOT", tmp_path)
    (tmp_path / "unified").mkdir()
    found = abilities(str(host), ["runc"], str(tmp_path / "not" / "yet" / "there"))
    assert (found["init"], found["free_gib"], found["cgroups"]) == (str(host), 12.3, "hybrid")
    assert asked == [tmp_path], "the file system is that of the nearest folder that is there"
    assert found["cores"] == len(os.sched_getaffinity(0))
    assert found["kvm"] == Path("/dev/kvm").exists()
    assert found["loop"] == Path("/dev/loop-control").exists()


@pytest.mark.parametrize(
    ("mapping", "served"),
    [
        ("7ffe00000000-7ffe00021000 rw-p 00000000 00:00 0 [stack]\n", False),
        ("ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0 [vsyscall]\n", True),
        ("ffffffffff600000-ffffffffff601000 r-xp 00000000 00:00 0 [vsyscall]\n", True),
    ],
)
def test_kernel_that_serves_vsyscalls_maps_their_page(
    host: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mapping: str, served: bool
) -> None:
    maps = tmp_path / "maps"
    maps.write_text(mapping)
    monkeypatch.setattr("migration_lab.lab_host.abilities.MEMORY_MAP", maps)
    assert abilities(str(host), ["runc"], str(tmp_path))["vsyscall"] is served


@pytest.mark.parametrize(("outcome", "runs"), [(0, True), (-11, False), (OSError(8, "Exec format error"), False)])
def test_kernel_that_runs_32_bit_programs_runs_a_small_one(
    monkeypatch: pytest.MonkeyPatch, outcome: int | OSError, runs: bool
) -> None:
    programs: list[bytes] = []

    def run(command: list[Path], **_: object) -> SimpleNamespace:
        programs.append(command[0].read_bytes())
        if isinstance(outcome, OSError):
            raise outcome
        return SimpleNamespace(returncode=outcome)

    monkeypatch.setattr("migration_lab.lab_host.abilities.subprocess.run", run)
    assert runs_ia32() is runs
    assert programs[0].startswith(b"\x7fELF\x01\x01\x01")
    assert programs[0][16:20] == b"\x02\x00\x03\x00", "an executable for i386"


def test_host_without_podman_is_refused(programs: Path, tmp_path: Path) -> None:
    with pytest.raises(LabError, match="podman is not on this lab host; install the package podman"):
        abilities(str(add(programs, "catatonit")), ["runc"], str(tmp_path))


def test_host_without_an_init_is_refused(host: Path, tmp_path: Path) -> None:
    host.unlink()
    with pytest.raises(LabError, match="catatonit is not on this lab host; install the package catatonit"):
        abilities(str(host), ["runc"], str(tmp_path))
