# SPDX-License-Identifier: GPL-3.0-or-later
"""The relays as their users see them: links that listen, and the steps that passed, by domain."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from typing import Optional, Sequence

from ..model.errors import LabError
from .domain_names import DomainNames
from .end import End
from .interception import Interceptor
from .network_namespace import enter_network_namespace
from .relay import Link, Recording, Relay
from .steps import Step, StepLog

# Only the latest oddities are kept: a daemon that is down is met over and over.
ODDITIES_MAX = 200


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
        self._recording = Recording(DomainNames(names), self._steps, tuple(interceptors), self._oddities.append)
        self._relays: set[Relay] = set()
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

        A step without a reply says so, whether the reply was lost or is yet to come; it will not come in later.
        """
        return self._steps.take(domain)

    def stop(self) -> None:
        """End all connections and the thread. May be called again, and before ``start``."""
        thread, self._thread = self._thread, None
        if thread is not None and self._loop is not None and self._stopping is not None:
            self._loop.call_soon_threadsafe(self._stopping.set)
            thread.join()

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
            for relay in list(self._relays):
                relay.abort()
            while self._relays:
                await asyncio.sleep(0)

    async def _open(self, link: Link) -> asyncio.AbstractServer:
        """Listen for a link."""

        def accept() -> End:
            relay = Relay(link, self._recording, self._relays.discard)
            self._relays.add(relay)
            return relay.accepted()

        loop = asyncio.get_running_loop()
        try:
            server = await loop.create_server(accept, self._listen, 0)
        except OSError as error:
            where = f" in the network namespace {self._namespace}" if self._namespace else ""
            raise LabError(f"the relay cannot listen at {self._listen}{where} for link {link.name}: {error.strerror}") from error
        host, port = server.sockets[0].getsockname()[:2]
        self._addresses[link.name] = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        return server
