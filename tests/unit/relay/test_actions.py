# SPDX-License-Identifier: GPL-3.0-or-later
"""What an interceptor can do with a message, and how a machine is cut off."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
import time
from typing import Optional

import pytest

from fake_rpc import (
    DOMAIN,
    LINK,
    NAMES,
    REPLY,
    TIMEOUT,
    RelayedLab,
    domain_payload,
    error_payload,
    message,
    read,
    relayed_lab,
    wait_for,
)
from fake_stream import Script, stream_lab
from migration_lab.relay.interception import Action, Drop, End, Forward, Passage, Silence
from migration_lab.relay.procedures import MIGRATION, step_of
from migration_lab.relay.relay import Link
from migration_lab.relay.relays import Relays

CALL = message(216, domain_payload(), serial=2)
ANSWER = message(216, kind=REPLY, serial=2)
OTHER = message(1, b"other", serial=3)


def nothing_comes(*sockets: socket.socket) -> bool:
    """Whether nothing comes for a while, and none of them ends."""
    time.sleep(0.03)
    for sock in sockets:
        sock.setblocking(False)
        try:
            sock.recv(1, socket.MSG_PEEK)
            return False
        except BlockingIOError:
            sock.settimeout(TIMEOUT)
    return True


def reset(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def is_reset(sock: socket.socket) -> bool:
    try:
        while sock.recv(1 << 16):
            pass
    except ConnectionResetError:
        return True
    return False


@pytest.mark.parametrize("name", MIGRATION.values())
def test_step_of_every_procedure(name: str) -> None:
    assert step_of(name) in ("begin", "prepare", "perform", "finish", "confirm")
    assert name.startswith(step_of(name))


def test_points_of_calls_and_replies() -> None:
    script = Script()
    with relayed_lab(interceptors=[script]) as lab:
        client, daemon = lab.connect()
        for serial, number in enumerate((215, 305, 109)):
            client.sendall(message(number, domain_payload(), serial=serial))
            read(daemon, 60)
            daemon.sendall(message(number, kind=REPLY, serial=serial))
            read(client, 28)
    steps = ["prepare", "perform", "finish"]
    assert script.seen == [(LINK, f"{step}-{kind}") for step in steps for kind in ("call", "reply")]
    assert {passage.domain for passage in script.passages} == {DOMAIN}


def test_dropped_call_is_lost_and_the_connection_stays() -> None:
    with relayed_lab(interceptors=[Script("perform-call", Drop())]) as lab:
        client, daemon = lab.connect()
        client.sendall(CALL + OTHER)
        assert read(daemon, len(OTHER)) == OTHER
        daemon.sendall(OTHER)
        assert read(client, len(OTHER)) == OTHER
        (step,) = lab.relays.take(DOMAIN)
        assert (step.result, step.answer, step.seconds) == ("no reply", "no reply", None)


@pytest.mark.parametrize("answer, words", [
    (ANSWER, "ok"), (message(216, error_payload("no luck"), kind=REPLY, serial=2, status=1), "error: no luck"),
])
def test_dropped_reply_is_seen_in_the_step_and_not_by_the_caller(answer: bytes, words: str) -> None:
    with relayed_lab(interceptors=[Script("perform-reply", Drop())]) as lab:
        client, daemon = lab.connect()
        client.sendall(CALL)
        assert read(daemon, len(CALL)) == CALL
        daemon.sendall(answer + OTHER)
        assert read(client, len(OTHER)) == OTHER
        assert [(step.result, step.answer) for step in lab.relays.look(DOMAIN)] == [("no reply", words)]
        assert [(step.result, step.answer) for step in lab.relays.take(DOMAIN)] == [("no reply", words)]
        assert lab.relays.look(DOMAIN) == []


@pytest.mark.parametrize("point", ["perform-call", "perform-reply"])
@pytest.mark.parametrize("by_reset", [False, True])
def test_connection_ends_on_both_sides_and_the_message_is_lost(point: str, by_reset: bool) -> None:
    with relayed_lab(interceptors=[Script(point, End(by_reset))]) as lab:
        client, daemon = lab.connect()
        client.sendall(OTHER + CALL + OTHER)
        before_daemon = OTHER if point == "perform-call" else OTHER + CALL + OTHER
        assert read(daemon, len(before_daemon)) == before_daemon
        if point == "perform-reply":
            daemon.sendall(OTHER + ANSWER + OTHER)
            assert read(client, len(OTHER)) == OTHER
        if by_reset:
            assert is_reset(client) and is_reset(daemon)
        else:
            assert read(client, 1) == read(daemon, 1) == b""
        wait_for(lambda: not lab.relays._relays)
        (step,) = lab.relays.take(DOMAIN)
        assert step.result == "no reply" and step.answer == ("no reply" if point == "perform-call" else "ok")
        assert lab.relays.oddities == []


def test_orderly_end_is_no_reset_though_more_was_sent() -> None:
    """Closed with something unread, a socket sends a reset."""
    with relayed_lab(interceptors=[Script("perform-call", End())]) as lab:
        client, _ = lab.connect()
        client.sendall(CALL + bytes(300_000))
        assert not is_reset(client)


def test_orderly_end_delivers_what_was_passed_on_to_a_slow_reader() -> None:
    with relayed_lab(interceptors=[Script("perform-call", End())]) as lab:
        client, daemon = lab.connect()
        large = message(70, bytes(12_000_000))
        threading.Thread(target=client.sendall, args=(large + CALL,), daemon=True).start()
        time.sleep(0.05)  # until the relay and the kernel have what they take
        assert len(read(daemon, len(large) + len(CALL))) == len(large)


@pytest.mark.parametrize("point", ["perform-call", "perform-reply"])
def test_silence_holds_both_directions_and_then_passes_the_message_first(point: str) -> None:
    with relayed_lab(interceptors=[Script(point, Silence(None))]) as lab:
        client, daemon = lab.connect()
        client.sendall(CALL)
        if point == "perform-reply":
            assert read(daemon, len(CALL)) == CALL
            daemon.sendall(ANSWER)
        wait_for(lambda: lab.relays._recording.silences._lasting.get(DOMAIN))
        client.sendall(OTHER)
        daemon.sendall(OTHER)
        assert nothing_comes(client, daemon)
        lab.relays.heal(DOMAIN)
        to_daemon, to_client = (CALL + OTHER, OTHER) if point == "perform-call" else (OTHER, ANSWER + OTHER)
        assert read(daemon, len(to_daemon)) == to_daemon
        assert read(client, len(to_client)) == to_client


def test_silence_ends_by_itself() -> None:
    with relayed_lab(interceptors=[Script("perform-call", Silence(0.06))]) as lab:
        client, daemon = lab.connect()
        started = time.monotonic()
        client.sendall(CALL)
        assert read(daemon, len(CALL)) == CALL
        assert 0.05 < time.monotonic() - started < 5


@pytest.mark.parametrize("by_reset", [False, True])
@pytest.mark.parametrize("client_goes", [False, True])
def test_side_that_goes_in_a_silence_is_missed_after_it(by_reset: bool, client_goes: bool) -> None:
    with relayed_lab(interceptors=[Script("perform-call", Silence(None))]) as lab:
        client, daemon = lab.connect()
        client.sendall(CALL)
        wait_for(lambda: lab.relays._recording.silences._lasting.get(DOMAIN))
        going, staying = (client, daemon) if client_goes else (daemon, client)
        if by_reset:
            reset(going)
        else:
            going.close()
        assert nothing_comes(staying)
        lab.relays.heal(DOMAIN)
        if client_goes:
            assert staying.recv(len(CALL)) == CALL
        if not client_goes and not by_reset:
            # The daemon's end is a closed socket, which answers the call with a reset; either is seen as an end.
            is_reset(staying)
        else:
            assert is_reset(staying) == by_reset
        staying.close()
        wait_for(lambda: not lab.relays._relays)


def test_one_domains_silence_is_not_ended_by_another() -> None:
    with relayed_lab(interceptors=[Script("perform-call", Silence(None))]) as lab:
        client, daemon = lab.connect()
        client.sendall(CALL)
        lab.relays.heal("mlab-noo-002")
        assert nothing_comes(daemon)


def test_other_connections_are_not_silent() -> None:
    with relayed_lab(interceptors=[Script("perform-call", Silence(None))]) as lab:
        lab.connect()[0].sendall(CALL)
        client, daemon = lab.connect()
        client.sendall(OTHER)
        assert read(daemon, len(OTHER)) == OTHER


class Slow(Script):
    """Decides when it may."""

    def __init__(self, point: str, action: Optional[Action]) -> None:
        super().__init__(point, action)
        self.may = threading.Event()

    async def passes(self, passage: Passage) -> Action:
        while passage.point == self._point and not self.may.is_set():
            await asyncio.sleep(0.002)
        return await super().passes(passage)


def test_other_direction_flows_while_a_message_is_decided_about() -> None:
    slow = Slow("perform-call", Forward())
    with relayed_lab(interceptors=[slow]) as lab:
        client, daemon = lab.connect()
        client.sendall(CALL)
        daemon.sendall(OTHER)
        assert read(client, len(OTHER)) == OTHER
        slow.may.set()
        assert read(daemon, len(CALL)) == CALL


def test_message_decided_about_in_a_silence_waits_for_its_end() -> None:
    slow = Slow("perform-reply", Forward())
    with relayed_lab(interceptors=[Script("begin-call", Silence(None)), slow]) as lab:
        client, daemon = lab.connect()
        client.sendall(CALL)
        read(daemon, len(CALL))
        daemon.sendall(ANSWER)
        client.sendall(message(213, domain_payload(), serial=4))
        wait_for(lambda: lab.relays._recording.silences._lasting.get(DOMAIN))
        slow.may.set()
        assert nothing_comes(client, daemon)
        lab.relays.heal(DOMAIN)
        assert read(client, len(ANSWER)) == ANSWER
        assert len(read(daemon, 60)) == 60


@pytest.mark.parametrize("action", [Silence(None), End(), End(True)])
def test_stop_while_something_is_done(action: Action) -> None:
    with relayed_lab(interceptors=[Script("perform-call", action)]) as lab:
        client, _ = lab.connect()
        client.sendall(CALL)
        time.sleep(0.01)
        lab.relays.stop()
        assert lab.relays.oddities == []


# --- a machine that is cut off


def test_machine_that_is_cut_off_is_silent_and_then_knows_nothing() -> None:
    with relayed_lab() as lab:
        client, daemon = lab.connect()
        lab.relays.cut_off("source")
        client.sendall(OTHER)
        daemon.sendall(OTHER)
        assert nothing_comes(client, daemon)
        late = socket.create_connection(lab.address, TIMEOUT)
        lab.sockets.append(late)
        late.sendall(OTHER)
        daemon.close()
        assert nothing_comes(client, late)
        lab.relays.rejoin("source")
        assert is_reset(client) and is_reset(late)
        wait_for(lambda: not lab.relays._relays)
        client, daemon = lab.connect()
        client.sendall(OTHER)
        assert read(daemon, len(OTHER)) == OTHER


def test_cut_connection_waits_for_both_its_machines() -> None:
    with relayed_lab() as lab:
        client, _ = lab.connect()
        lab.relays.cut_off("source")
        lab.relays.cut_off("client")
        lab.relays.rejoin("source")
        assert nothing_comes(client)
        lab.relays.rejoin("client")
        assert is_reset(client)


def test_cut_off_concerns_only_the_machines_links() -> None:
    with relayed_lab() as lab:
        client, daemon = lab.connect()
        lab.relays.cut_off("target")
        client.sendall(OTHER)
        assert read(daemon, len(OTHER)) == OTHER
        lab.relays.rejoin("target")
        client.sendall(OTHER)
        assert read(daemon, len(OTHER)) == OTHER


@pytest.mark.parametrize("role, cut", [("source", True), ("target", True), ("client", False)])
def test_memory_stream_is_cut_off_with_either_side(role: str, cut: bool) -> None:
    with stream_lab() as lab:
        source, target = lab.open()
        lab.relays.cut_off(role)
        source.sendall(b"memory")
        if not cut:
            assert read(target, 6) == b"memory"
            return
        assert nothing_comes(target)
        lab.relays.rejoin(role)
        assert is_reset(source) and is_reset(target)


def test_message_held_while_its_machine_is_cut_off_never_arrives() -> None:
    slow = Slow("perform-call", Forward())
    with relayed_lab(interceptors=[slow]) as lab:
        client, daemon = lab.connect()
        client.sendall(CALL)
        wait_for(lambda: lab.relays.look(DOMAIN))
        lab.relays.cut_off("source")
        slow.may.set()
        assert nothing_comes(client, daemon)
        lab.relays.rejoin("source")
        assert is_reset(client) and is_reset(daemon)
        assert [step.result for step in lab.relays.take(DOMAIN)] == ["no reply"]


def test_connection_that_has_ended_is_not_kept_by_a_cut() -> None:
    with relayed_lab(interceptors=[Script("perform-call", End(True))]) as lab:
        client, _ = lab.connect()
        client.sendall(CALL)
        assert is_reset(client)
        lab.relays.cut_off("source")
        wait_for(lambda: not lab.relays._relays)


class Cutting(Script):
    """Cuts off from the relay's own thread."""

    relays: RelayedLab

    async def passes(self, passage: Passage) -> Action:
        self.relays.relays.cut_off("source")
        return await super().passes(passage)


def test_cut_off_in_the_relays_own_thread() -> None:
    script = Cutting()
    with relayed_lab(interceptors=[script]) as lab:
        script.relays = lab
        client, daemon = lab.connect()
        client.sendall(CALL)
        assert nothing_comes(client, daemon)


def test_asking_relays_that_do_not_run_does_nothing() -> None:
    relays = Relays([Link(LINK, "127.0.0.1", 1)], "127.0.0.1", NAMES)
    relays.carry_memory()
    relays.heal(DOMAIN)
    relays.forget(DOMAIN)
    assert relays.take(DOMAIN) == []


def test_interceptor_can_be_added() -> None:
    script = Script()
    with relayed_lab() as lab:
        lab.relays.intercept(script)
        client, daemon = lab.connect()
        client.sendall(CALL)
        assert read(daemon, len(CALL)) == CALL
        assert script.seen == [(LINK, "perform-call")]
