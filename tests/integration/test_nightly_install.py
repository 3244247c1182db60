# SPDX-License-Identifier: GPL-3.0-or-later
"""The nightly job is installed, found right by those who will run it, and removed again."""

from __future__ import annotations

import fcntl
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab import PLAYBOOK, ROOT, Lab
from refusals import Attempt, include_role, refusals

SYSTEMD = Path("/run/systemd/system")
ANALYZE = shutil.which("systemd-analyze")
WRONG_FIELDS = ["2 * * *", "60 2 * * *", "0 24 * * *", "0 2 0 * *", "0 2 * 13 *", "0 2 * * 8", "0 2 * * * root", "@daily", ""]
RIGHT_FIELDS = ["0 2 * * *", "*/15 0-6,22 1,15 jan-mar SUN", "0\t2\t* * 0-7", "59 23 31 12 1-5/2"]


def folders(parent: Path) -> dict[str, Any]:
    """Settings with folders of the tests' own, and something that stands for cron's daemon."""
    folders = {name: parent / name for name in ("systemd", "cron", "script", "log")}
    for folder in folders.values():
        folder.mkdir()
    (parent / "crond").touch()
    return {
        **{f"nightly_{name}_folder": str(folder) for name, folder in folders.items()},
        "nightly_cron_daemons": [str(parent / "crond")], "nightly_name": "lab-night-of-the-tests",
    }


@pytest.fixture
def places(tmp_path: Path) -> dict[str, Any]:
    return folders(tmp_path)


def files(places: dict[str, Any]) -> list[str]:
    return sorted(path.name for name, place in places.items() if name.endswith("_folder") for path in Path(place).iterdir())


