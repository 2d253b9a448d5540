"""What a node takes from the machine that it runs on, and the real one.

A node asks `MACHINE` when it starts. In a simulation each agent has a machine of its own
there, with a disk, sockets and a wall clock that the test decides over.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import Any, Final, Protocol

import trio

from meshp2p.discovery.seeds import resolve
from meshp2p.identity.keys import Crypto, OpenSSL
from meshp2p.ids import Address
from meshp2p.node.home import Home, open_home
from meshp2p.node.settings import Settings
from meshp2p.runtime import network
from meshp2p.runtime.ports import ClockPort, NetworkPort, Threads, TrioClock, WorkerThreads

OnWritten = Callable[[int, bool], None]
"""Called in trio's thread with a token of `start_writing` and whether it is on disk."""


class Machine(Protocol):
    """One machine, as a node sees it."""

    @property
    def is_simulated(self) -> bool:
        """Whether time stands still there while nothing runs."""
        ...

    @property
    def crypto(self) -> Crypto:
        """Mathematics of keys."""
        ...

    @property
    def threads(self) -> Threads:
        """Where plain functions run."""
        ...

    @property
    def monotonic(self) -> ClockPort:
        """The clock that only runs."""
        ...

    def wall(self) -> float:
        """The wall clock: Unix seconds."""
        ...

    def entropy(self, size: int) -> bytes:
        """Unpredictable bytes, for keys."""
        ...

    def dice(self) -> random.Random:
        """A generator for decisions."""
        ...

    def open_home(self, settings: Settings, *, unix: float, on_written: OnWritten) -> Home:
        """Keys, journal and directory; StateUnusable if the disk does not allow it."""
        ...

    def bind(self, hosts: Sequence[str], port: int, *, fallback: bool) -> NetworkPort:
        """As `network.bind`."""
        ...

    def advertised(self, bound: Sequence[Address]) -> tuple[Address, ...]:
        """As `network.advertised`."""
        ...

    async def resolve(self, host: str, port: int) -> list[Address]:
        """As `seeds.resolve`."""
        ...

    def blocking(
        self, call: Callable[..., Any], call_async: Callable[..., Any]
    ) -> Callable[..., Any]:
        """What `Context.call` does in a plain handler's thread, given both kinds of call."""
        ...


class Computer:
    """The machine that this process runs on."""

    is_simulated = False

    def __init__(self) -> None:
        """Nothing is opened."""
        self.crypto: Crypto = OpenSSL()
        self.threads: Threads = WorkerThreads()
        self.monotonic: ClockPort = TrioClock()

    def wall(self) -> float:
        """As `Machine.wall`."""
        return time.time()

    def entropy(self, size: int) -> bytes:
        """As `Machine.entropy`."""
        return os.urandom(size)

    def dice(self) -> random.Random:
        """As `Machine.dice`."""
        return random.Random(os.urandom(32))  # noqa: S311  # decisions, not secrets

    def open_home(self, settings: Settings, *, unix: float, on_written: OnWritten) -> Home:
        """As `Machine.open_home`; the journal writes in a thread of its own."""
        token = trio.lowlevel.current_trio_token()

        def written(number: int, ok: bool) -> None:  # noqa: FBT001  # the journal's callback
            try:
                token.run_sync_soon(on_written, number, ok)
            except trio.RunFinishedError:
                return  # the node ended while its disk was busy

        return open_home(settings, self.crypto, entropy=os.urandom, unix=unix, on_written=written)

    def bind(self, hosts: Sequence[str], port: int, *, fallback: bool) -> NetworkPort:
        """As `Machine.bind`."""
        return network.bind(hosts, port, fallback=fallback)

    def advertised(self, bound: Sequence[Address]) -> tuple[Address, ...]:
        """As `Machine.advertised`."""
        return network.advertised(bound)

    async def resolve(self, host: str, port: int) -> list[Address]:
        """As `Machine.resolve`."""
        return await resolve(host, port)

    def blocking(
        self, call: Callable[..., Any], call_async: Callable[..., Any]
    ) -> Callable[..., Any]:
        """As `Machine.blocking`: the thread waits for the node's loop."""
        del call_async
        return call


MACHINE: Final[ContextVar[Machine]] = ContextVar(
    "meshp2p_machine",
    default=Computer(),  # noqa: B039  # it holds nothing that changes
)
"""Where nodes run that are started here; tasks inherit it from whoever starts them."""
