# SPDX-License-Identifier: GPL-3.0-or-later
"""The agent's answers, from agents started as agent_process.py starts them, on a libvirt that is not one."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fake_libvirt import CAPABILITIES, DOMAIN_CAPABILITIES, lay
from interpreters import interpreters
from migration_lab.cell import agent
from migration_lab.cell.agent_process import BOOTSTRAP, sent


class Talk:
    """An agent that was given all its requests at once: its answers, what it said on standard error, how it ended."""

    def __init__(self, python: str, libvirt: Path, *requests: dict[str, Any]) -> None:
        given = "".join(json.dumps({"limit": 10, **request}) + "\n" for request in requests)
        done = subprocess.run(
            [python, "-c", BOOTSTRAP], input=sent(agent) + given.encode("ascii"), capture_output=True, check=False,
            env={"PYTHONPATH": str(libvirt)}, timeout=20,
        )
        self.status = done.returncode
        self.error = done.stderr.decode()
        self.answers = [json.loads(line) for line in done.stdout.decode("ascii").splitlines()]

    @property
    def results(self) -> list[Any]:
        """Results of the calls, all of which went well; the answers have nothing else in them but the time."""
        for answer in self.answers:
            assert set(answer) == {"ok", "result", "seconds"} and answer["ok"] is True, answer
            assert 0 <= answer["seconds"] < 10
        return [answer["result"] for answer in self.answers]


@pytest.fixture(params=interpreters(), ids=lambda path: Path(path).name)
def python(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def libvirt(tmp_path: Path) -> Path:
    lay(tmp_path)
    return tmp_path


def opening(connection: str, uri: str) -> dict[str, Any]:
    return {"call": "open", "connection": connection, "uri": uri}


OPEN_BOTH = (opening("source", "fake://a-source/"), opening("target", "fake://a-target/"))


def on(connection: str, call: str, name: str, **fields: Any) -> dict[str, Any]:
    return {"call": call, "connection": connection, "name": name, **fields}


def xml(name: str) -> str:
    return f"<domain><name>{name}</name></domain>"


def sight(persistent: bool, state: str) -> dict[str, Any]:
    return {"exists": True, "active": state != "shutoff", "persistent": persistent, "state": state}


ABSENT = {"exists": False}
REFUSED = {"code": 38, "domain": 7, "message": "unable to connect to server: Connection refused"}


def test_hello_tells_the_versions_of_library_and_python(python: str, libvirt: Path) -> None:
    asked = [python, "-c", "import sys; print('%d.%d.%d' % sys.version_info[:3])"]
    version = subprocess.run(asked, capture_output=True, check=True).stdout.decode().strip()
    (hello,) = Talk(python, libvirt, {"call": "hello"}).results
    assert hello.pop("pid") > 1
    assert hello == {"libvirt": 9002, "python": version}


def test_agent_ends_with_its_input(python: str, libvirt: Path) -> None:
    talk = Talk(python, libvirt)
    assert (talk.status, talk.answers, talk.error) == (0, [], "")


def test_daemon_tells_of_itself(python: str, libvirt: Path) -> None:
    talk = Talk(
        python, libvirt, *OPEN_BOTH,
        {"call": "hypervisor", "connection": "source"},
        {"call": "capabilities", "connection": "target"},
        {"call": "alive", "connection": "target"},
    )
    source, target, hypervisor, capabilities, alive = talk.results
    assert alive == {"libvirt": 11003000}
    assert source == {"libvirt": 11003000, "hostname": "a-source"} and target["hostname"] == "a-target"
    assert hypervisor == {"hypervisor": 7002022}
    assert capabilities["xml"].rstrip() == CAPABILITIES


def test_daemon_tells_of_devices_where_it_can(python: str, libvirt: Path) -> None:
    call = {"call": "domain_capabilities", "arch": "x86_64", "type": "qemu"}
    talk = Talk(
        python, libvirt, *OPEN_BOTH, opening("elderly", "fake://elderly"),
        {**call, "connection": "source", "machine": "pc-i440fx-7.2"},
        {**call, "connection": "elderly", "machine": "pc-i440fx-7.2"},
        {**call, "connection": "target", "machine": "isapc"},
    )
    told, untold, refused = talk.answers[3:]
    assert told["result"]["xml"] == DOMAIN_CAPABILITIES % ("x86_64", "pc-i440fx-7.2", "qemu")
    assert untold["result"] == {"xml": None}, "this daemon does not know the call"
    assert not refused["ok"] and "the machine 'isapc' is not supported" in refused["error"]["message"]


def test_a_binding_without_domain_capabilities_is_no_error(python: str, libvirt: Path) -> None:
    binding = libvirt / "libvirt.py"
    binding.write_text(binding.read_text().replace("def getDomainCapabilities", "def another"))
    request = {"call": "domain_capabilities", "connection": "source", "arch": "x86_64", "machine": "pc-0.14", "type": "qemu"}
    assert Talk(python, libvirt, *OPEN_BOTH, request).results[-1] == {"xml": None}


def test_life_of_a_persistent_domain(python: str, libvirt: Path) -> None:
    name = "mlab-1"
    talk = Talk(
        python, libvirt, *OPEN_BOTH,
        on("source", "look", name),
        {"call": "define", "connection": "source", "xml": xml(name)},
        on("source", "look", name),
        on("source", "start", name, paused=True),
        on("source", "look", name),
        {"call": "migrate", "source": "source", "name": name, "target": "target", "bits": 16},
        on("source", "look", name),
        on("target", "look", name),
        on("target", "destroy", name),
        on("target", "look", name),
    )
    assert talk.results[2:] == [
        ABSENT, None, sight(True, "shutoff"), None, sight(True, "paused"), None, ABSENT, sight(False, "paused"), None, ABSENT,
    ]
    assert (talk.status, talk.error) == (0, "")


def test_life_of_a_transient_domain(python: str, libvirt: Path) -> None:
    name = "mlab-2"
    talk = Talk(
        python, libvirt, *OPEN_BOTH,
        {"call": "create", "connection": "source", "xml": xml(name), "paused": False},
        on("source", "look", name),
        {"call": "migrate_to_uri", "source": "source", "name": name, "uri": "fake://a-target/", "bits": 2 + 8 + 32},
        on("target", "look", name),
        on("target", "destroy", name),
        on("target", "look", name),
        on("target", "undefine", name),
        on("target", "look", name),
    )
    assert talk.results[2:] == [
        None, sight(False, "running"), None, sight(True, "paused"), None, sight(True, "shutoff"), None, ABSENT,
    ]


def test_domain_starts_in_the_state_that_was_asked_for(python: str, libvirt: Path) -> None:
    requests = [
        request for side, paused in (("source", True), ("target", False)) for request in (
            {"call": "define", "connection": side, "xml": xml("mlab-1")},
            on(side, "start", "mlab-1", paused=paused),
            on(side, "look", "mlab-1"),
            {"call": "create", "connection": side, "xml": xml("mlab-2"), "paused": paused},
            on(side, "look", "mlab-2"),
        )
    ]
    assert Talk(python, libvirt, *OPEN_BOTH, *requests).results[2:] == [
        answer for state in ("paused", "running") for answer in (None, None, sight(True, state), None, sight(False, state))
    ]


def test_domains_are_all_active_and_inactive_ones(python: str, libvirt: Path) -> None:
    """One that goes between the list and the look-up, as the fake's number 4711 does, is not an error."""
    talk = Talk(
        python, libvirt, *OPEN_BOTH,
        {"call": "create", "connection": "source", "xml": xml("mlab-b"), "paused": False},
        {"call": "define", "connection": "source", "xml": xml("mlab-a")},
        {"call": "create", "connection": "source", "xml": xml("other"), "paused": True},
        {"call": "domains", "connection": "source"},
        {"call": "domains", "connection": "target"},
    )
    assert talk.results[-2:] == [{"names": ["mlab-a", "mlab-b", "other"]}, {"names": []}]


