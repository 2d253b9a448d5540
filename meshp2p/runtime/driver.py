"""Joins one engine to sockets, disk, threads and the clock.

Sockets are drained straight into the engine, effects are performed in their order
without waiting, and stream bytes are pulled when there is room, so that all that was
queued in a turn shares one sealed record and one system call.

Every task is protected from Ctrl-C: in a program on trio it would be raised in the midst
of the engine. The user's main task gets it instead.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final, Protocol

import attrs
import trio

from meshp2p.effects import (
    Announce,
    CancelInvoke,
    CloseStream,
    Invoke,
    OpenStream,
    Persist,
    Record,
    Resolve,
    SendDatagram,
    StreamId,
    StreamReady,
)
from meshp2p.engine import Engine
from meshp2p.events import Event
from meshp2p.ids import Address, Seconds
from meshp2p.runtime.ports import (
    Alarm,
    DatagramPort,
    ListenerPort,
    NetworkPort,
    StreamPort,
    TrioAlarm,
)

_DRAIN: Final = 64
_BATCH: Final = 32
"""Calls or answers in one record at most while more are made: the other end begins on
them meanwhile, instead of both ends waiting for each other in turn."""
_PULL: Final = 64 * 1024
_READS_IN_A_ROW: Final = 16
_WALL_CLOCK_EVERY: Final = 10.0
_FAREWELL: Final = 1.0
"""Seconds that a closed stream has for what its full socket has not taken."""
_BREATH: Final = 0.1
"""Seconds of rest after a socket that only failed, so that it does not take the whole CPU."""


class JournalPort(Protocol):
    """Where promises are written before they are made."""

    def start_writing(self, token: int, records: tuple[Record, ...]) -> None:
        """Write, then have `Driver.persisted` called in trio's thread."""


class RunnerPort(Protocol):
    """Who runs handlers."""

    def start(self, invoke: Invoke) -> tuple[int, bytes] | None:
        """Begin; return (status, body) if it is already over."""

    def cancel(self, call: int) -> None:
        """Tell the handler to stop."""


@attrs.define(eq=False)
class _Stream:
    id: StreamId
    socket: StreamPort
    unsent: memoryview | None = None
    blocked: bool = False
    parting: bool = False
    closed: bool = False


