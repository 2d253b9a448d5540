"""What a node asks of its sockets and threads, whoever provides them.

The kernel's are in `sockets`, `network` and below; a simulation brings its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Protocol, TypeVar

import trio

from meshp2p.effects import Record
from meshp2p.ids import Address, Seconds

T = TypeVar("T")


class AlarmPort(Protocol):
    """What wakes one task at a moment that may change meanwhile."""

    async def wait_until(self, moment: Seconds) -> None:
        """Until then, or sooner; who waits looks at the clock. Infinity means: until moved."""

    def move(self, moment: Seconds) -> None:
        """Whoever waits wakes at this moment instead; without anybody, nothing."""


class ClockPort(Protocol):
    """The monotonic clock of a node's machine."""

    def now(self) -> Seconds:
        """What it shows."""
        ...

    def alarm(self) -> AlarmPort:
        """A new alarm that goes by it."""
        ...


class DatagramPort(Protocol):
    """One UDP socket; see `sockets.DatagramSocket`."""

    is_failing: bool
    dropped: int

    async def wait_readable(self) -> None:
        """Until there is a datagram or an error to fetch."""

    def drain(self, at_most: int) -> list[tuple[bytes, Address]]:
        """Up to `at_most` datagrams that are there now."""
        ...

    def refused(self) -> list[Address]:
        """Whose ports were closed when we sent to them."""
        ...

    def send_or_drop(self, data: bytes, to: Address) -> None:
        """Send now; what cannot go is counted in `dropped`."""


class StreamPort(Protocol):
    """One TCP connection; see `sockets.StreamSocket`."""

    async def connect(self, to: Address) -> None:
        """Until the connection stands; OSError if it cannot be made."""

    async def wait_readable(self) -> None:
        """Until there are bytes, or the end; trio.ClosedResourceError if it is closed here."""

    async def wait_writable(self) -> None:
        """Until there is room; raises as `wait_readable`."""

    def receive(self) -> tuple[bytes, bool]:
        """Bytes that are there now, and whether there may be more; BlockingIOError, OSError."""
        ...

    def send(self, data: bytes | memoryview) -> int:
        """Write what fits; 0 if nothing does. OSError if the connection broke."""
        ...

    def abandon(self) -> None:
        """Close this process's copy only."""

    def close(self) -> None:
        """Wake whoever waits, and close; what was written still arrives."""


class ListenerPort(Protocol):
    """One listening TCP socket; see `sockets.Listener`."""

    async def wait_readable(self) -> None:
        """Until somebody connects."""

    def accept(self) -> tuple[StreamPort, Address] | None:
        """Somebody who connected, or None; OSError without descriptors."""
        ...


class NetworkPort(Protocol):
    """All sockets of a node; see `network.Network`."""

    @property
    def datagrams(self) -> Mapping[int, DatagramPort]:
        """By address family."""
        ...

    @property
    def listeners(self) -> Iterable[ListenerPort]:
        """One for each family."""
        ...

    @property
    def addresses(self) -> tuple[Address, ...]:
        """Where it is bound."""
        ...

    @property
    def unsent(self) -> int:
        """Datagrams for a family of addresses without a socket."""
        ...

    def send_or_drop(self, data: bytes, to: Address) -> None:
        """Send from the socket of the address's family."""

    def stream_socket(self, to: Address) -> StreamPort:
        """A socket to connect with; OSError if there is none to be had."""
        ...

    def abandon(self) -> None:
        """Close this process's copies only, after a fork."""

    def close(self) -> None:
        """Close all sockets but the streams."""


class JournalStore(Protocol):
    """Where promises are written before they are made; see `journal.Journal`."""

    @property
    def journal_id(self) -> bytes:
        """16 bytes made with it."""
        ...

    def load(self) -> dict[tuple[str, bytes], bytes]:
        """Every record that is on disk."""
        ...

    def start_writing(self, token: int, records: tuple[Record, ...]) -> None:
        """Write all the records or none, later."""

    def close(self) -> None:
        """Write what was asked for."""


class Threads(Protocol):
    """Where plain functions run, so that the node's loop goes on meanwhile."""

    async def run(
        self,
        work: Callable[[], T],
        *,
        limiter: trio.CapacityLimiter | None = None,
        calls_back: bool = False,
    ) -> T:
        """Run it elsewhere; cancelled, leave it alone. RuntimeError without threads.

        Args:
            calls_back: It may wait for something of the node meanwhile.
        """
        ...

    def clock(self) -> Callable[[], Seconds]:
        """The node's monotonic clock, to be read there."""
        ...


class TrioClock:
    """The clock of trio's loop."""

    now = staticmethod(trio.current_time)
    """As `ClockPort.now`."""

    def alarm(self) -> TrioAlarm:
        """As `ClockPort.alarm`."""
        return TrioAlarm()


class TrioAlarm:
    """A deadline of trio's that is moved where it is, so that moving wakes nobody."""

    def __init__(self) -> None:
        """Nobody waits."""
        self._scope = trio.CancelScope()

    async def wait_until(self, moment: Seconds) -> None:
        """As `AlarmPort.wait_until`."""
        with trio.CancelScope(deadline=moment) as self._scope:
            await trio.sleep_forever()

    def move(self, moment: Seconds) -> None:
        """As `AlarmPort.move`."""
        self._scope.deadline = moment


class WorkerThreads:
    """Trio's worker threads."""

    async def run(
        self,
        work: Callable[[], T],
        *,
        limiter: trio.CapacityLimiter | None = None,
        calls_back: bool = False,
    ) -> T:
        """As `Threads.run`."""
        del calls_back  # a thread of its own can do both
        return await trio.to_thread.run_sync(work, limiter=limiter, abandon_on_cancel=True)

    def clock(self) -> Callable[[], Seconds]:
        """Trio's clock with the offset that it has now: it can be read in its thread only."""
        import time  # noqa: PLC0415  # only for contexts that are used outside the loop

        offset = trio.current_time() - time.perf_counter()
        return lambda: time.perf_counter() + offset