def test_running_domain_is_paused(python: str, libvirt: Path) -> None:
    name = "mlab-1"
    talk = Talk(
        python, libvirt, *OPEN_BOTH,
        {"call": "create", "connection": "source", "xml": xml(name), "paused": False},
        on("source", "suspend", name),
        on("source", "look", name),
        on("source", "suspend", name),
    )
    assert [answer["result"] for answer in talk.answers[3:5]] == [None, sight(False, "paused")]
    assert talk.answers[5]["error"] == {
        "code": 55, "domain": 10, "message": "Requested operation is not valid: domain is not running",
    }


def test_others_act_on_a_domain(python: str, libvirt: Path) -> None:
    names = ("mlab-busy", "mlab-idle", "mlab-incoming")
    talk = Talk(
        python, libvirt, *OPEN_BOTH,
        *({"call": "create", "connection": "source", "xml": xml(name), "paused": True} for name in names),
        *(on("source", "job", name) for name in (*names, "mlab-absent")),
        on("source", "resume", "mlab-idle"), on("source", "look", "mlab-idle"), on("source", "resume", "mlab-idle"),
        on("source", "abort_job", "mlab-busy"), on("source", "abort_job", "mlab-idle"),
    )
    answers = talk.answers[5:]
    assert [answer["result"]["job"] for answer in answers[:4]] == ["unbounded", None, "incoming", None]
    assert [answer["ok"] for answer in answers[4:]] == [True, True, False, True, False]
    assert answers[5]["result"] == sight(False, "running")
    assert answers[8]["error"]["code"] == 55


def test_keepalive_is_in_force_where_daemon_and_binding_know_it(python: str, libvirt: Path) -> None:
    keepalive = {"keepalive": [1, 5]}
    requests = (
        {**opening("source", "fake://a-source/"), **keepalive}, {**opening("target", "fake://elderly"), **keepalive},
        opening("plain", "fake://a-source/"),
    )
    assert [result.get("keepalive") for result in Talk(python, libvirt, *requests).results] == [True, False, None]
    binding = libvirt / "libvirt.py"
    binding.write_text(binding.read_text().replace("def virEventRegisterDefaultImpl", "def another"))
    assert [result.get("keepalive") for result in Talk(python, libvirt, *requests).results] == [False, False, None]