class Driver:
    """One engine in the real world; `run` in a nursery, commands from trio's thread."""

    def __init__(  # the seams of the real world
        self,
        engine: Engine,
        *,
        network: NetworkPort,
        journal: JournalPort,
        runner: RunnerPort,
        resolve: Callable[[str, int], object],
        announce: Callable[[Event], None],
        wall: Callable[[], float],
        alarm: Alarm | None = None,
    ) -> None:
        """Nothing runs yet.

        Args:
            resolve: `async resolve(host, port)` gives addresses.
            wall: Unix seconds.
            alarm: Wakes it at deadlines; `TrioAlarm` if None.
        """
        self.engine = engine
        self._network = network
        self._journal = journal
        self._runner = runner
        self._resolve = resolve
        self._announce = announce
        self._wall = wall
        self._streams: dict[StreamId, _Stream] = {}
        self._dirty: dict[StreamId, None] = {}
        self._parting: set[StreamId] = set()
        self._parted = trio.Event()
        self._next_accepted: StreamId = 2
        self._armed_for: Seconds = -math.inf
        self._alarm = alarm or TrioAlarm()
        self._flush_wanted = trio.Event()
        self._flush_soon = False
        self._unflushed = 0
        self._nursery: trio.Nursery | None = None
        self.lag: Seconds = 0.0
        """How late the clock was looked at, at worst; the host's stalls show here."""

    @trio.lowlevel.enable_ki_protection
    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Until cancelled. The sockets stay open for a goodbye, until `close`."""
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                for datagrams in self._network.datagrams.values():
                    nursery.start_soon(self._read_datagrams, datagrams)
                for listener in self._network.listeners:
                    nursery.start_soon(self._accept, listener)
                nursery.start_soon(self._watch_clock)
                nursery.start_soon(self._watch_wall_clock)
                nursery.start_soon(self._flush_when_wanted)
                self.engine.begin(now=trio.current_time())
                self.perform_effects()
                task_status.started()
        finally:
            self._nursery = None

    def close(self) -> None:
        """Close all sockets; what was written still arrives."""
        for stream in self._streams.values():
            stream.socket.close()
        self._network.close()

    def abandon(self) -> None:
        """In a child made by fork: give the sockets back without a word to the peers."""
        for stream in self._streams.values():
            stream.socket.abandon()
        self._network.abandon()

    # --- reading -------------------------------------------------------------

    @trio.lowlevel.enable_ki_protection
    async def _read_datagrams(self, datagrams: DatagramPort) -> None:
        engine = self.engine
        while True:
            await datagrams.wait_readable()
            received = datagrams.drain(_DRAIN)
            now = trio.current_time()
            for data, source in received:
                engine.receive_datagram(data, source, now=now)
            if len(received) < _DRAIN:
                for address in datagrams.refused():
                    engine.datagram_refused(address, now=now)
            self.perform_effects()
            if datagrams.is_failing:
                await trio.sleep(_BREATH)

    @trio.lowlevel.enable_ki_protection
    async def _accept(self, listener: ListenerPort) -> None:
        while True:
            await listener.wait_readable()
            try:
                accepted = listener.accept()
            except OSError:
                await trio.sleep(_BREATH)  # out of descriptors: let some be closed
                continue
            if accepted is None or self._nursery is None:
                continue
            sock, remote = accepted
            stream = _Stream(self._next_accepted, sock)
            self._next_accepted += 2
            self._streams[stream.id] = stream
            self.engine.stream_accepted(stream.id, remote, now=trio.current_time())
            self.perform_effects()
            if not stream.closed:
                self._nursery.start_soon(self._read_stream, stream)

    @trio.lowlevel.enable_ki_protection
    async def _connect(self, stream: _Stream, to: Address) -> None:
        try:
            await stream.socket.connect(to)
        except (OSError, trio.ClosedResourceError) as error:
            self._end(stream, _reason(error))
            return
        if stream.closed:
            return
        self.engine.stream_opened(stream.id, now=trio.current_time())
        self.perform_effects()
        await self._read_stream(stream)

    @trio.lowlevel.enable_ki_protection
    async def _read_stream(self, stream: _Stream) -> None:
        engine, sock = self.engine, stream.socket
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
                engine.receive_stream(stream.id, data, now=trio.current_time())
                self.perform_effects()
            reads += 1
            if more and reads % _READS_IN_A_ROW:
                continue
            try:
                await sock.wait_readable()
            except trio.ClosedResourceError:
                return

    def _end(self, stream: _Stream, reason: str) -> None:
        """The network ended a stream."""
        if stream.closed:
            return
        self._close(stream)
        self.engine.stream_closed(stream.id, reason, now=trio.current_time())
        self.perform_effects()

    def _close(self, stream: _Stream) -> None:
        stream.closed = True
        self._streams.pop(stream.id, None)
        self._dirty.pop(stream.id, None)
        self._parting.discard(stream.id)
        if not self._parting:
            self._parted.set()
        stream.socket.close()

    # --- time ----------------------------------------------------------------

    @trio.lowlevel.enable_ki_protection
    async def _watch_clock(self) -> None:
        engine = self.engine
        while True:
            self._armed_for = engine.next_deadline()
            await self._alarm.wait_until(self._armed_for)
            now = trio.current_time()
            if now >= self._armed_for:
                self.lag = max(self.lag, now - self._armed_for)
                engine.receive_deadline(now=now)
                self.perform_effects()

    @trio.lowlevel.enable_ki_protection
    async def _watch_wall_clock(self) -> None:
        while True:
            self.engine.receive_wall_clock(self._wall(), now=trio.current_time())
            self.perform_effects()
            await trio.sleep(_WALL_CLOCK_EVERY)

    # --- commands --------------------------------------------------------------

    def after_command(self) -> None:
        """Perform what a command asked for.

        The bytes of a lone call leave at once; where others are under way, they leave
        together with those of this turn, in one record and one system call.
        """
        self._perform()
        self._unflushed += 1
        if self._unflushed >= _BATCH:
            self._flush()
        elif not self._flush_soon:
            if self.engine.open_requests <= 1:
                self._flush()
            else:
                self._flush_soon = True
                self._flush_wanted.set()

    @trio.lowlevel.enable_ki_protection
    async def _flush_when_wanted(self) -> None:
        while True:
            await self._flush_wanted.wait()
            self._flush_wanted = trio.Event()
            self._flush_soon = False
            self._flush()

    def persisted(self, token: int, ok: bool) -> None:  # noqa: FBT001  # the journal's callback
        """The journal has written, or could not."""
        self.engine.receive_persisted(token, ok=ok, now=trio.current_time())
        self.perform_effects()

    def handler_returned(self, call: int, status: int, body: bytes) -> None:
        """A handler that took its time is over."""
        self.engine.receive_outcome(call, status, body, now=trio.current_time())
        self.after_command()

    # --- effects ---------------------------------------------------------------

    def perform_effects(self) -> None:
        """Perform and write. Never waits, so effects keep their order."""
        self._perform()
        self._flush()

    def _perform(self) -> None:
        engine = self.engine
        while effects := engine.effects():
            for effect in effects:
                kind = type(effect)
                if kind is StreamReady:
                    self._dirty[effect.stream] = None  # type: ignore[union-attr]  # narrowed by `kind`
                elif kind is Announce:
                    self._announce(effect.event)  # type: ignore[union-attr]
                elif kind is Invoke:
                    outcome = self._runner.start(effect)  # type: ignore[arg-type]
                    if outcome is not None:
                        engine.receive_outcome(effect.call, *outcome, now=trio.current_time())  # type: ignore[union-attr]
                        self._unflushed += 1
                        if self._unflushed >= _BATCH:
                            self._write_dirty()
                else:
                    self._perform_rare(effect)

    def _perform_rare(self, effect: object) -> None:
        match effect:
            case SendDatagram(to=to, data=data):
                self._network.send_or_drop(data, to)
            case OpenStream(stream=number, to=to):
                self._open_asked(number, to)
            case CloseStream(stream=number, flush=flush):
                self._close_asked(number, flush=flush)
            case Persist(token=token, records=records):
                self._journal.start_writing(token, records)
            case CancelInvoke(call=call):
                self._runner.cancel(call)
            case Resolve(host=host, port=port):
                self._start_soon(self._look_up, host, port)

    def _start_soon(self, run: Callable[..., object], *args: object) -> None:
        if self._nursery is not None:
            self._nursery.start_soon(run, *args)  # type: ignore[arg-type]  # an async function

    def _open_asked(self, number: StreamId, to: Address) -> None:
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
        self.engine.stream_closed(number, reason, now=trio.current_time())
        self.perform_effects()

    def _close_asked(self, number: StreamId, *, flush: bool) -> None:
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
        await trio.sleep(_FAREWELL)
        if not stream.closed:
            self._close(stream)

    async def said_farewell(self) -> None:
        """Until the streams that were closed have written what was queued: a second at most."""
        while self._parting:
            self._parted = trio.Event()
            await self._parted.wait()

    @trio.lowlevel.enable_ki_protection
    async def _look_up(self, host: str, port: int) -> None:
        try:
            addresses = await self._resolve(host, port)  # type: ignore[misc]  # an async function
        except RuntimeError:  # the system gives this process no more threads
            addresses = []
        self.engine.receive_resolved(host, port, addresses, now=trio.current_time())
        self.perform_effects()

    def _flush(self) -> None:
        """Write what waits; look whether time must be watched more closely."""
        self._write_dirty()
        if self.engine.next_deadline() < self._armed_for:
            self._alarm.ring()

    def _write_dirty(self) -> None:
        self._unflushed = 0
        while self._dirty:
            number, _ = self._dirty.popitem()
            stream = self._streams.get(number)
            if stream is not None and not stream.blocked:
                self._write(stream)

    def _write(self, stream: _Stream) -> None:
        """Write until nothing waits or the socket is full."""
        engine, sock = self.engine, stream.socket
        try:
            while not stream.closed:
                if stream.unsent is None:
                    data = engine.stream_bytes(stream.id, _PULL, now=trio.current_time())
                    if not data:
                        if stream.parting:
                            self._close(stream)
                        return
                    sent = sock.send(data)
                    if sent == len(data):
                        continue
                    stream.unsent = memoryview(data)[sent:]
                else:
                    sent = sock.send(stream.unsent)
                    stream.unsent = stream.unsent[sent:] if sent < len(stream.unsent) else None
                if stream.unsent is not None and not sent:
                    stream.blocked = True
                    self._start_soon(self._wait_writable, stream)
                    return
        except OSError as error:
            self._start_soon(self._end_later, stream, _reason(error))

    @trio.lowlevel.enable_ki_protection
    async def _end_later(self, stream: _Stream, reason: str) -> None:
        self._end(stream, reason)

    @trio.lowlevel.enable_ki_protection
    async def _wait_writable(self, stream: _Stream) -> None:
        try:
            await stream.socket.wait_writable()
        except trio.ClosedResourceError:
            return
        stream.blocked = False
        self._write(stream)
        self.perform_effects()


def _reason(error: BaseException) -> str:
    """For people: why the network ended a stream."""
    if isinstance(error, ConnectionRefusedError) or "ECONNREFUSED" in str(error):
        return "connection refused"
    if isinstance(error, ConnectionResetError):
        return "connection reset"
    return str(error) or type(error).__name__
