# SPDX-License-Identifier: GPL-3.0-or-later
"""The command that runs a case again works as printed: it has all that the run was given, and no secrets."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from migration_lab.planning.given import kept
from migration_lab.results.wording import again_text
from synthetic_run import PAIR, ROOT

RUN: dict[str, Any] = {"pair": PAIR, "profile": "tck", "guest": "x86_64"}
CASE = "p2p/transient-paused-dst/persist-dest"


def test_only_settings_of_the_run_are_kept() -> None:
    settings = {
        "v3_protocol_old": "natty", "own_pairs": {"mine": {}}, "workers": "2", "nightly_webhook": "https://x/secret",
        "password": "x", "pair": "debian", "debian_mirror": "https://me:secret@mirror/debian",
        "own_releases": {"mine": {"mirror": "http://token@mirror/"}},
    }
    assert kept(["/srv/lab.yml"], ["/srv/mine.yml"], settings, ["v3_protocol_old", "debian_mirror"]) == {
        "inventories": ["/srv/lab.yml"], "vars_files": ["/srv/mine.yml"],
        "settings": {"v3_protocol_old": "natty", "own_pairs": {"mine": {}}, "workers": "2"},
    }


def test_command_of_a_run_before_settings_were_kept() -> None:
    assert again_text(RUN, "noo", CASE) == (
        f"ansible-playbook playbooks/run.yml -e pair=debian -e profile=tck -e guest=x86_64 -e combination=noo -e 'cases={CASE}'"
    )


def test_command_of_a_case_of_the_users_own_guests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/me")
    given = kept([], [], {"guest_xml": "app.xml, ~/db.xml,/srv/web.xml", "methods": "p2p"}, [])
    run = {**RUN, "profile": "guest-check", "guest": "app,db,web", "run": "one", "given": given}
    command = (
        f"ansible-playbook playbooks/guest_check.yml -e guest_xml={tmp_path}/app.xml,/home/me/db.xml,/srv/web.xml -e methods=p2p "
        "-e pair=debian -e combinations=noo -e 'cases="
    )
    assert again_text(run, "noo", f"app/{CASE}") == f"{command}app/{CASE}'"
    assert again_text({**run, "guest": "app"}, "noo", CASE) == f"{command}{CASE}'"
    # The search has guests that no file has; the check makes them again.
    search = {**run, "run": "search", "guest": "app-without-3,app-bare"}
    assert again_text(search, "noo", f"app-bare/{CASE}") == f"{command}{CASE}'"


def test_command_of_a_device_in_a_survey() -> None:
    for guest, case in (("net-igb-q35,net-e1000-q35", f"net-igb-q35/{CASE}"), ("net-igb-q35", CASE)):
        assert again_text({**RUN, "profile": "survey", "guest": guest}, "noo", case) == (
            "ansible-playbook playbooks/survey.yml -e pair=debian -e combination=noo -e devices=net-igb-q35"
        )


def test_command_is_read_by_ansible_as_the_run_was_given(tmp_path: Path) -> None:
    """Through a shell and ansible-playbook itself, into run.json's words again."""
    play = tmp_path / "play.yml"
    play.write_text(json.dumps([{"hosts": "localhost", "gather_facts": False, "tasks": [{"migration_plan": {}}]}]))
    library = tmp_path / "library"
    library.mkdir()
    (library / "migration_plan.py").write_text(
        "import json\n"
        "from ansible.module_utils.basic import AnsibleModule\n"
        "module = AnsibleModule({'given': {'type': 'dict'}})\n"
        f"open({str(tmp_path / 'seen')!r}, 'w').write(json.dumps(module.params['given']))\n"
        "module.exit_json()\n"
    )
    mine = tmp_path / "with space" / "mine.yml"
    mine.parent.mkdir()
    mine.write_text("accel: kvm\npassword: secret\n")
    settings = {"workers": "2", "tap": False, "own_pairs": {"it's": {"old": "a b"}}, "guest_machine": ""}
    given = {"inventories": ["localhost,"], "vars_files": [str(mine)], "settings": settings}
    command = shlex.split(again_text({**RUN, "given": given}, "noo", CASE))
    environment = {
        **os.environ, "ANSIBLE_LIBRARY": str(library), "ANSIBLE_ACTION_PLUGINS": str(ROOT / "plugins/action"),
        "ANSIBLE_CONFIG": str(tmp_path / "none.cfg"), "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
    }
    ran = subprocess.run(
        [sys.executable, "-m", "ansible", "playbook", "-c", "local", str(play), *command[2:]],
        env=environment, capture_output=True, text=True, cwd=tmp_path,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    seen = json.loads((tmp_path / "seen").read_text())
    # The vars file is below the folder for temporary files, as a night's settings are: its values are kept in its place.
    assert seen == {"inventories": ["localhost,"], "vars_files": [], "settings": {**settings, "accel": "kvm"}}


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("workers", "2", "-e workers=2 "), ("time_limit", 5, """-e '{"time_limit": 5}' """),
        ("guest_machine", "", """-e '{"guest_machine": ""}' """), ("results_root", "/a b", """-e '{"results_root": "/a b"}' """),
    ],
)
def test_values_that_a_shell_or_ansible_would_change_are_json(name: str, value: Any, text: str) -> None:
    assert text in again_text({**RUN, "given": {"settings": {name: value}}}, "noo", CASE)


def test_command_of_a_case_with_a_fault() -> None:
    case = "p2p/transient-running/none/finish-reply/connection-closed"
    run = {**RUN, "profile": "recovery", "guest": "s390x", "profile_data": {"selection": "pairwise", "repeat": 1}}
    command = "ansible-playbook playbooks/recovery.yml -e pair=debian -e guest=s390x -e combinations=noo -e selection=pairwise"
    assert again_text(run, "noo", case) == f"{command} -e 'cases={case}'"
    run["profile_data"] = {"selection": "pairwise", "repeat": 20}
    assert again_text(run, "noo", f"{case}/7") == f"{command} -e repeat=20 -e 'cases={case}/7'"