def test_config_is_the_persistent_one(python: str, libvirt: Path) -> None:
    name = "mlab-1"
    own = f"<domain><name>{name}</name><description>the target's own</description></domain>"
    talk = Talk(
        python, libvirt, *OPEN_BOTH,
        {"call": "define", "connection": "target", "xml": own},
        {"call": "create", "connection": "source", "xml": xml(name), "paused": False},
        {"call": "migrate", "source": "source", "name": name, "target": "target", "bits": 0},
        on("target", "config", name),
        on("target", "destroy", name),
        {"call": "create", "connection": "source", "xml": xml(name), "paused": False},
        {"call": "migrate", "source": "source", "name": name, "target": "target", "bits": 8},
        on("target", "config", name),
    )
    assert talk.results[5] == {"xml": own}, "not the active one, which is the guest's"
    assert talk.results[9] == {"xml": xml(name)}, "with VIR_MIGRATE_PERSIST_DEST it is the guest's"


def test_uuid_is_the_one_that_a_domain_has(python: str, libvirt: Path) -> None:
    domain = "<domain><name>mlab-1</name><uuid>44ba1d92-0c0a-5a2d-8d4f-3f8d4a5d1c11</uuid></domain>"
    creating = {"call": "create", "connection": "target", "xml": domain, "paused": True}
    talk = Talk(python, libvirt, *OPEN_BOTH, creating, on("target", "uuid", "mlab-1"))
    assert talk.results[3] == {"uuid": "44ba1d92-0c0a-5a2d-8d4f-3f8d4a5d1c11"}


def test_domain_that_goes_while_it_is_looked_at_is_absent(python: str, libvirt: Path) -> None:
    name = "mlab-vanished"
    defining = {"call": "define", "connection": "source", "xml": xml(name)}
    talk = Talk(python, libvirt, *OPEN_BOTH, defining, on("source", "look", name))
    assert talk.results[-1] == ABSENT


# Requests that come to an error, with what is answered.
ERRORS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    (opening("x", "fake://h/refused"), REFUSED),
    (
        {"call": "define", "connection": "source", "xml": xml("bad")},
        {"code": 27, "domain": 20, "message": "XML error: unknown OS type"},
    ),
    (
        on("source", "destroy", "nothing"),
        {"code": 42, "domain": 10, "message": "Domain not found: no domain with matching name 'nothing'"},
    ),
    (on("source", "look", "mlab-refused"), REFUSED),
    (opening("x", "fake://h/mute"), {"code": None, "domain": None, "message": "virConnectOpen() failed"}),
    (opening("x", "fake://h/broken"), {"code": None, "domain": None, "message": "ValueError: not libvirt's"}),
    (on("nowhere", "look", "x"), {"code": None, "domain": None, "message": "KeyError: 'nowhere'"}),
]


def test_errors_are_answered_with_their_numbers_and_the_agent_goes_on(python: str, libvirt: Path) -> None:
    requests = [request for failing, _ in ERRORS for request in (failing, {"call": "hello"})]
    talk = Talk(python, libvirt, *OPEN_BOTH, *requests)
    answers = talk.answers[2:]
    assert len(answers) == 2 * len(ERRORS)
    for (request, error), answer, hello in zip(ERRORS, answers[::2], answers[1::2]):
        assert set(answer) == {"ok", "error", "seconds"} and answer["ok"] is False, request
        answer["error"]["message"] = answer["error"]["message"].replace("u'nowhere'", "'nowhere'")  # as Python 2 writes it
        assert answer["error"] == error, request
        assert hello["ok"] is True, request
    assert talk.status == 0 and talk.error == "", "the library's own messages are kept off standard error"


def test_text_outside_ascii_comes_and_goes_as_ascii(python: str, libvirt: Path) -> None:
    name = "mlab-\u00fc\u2603"
    talk = Talk(
        python, libvirt, *OPEN_BOTH, {"call": "define", "connection": "source", "xml": xml(name)},
        {"call": "domains", "connection": "source"}, on("target", "destroy", name),
    )
    assert talk.answers[3]["result"] == {"names": [name]}
    assert name in talk.answers[4]["error"]["message"]


def test_machine_without_a_binding_says_so(python: str, tmp_path: Path) -> None:
    (tmp_path / "libvirt.py").write_text("raise ImportError('there is none')\n")
    talk = Talk(python, tmp_path, {"call": "hello"}, {"call": "hello"})
    (answer,) = talk.answers
    assert answer == {"ok": False, "error": {"message": f"this machine's {python} has no libvirt module"}, "seconds": 0}
    assert (talk.status, talk.error) == (0, "")


def test_hung_call_ends_the_agent_at_its_limit(libvirt: Path) -> None:
    talk = Talk(sys.executable, libvirt, {**opening("x", "fake://h/hang"), "limit": 1}, {"call": "hello"})
    assert (talk.status, talk.answers) == (-signal.SIGALRM, [])
