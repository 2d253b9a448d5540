"""One simulated machine: a production engine, its disk, its sockets, its agent."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from math import inf
from typing import TYPE_CHECKING, Final

from meshp2p.config import Config
from meshp2p.effects import (
    Announce,
    CancelInvoke,
    CloseStream,
    Effect,
    Invoke,
    OpenStream,
    Persist,
    Resolve,
    SendDatagram,
    StreamId,
    StreamReady,
)
from meshp2p.engine import Engine
from meshp2p.errors import Closed
from meshp2p.events import CallFinished, Log, MemberEvent
from meshp2p.identity.node import NodeIdentity
from meshp2p.identity.trust import MeshKeys
from meshp2p.ids import Address, NodeId, Seconds
from meshp2p.messaging.body import pack_plain
from meshp2p.messaging.resolver import parse_target
from meshp2p.simulation.dice import between
from meshp2p.simulation.disk import Disk
from meshp2p.simulation.handlers import Agent, Ran
from meshp2p.simulation.jobs import Jobs
from meshp2p.simulation.links import Lane
from meshp2p.simulation.origins import Origins
from meshp2p.simulation.pending import Pending
from meshp2p.simulation.sight import Sight
from meshp2p.simulation.streams import End
from meshp2p.wire import messages

if TYPE_CHECKING:
    from meshp2p.simulation.world import World

Input = Callable[[Engine, Seconds], object]

_SYNC: Final[tuple[Seconds, Seconds]] = (0.0005, 0.004)
"""How long a write takes to reach the platter."""
_WALL_CLOCK_EVERY: Final[Seconds] = 10.0
_SOCKET_BUFFER: Final = 256
"""Datagrams that wait in the socket of a process that does not read."""


class Node(Sight):
    """One node of a simulated world, from its first start through all its lives."""

    def __init__(self, world: World, origins: Origins, agent: Agent) -> None:
        """Switched off; `start` starts it."""
        self._world = world
        self._origins = origins
        self.agent = agent
        self.name = origins.name
        self.address = origins.address
        self.disk = Disk()
        self.life = 0
        self.events: list[MemberEvent] = []
        self.logs: list[Log] = []
        self.jobs = Jobs(self)
        self.streams: dict[StreamId, End] = {}
        self.has_power = True
        self._engine: Engine | None = None
        self._identity: NodeIdentity | None = None
        self._pending: dict[int, Pending] = {}
        self._wakes_at = inf
        self._paused = False
        self._backlog: deque[Input] = deque()
        self._datagrams_waiting = 0
        self._accepted = 0
        self._dirty: dict[StreamId, None] = {}
        self._persisted = 0

    def __repr__(self) -> str:
        return f"<{self.name}, life {self.life}>"

    # --- looking ---------------------------------------------------------------

    @property
    def config(self) -> Config:
        """The knobs of its engine."""
        return self._origins.config

    @property
    def keys(self) -> MeshKeys:
        """Of its mesh and namespace."""
        return self._origins.keys

    @property
    def is_guest(self) -> bool:
        """Whether it only looks."""
        return self._origins.guest

    @property
    def is_running(self) -> bool:
        """Whether it has a process, be it paused."""
        return self._engine is not None

    @property
    def is_paused(self) -> bool:
        """Whether its process stands still."""
        return self._paused

    @property
    def engine(self) -> Engine:
        """Its engine.

        Raises:
            Closed: Its process has ended.
        """
        if self._engine is None:
            raise Closed(f"{self.name} is not running")
        return self._engine

    @property
    def identity(self) -> NodeIdentity:
        """Its keys, in its present or last life.

        Raises:
            Closed: It was never started.
        """
        if self._identity is None:
            raise Closed(f"{self.name} was never started")
        return self._identity

    @property
    def id(self) -> NodeId:
        """Its node id: the same in every life."""
        return self.identity.node_id

    @property
    def now(self) -> Seconds:
        """Virtual time; its own monotonic clock shows the same."""
        return self._world.now

    @property
    def ran(self) -> list[Ran]:
        """Every handler of its agent that began, in all lives."""
        return self.jobs.ran

    @property
    def cancelled(self) -> list[Ran]:
        """Those that were told to stop."""
        return self.jobs.cancelled

    # --- life ------------------------------------------------------------------

    def start(self) -> None:
        """Begin the next life with whatever the disk holds."""
        self.life += 1
        origins, world, unix = self._origins, self._world, self._world.unix
        self._identity = origins.identity(world.seed, self.life, unix)
        self._engine = origins.engine(
            world.make_engine,
            self._identity,
            seed=world.seed,
            life=self.life,
            now=world.now,
            unix=unix,
            capabilities=[each.info(name) for name, each in self.agent.handlers.items()],
            stored=self.disk.read(),
        )
        self._engine.listen(listens=self.agent.on_message is not None)
        self._tell_wall_clock(self.life)
        self.feed(lambda engine, now: engine.begin(now=now))

    def crash(self, *, silent: bool = False, kept: int = 0) -> None:
        """End without a word.

        Args:
            silent: The machine is gone too: no RST, no ICMP.
            kept: Of the writes that were not synced, these many survive.
        """
        self.has_power = not silent
        self._end()
        self.disk.crash(kept)

    def end(self) -> None:
        """Close everything in order; the process exits."""
        self.feed(lambda engine, now: engine.stop(now=now))
        self._end()

    def _end(self) -> None:
        ends, self.streams = list(self.streams.values()), {}
        for end in ends:
            if self.has_power:
                self._world.streams.reset(end)
            end.closed = True
        self.life += 1
        self._engine = None
        self._paused = False
        self._wakes_at = inf
        for kept in (self._backlog, self._pending, self._dirty):
            kept.clear()
        self.jobs.crash()

    def pause(self) -> None:
        """Stand still, as after SIGSTOP; sockets fill, deadlines pass."""
        self._paused = True

    def resume(self) -> None:
        """Go on; what waited is read at once."""
        self._paused = False
        backlog, self._backlog = self._backlog, deque()
        for act in backlog:
            self.feed(act)
        self._wakes_at = inf
        self.after_input()

    def _tell_wall_clock(self, life: int) -> None:
        if self.life == life and self._engine is not None:
            self.feed(lambda engine, now: engine.receive_wall_clock(self._world.unix, now=now))
            self._world.after(_WALL_CLOCK_EVERY, lambda: self._tell_wall_clock(life))

    # --- commands --------------------------------------------------------------

    def call(
        self,
        target: str,
        *args: object,
        timeout: Seconds | None = None,
        key: str = "",
        **kwargs: object,
    ) -> Pending:
        """Call as a user would."""
        parsed = parse_target(target)
        value = args[0] if parsed.method == messages.ON_MESSAGE else [list(args), kwargs]
        body = pack_plain(value, "the arguments")
        return self.command(
            lambda engine, now: engine.call(parsed, body, timeout=timeout, key=key, now=now)
        )

    def command(self, act: Callable[[Engine, Seconds], int]) -> Pending:
        """Give the engine a command that ends in `CallFinished`.

        Raises:
            MeshError: The engine refuses it at once.
        """
        number = act(self.engine, self._world.now)
        pending = self._pending[number] = Pending(number, self._world.now)
        self.after_input()
        return pending

    def cancel(self, pending: Pending) -> None:
        """Wait no longer."""
        self.feed(lambda engine, now: engine.cancel(pending.number, now=now))

    # --- inputs ----------------------------------------------------------------

    def feed(self, act: Input) -> None:
        """Hand the engine one input, or keep it while the process stands still."""
        if self._engine is None:
            return
        if self._paused:
            self._backlog.append(act)
            return
        act(self._engine, self._world.now)
        self.after_input()

    def feed_datagram(self, data: bytes, source: Address) -> None:
        """A datagram reaches the socket; a full one drops it."""
        if self._engine is None or (self._paused and self._datagrams_waiting >= _SOCKET_BUFFER):
            return
        self._datagrams_waiting += 1

        def read(engine: Engine, now: Seconds) -> None:
            self._datagrams_waiting -= 1
            self._world.note(self, "datagram", data)
            engine.receive_datagram(data, source, now=now)

        self.feed(read)

    def next_accepted(self) -> StreamId:
        """The number of the next stream that somebody opens to us."""
        self._accepted += 2
        return self._accepted

    def pull(self, stream: StreamId, at_most: int) -> bytes:
        """What the engine wants to write; nothing while the process stands still."""
        if self._engine is None or self._paused:
            return b""
        return self._engine.stream_bytes(stream, at_most, now=self._world.now)

    def after_input(self) -> None:
        """Perform what the engine asks for, in order; then write; then set the clock."""
        engine = self._engine
        if engine is None or self._paused:
            return
        while True:
            for effect in engine.effects():
                self._perform(effect)
            if not self._dirty:
                break
            dirty, self._dirty = list(self._dirty), {}
            for stream in dirty:
                if stream in self.streams:
                    self._world.streams.pump(self.streams[stream])
        due = engine.next_deadline()
        if due < self._wakes_at:
            self._wakes_at = due
            life = self.life
            self._world.at_time(max(due, self._world.now), lambda: self._wake(life, due))

    def _wake(self, life: int, due: Seconds) -> None:
        engine = self._engine
        if self.life != life or engine is None or self._wakes_at != due:
            return
        self._wakes_at = inf
        if self._paused:
            return
        now = self._world.now
        if engine.next_deadline() <= now:
            engine.receive_deadline(now=now)
            self._world.note(self, "deadline", b"")
            self._world.require(engine.next_deadline() > now, f"{self!r}: a deadline stays due")
        self.after_input()

    # --- effects ---------------------------------------------------------------

    def _perform(self, effect: Effect) -> None:
        match effect:
            case SendDatagram(to=to, data=data):
                self._world.send_datagram(self, to, data)
            case StreamReady(stream=stream):
                self._dirty[stream] = None
            case Invoke():
                self._world.handler_begins(self, self.jobs.begin(effect))
            case CancelInvoke(call=call):
                self.jobs.cancel(call)
            case Persist():
                self._persist(effect)
            case Announce(event=event):
                self._hear(event)
            case _:
                self._perform_on_the_network(effect)

    def _perform_on_the_network(self, effect: Effect) -> None:
        match effect:
            case OpenStream(stream=stream, to=to):
                end = End(self, self.life, stream, Lane((self.name, self.name)))
                self.streams[stream] = end
                self._world.streams.connect(end, to)
            case CloseStream(stream=stream, flush=flush):
                if stream in self.streams:
                    self._world.streams.close(self.streams[stream], flush=flush)
            case Resolve(host=host, port=port):
                self.later(
                    0.001,
                    lambda engine, now: engine.receive_resolved(
                        host, port, [Address(host, port)], now=now
                    ),
                )

    def later(self, seconds: Seconds, act: Input) -> None:
        """An input to this very process, after a while."""
        life = self.life
        self._world.after(seconds, lambda: self.feed(act) if self.life == life else None)

    def _persist(self, effect: Persist) -> None:
        self._world.persisting(self, effect.records)
        self.disk.write(effect.records)
        self._persisted += 1
        wait = between(*_SYNC, self._world.seed, self.name, self._persisted, "sync")
        life = self.life

        def synced() -> None:
            if self.life == life:  # the platter turns also while the process stands still
                ok = self.disk.sync_oldest()
                token = effect.token
                self.feed(lambda engine, now: engine.receive_persisted(token, ok=ok, now=now))

        self._world.after_in_order((self.name, life), wait, synced)

    def _hear(self, event: object) -> None:
        if isinstance(event, MemberEvent):
            self.events.append(event)
            self._world.note(self, event.name, event.member.id)
        elif isinstance(event, CallFinished):
            self._finished(event)
        elif isinstance(event, Log):
            self.logs.append(event)

    def _finished(self, event: CallFinished) -> None:
        self._world.note(self, "finished", str(event.number).encode())
        if self.jobs.finished(event):
            return
        pending = self._pending.get(event.number)
        if pending is None:
            return
        self._world.require(not pending.is_done, f"{self!r}: a command ended twice")
        following = pending.finish(event, self._world.now)
        if following is not None:
            self._pending[following.number] = following
