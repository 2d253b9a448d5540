"""Joins one engine to sockets, disk, threads and the clock.

Datagrams are drained straight into the engine, and effects are performed in their order
without waiting. What a turn queued for a stream is written at its end (`streams.py`).

Every task is protected from Ctrl-C: in a program on trio it would be raised in the midst
of the engine. The user's main task gets it instead.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final, Protocol

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
    StreamReady,
)
from meshp2p.engine import Engine
from meshp2p.events import Event
from meshp2p.ids import Seconds
from meshp2p.runtime.ports import ClockPort, DatagramPort, NetworkPort, TrioClock
from meshp2p.runtime.streams import Streams

_DRAIN: Final = 64
_BATCH: Final = 32
"""Calls or answers in one record at most while more are made: the other end begins on
them meanwhile, instead of both ends waiting for each other in turn."""
_WALL_CLOCK_EVERY: Final = 10.0
_BREATH: Final = 0.1
"""Seconds of rest after a socket that only failed, so that it does not take the whole CPU."""
_MEETING_LOOK: Final[Seconds] = 0.002


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
        clock: ClockPort | None = None,
    ) -> None:
        """Nothing runs yet.

        Args:
            resolve: `async resolve(host, port)` gives addresses.
            wall: Unix seconds.
            clock: The engine's time; trio's if None.
        """
        self.engine = engine
        self._network = network
        self._journal = journal
        self._runner = runner
        self._resolve = resolve
        self._announce = announce
        self._wall = wall
        clock = clock or TrioClock()
        self.now = clock.now
        """What the engine's clock shows."""
        self._alarm = clock.alarm()
        self._streams = Streams(engine, network, self.perform_effects, self.now)
        self._armed_for: Seconds = math.inf
        self._flush_wanted = trio.Event()
        self._flush_soon = False
        self._unflushed = 0
        self._nursery: trio.Nursery | None = None
        self.lag: Seconds = 0.0
        """How late the clock was looked at, at worst; the host's stalls show here."""

    @property
    def datagrams_unsent(self) -> int:
        """Datagrams that this machine did not take: it has no network, or too much to send."""
        network = self._network
        return network.unsent + sum(port.dropped for port in network.datagrams.values())

    @trio.lowlevel.enable_ki_protection
    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Until cancelled. The sockets stay open for a goodbye, until `close`."""
        async with trio.open_nursery() as nursery:
            self._nursery = self._streams.nursery = nursery
            try:
                for datagrams in self._network.datagrams.values():
                    nursery.start_soon(self._read_datagrams, datagrams)
                for listener in self._network.listeners:
                    nursery.start_soon(self._streams.accept, listener)
                nursery.start_soon(self._watch_clock)
                nursery.start_soon(self._watch_wall_clock)
                nursery.start_soon(self._flush_when_wanted)
                self.engine.begin(now=self.now())
                self.perform_effects()
                task_status.started()
                await trio.sleep_forever()
            finally:  # while the nursery is open: a closed one refuses what others still begin
                self._nursery = self._streams.nursery = None

    def close(self) -> None:
        """Close all sockets; what was written still arrives."""
        self._streams.close_all()
        self._network.close()

    async def meet(self, at_most: Seconds) -> None:
        """Read answers to handshakes for so long, though everything here is cancelled.

        Whoever is interrupted in the moment after it joined has no session yet: without this
        its goodbye would wait for one in vain.
        """
        ends = trio.current_time() + at_most
        with trio.CancelScope(shield=True, deadline=ends):
            async with trio.open_nursery() as nursery:
                for datagrams in self._network.datagrams.values():
                    nursery.start_soon(self._read_datagrams, datagrams)
                while self.engine.is_meeting:  # noqa: ASYNC110  # an engine has no Event to wait for
                    await trio.sleep(_MEETING_LOOK)
                nursery.cancel_scope.cancel()

    async def said_farewell(self) -> None:
        """Until the streams that were closed have written what was queued: a second at most."""
        await self._streams.said_farewell()

    def abandon(self) -> None:
        """In a child made by fork: give the sockets back without a word to the peers."""
        self._streams.abandon()
        self._network.abandon()

    # --- reading -------------------------------------------------------------

    @trio.lowlevel.enable_ki_protection
    async def _read_datagrams(self, datagrams: DatagramPort) -> None:
        engine = self.engine
        while True:
            await datagrams.wait_readable()
            received = datagrams.drain(_DRAIN)
            now = self.now()
            for data, source in received:
                engine.receive_datagram(data, source, now=now)
            if len(received) < _DRAIN:
                for address in datagrams.refused():
                    engine.datagram_refused(address, now=now)
            self.perform_effects()
            if datagrams.is_failing:
                await trio.sleep(_BREATH)

    # --- time ----------------------------------------------------------------

    @trio.lowlevel.enable_ki_protection
    async def _watch_clock(self) -> None:
        engine, alarm = self.engine, self._alarm
        while True:
            await alarm.wait_until(self._armed_for)
            now = self.now()
            if now >= self._armed_for:
                self.lag = max(self.lag, now - self._armed_for)
                self._armed_for = math.inf  # the next one is found once the effects are done
                engine.receive_deadline(now=now)
                self.perform_effects()

    @trio.lowlevel.enable_ki_protection
    async def _watch_wall_clock(self) -> None:
        while True:
            self.engine.receive_wall_clock(self._wall(), now=self.now())
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
        self.engine.receive_persisted(token, ok=ok, now=self.now())
        self.perform_effects()

    def handler_returned(self, call: int, status: int, body: bytes) -> None:
        """A handler that took its time is over."""
        self.engine.receive_outcome(call, status, body, now=self.now())
        self.after_command()

    # --- effects ---------------------------------------------------------------

    def perform_effects(self) -> None:
        """Perform and write. Never waits, so effects keep their order."""
        self._perform()
        self._flush()

    def _perform(self) -> None:
        engine, dirty = self.engine, self._streams.dirty
        while effects := engine.effects():
            for effect in effects:
                kind = type(effect)
                if kind is StreamReady:
                    dirty[effect.stream] = None  # type: ignore[union-attr]  # narrowed by `kind`
                elif kind is SendDatagram:
                    self._network.send_or_drop(effect.data, effect.to)  # type: ignore[union-attr]
                elif kind is Announce:
                    self._announce(effect.event)  # type: ignore[union-attr]
                elif kind is Invoke:
                    outcome = self._runner.start(effect)  # type: ignore[arg-type]
                    if outcome is not None:
                        engine.receive_outcome(effect.call, *outcome, now=self.now())  # type: ignore[union-attr]
                        self._unflushed += 1
                        if self._unflushed >= _BATCH:
                            self._unflushed = 0
                            self._streams.write_dirty()
                else:
                    self._perform_rare(effect)

    def _perform_rare(self, effect: object) -> None:
        match effect:
            case OpenStream(stream=number, to=to):
                self._streams.open(number, to)
            case CloseStream(stream=number, flush=flush):
                self._streams.part(number, flush=flush)
            case Persist(token=token, records=records):
                self._journal.start_writing(token, records)
            case CancelInvoke(call=call):
                self._runner.cancel(call)
            case Resolve(host=host, port=port):
                if self._nursery is not None:
                    self._nursery.start_soon(self._look_up, host, port)

    @trio.lowlevel.enable_ki_protection
    async def _look_up(self, host: str, port: int) -> None:
        try:
            addresses = await self._resolve(host, port)  # type: ignore[misc]  # an async function
        except RuntimeError:  # the system gives this process no more threads
            addresses = []
        self.engine.receive_resolved(host, port, addresses, now=self.now())
        self.perform_effects()

    def _flush(self) -> None:
        """Write what waits; look whether time must be watched more closely."""
        self._unflushed = 0
        self._streams.write_dirty()
        due = self.engine.next_deadline()
        if due != self._armed_for:
            self._armed_for = due
            self._alarm.move(due)
