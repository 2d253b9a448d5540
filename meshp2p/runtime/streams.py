"""The streams of one driver: accepted or connected, read, written, and closed.

Bytes are pulled from the engine when a socket has room, so that all that was queued in a
turn shares one sealed record and one system call.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import copy_context
from typing import Final

import attrs
import trio

from meshp2p.effects import StreamId
from meshp2p.engine import Engine
from meshp2p.ids import Address, Seconds
from meshp2p.runtime.ports import ListenerPort, NetworkPort, StreamPort

_PULL: Final = 64 * 1024
_READS_IN_A_ROW: Final = 16
_FAREWELL: Final = 1.0
"""Seconds without a byte taken after which a closed stream's last words are dropped."""
_LONGEST_FAREWELL: Final = 10.0
"""Seconds; whoever reads a byte now and then holds up no `stop` for longer."""
_BREATH: Final = 0.1
"""Seconds of rest after `accept` failed, so that it does not take the whole CPU."""


@attrs.define(eq=False)
class _Stream:
    """One connection. `taken` counts the bytes that its socket has accepted."""

    id: StreamId
    socket: StreamPort
    unsent: memoryview | None = None
    blocked: bool = False
    parting: bool = False
    taken: int = 0
    closed: bool = False


class Streams:
    """All streams of one driver."""

    def __init__(
        self,
        engine: Engine,
        network: NetworkPort,
        perform_effects: Callable[[], None],
        now: Callable[[], Seconds],
    ) -> None:
        """None yet.

        Args:
            perform_effects: Called after each report to the engine.
            now: The engine's clock.
        """
        self.nursery: trio.Nursery | None = None
        """Where streams wait; the driver's while it runs."""
        self._surroundings = copy_context()
        """Of all tasks here: not those of whoever's command opens a connection."""
        self.dirty: dict[StreamId, None] = {}
        """Streams that the engine has bytes for."""
        self._engine = engine
        self._network = network
        self._perform_effects = perform_effects
        self._now = now
        self._streams: dict[StreamId, _Stream] = {}
        self._parting: set[StreamId] = set()
        self._parted = trio.Event()
        self._next_accepted: StreamId = 2

    def close_all(self) -> None:
        """Close all sockets; what was written still arrives."""
        for stream in self._streams.values():
            stream.socket.close()

    def abandon(self) -> None:
        """In a child made by fork: give the sockets back without a word to the peers."""
        for stream in self._streams.values():
            stream.socket.abandon()

    def _start_soon(self, run: Callable[..., object], *args: object) -> None:
        if self.nursery is not None:
            self._surroundings.run(self.nursery.start_soon, run, *args)  # type: ignore[arg-type]  # an async function

    # --- beginning -----------------------------------------------------------

    @trio.lowlevel.enable_ki_protection
    async def accept(self, listener: ListenerPort) -> None:
        """Take whoever connects, until cancelled."""
        while True:
            await listener.wait_readable()
            try:
                accepted = listener.accept()
            except OSError:
                await trio.sleep(_BREATH)  # out of descriptors: let some be closed
                continue
            if accepted is None:
                continue
            sock, remote = accepted
            if self.nursery is None:  # the driver ends just now
                sock.close()
                continue
            stream = _Stream(self._next_accepted, sock)
            self._next_accepted += 2
            self._streams[stream.id] = stream
            self._engine.stream_accepted(stream.id, remote, now=self._now())
            self._perform_effects()
            if not stream.closed:
                self.nursery.start_soon(self._read, stream)

    def open(self, number: StreamId, to: Address) -> None:
        """The effect OpenStream."""
        try:
            stream = _Stream(number, self._network.stream_socket(to))
        except OSError as error:  # out of descriptors, or a kernel without IPv6
            self._start_soon(self._fail_to_open, number, _reason(error))
            return
        self._streams[number] = stream
        self._start_soon(self._connect, stream, to)

    @trio.lowlevel.enable_ki_protection
    async def _fail_to_open(self, number: StreamId, reason: str) -> None:
        # A task, since the engine may not be told in the midst of its effects.
        self._engine.stream_closed(number, reason, now=self._now())
        self._perform_effects()

    @trio.lowlevel.enable_ki_protection
    async def _connect(self, stream: _Stream, to: Address) -> None:
        try:
            await stream.socket.connect(to)
        except (OSError, trio.ClosedResourceError) as error:
            self._end(stream, _reason(error))
            return
        if stream.closed:
            return
        self._engine.stream_opened(stream.id, now=self._now())
        self._perform_effects()
        await self._read(stream)

    # --- reading -------------------------------------------------------------

    @trio.lowlevel.enable_ki_protection
    async def _read(self, stream: _Stream) -> None:
        engine, sock = self._engine, stream.socket
        reads = 0
        while not stream.closed and not stream.parting:
            try:
                data, more = sock.receive()
            except (BlockingIOError, InterruptedError):
                data, more = b"", False
            except OSError as error:
                self._end(stream, _reason(error))
                return
            else:
                if not data:
                    self._end(stream, "it closed the connection")
                    return
                engine.receive_stream(stream.id, data, now=self._now())
                self._perform_effects()
            reads += 1
            if more and reads % _READS_IN_A_ROW:
                continue
            try:
                await sock.wait_readable()
            except trio.ClosedResourceError:
                return

    # --- writing -------------------------------------------------------------

    def write_dirty(self) -> None:
        """Write what the engine has bytes for, in its order. Never waits."""
        while self.dirty:
            number = next(iter(self.dirty))
            del self.dirty[number]
            stream = self._streams.get(number)
            if stream is not None and not stream.blocked:
                self._write(stream)

    def _write(self, stream: _Stream) -> None:
        """Write until nothing waits or the socket is full."""
        engine, sock = self._engine, stream.socket
        try:
            while not stream.closed:
                if stream.unsent is None:
                    data = engine.stream_bytes(stream.id, _PULL, now=self._now())
                    if not data:
                        if stream.parting:
                            self._close(stream)
                        return
                    sent = sock.send(data)
                    stream.taken += sent
                    if sent == len(data):
                        continue
                    stream.unsent = memoryview(data)[sent:]
                else:
                    sent = sock.send(stream.unsent)
                    stream.taken += sent
                    stream.unsent = stream.unsent[sent:] if sent < len(stream.unsent) else None
                if stream.unsent is not None and not sent:
                    stream.blocked = True
                    self._start_soon(self._wait_writable, stream)
                    return
        except OSError as error:
            self._start_soon(self._end_later, stream, _reason(error))

    @trio.lowlevel.enable_ki_protection
    async def _wait_writable(self, stream: _Stream) -> None:
        try:
            await stream.socket.wait_writable()
        except trio.ClosedResourceError:
            return
        stream.blocked = False
        self._write(stream)
        self._perform_effects()

    # --- ending --------------------------------------------------------------

    def part(self, number: StreamId, *, flush: bool) -> None:
        """The effect CloseStream: at once, or once the last words are written."""
        stream = self._streams.get(number)
        if stream is None:
            return
        if not flush:
            self._close(stream)
            return
        stream.parting = True
        self._parting.add(number)
        if not stream.blocked:
            self._write(stream)
        if not stream.closed:
            self._start_soon(self._end_parting, stream)

    @trio.lowlevel.enable_ki_protection
    async def _end_parting(self, stream: _Stream) -> None:
        with trio.move_on_after(_LONGEST_FAREWELL):
            taken = -1
            while stream.taken > taken:
                taken = stream.taken
                await trio.sleep(_FAREWELL)
        if not stream.closed:
            self._close(stream)

    async def said_farewell(self) -> None:
        """Until the streams that were closed have written what was queued, or nobody takes it."""
        while self._parting:
            self._parted = trio.Event()
            await self._parted.wait()

    @trio.lowlevel.enable_ki_protection
    async def _end_later(self, stream: _Stream, reason: str) -> None:
        self._end(stream, reason)

    def _end(self, stream: _Stream, reason: str) -> None:
        """The network ended a stream."""
        if stream.closed:
            return
        self._close(stream)
        self._engine.stream_closed(stream.id, reason, now=self._now())
        self._perform_effects()

    def _close(self, stream: _Stream) -> None:
        stream.closed = True
        self._streams.pop(stream.id, None)
        self.dirty.pop(stream.id, None)
        self._parting.discard(stream.id)
        if not self._parting:
            self._parted.set()
        stream.socket.close()


def _reason(error: BaseException) -> str:
    """For people: why the network ended a stream."""
    if isinstance(error, ConnectionRefusedError) or "ECONNREFUSED" in str(error):
        return "connection refused"
    if isinstance(error, ConnectionResetError):
        return "connection reset"
    return str(error) or type(error).__name__