def test_a_job_of_cron_is_installed_once_runs_the_night_and_is_removed(lab: Lab, places: dict[str, Any]) -> None:
    places["nightly_options"] = ["-e", "nightly_min_free=1 %d 'quoted'", "--syntax-check"]
    first = lab.play("nightly_install", nightly_method="cron", nightly_when="30 23 * * 1-5", **places)
    assert first.status == 0, first.output
    assert "the lab runs by cron (as nightly_method says): 30 23 * * 1-5" in first.message()
    again = lab.play("nightly_install", nightly_method="cron", nightly_when="30 23 * * 1-5", **places)
    assert again.status == 0 and again.changed() == 0, again.output

    job = Path(places["nightly_cron_folder"], places["nightly_name"])
    script = Path(places["nightly_script_folder"], places["nightly_name"])
    assert job.read_text().splitlines()[-1] == f"30 23 * * 1-5 root {script}"
    assert job.stat().st_mode & 0o777 == 0o644, "cron passes over what others can write"
    # What cron would run; the options make ansible-playbook read the playbook and leave it at that.
    for _ in range(2):
        done = subprocess.run([str(script)], env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}, capture_output=True, check=False)
        log = Path(places["nightly_log_folder"], f"{places['nightly_name']}.log")
        assert done.returncode == 0, log.read_text()
        assert "playbook: " in log.read_text() and done.stdout == done.stderr == b""
    assert log.with_suffix(".log.1").exists()
    with Path(f"{log}.lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        busy = subprocess.run([str(script)], capture_output=True, check=False)
    assert busy.returncode == 75 and busy.stderr == b"another night is active\n"

    removed = lab.play("nightly_install", nightly_state="absent", nightly_method="cron", **places)
    assert removed.status == 0, removed.output
    assert not job.exists() and not script.exists()
    assert lab.play("nightly_install", nightly_state="absent", nightly_method="cron", **places).changed() == 0


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """By wrong setting what the role says to it; nothing is installed."""
    folder = tmp_path_factory.mktemp("refusals")
    places = folders(folder)
    install, when = include_role("nightly"), include_role("nightly", "when", __nightly_chosen="systemd")
    known = "(item is regex('^' ~ __nightly_fields ~ '$', ignorecase=true)) == (item in right)"
    fields = {"ansible.builtin.assert": {"that": known}, "loop": RIGHT_FIELDS + WRONG_FIELDS}
    variables = yaml.safe_load((ROOT / "roles" / "nightly" / "vars" / "main.yml").read_text())
    attempts = {
        "cron's time": Attempt([install], {"nightly_method": "cron", "nightly_when": "*-*-* 02:00"}),
        "no cron": Attempt([install], {"nightly_method": "cron", "nightly_cron_daemons": ["/no/cron"]}),
        "fields": Attempt([fields], {**variables, "right": RIGHT_FIELDS}),
    }
    if not SYSTEMD.exists():
        attempts["no systemd"] = Attempt([install], {"nightly_method": "systemd"})
    if ANALYZE:
        attempts["systemd's time"] = Attempt([when], {"nightly_when": "at midnight"})
        attempts["right time"] = Attempt([when], {"nightly_when": "Mon..Fri 23:30"})
    refused = refusals(folder, {name: Attempt(one.tasks, {**places, **one.settings}) for name, one in attempts.items()})
    assert files(places) == []
    return refused


def test_a_time_that_cron_would_pass_over_is_refused(said: dict[str, str]) -> None:
    assert "nightly_when is '*-*-* 02:00', which are not five fields of cron" in said["cron's time"]


def test_the_fields_of_cron_are_known(said: dict[str, str]) -> None:
    assert "fields" not in said, said["fields"]


def test_a_machine_with_nothing_to_run_it_is_refused(said: dict[str, str]) -> None:
    assert "there is no cron. Install the package cron." in said["no cron"]


@pytest.mark.skipif(SYSTEMD.exists(), reason="systemd runs here")
def test_systemd_where_it_does_not_run_is_refused_and_cron_is_taken_by_itself(
    lab: Lab, said: dict[str, str], places: dict[str, Any]
) -> None:
    assert "nightly_method is systemd, and systemd does not run on this machine" in said["no systemd"]
    chosen = lab.play("nightly_install", **places)
    assert chosen.status == 0, chosen.output
    assert "the lab runs by cron (systemd does not run here): 0 2 * * *" in chosen.message()


@pytest.mark.skipif(not ANALYZE, reason="systemd-analyze is not installed")
def test_a_time_that_systemd_does_not_take_is_refused(said: dict[str, str]) -> None:
    assert "nightly_when is 'at midnight', which systemd does not take for a time" in said["systemd's time"]
    assert "right time" not in said, said["right time"]


@pytest.mark.skipif(not ANALYZE, reason="systemd-analyze is not installed")
def test_the_units_are_what_systemd_takes(places: dict[str, Any], tmp_path: Path) -> None:
    """One file of the role is played, as on a machine on which systemd runs."""
    options = ["-e", "nightly_webhook_file=/etc/50% \"quoted\" $HOME \\"]
    job = {"nightly_when": "Mon..Fri 23:30", "nightly_options": options, "nightly_lab": str(ROOT), "__nightly_chosen": "systemd"}
    task = {"ansible.builtin.include_role": {"name": "nightly", "tasks_from": "systemd_units"}}
    playbook = tmp_path / "part.yml"
    playbook.write_text(yaml.safe_dump([{"hosts": "localhost", "gather_facts": False, "tasks": [task]}]))
    command = [str(PLAYBOOK), str(playbook), "-e", json.dumps({**places, **job})]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    folder = Path(places["nightly_systemd_folder"])
    units = [str(folder / f"{places['nightly_name']}.{kind}") for kind in ("service", "timer")]
    verified = subprocess.run(["systemd-analyze", "verify", "--man=no", *units], capture_output=True, text=True, check=False)
    said = [line for line in verified.stderr.splitlines() if places["nightly_name"] in line]
    assert verified.returncode == 0 and not said, verified.stderr
    service, timer = (Path(unit).read_text() for unit in units)
    assert "OnCalendar=Mon..Fri 23:30" in timer and "Persistent=true" in timer
    assert r'"nightly_webhook_file=/etc/50%% \"quoted\" $$HOME \\"' in service
    assert "TimeoutStartSec=18000" in service
