# SPDX-License-Identifier: GPL-3.0-or-later
"""What a fault does to the machines of a cell, and how the world is healed afterwards."""

from __future__ import annotations

import re
import threading
import time
import uuid
from dataclasses import dataclass, field, replace
from typing import Any, Callable, Mapping, Optional

from ...cell import saboteur
from ...cell.agent_process import AgentFailure
from ...cell.machine import Machine
from ...cell.processes import GUEST_DAEMONS
from ...cell.shared_agent import SharedAgent
from ...guest.config import GuestConfig
from ...guest.domain_xml import domain_xml
from ...model.case import ROLES, SIDES, Method
from ...model.errors import LabError
from ...relay.relays import Relays
from ..procedure import Bench
from .case import RecoveryCase
from .fault import Strike
from .observation import StrikeNote
from .third_party import NO_ANSWER, ThirdParties, ThirdPartyCall


@dataclass(frozen=True)
class Verb:
    """What a strike can do.

    Attributes:
        on: the roles on which it can be done.
        lasts: whether it takes ``seconds``.
        options: by name of each further field, all of which it must have, the values that it can have.
    """

    on: tuple[str, ...]
    lasts: bool = False
    options: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)


VERBS: dict[str, Verb] = {
    # A daemon is killed and started again, or restarted in order, or stands still.
    "kill-daemon": Verb(SIDES),
    "restart-daemon": Verb(SIDES),
    "freeze-daemon": Verb(SIDES, lasts=True),
    "kill-qemu": Verb(SIDES),
    # The agent that called for the migration.
    "kill-agent": Verb(("client",)),
    "freeze-agent": Verb(("client",), lasts=True),
    "power-cut": Verb(("client", *SIDES)),
    # Third parties' calls; to migrate again is asked of the source.
    "abort-job": Verb(SIDES),
    "destroy-guest": Verb(SIDES),
    "suspend-guest": Verb(SIDES),
    "resume-guest": Verb(SIDES),
    "undefine-guest": Verb(SIDES),
    "migrate-again": Verb(("source",)),
    # What a side has no longer.
    "occupy-ports": Verb(SIDES),
    "limit-memory": Verb(SIDES),
    "fill-space": Verb(SIDES, options={"what": ("config", "state")}),
    "hide-emulator": Verb(SIDES),
    "take-name": Verb(("target",), options={"active": (True, False)}),
    "take-uuid": Verb(("target",), options={"active": (True, False)}),
}

# libvirt takes the ports of migrations from these (qemu.conf: migration_port_min, migration_port_max).
MIGRATION_PORTS = (49152, 49215)
# How much of the memory that a guest's process has mapped on the source its process on the target may map. Enough for the
# emulator to load, and too little for the guest's RAM and what TCG needs.
SHARE_OF_MEMORY = 0.5
# Seconds that healing waits for calls of third parties that have not ended.
PENDING_LIMIT = 3.0
# A message that a fault is to follow at once: seconds. None would have the fault come before it.
AT_ONCE = 0.0001

# The description of a guest that has another's name or UUID.
STRANGER = "another guest"

_PROBLEM = "a fault could not be carried out"
_CALLS = {
    "abort-job": "abort_job", "destroy-guest": "destroy", "suspend-guest": "suspend", "resume-guest": "resume",
    "undefine-guest": "undefine",
}
# Verbs that a saboteur undoes, and those after which a daemon may not run.
_UNDONE = ("freeze-daemon", "occupy-ports", "limit-memory", "fill-space", "hide-emulator")
_STOPPING = ("kill-daemon", "restart-daemon", "power-cut")


