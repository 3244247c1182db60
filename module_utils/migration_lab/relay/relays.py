# SPDX-License-Identifier: GPL-3.0-or-later
"""The relays as their users see them: links that listen, and the steps that passed, by domain."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from typing import Callable, Optional, Sequence

from ..model.errors import LabError
from .connection import Connection, Recording
from .domain_names import DomainNames
from .end import End
from .interception import Interceptor
from .memory import MemoryStreams
from .network_namespace import enter_network_namespace
from .relay import Link, Relay
from .steps import Step, StepLog

# Only the latest oddities are kept: a daemon that is down is met over and over.
ODDITIES_MAX = 200

# Seconds for the relay's thread to do what another thread asks for; it never waits itself.
ANSWER_LIMIT = 10.0


class Relays:
    """Relays between client, source and target. Runs in a thread of its own, with an event loop of its own."""

    def __init__(
        self,
        links: Sequence[Link],
        listen: str,
        names: str,
        namespace: Optional[str] = None,
        interceptors: Sequence[Interceptor] = (),
    ) -> None:
        """
        :param links: the relayed paths.
        :param listen: numeric address to listen at, for all links; each gets a port of its own.
        :param names: regular expression of the lab's domain names; it must end by itself (see ``DomainNames``).
        :param namespace: file of the network namespace that all sockets are to be in; None: this process's own.
        :param interceptors: asked, in this order, about each migration message.
        """
        self._links = links
        self._listen = listen
        self._namespace = namespace
        self._steps = StepLog()
        self._oddities: deque[str] = deque(maxlen=ODDITIES_MAX)
        self._recording = Recording(DomainNames(names), self._steps, list(interceptors), self._oddities.append)
        target = next((link.host for link in links if link.name == "client-target"), "")
        self._memory = MemoryStreams(self._recording, listen, target)
        self._relays: set[Connection] = set()
        self._thread: Optional[threading.Thread] = None
        self._loop: Optional[asyncio.AbstractEventLoop] = None
        self._stopping: Optional[asyncio.Event] = None
        self._addresses: dict[str, str] = {}
        self._failure: Optional[BaseException] = None

    @property
    def oddities(self) -> list[str]:
        """The latest things that were not as they should be, a sentence each; none of them stops the relays."""
        return list(self._oddities)

    def start(self) -> dict[str, str]:
        """Start the thread and listen.

        :returns: by link name, where it listens: ``address:port``.
        :raises LabError: when the namespace cannot be entered, or the address is not one to listen at.
        """
        ready = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(ready,), name="relays", daemon=True)
        self._thread.start()
        ready.wait()
        if self._failure is not None:
            self._thread.join()
            self._thread = None
            raise self._failure
        return dict(self._addresses)

    def take(self, domain: str) -> list[Step]:
        """The steps of a domain since they were last taken, in the order in which they began. Safe in any thread.

        A step without a reply says so, whether the reply was lost or is yet to come; it will not come in later. The domain's
        memory stream is forgotten as well.
        """
        self.forget(domain)
        return self._steps.take(domain)

    # what a suite with faults needs; all safe in any thread

    def intercept(self, interceptor: Interceptor) -> None:
        """Have one more interceptor asked, after those that there are, about all that passes from now on."""
        self._recording.interceptors.append(interceptor)

    def carry_memory(self) -> None:
        """From now on lead memory streams through the relay, and count them: for methods normal and p2p by rewriting the
        migration URI in the reply to prepare. Call it before the first migration, on relays that have a link client-target.
        """
        self._memory.carried = True

    def stream_bytes(self, domain: str) -> Optional[tuple[int, Optional[float]]]:
        """How much of the memory stream of a domain's latest migration has passed; None where none was announced.

        :returns: bytes, and the monotonic time at which the last one was passed on, None while more may come.
        """
        return self._memory.passed(domain)

    def forget(self, domain: str) -> None:
        """Close what waits for a domain's memory stream, and forget how much has passed; a stream that flows is not disturbed."""
        if self._memory.carried:
            self._do(lambda: self._memory.forget(domain))

    def heal(self, domain: str) -> None:
        """End the silences of a domain's connections: what waited is passed on."""
        self._do(lambda: self._recording.silences.end(domain))

    def cut_off(self, role: str) -> None:
        """Let no connection of a machine pass anything, not even its end; new ones are accepted and get nothing.

        What was passed on before, and the kernel has not delivered yet, still arrives.

        :param role: ``client``, ``source`` or ``target``.
        """
        self._do(lambda: self._recording.cut_off.add(role), self._follow_cuts)

    def rejoin(self, role: str) -> None:
        """End ``cut_off``: connections that were there meanwhile are reset on both sides, as by a machine that has booted."""
        self._do(lambda: self._recording.cut_off.discard(role), self._follow_cuts)

    def look(self, domain: str) -> list[Step]:
        """The steps that ``take`` would give out, which stay and may still get their replies. Safe in any thread."""
        return self._steps.look(domain)

    def stop(self) -> None:
        """End all connections and the thread. May be called again, and before ``start``."""
        thread, self._thread = self._thread, None
        if thread is not None and self._loop is not None and self._stopping is not None:
            self._loop.call_soon_threadsafe(self._stopping.set)
            thread.join()

    def _follow_cuts(self) -> None:
        for connection in [*self._relays, *self._memory.connections]:
            connection.follow_cuts()

    def _do(self, *works: Callable[[], object]) -> None:
        """Have the relay's thread do something, and wait until it is done. Without the thread there is nothing to do.

        :raises LabError: when the thread does not come to it.
        """
        if threading.current_thread() is self._thread:
            for work in works:
                work()
            return
        done: Future[None] = Future()

        def do() -> None:
            try:
                for work in works:
                    work()
                done.set_result(None)
            except BaseException as error:
                done.set_exception(error)

        if self._thread is None or self._loop is None:
            return
        self._loop.call_soon_threadsafe(do)
        try:
            done.result(ANSWER_LIMIT)
        except FutureTimeout as error:
            raise LabError(f"the relay's thread has not answered for {ANSWER_LIMIT:.0f} s") from error

    def _run(self, ready: threading.Event) -> None:
        """The thread."""
        try:
            if self._namespace is not None:
                enter_network_namespace(self._namespace)
            asyncio.run(self._serve(ready))
        except BaseException as error:
            self._failure = error
        finally:
            ready.set()

    async def _serve(self, ready: threading.Event) -> None:
        self._loop = asyncio.get_running_loop()
        self._loop.set_exception_handler(lambda _, context: self._oddities.append(f"in the relay: {context['message']}"))
        self._stopping = asyncio.Event()
        servers = []
        try:
            for link in self._links:
                servers.append(await self._open(link))
            ready.set()
            await self._stopping.wait()
        finally:
            for server in servers:
                server.close()
            self._memory.abort()
            for relay in list(self._relays):
                relay.abort()
            while self._relays or self._memory.connections:
                await asyncio.sleep(0)

    async def _open(self, link: Link) -> asyncio.AbstractServer:
        """Listen for a link."""

        def accept() -> End:
            relay = Relay(link, self._recording, self._memory, self._relays.discard)
            self._relays.add(relay)
            return relay.accepted(link.host, link.port)

        loop = asyncio.get_running_loop()
        try:
            server = await loop.create_server(accept, self._listen, 0)
        except OSError as error:
            where = f" in the network namespace {self._namespace}" if self._namespace else ""
            raise LabError(f"the relay cannot listen at {self._listen}{where} for link {link.name}: {error.strerror}") from error
        host, port = server.sockets[0].getsockname()[:2]
        self._addresses[link.name] = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        return server
