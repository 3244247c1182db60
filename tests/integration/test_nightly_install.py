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

from lab import PLAYBOOK, ROOT, Lab, Played

SYSTEMD = Path("/run/systemd/system")


@pytest.fixture
def places(tmp_path: Path) -> dict[str, Any]:
    """Folders of the test's own, and something that stands for cron's daemon."""
    folders = {name: tmp_path / name for name in ("systemd", "cron", "script", "log")}
    for folder in folders.values():
        folder.mkdir()
    (tmp_path / "crond").touch()
    return {
        **{f"nightly_{name}_folder": str(folder) for name, folder in folders.items()},
        "nightly_cron_daemons": [str(tmp_path / "crond")], "nightly_name": "lab-night-of-the-tests",
    }


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


def test_a_time_that_cron_would_pass_over_is_refused(lab: Lab, places: dict[str, Any]) -> None:
    played = lab.play("nightly_install", nightly_method="cron", nightly_when="*-*-* 02:00", **places)
    assert played.status != 0
    assert "nightly_when is '*-*-* 02:00', which are not five fields of cron" in played.message(), played.output
    assert files(places) == []


def test_the_fields_of_cron_are_known(tmp_path: Path) -> None:
    wrong = ["2 * * *", "60 2 * * *", "0 24 * * *", "0 2 0 * *", "0 2 * 13 *", "0 2 * * 8", "0 2 * * * root", "@daily", ""]
    right = ["0 2 * * *", "*/15 0-6,22 1,15 jan-mar SUN", "0\t2\t* * 0-7", "59 23 31 12 1-5/2"]
    test = {"that": "(item is regex('^' ~ __nightly_fields ~ '$', ignorecase=true)) == (item in right)"}
    play = {
        "hosts": "localhost", "gather_facts": False, "vars": {"right": right},
        "vars_files": [str(ROOT / "roles" / "nightly" / "vars" / "main.yml")],
        "tasks": [{"ansible.builtin.assert": test, "loop": wrong + right}],
    }
    played = play_text(tmp_path, play, {})
    assert played.status == 0, played.output


def test_a_machine_with_nothing_to_run_it_is_refused(lab: Lab, places: dict[str, Any]) -> None:
    played = lab.play("nightly_install", nightly_method="cron", **{**places, "nightly_cron_daemons": ["/no/cron"]})
    assert played.status != 0
    assert "there is no cron. Install the package cron." in played.message()
    assert files(places) == []


@pytest.mark.skipif(SYSTEMD.exists(), reason="systemd runs here")
def test_systemd_where_it_does_not_run_is_refused_and_cron_is_taken_by_itself(lab: Lab, places: dict[str, Any]) -> None:
    played = lab.play("nightly_install", nightly_method="systemd", **places)
    assert played.status != 0
    assert "nightly_method is systemd, and systemd does not run on this machine" in played.message()
    assert files(places) == []
    chosen = lab.play("nightly_install", **places)
    assert chosen.status == 0, chosen.output
    assert "the lab runs by cron (systemd does not run here): 0 2 * * *" in chosen.message()


def play_part(tmp_path: Path, part: str, settings: dict[str, Any]) -> Played:
    """Play one file of the role, as on a machine on which systemd runs."""
    task = {"ansible.builtin.include_role": {"name": "nightly", "tasks_from": part}}
    play = {"hosts": "localhost", "gather_facts": False, "tasks": [task]}
    return play_text(tmp_path, play, {"__nightly_chosen": "systemd", "nightly_lab": str(ROOT), **settings})


def play_text(tmp_path: Path, play: dict[str, Any], settings: dict[str, Any]) -> Played:
    """Play what is in no playbook of the repository."""
    playbook = tmp_path / "part.yml"
    playbook.write_text(yaml.safe_dump([play]))
    command = [str(PLAYBOOK), str(playbook), "-e", json.dumps(settings)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return Played(done.returncode, done.stdout + done.stderr)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_the_units_are_what_systemd_takes(places: dict[str, Any], tmp_path: Path) -> None:
    options = ["-e", "nightly_webhook_file=/etc/50% \"quoted\" $HOME \\"]
    played = play_part(tmp_path, "systemd_units", {**places, "nightly_when": "Mon..Fri 23:30", "nightly_options": options})
    assert played.status == 0, played.output
    folder = Path(places["nightly_systemd_folder"])
    units = [str(folder / f"{places['nightly_name']}.{kind}") for kind in ("service", "timer")]
    verified = subprocess.run(["systemd-analyze", "verify", "--man=no", *units], capture_output=True, text=True, check=False)
    said = [line for line in verified.stderr.splitlines() if places["nightly_name"] in line]
    assert verified.returncode == 0 and not said, verified.stderr
    service, timer = (Path(unit).read_text() for unit in units)
    assert "OnCalendar=Mon..Fri 23:30" in timer and "Persistent=true" in timer
    assert r'"nightly_webhook_file=/etc/50%% \"quoted\" $$HOME \\"' in service
    assert "TimeoutStartSec=18000" in service


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_a_time_that_systemd_does_not_take_is_refused(places: dict[str, Any], tmp_path: Path) -> None:
    wrong = play_part(tmp_path, "when", {**places, "nightly_when": "at midnight"})
    assert wrong.status != 0
    assert "nightly_when is 'at midnight', which systemd does not take for a time" in wrong.message(), wrong.output
    right = play_part(tmp_path, "when", {**places, "nightly_when": "Mon..Fri 23:30"})
    assert right.status == 0, right.output