class Injector:
    """What carries out the faults of a combination's run: a saboteur on each machine, and third parties on the client."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.saboteurs = {role: SharedAgent(getattr(bench.cell, role), saboteur, _PROBLEM) for role in ROLES}
        self.third_parties = ThirdParties(bench.cell)

    def start(self) -> None:
        """Start the agents.

        :raises LabError: when a third party cannot connect.
        """
        for agent in self.saboteurs.values():
            agent.start()
        self.third_parties.start()

    def close(self) -> None:
        """End the agents."""
        self.third_parties.close()
        for agent in self.saboteurs.values():
            agent.end()
        for agent in self.saboteurs.values():
            agent.close()

    def machine(self, role: str) -> Machine:
        """A machine of the cell."""
        machine: Machine = getattr(self.bench.cell, role)
        return machine

    def injection(self, case: RecoveryCase, name: str, guest: GuestConfig, agent_pid: Optional[int]) -> Injection:
        """A case's fault, to be carried out once.

        :param name: of the case's domain.
        :param agent_pid: process number, on the client machine, of the agent that migrates.
        """
        return Injection(self, case, name, guest, agent_pid)


class CannotStrike(Exception):
    """A strike that could not be carried out, and why."""


def _only(daemon: dict[str, int]) -> tuple[str, int]:
    """Name and process number of the daemon that runs guests, the only one there.

    :raises CannotStrike: when it does not run.
    """
    if not daemon:
        raise CannotStrike("the daemon does not run")
    return next(iter(daemon.items()))


class Injection:
    """A fault that strikes once, and is healed once. ``strike`` runs in a thread of its own, ``heal`` after it.

    Attributes:
        after: seconds between the delivery of the message and the strikes; 0: the strikes come first.
        daemons: by side and name the process number of a daemon that was started again.
        notes: what came of the strikes so far, in their order. ``heal`` replaces that of a third party's call that ended late.
    """

    def __init__(self, injector: Injector, case: RecoveryCase, name: str, guest: GuestConfig, agent_pid: Optional[int]) -> None:
        self._injector = injector
        self._case = case
        self._fault = case.fault
        self._name = name
        self._guest = guest
        self._agent_pid = agent_pid
        after = self._fault.after
        self.after = max(AT_ONCE, after[case.number % len(after)] / 1000) if after else 0.0
        self.daemons: dict[str, dict[str, int]] = {}
        self.notes: list[StrikeNote] = []
        # Set by heal: from then on nothing may be done to the world that nobody undoes.
        self._healed = False
        self._healing = threading.Lock()
        self._agent_ended = False
        self._killed: set[str] = set()
        self._begun: list[Strike] = []
        self._timers: list[threading.Timer] = []
        # With the number of the strike's note.
        self._pending: list[tuple[int, Strike, ThirdPartyCall]] = []
        # Side, name and UUID.
        self._strangers: list[tuple[str, str, str]] = []
        self._put_away: list[tuple[str, str]] = []

    @property
    def killed(self) -> frozenset[str]:
        """Sides on which the fault killed a process of this guest, seen dead."""
        return frozenset(self._killed)

    def strike(self) -> list[StrikeNote]:
        """Do what the fault does; takes 10 s at most. What cannot be done is noted, and the next one done all the same.

        After ``heal`` has begun nothing more is done, and what was being done is undone in this thread.

        :returns: ``notes``.
        :raises LabError: when what was being done while ``heal`` was called cannot be undone.
        """
        for strike in self._fault.strikes:
            self.notes.append(self._note(strike))
            if self._healed:
                # Healing may have passed over it while it was being done.
                self._begun.append(strike)
                self.heal()
        return self.notes

    def end_agent(self) -> None:
        """Kill the agent that migrates, whose call would go on after nobody waits for it; may be called again.

        :raises LabError: when it does not end.
        """
        if self._agent_pid is not None and not self._agent_ended:
            self._injector.saboteurs["client"].call("kill_process", pid=self._agent_pid)
            # Another process may get its number.
            self._agent_ended = True

    def heal(self) -> list[str]:
        """Undo everything; may be called again. What cannot be undone keeps nothing else from being undone.

        :returns: what was done, in words.
        :raises LabError: when the world cannot be healed, with all that went wrong.
        """
        self._healed = True
        with self._healing:
            return self._heal()

    def _heal(self) -> list[str]:
        healed: list[str] = []
        problems: list[str] = []

        def attempt(undo: Callable[..., list[str]], *arguments: Any) -> bool:
            try:
                healed.extend(undo(*arguments))
            except (AgentFailure, LabError) as error:
                problems.append(str(error))
                return False
            return True

        for timer in self._timers:
            timer.cancel()
        deadline = time.monotonic() + PENDING_LIMIT
        while self._pending:
            attempt(self._end_pending, *self._pending.pop(), deadline)
        begun = list(self._begun)
        for strike in begun:
            attempt(self._undo, strike)
        for side in sorted({strike.on for strike in begun if strike.do in _STOPPING and strike.on in SIDES}):
            attempt(self._start_daemons, side)
        cut = [strike.on for strike in begun if strike.do == "power-cut"]
        for role in cut:
            attempt(self._rejoin, role)
        for stranger in list(self._strangers):
            if attempt(self._remove_stranger, *stranger):
                self._strangers.remove(stranger)
        for config in list(self._put_away):
            if attempt(self._give_back, *config):
                self._put_away.remove(config)
        if self.daemons or cut:
            self._injector.third_parties.forget()
        if problems:
            raise LabError("; ".join(dict.fromkeys(problems)))
        self._begun.clear()
        return healed

    def _note(self, strike: Strike) -> StrikeNote:
        started = time.monotonic()
        try:
            self._check_time()
            self._begun.append(strike)
            done, detail = True, self._do(strike)
        except (CannotStrike, AgentFailure, LabError) as error:
            done, detail = False, str(error)
        return StrikeNote(strike.do, strike.on, done, detail, round(time.monotonic() - started, 3))

    def _check_time(self) -> None:
        """Have a strike end that goes on after the world was healed."""
        if self._healed:
            raise CannotStrike("healed already")

    def _do(self, strike: Strike) -> str:
        """Carry out a strike and return what was seen."""
        if strike.do in _CALLS:
            return self._call(strike, _CALLS[strike.do], connection=strike.on, name=self._name)
        action: Callable[[Strike], str] = getattr(self, "_" + strike.do.replace("-", "_"))
        return action(strike)

    # Daemons: the one that runs guests.

    def _kill_daemon(self, strike: Strike) -> str:
        name, process = _only(self._saboteur(strike, "kill_daemon"))
        started = self.daemons[strike.on] = self._injector.machine(strike.on).restart_daemons(name)
        return f"{name}, process {process}, was killed, {started[name]} started"

    def _restart_daemon(self, strike: Strike) -> str:
        machine = self._injector.machine(strike.on)
        name, process = _only({name: process for name, process in machine.daemons().items() if name in GUEST_DAEMONS})
        started = self.daemons[strike.on] = machine.restart_daemons(name)
        return f"{name}, process {process}, ended, {started[name]} started"

    def _freeze_daemon(self, strike: Strike) -> str:
        name, process = _only(self._saboteur(strike, "freeze_daemon"))
        self._thaw_later(strike, process)
        return f"{name}, process {process}, stands still"

    # Processes.

    def _kill_qemu(self, strike: Strike) -> str:
        killed = self._saboteur(strike, "kill_qemu", name=self._name)
        if not killed:
            raise CannotStrike(f"no process of {self._name} is on the {strike.on}")
        self._killed.add(strike.on)
        return f"process {', '.join(map(str, killed))} was killed"

    def _kill_agent(self, strike: Strike) -> str:
        if self._agent_pid is None or not self._saboteur(strike, "kill_process", pid=self._agent_pid):
            raise CannotStrike("the agent does not run")
        return f"process {self._agent_pid} was killed"

    def _freeze_agent(self, strike: Strike) -> str:
        if self._agent_pid is None or not self._saboteur(strike, "freeze_process", pid=self._agent_pid):
            raise CannotStrike("the agent does not run")
        self._thaw_later(strike, self._agent_pid)
        return f"process {self._agent_pid} stands still"

    def _power_cut(self, strike: Strike) -> str:
        # First the network: no end of a connection may be seen.
        self._relays.cut_off(strike.on)
        if strike.on == "client":
            # Other cases' agents are none of this one's; it runs alone.
            return self._kill_agent(strike)
        there = self._saboteur(strike, "qemu", name=self._name)
        ended = self._saboteur(strike, "power_cut")
        if there:
            self._killed.add(strike.on)
        return f"{ended} processes were ended"

    # Third parties.

    def _migrate_again(self, strike: Strike) -> str:
        bits = self._case.migrate_bits
        if self._case.method is Method.NORMAL:
            return self._call(strike, "migrate", source="source", name=self._name, target="target", bits=bits)
        # By the URI as the source knows it, not relayed.
        uri = self._injector.machine("target").uri
        return self._call(strike, "migrate_to_uri", source="source", name=self._name, uri=uri, bits=bits)

    def _call(self, strike: Strike, call: str, **fields: Any) -> str:
        there = self._saboteur(strike, "qemu", name=self._name) if call == "destroy" else []
        self._check_time()
        made = self._injector.third_parties.call(call, **fields)
        if not made.in_time:
            # Whatever has become of it since: healing gives its agent back, and completes its note.
            self._pending.append((len(self.notes), strike, made))
            return NO_ANSWER
        words = made.words
        if made.failure:
            raise CannotStrike(made.failure)
        if there and made.done:
            self._note_end(strike.on)
        return words

    def _note_end(self, side: str) -> None:
        """Note that a guest that was destroyed has no process any more."""
        if not self._injector.saboteurs[side].call("qemu", name=self._name):
            self._killed.add(side)

    # The world.

    def _occupy_ports(self, strike: Strike) -> str:
        first, last = MIGRATION_PORTS
        taken = self._saboteur(strike, "occupy_ports", first=first, last=last)
        return f"{taken} of {last - first + 1} ports from {first} on were taken"

    def _limit_memory(self, strike: Strike) -> str:
        process = self._source_process()
        kib = int((process["peak_kib"] or 0) * SHARE_OF_MEMORY)
        self._saboteur(strike, "limit_memory", emulator=process["program"], kib=kib)
        return f"{process['program']} has {kib} KiB for a guest that comes in"

    def _hide_emulator(self, strike: Strike) -> str:
        emulator = self._source_process()["program"]
        self._saboteur(strike, "hide_emulator", emulator=emulator)
        return f"{emulator} is gone"

    def _source_process(self) -> dict[str, Any]:
        """The guest's process on the source, whose program is the one that the target is asked for."""
        processes = self._injector.saboteurs["source"].call("qemu", name=self._name)
        if not processes:
            raise CannotStrike(f"no process of {self._name} is on the source, so its emulator is not known")
        # An old libvirt has a script before the emulator (the role machine_files).
        process: dict[str, Any] = processes[0]
        return {**process, "program": re.sub(r"\.real$", "", process["program"])}

    def _fill_space(self, strike: Strike) -> str:
        what = dict(strike.options)["what"]
        self._saboteur(strike, "fill_space", what=what)
        return f"the file system of the guests' {what} is full"

    def _take_name(self, strike: Strike) -> str:
        return self._stranger(strike, self._name, str(uuid.uuid4()))

    def _take_uuid(self, strike: Strike) -> str:
        return self._stranger(strike, f"{self._name}-stranger", self._injector.bench.domains.identity(self._name))

    def _stranger(self, strike: Strike, name: str, identity: str) -> str:
        """Put another guest on a side; a config that the side has of the guest itself is put away for the time."""
        ask, side = self._ask, strike.on
        if ask("look", connection=side, name=self._name).get("persistent"):
            self._put_away.append((side, ask("config", connection=side, name=self._name)["xml"]))
            ask("undefine", connection=side, name=self._name)
        xml = domain_xml(self._guest, name, identity, STRANGER)
        stranger = (side, name, identity)
        self._strangers.append(stranger)
        try:
            if dict(strike.options)["active"]:
                # Paused before it has begun, so that nobody takes it for the guest: it has no counter.
                ask("create", connection=side, xml=xml, paused=True)
            else:
                ask("define", connection=side, xml=xml)
        finally:
            if stranger not in self._strangers:
                # Healing came too early to find it.
                self._strangers.append(stranger)
        return f"{name} with UUID {identity} is there"

    # Healing.

    def _end_pending(self, number: int, strike: Strike, made: ThirdPartyCall, deadline: float) -> list[str]:
        if not made.wait(max(0.0, deadline - time.monotonic())):
            try:
                # On its machine as well, where it would go on.
                self._injector.saboteurs["client"].call("kill_process", pid=made.client.process)
            finally:
                made.give_up()
            return [f"the third party's {strike.do} never ended"]
        self._injector.third_parties.give_back(made.client)
        # Of a call whose agent died nobody knows what became, so its note stays.
        if not made.failure and number < len(self.notes):
            self.notes[number] = replace(self.notes[number], detail=made.words)
        if made.call == "destroy" and made.done:
            self._note_end(strike.on)
        return [f"the third party's {strike.do} ended late: {made.words}"]

    def _undo(self, strike: Strike) -> list[str]:
        saboteur = self._injector.saboteurs[strike.on]
        done: list[str] = []
        if strike.do == "freeze-agent":
            # Another case's agent may stand still at the same time.
            done = saboteur.call("thaw", pid=self._agent_pid)
        elif strike.do in _UNDONE:
            done = saboteur.call("undo")
        return [f"{words} on the {strike.on}" for words in done]

    def _start_daemons(self, side: str) -> list[str]:
        if side in self.daemons:
            return []
        started = self._injector.machine(side).start_daemons()
        if started:
            self.daemons[side] = started
        return [f"{name} on the {side} was started" for name in started]

    def _rejoin(self, role: str) -> list[str]:
        self._relays.rejoin(role)
        return [f"the {role} is in the network again"]

    def _remove_stranger(self, side: str, name: str, identity: str) -> list[str]:
        ask = self._injector.third_parties.ask
        try:
            sight = ask("look", connection=side, name=name)
            if sight["exists"]:
                found = ask("uuid", connection=side, name=name)["uuid"]
                if found != identity:
                    # The guest, which came though its name was taken.
                    return [f"{name} on the {side} has UUID {found} and not the stranger's, so it was left"]
            if sight.get("active"):
                ask("destroy", connection=side, name=name)
            if sight.get("persistent"):
                ask("undefine", connection=side, name=name)
        except AgentFailure as error:
            raise LabError(f"another guest could not be removed: {error}; provision the combination again") from error
        return [f"{name} was removed from the {side}"]

    def _give_back(self, side: str, xml: str) -> list[str]:
        try:
            self._injector.third_parties.ask("define", connection=side, xml=xml)
        except AgentFailure as error:
            raise LabError(f"the {side} could not have its config again: {error}; provision the combination again") from error
        return [f"the {side} has its config again"]

    # What they need.

    @property
    def _relays(self) -> Relays:
        relays = self._injector.bench.relays
        assert relays is not None
        return relays

    def _saboteur(self, strike: Strike, call: str, **fields: Any) -> Any:
        self._check_time()
        return self._injector.saboteurs[strike.on].call(call, **fields)

    def _ask(self, call: str, **fields: Any) -> Any:
        self._check_time()
        return self._injector.third_parties.ask(call, **fields)

    def _thaw_later(self, strike: Strike, pid: int) -> None:
        if strike.seconds is not None:
            timer = threading.Timer(strike.seconds, self._injector.saboteurs[strike.on].call, ("thaw",), {"pid": pid})
            timer.daemon = True
            timer.start()
            self._timers.append(timer)
