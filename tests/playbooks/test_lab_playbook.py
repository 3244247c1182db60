# SPDX-License-Identifier: GPL-3.0-or-later
"""A playbook inside another one: what it gets, how its failure is reported, and when it ends. And modules that keep secrets."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "ansible", "playbook", "-i", "localhost,"]
SETTINGS = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}


def play(tasks: list[dict[str, Any]]) -> str:
    return yaml.safe_dump([{"name": "Play", "hosts": "localhost", "gather_facts": False, "tasks": tasks}])


@pytest.fixture
def start(tmp_path: Path) -> Callable[..., subprocess.Popen[str]]:
    """Starts a playbook that runs another one with such tasks, and keeps in ``kept`` what was returned."""

    def started(
        inner: list[dict[str, Any]], time_limit: float = 60, options: tuple[str, ...] = (), **further: Any
    ) -> subprocess.Popen[str]:
        (tmp_path / "inner.yml").write_text(play(inner))
        arguments = {"playbook": str(tmp_path / "inner.yml"), "time_limit": time_limit, **further}
        kept = {"content": "{{ ended | to_json }}", "dest": str(tmp_path / "kept"), "mode": "0600"}
        outer: list[dict[str, Any]] = [
            {"lab_playbook": arguments, "register": "ended"}, {"ansible.builtin.copy": kept, "check_mode": False},
        ]
        (tmp_path / "outer.yml").write_text(play(outer))
        settings = {**SETTINGS, "given": "by the outer", "nightly_secret": "s3cret", "over": "the outer's"}
        return subprocess.Popen(
            [*COMMAND, str(tmp_path / "outer.yml"), "-e", json.dumps(settings), *options], cwd=ROOT, text=True,
            env={**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )

    return started


Start = Callable[..., "subprocess.Popen[str]"]


def kept(tmp_path: Path) -> dict[str, Any]:
    data: dict[str, Any] = json.loads((tmp_path / "kept").read_text())
    return data


def test_a_playbook_gets_the_settings_of_the_other_and_its_output_is_shown(start: Start, tmp_path: Path) -> None:
    said = {"msg": "{{ given }}, {{ over }}, {{ nightly_secret | default('no secret') }}"}
    process = start([{"ansible.builtin.debug": said}], settings={"over": "its own"}, without="nightly_")
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0, output
    assert "by the outer, its own, no secret" in output
    ended = kept(tmp_path)
    assert (ended["status"], ended["reason"], ended["timed_out"]) == (0, "", False)


def test_nothing_is_started_in_check_mode(start: Start, tmp_path: Path) -> None:
    written = {"content": "here", "dest": str(tmp_path / "inner"), "mode": "0600"}
    process = start([{"ansible.builtin.copy": written}], options=("--check",))
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0, output
    assert kept(tmp_path)["skipped"] is True and not (tmp_path / "inner").exists()


def test_a_failure_is_reported_and_ends_only_the_playbook_that_has_it(start: Start, tmp_path: Path) -> None:
    rescued = {
        "block": [{"ansible.builtin.fail": {"msg": "the cause"}}],
        "rescue": [{"ansible.builtin.fail": {"msg": "the final reason,\nin two lines"}}],
    }
    process = start([rescued])
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0, output
    ended = kept(tmp_path)
    assert ended["status"] == 2
    assert ended["reason"].endswith("the final reason, in two lines")


def test_a_playbook_that_cannot_be_read_is_reported(start: Start, tmp_path: Path) -> None:
    process = start([{"no_such_module": {}}])
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0, output
    assert kept(tmp_path)["status"] != 0 and kept(tmp_path)["reason"].startswith("ansible-playbook ended with status")


def test_a_playbook_is_ended_at_its_time_limit(start: Start, tmp_path: Path) -> None:
    process = start([{"ansible.builtin.command": {"cmd": "sleep 300"}}], time_limit=3)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0, output
    ended = kept(tmp_path)
    assert ended["timed_out"] is True and ended["status"] != 0
    assert ended["reason"] == "inner.yml was stopped at its time limit of 3 seconds"


def test_a_playbook_ends_when_the_one_that_has_started_it_is_killed(start: Start, tmp_path: Path) -> None:
    written = {"content": "{{ lookup('ansible.builtin.pipe', 'echo $PPID') }}", "dest": str(tmp_path / "inner"), "mode": "0600"}
    process = start([{"ansible.builtin.copy": written}, {"ansible.builtin.command": {"cmd": "sleep 300"}}])
    wait_for(lambda: (tmp_path / "inner").exists() and (tmp_path / "inner").read_text() != "")
    name = str(tmp_path / "inner.yml").encode()
    running = [int(entry.parent.name) for entry in Path("/proc").glob("[0-9]*/cmdline") if name in read(entry)]
    assert running
    process.send_signal(signal.SIGKILL)
    process.wait()
    wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in running))
    assert process.stdout is not None
    process.stdout.close()


def read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_webhook_that_is_not_there_is_reported_without_its_address_however_verbose(tmp_path: Path) -> None:
    secret = tmp_path / "webhook"
    secret.write_text("http://127.0.0.1:9/hooks/s3cret-token")
    secret.chmod(0o600)
    given = {"text": "a line", "webhook_file": str(secret), "attempts": 2, "wait": 0}
    playbook = tmp_path / "notify.yml"
    playbook.write_text(play([
        {"run_notification": given, "register": "first"},
        {"run_notification": {**given, "webhook_file": "", "webhook": secret.read_text()}, "register": "second"},
        {"ansible.builtin.debug": {"msg": "{{ first.undelivered + second.undelivered }}"}},
    ]))
    done = subprocess.run(
        [*COMMAND, "-vvv", str(playbook), "-e", json.dumps(SETTINGS)], cwd=ROOT, capture_output=True, text=True, check=False,
        env={**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")},
    )
    assert done.returncode == 0, done.stdout
    assert done.stdout.count("the webhook on 127.0.0.1 did not take it in 2 attempts: Connection refused") >= 2
    assert "s3cret-token" not in done.stdout + done.stderr
