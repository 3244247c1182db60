# SPDX-License-Identifier: GPL-3.0-or-later
"""What a fault does, in which order, what it notes of it, and how it is healed: with saboteurs that do what a test says."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from fake_machines import FakeRelays, children, fake_guest, kill_daemon, make_cell
from migration_lab.cell.domains import Domains
from migration_lab.cell.machine import Machine
from migration_lab.cell.shared_agent import SharedAgent
from migration_lab.cell.storage import Storage
from migration_lab.model.case import FlagSet, Method, Scenario, State
from migration_lab.model.errors import LabError
from migration_lab.suites.procedure import Bench
from migration_lab.suites.recovery import third_party
from migration_lab.suites.recovery.case import RecoveryCase
from migration_lab.suites.recovery.fault import Fault
from migration_lab.suites.recovery.injection import Injection, Injector
from migration_lab.suites.recovery.point import points
from migration_lab.suites.recovery.third_party import ThirdParties, ThirdPartyCall

NAME = "mlab-noo-001"
PROCESS = {"pid": 7, "program": "/usr/bin/qemu-system-s390x.real", "peak_kib": 1000}
POINTS = {point.name: point for point in points(Method.NORMAL, "v3")}


class FakeSaboteur:
    """Answers as a test says; what it was asked is in ``asked``, of all roles in turn."""

    def __init__(self, role: str, asked: list[tuple[Any, ...]]) -> None:
        self.role, self.asked = role, asked
        self.answers: dict[str, Any] = {
            "kill_daemon": {"libvirtd": 100}, "freeze_daemon": {"libvirtd": 100}, "kill_qemu": [7], "kill_process": True,
            "freeze_process": True, "qemu": [PROCESS], "power_cut": 3, "occupy_ports": 64, "undo": ["undone"], "thaw": ["thawed"],
        }

    def call(self, call: str, **fields: Any) -> Any:
        self.asked.append((self.role, call, *fields.values()))
        answer = self.answers.get(call)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def start(self) -> None: ...

    def end(self) -> None: ...

    def close(self) -> None: ...


class CuttingRelays(FakeRelays):
    """Notes among what saboteurs were asked what was cut off and rejoined."""

    def __init__(self, asked: list[tuple[Any, ...]]) -> None:
        super().__init__()
        self.asked = asked

    def cut_off(self, role: str) -> None:
        self.asked.append(("relay", "cut_off", role))

    def rejoin(self, role: str) -> None:
        self.asked.append(("relay", "rejoin", role))


class World:
    """A cell with an injector, and what was asked."""

    def __init__(self, folder: Path) -> None:
        self.asked: list[tuple[Any, ...]] = []
        cell = make_cell(folder)
        bench = Bench(
            cell, Domains("mlab-", "r", "noo"), {"": fake_guest()}, 30, Storage(cell), relays=CuttingRelays(self.asked)
        )
        self.injector = Injector(bench)
        self.saboteurs = {role: FakeSaboteur(role, self.asked) for role in self.injector.saboteurs}
        self.injector.saboteurs = cast("dict[str, SharedAgent]", self.saboteurs)
        self.cell = cell

    def injection(self, *strikes: dict[str, Any], name: str = NAME, number: int = 1, **fault: Any) -> Injection:
        data = {"name": "x", "group": "g", "description": "d", "strikes": list(strikes), **fault}
        method = fault.pop("method", Method.NORMAL)
        data.pop("method", None)
        case = RecoveryCase(
            number, method, Scenario("s", False, State.RUNNING, False), FlagSet("none", ()),
            point=POINTS["finish-call"], fault=Fault.from_data(data),
        )
        return self.injector.injection(case, name, fake_guest(), 4711)

    def ask(self, call: str, **fields: Any) -> Any:
        return self.injector.third_parties.ask(call, **fields)

    def starts(self, side: str) -> int:
        """How often a daemon was started, but for the first time."""
        return Path(getattr(self.cell, side).logs, "libvirtd.log").read_text().count("started") - 1


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    before = children()
    world = World(tmp_path)
    yield world
    world.injector.close()
    assert children() <= before, "no agent is left"


def test_killed_daemon_is_started_at_once(world: World) -> None:
    injection = world.injection({"do": "kill-daemon", "on": "target"})
    (note,) = injection.strike()
    assert (note.do, note.on, note.done) == ("kill-daemon", "target", True)
    assert note.detail == "libvirtd, process 100, was killed, 101 started"
    assert injection.daemons == {"target": {"libvirtd": 101}} and world.starts("target") == 1
    assert injection.heal() == [] and world.starts("target") == 1
    assert injection.killed == frozenset()


def test_daemon_that_died_after_it_was_started_again_is_not_hidden(world: World) -> None:
    injection = world.injection({"do": "restart-daemon", "on": "source"})
    assert injection.strike()[0].detail == "libvirtd, process 100, ended, 101 started"
    kill_daemon(world.cell.source)
    assert injection.heal() == []
    assert injection.daemons == {"source": {"libvirtd": 101}} and world.starts("source") == 1


@pytest.mark.parametrize(
    ("verb", "on", "call", "answer", "why"),
    [
        ("kill-daemon", "source", "kill_daemon", {}, "the daemon does not run"),
        ("freeze-daemon", "source", "freeze_daemon", {}, "the daemon does not run"),
        ("kill-qemu", "target", "kill_qemu", [], f"no process of {NAME} is on the target"),
        ("kill-agent", "client", "kill_process", False, "the agent does not run"),
        ("freeze-agent", "client", "freeze_process", False, "the agent does not run"),
        ("power-cut", "client", "kill_process", False, "the agent does not run"),
        ("occupy-ports", "target", "occupy_ports", LabError("machine a-target: no"), "machine a-target: no"),
    ],
)
def test_strike_that_cannot_be_carried_out_says_why_and_the_next_one_comes(
    world: World, verb: str, on: str, call: str, answer: Any, why: str
) -> None:
    world.saboteurs[on].answers[call] = answer
    injection = world.injection({"do": verb, "on": on}, {"do": "kill-qemu", "on": "source"})
    first, second = injection.strike()
    assert (first.done, first.detail, second.done) == (False, why, True)
    assert injection.killed == {"source"}


def test_restart_of_a_daemon_that_is_dead_cannot_be_carried_out(world: World) -> None:
    kill_daemon(world.cell.source)
    assert not world.injection({"do": "restart-daemon", "on": "source"}).strike()[0].done


def test_frozen_daemon_goes_on_when_its_time_is_over(world: World) -> None:
    injection = world.injection({"do": "freeze-daemon", "on": "source", "seconds": 0.05})
    assert injection.strike()[0].detail == "libvirtd, process 100, stands still"
    assert world.asked == [("source", "freeze_daemon")]
    deadline = time.monotonic() + 5
    while ("source", "thaw", 100) not in world.asked and time.monotonic() < deadline:
        time.sleep(0.01)
    assert world.asked[-1] == ("source", "thaw", 100)


def test_frozen_daemon_goes_on_at_the_latest_when_the_world_is_healed(world: World) -> None:
    injection = world.injection({"do": "freeze-daemon", "on": "source", "seconds": 60})
    injection.strike()
    assert injection.heal() == ["undone on the source"]
    assert world.asked[-1] == ("source", "undo")
    assert injection.heal() == []


def test_frozen_agent_alone_is_thawed(world: World) -> None:
    injection = world.injection({"do": "freeze-agent", "on": "client"})
    injection.strike()
    assert injection.heal() == ["thawed on the client"]
    assert world.asked == [("client", "freeze_process", 4711), ("client", "thaw", 4711)]


def test_power_cut_takes_the_network_first_and_gives_it_back_last(world: World) -> None:
    injection = world.injection({"do": "power-cut", "on": "source"})
    injection.strike()
    kill_daemon(world.cell.source)
    assert injection.killed == {"source"}
    assert injection.heal() == ["libvirtd on the source was started", "the source is in the network again"]
    assert world.asked == [
        ("relay", "cut_off", "source"), ("source", "qemu", NAME), ("source", "power_cut"), ("relay", "rejoin", "source"),
    ]


def test_power_cut_of_a_side_without_the_guest_kills_none(world: World) -> None:
    world.saboteurs["target"].answers["qemu"] = []
    injection = world.injection({"do": "power-cut", "on": "target"})
    injection.strike()
    assert injection.killed == frozenset()


def test_client_without_power_loses_the_agent_that_migrates(world: World) -> None:
    injection = world.injection({"do": "power-cut", "on": "client"})
    injection.strike()
    assert injection.heal() == ["the client is in the network again"]
    assert world.asked == [("relay", "cut_off", "client"), ("client", "kill_process", 4711), ("relay", "rejoin", "client")]


@pytest.mark.parametrize(
    ("strike", "calls"),
    [
        ({"do": "occupy-ports"}, [("target", "occupy_ports", 49152, 49215)]),
        ({"do": "fill-space", "what": "state"}, [("target", "fill_space", "state")]),
        (
            {"do": "limit-memory"},
            [("source", "qemu", NAME), ("target", "limit_memory", "/usr/bin/qemu-system-s390x", 500)],
        ),
        ({"do": "hide-emulator"}, [("source", "qemu", NAME), ("target", "hide_emulator", "/usr/bin/qemu-system-s390x")]),
    ],
)
def test_world_of_the_target_is_changed_and_put_right(
    world: World, strike: dict[str, Any], calls: list[tuple[Any, ...]]
) -> None:
    injection = world.injection({**strike, "on": "target"})
    (note,) = injection.strike()
    assert note.done and world.asked == calls
    assert injection.heal() == ["undone on the target"]
    assert world.asked[-1] == ("target", "undo")


def test_world_that_cannot_be_healed_is_an_error(world: World) -> None:
    injection = world.injection({"do": "occupy-ports", "on": "target"})
    injection.strike()
    world.saboteurs["target"].answers["undo"] = LabError("machine a-target: it hangs")
    with pytest.raises(LabError, match="it hangs"):
        injection.heal()


def test_what_cannot_be_undone_keeps_nothing_else_from_being_undone(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    injection = world.injection(
        {"do": "occupy-ports", "on": "target"}, {"do": "freeze-agent", "on": "client"}, {"do": "power-cut", "on": "source"},
        {"do": "take-uuid", "on": "target", "active": True},
    )
    own = f"<domain><name>{NAME}</name><uuid>1</uuid></domain>"
    world.ask("define", connection="target", xml=own)
    injection.strike()
    kill_daemon(world.cell.source)
    monkeypatch.setattr(Machine, "start_daemons", lambda machine: no(f"machine {machine.name}: no daemon"))
    world.saboteurs["target"].answers["undo"] = LabError("machine a-target: it hangs")
    world.saboteurs["client"].answers["thaw"] = LabError("machine a-client: it is dead")
    forget, left = ThirdParties.forget, []

    def note_and_forget(third_parties: ThirdParties) -> None:
        # The domains of the fake libvirt go with its agent.
        left.append(domains(world))
        forget(third_parties)

    monkeypatch.setattr(ThirdParties, "forget", note_and_forget)
    with pytest.raises(LabError) as caught:
        injection.heal()
    assert str(caught.value) == "machine a-target: it hangs; machine a-client: it is dead; machine a-source: no daemon"
    assert world.asked[-1] == ("relay", "rejoin", "source")
    assert left == [{NAME: "shutoff"}], "the other guest is gone, and the config is there again"

    monkeypatch.undo()
    world.saboteurs["target"].answers["undo"] = ["undone"]
    world.saboteurs["client"].answers["thaw"] = []
    healed = injection.heal()
    assert healed == ["undone on the target", "libvirtd on the source was started", "the source is in the network again"]


def no(problem: str) -> Any:
    raise LabError(problem)


def test_no_strike_comes_after_the_world_was_healed(world: World) -> None:
    injection = world.injection({"do": "kill-qemu", "on": "target"}, {"do": "take-name", "on": "target", "active": False})
    injection.heal()
    assert [(note.done, note.detail) for note in injection.strike()] == [(False, "healed already")] * 2
    assert world.asked == [] and injection.killed == frozenset()


@pytest.mark.parametrize(
    ("strike", "when", "undone"),
    [
        ({"do": "occupy-ports", "on": "target"}, "occupy_ports", ("target", "undo")),
        # The rest of it is not done.
        ({"do": "power-cut", "on": "target"}, "cut_off", ("relay", "rejoin", "target")),
    ],
)
def test_what_is_being_done_while_the_world_is_healed_is_undone_at_its_end(
    world: World, strike: dict[str, Any], when: str, undone: tuple[Any, ...]
) -> None:
    injection = world.injection(strike, {"do": "kill-qemu", "on": "source"})

    def late(role: str) -> Any:
        injection.heal()
        world.asked.append((role, when))

    saboteur, relays = world.saboteurs["target"], world.injector.bench.relays
    if when == "cut_off":
        relays.cut_off = late  # type: ignore[union-attr,method-assign]
    else:
        ask = saboteur.call

        def call(call: str, **fields: Any) -> Any:
            return late("target") if call == when else ask(call, **fields)

        saboteur.call = call  # type: ignore[method-assign]
    first, second = injection.strike()
    assert first.done is (when != "cut_off") and (second.done, second.detail) == (False, "healed already")
    assert world.asked[-2:] == [("target", when), undone]
    assert ("source", "kill_qemu", NAME) not in world.asked and ("target", "power_cut") not in world.asked


def test_other_guest_that_is_put_there_while_the_world_is_healed_is_removed(world: World) -> None:
    injection = world.injection({"do": "take-name", "on": "target", "active": True})
    third_parties = world.injector.third_parties
    ask = third_parties.ask

    def late(call: str, **fields: Any) -> Any:
        if call == "create":
            injection.heal()
        return ask(call, **fields)

    third_parties.ask = late  # type: ignore[method-assign]
    injection.strike()
    third_parties.ask = ask  # type: ignore[method-assign]
    assert domains(world) == {}


def test_third_party_does_what_it_is_asked_for_and_a_refusal_counts_as_done(world: World) -> None:
    xml = f"<domain><name>{NAME}</name></domain>"
    world.ask("create", connection="source", xml=xml, paused=False)
    names = ("suspend-guest", "suspend-guest", "resume-guest", "abort-job")
    notes = world.injection(*({"do": name, "on": "source"} for name in names)).strike()
    assert all(note.done for note in notes)
    assert [note.detail.partition(":")[0] for note in notes] == ["done", "refused", "done", "refused"]
    assert "no job is active on the domain (error 55, domain 10)" in notes[3].detail


def test_guest_that_a_third_party_destroyed_was_killed_when_its_process_is_gone(world: World) -> None:
    world.ask("create", connection="source", xml=f"<domain><name>{NAME}</name></domain>", paused=False)
    still_there = world.injection({"do": "destroy-guest", "on": "source"})
    assert still_there.strike()[0].detail == "done"
    assert still_there.killed == frozenset(), "a process is there all the same"

    world.ask("create", connection="source", xml=f"<domain><name>{NAME}</name></domain>", paused=False)
    gone = world.injection({"do": "destroy-guest", "on": "source"})
    answers = iter([[PROCESS], []])
    world.saboteurs["source"].call = lambda call, **fields: next(answers)  # type: ignore[method-assign]
    gone.strike()
    assert gone.killed == {"source"}


def test_third_party_that_waits_for_a_lock_is_left_alone(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(third_party, "ANSWER", 0.05)
    monkeypatch.setattr("migration_lab.suites.recovery.injection.PENDING_LIMIT", 0.05)
    name = "mlab-hang"
    started = time.monotonic()
    injection = world.injection({"do": "suspend-guest", "on": "source"}, {"do": "kill-qemu", "on": "target"}, name=name)
    first, second = injection.strike()
    assert first.done and first.detail == "no answer in 2 s" and second.done
    assert injection.heal() == ["the third party's suspend-guest never ended"]
    assert injection.notes[0] == first
    assert time.monotonic() - started < 5


@pytest.mark.parametrize(("verb", "final"), [("abort-job", "refused: "), ("suspend-guest", "done")])
def test_third_party_that_ends_late_has_its_last_word_in_its_note(
    world: World, monkeypatch: pytest.MonkeyPatch, verb: str, final: str
) -> None:
    # It ends between the last look at the clock and the note.
    waits, wait = iter([False]), ThirdPartyCall.wait
    monkeypatch.setattr(ThirdPartyCall, "wait", lambda call, limit: wait(call, 5) and next(waits, True))
    world.ask("create", connection="source", xml=f"<domain><name>{NAME}</name></domain>", paused=False)
    pid = world.ask("hello")["pid"]
    injection = world.injection({"do": "kill-qemu", "on": "target"}, {"do": verb, "on": "source"})
    notes = injection.strike()
    assert (notes[1].done, notes[1].detail) == (True, "no answer in 2 s")
    assert world.ask("hello")["pid"] != pid, "its agent is in use until the world is healed"
    (word,) = injection.heal()
    assert word.startswith(f"the third party's {verb} ended late: {final}")
    assert notes is injection.notes and notes[0].do == "kill-qemu"
    assert notes[1].done and notes[1].detail.startswith(final)
    assert pid in {client.process for client in world.injector.third_parties._idle}, "and kept ready then"


def test_third_party_whose_call_hangs_was_not_refused(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(third_party, "CALL_LIMIT", 0.05)
    (note,) = world.injection({"do": "suspend-guest", "on": "source"}, name="mlab-hang").strike()
    assert note.done and note.detail.startswith("no answer in")


def test_agent_that_migrates_is_ended_once_and_nothing_goes_on(world: World) -> None:
    injection = world.injection({"do": "freeze-agent", "on": "client"})
    world.saboteurs["client"].answers["kill_process"] = False
    injection.end_agent()
    injection.end_agent()
    assert world.asked == [("client", "kill_process", 4711)], "another process may have its number by now"


@pytest.mark.parametrize("method", [Method.NORMAL, Method.P2P])
def test_second_migration_is_the_same_but_not_relayed(world: World, method: Method) -> None:
    world.ask("create", connection="source", xml=f"<domain><name>{NAME}</name></domain>", paused=False)
    injection = world.injection({"do": "migrate-again", "on": "source"}, method=method)
    assert [note.detail for note in injection.strike()] == ["done"]
    assert world.ask("look", connection="source", name=NAME) == {"exists": False}
    assert world.ask("look", connection="target", name=NAME)["state"] == "running"


def domains(world: World) -> dict[str, str]:
    names = world.ask("domains", connection="target")["names"]
    return {name: world.ask("look", connection="target", name=name)["state"] for name in names}


@pytest.mark.parametrize(
    ("verb", "active", "taken"),
    [
        ("take-name", True, {NAME: "paused"}), ("take-name", False, {NAME: "shutoff"}),
        ("take-uuid", True, {f"{NAME}-stranger": "paused"}), ("take-uuid", False, {f"{NAME}-stranger": "shutoff"}),
    ],
)
def test_another_guest_is_there_until_the_world_is_healed(world: World, verb: str, active: bool, taken: dict[str, str]) -> None:
    injection = world.injection({"do": verb, "on": "target", "active": active})
    (note,) = injection.strike()
    assert note.done and domains(world) == taken
    assert injection.heal() == [f"{next(iter(taken))} was removed from the target"]
    assert domains(world) == {}


def test_guest_that_came_though_its_name_was_taken_is_left(world: World) -> None:
    injection = world.injection({"do": "take-name", "on": "target", "active": True})
    injection.strike()
    world.ask("destroy", connection="target", name=NAME)
    world.ask("create", connection="target", xml=f"<domain><name>{NAME}</name><uuid>its-own</uuid></domain>", paused=False)
    assert injection.heal() == [f"{NAME} on the target has UUID its-own and not the stranger's, so it was left"]
    assert domains(world) == {NAME: "running"}
    assert injection.heal() == []


def test_config_that_the_target_has_of_the_guest_is_put_away_for_the_time(world: World) -> None:
    own = f"<domain><name>{NAME}</name><description>own</description></domain>"
    world.ask("define", connection="target", xml=own)
    injection = world.injection({"do": "take-uuid", "on": "target", "active": False})
    injection.strike()
    assert domains(world) == {f"{NAME}-stranger": "shutoff"}
    injection.heal()
    assert domains(world) == {NAME: "shutoff"}
    assert world.ask("config", connection="target", name=NAME)["xml"] == own


@pytest.mark.parametrize(("number", "after"), [(1, 0.02), (2, 0.05), (3, 0.0001), (4, 0.02)])
def test_times_after_the_message_are_taken_in_turn_and_none_is_before_it(world: World, number: int, after: float) -> None:
    assert world.injection(after=[0, 20, 50], number=number).after == pytest.approx(after)
    assert world.injection(number=number).after == 0.0


def test_third_parties_connect_again_after_a_daemon_was_killed(world: World) -> None:
    world.injector.start()
    first = world.ask("hello")["pid"]
    assert world.ask("hello")["pid"] == first
    injection = world.injection({"do": "kill-daemon", "on": "source"})
    injection.strike()
    injection.heal()
    assert world.ask("hello")["pid"] != first
