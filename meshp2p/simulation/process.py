"""One life of a node: its engine, what waits to be told it, and the time its work takes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from math import inf
from typing import TYPE_CHECKING, Final, TypeAlias

import attrs

from meshp2p.effects import Effect, StreamId
from meshp2p.engine import Engine
from meshp2p.ids import Address, Seconds
from meshp2p.simulation.streams import End

if TYPE_CHECKING:
    from meshp2p.simulation.nodes import Node
    from meshp2p.simulation.world import World

Input: TypeAlias = Callable[[Engine, Seconds], object]

_SOCKET_BUFFER: Final = 256
"""Datagrams that wait in the socket of a process that does not read."""


@attrs.define(eq=False)
class Process:
    """A running process; after its end it hears nothing.

    Args:
        halts: How many reasons it has to stand still; a machine may sleep already.
        owed: Seconds of CPU time that its work took and that were not spent yet.
        _touched: Whether the engine had to do with anybody since it was asked for effects.
        _due: What it answered when it was asked for its deadline after its last input.
    """

    _node: Node
    _world: World
    engine: Engine
    streams: dict[StreamId, End] = attrs.field(factory=dict, init=False)
    dirty: dict[StreamId, None] = attrs.field(factory=dict, init=False)
    has_ended: bool = attrs.field(default=False, init=False)
    halts: int = attrs.field(default=0, kw_only=True)
    owed: Seconds = attrs.field(default=0.0, init=False)
    _undone: Sequence[Effect] = attrs.field(default=(), init=False)
    _busy: bool = attrs.field(default=False, init=False)
    _backlog: deque[Input] = attrs.field(factory=deque, init=False)
    _datagrams_waiting: int = attrs.field(default=0, init=False)
    _touched: bool = attrs.field(default=False, init=False)
    _due: Seconds = attrs.field(default=inf, init=False)
    _wakes_at: Seconds = attrs.field(default=inf, init=False)
    _told_at: Seconds = attrs.field(default=-inf, init=False)
    _accepted: int = attrs.field(default=0, init=False)

    @property
    def now(self) -> Seconds:
        """On its monotonic clock."""
        return self._node.clock.monotonic

    @property
    def waiting(self) -> int:
        """Inputs that it has not looked at yet."""
        return len(self._backlog)

    @property
    def is_behind(self) -> bool:
        """Whether something is still to be done, or said, of what it was told."""
        return not self._is_free() or bool(self._backlog)

    def end(self) -> None:
        """Nothing is heard or done any more."""
        self.has_ended = True
        self._backlog.clear()

    # --- inputs ----------------------------------------------------------------

    def feed(self, act: Input) -> None:
        """Hand the engine one input, or keep it while the process has no time for it."""
        if self.has_ended:
            return
        if self.halts or self._busy or self._backlog:
            self._backlog.append(act)
        else:
            self._take(act)

    def feed_datagram(self, data: bytes, source: Address, sender: str, number: int) -> None:
        """A datagram reaches the socket; a full one drops it."""
        if not (self.has_ended or self.halts or self._busy or self._backlog):
            self._read(data, source, sender, number)
            self._end_input()
            return
        if self._datagrams_waiting >= _SOCKET_BUFFER:
            if self._world.watchers:
                to, what, size = self._node.name, "datagram", len(data)
                self._world.tell("drop", sender, to=to, what=what, len=size, id=number, why="queue")
            return
        self._datagrams_waiting += 1
        self.feed(partial(self._read_waiting, data, source, sender, number))

    def _read_waiting(
        self,
        data: bytes,
        source: Address,
        sender: str,
        number: int,
        _engine: Engine,
        _now: Seconds,
    ) -> None:
        self._datagrams_waiting -= 1
        self._read(data, source, sender, number)

    def _read(self, data: bytes, source: Address, sender: str, number: int) -> None:
        world = self._world
        world.note(self._node, "datagram", data)
        if world.watchers:
            world.tell_received(self._node, sender, "datagram", len(data), number)
        if world.charges is not None:
            self.owed += world.charges.datagram
        for look in world.on_arrival:
            look(self._node, source, data)
        self.engine.receive_datagram(data, source, now=self._node.clock.monotonic)

    def later(self, seconds: Seconds, act: Input) -> None:
        """An input after a while."""
        self._world.after(seconds, self.feed, act)

    def _take(self, act: Input) -> None:
        act(self.engine, self._node.clock.monotonic)
        self._end_input()

    def _end_input(self) -> None:
        slowness = self._node.slowness
        if slowness:
            self.owed += slowness
            self._world.coverage["slow"] += 1
        self.after_input()

    # --- work ------------------------------------------------------------------

    def after_input(self) -> None:
        """Perform what the engine asks for, once the work that led to it is done."""
        if self.has_ended or self.halts or self._busy:
            self._touched = True
            return
        self._undone = self._asked()
        node = self._node
        if not node.is_twin:
            for watch in self._world.on_transition:
                watch(node)
        if self.owed:
            owed, self.owed = self.owed, 0.0
            self._busy = True
            self._world.after(owed, self._work_done)
        else:
            self._perform()

    def _work_done(self) -> None:
        self._busy = False
        if self._is_free():
            self._perform()
            self.after_input()  # commands do not wait: they may have come meanwhile
            self._catch_up()

    def resume(self) -> None:
        """Go on after standing still; what waited is read at once."""
        if self._is_free():
            self._wakes_at = inf  # what was to wake it meanwhile did not
            self._perform()
            self.after_input()
            self._catch_up()

    def _catch_up(self) -> None:
        """Deadlines that passed, then inputs that waited, until it is busy again."""
        while self._is_free() and (self._look_at_clock() or self._backlog):
            if self._is_free() and self._backlog:
                self._take(self._backlog.popleft())
        if self._is_free():
            self._arm()

    def _is_free(self) -> bool:
        return not (self.has_ended or self.halts or self._busy)

    def _asked(self) -> Sequence[Effect]:
        """What the engine asks for, shown to whoever watches."""
        self._touched = False
        effects = self.engine.effects()
        node = self._node
        if effects and not node.is_twin:
            for look in self._world.on_effects:
                look(node, effects)
        return effects

    def _perform(self) -> None:
        """Effects in their order; then write; then set the clock."""
        effects, self._undone = self._undone, ()
        while effects or self.dirty:
            perform = self._node.performer.perform
            for effect in effects:
                perform(self, effect)
            if self.dirty:
                self._pump()
            effects = self._asked() if self._touched else ()
        self._arm()

    def _pump(self) -> None:
        dirty, self.dirty = self.dirty, {}
        for stream in dirty:
            if stream in self.streams:
                self._world.streams.pump(self.streams[stream])

    # --- time ------------------------------------------------------------------

    def _arm(self) -> None:
        due = self._due = self.engine.next_deadline()
        if due <= self._told_at:
            self._world.violate("deadlines", "a deadline stays due", (self._node.name,))
        self._told_at = -inf  # other inputs may want something done at once
        self._set_alarm(due)

    def _set_alarm(self, due: Seconds) -> None:
        if due < self._wakes_at and not self.has_ended:
            self._wakes_at = due
            when = self._node.clock.virtual(due)
            self._world.at_time(max(when, self._world.now), self._wake, due)

    def _wake(self, due: Seconds) -> None:
        if self.has_ended or self._wakes_at != due:
            return
        self._wakes_at = inf
        if not self._is_free() or self._look_at_clock():
            return
        if self._touched:
            self._arm()
        else:  # what it was armed for has been moved, and the engine has said whereto
            self._set_alarm(self._due)

    def _look_at_clock(self) -> bool:
        """Tell the engine of a deadline that is due; False if none is.

        It was asked for its deadline when its last input was done.
        """
        now = self._node.clock.monotonic
        if self._due > now:
            return False
        self.engine.receive_deadline(now=now)
        world, node = self._world, self._node
        world.note(node, "deadline", b"")
        if world.watchers:
            world.tell("timer", node.name)
        self._told_at = now
        self.after_input()
        return True

    # --- streams -----------------------------------------------------------------

    def next_accepted(self) -> StreamId:
        """The number of the next stream that somebody opens to it."""
        self._accepted += 2
        return self._accepted

    def pull(self, stream: StreamId, at_most: int) -> bytes:
        """What the engine wants to write; nothing while the process stands still."""
        if self.has_ended or self.halts:
            return b""
        self._touched = True
        return self.engine.stream_bytes(stream, at_most, now=self.now)
