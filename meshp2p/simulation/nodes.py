"""One simulated machine: a production engine, its disk, its clocks, its agent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

import attrs

from meshp2p.config import Config
from meshp2p.effects import StreamId
from meshp2p.engine import Engine
from meshp2p.errors import Closed
from meshp2p.events import ClockSkew, Log, MemberEvent
from meshp2p.identity.node import NodeIdentity
from meshp2p.identity.trust import MeshKeys
from meshp2p.ids import Address, NodeId, Seconds
from meshp2p.messaging.body import pack_plain
from meshp2p.messaging.resolver import parse_target
from meshp2p.node.renewal import renew_if_due
from meshp2p.simulation.clock import Clock
from meshp2p.simulation.disk import Disk, Left
from meshp2p.simulation.handlers import Agent, Ran
from meshp2p.simulation.jobs import Jobs
from meshp2p.simulation.origins import Origins
from meshp2p.simulation.pending import Pending
from meshp2p.simulation.performing import Performer
from meshp2p.simulation.process import Input, Process
from meshp2p.simulation.sight import Sight
from meshp2p.simulation.streams import End
from meshp2p.wire import messages

if TYPE_CHECKING:
    from meshp2p.simulation.world import World

WALL_CLOCK_EVERY: Final[Seconds] = 10.0
"""As the driver does."""
_COUNTED: Final = {"rekey.datagram": "sessions_rekeyed", "renewal": "leases"}
"""What of its engines' statistics counts as coverage, by the name there."""
_RENEW_LOOK: Final[Seconds] = 60.0
"""How often the shell looks whether the credential should be renewed."""


class Node(Sight):
    """One node of a simulated world, from its first start through all its lives."""

    def __init__(self, world: World, origins: Origins, agent: Agent) -> None:
        """Switched off; `start` starts it."""
        self._world = world
        self._origins = origins
        self.agent = agent
        self.name = origins.label
        self.is_twin = bool(origins.branch)
        """Whether it is an impostor with another's keys: no promise binds it, nobody looks."""
        self.address = origins.address
        self.disk = Disk()
        self.clock = Clock(world)
        self.life = 0
        self.events: list[MemberEvent] = []
        self.skews: list[ClockSkew] = []
        """Wrong clocks that it was told of, in all lives."""
        self.logs: list[Log] = []
        self.jobs = Jobs(self)
        self.has_power = True
        self.slowness: Seconds = 0.0
        """CPU time that every input takes, besides what `Charges` say."""
        self._process: Process | None = None
        self._identity: NodeIdentity | None = None
        self.performer = Performer(self, world)
        """Does what its engines ask for."""

    def __repr__(self) -> str:
        return f"<{self.name}, life {self.life}>"

    # --- looking ---------------------------------------------------------------

    @property
    def origins(self) -> Origins:
        """What no restart changes."""
        return self._origins

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
        return self._process is not None

    @property
    def is_paused(self) -> bool:
        """Whether its process stands still."""
        return self._process is not None and self._process.halts > 0

    @property
    def process(self) -> Process:
        """Its process.

        Raises:
            Closed: It has ended.
        """
        if self._process is None:
            raise Closed(f"{self.name} is not running")
        return self._process

    @property
    def engine(self) -> Engine:
        """Its engine.

        Raises:
            Closed: Its process has ended.
        """
        return self.process.engine

    @property
    def streams(self) -> Mapping[StreamId, End]:
        """Open streams of its process."""
        return {} if self._process is None else self._process.streams

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
        """Its own monotonic clock: virtual time, unless its machine has slept."""
        return self.clock.monotonic

    @property
    def ran(self) -> list[Ran]:
        """Every handler of its agent that began, in all lives."""
        return self.jobs.ran

    @property
    def cancelled(self) -> list[Ran]:
        """Those that were told to stop."""
        return self.jobs.cancelled

    @property
    def counted(self) -> Counter[str]:
        """What the engine of a running node has counted so far, as coverage names it."""
        stats = self.engine.stats()
        return Counter({name: stats[figure] for name, figure in _COUNTED.items()})

    # --- life ------------------------------------------------------------------

    def start(self) -> None:
        """Begin the next life with whatever the disk holds."""
        self.life += 1
        origins, world, unix = self._origins, self._world, self.clock.unix
        self._identity = origins.identity(world.seed, self.life, unix, wipes=self.disk.wipes)
        engine = origins.engine(
            world.make_engine,
            self._identity,
            crypto=world.metered(origins.crypto, self),
            seed=world.seed,
            life=self.life,
            now=self.now,
            unix=unix,
            capabilities=[each.info(name) for name, each in self.agent.handlers.items()],
            stored=self.disk.read(),
        )
        self._process = Process(self, world, engine, halts=self.clock.sleeps)
        engine.listen(listens=self.agent.on_message is not None)
        world.tell("join" if self.life == 1 else "restart", self.name, life=self.life)
        self._keep_reading_wall_clock(self._process)
        if not self.is_guest:
            world.after(_RENEW_LOOK, self._keep_renewing, self._process)
        self.feed(lambda engine, now: engine.begin(now=now))

    def crash(self, *, silent: bool = False, kept: int = 0, disk: Left = "unsynced_lost") -> None:
        """End without a word.

        Args:
            silent: The machine is gone too: no RST, no ICMP.
            kept: Of the writes that were not synced, these many survive.
            disk: Whether all of them do, or nothing at all.
        """
        if self._process is None:
            return
        kept = self.disk.unsynced if disk == "kept" else kept
        self.has_power = not silent
        world, lost = self._world, self.disk.unsynced - kept
        world.tell("crash", self.name, silent=silent, disk=disk, lost=lost)
        world.coverage["crash"] += 1
        world.coverage["crash.unsynced_lost"] += lost > 0
        world.coverage["crash.wiped"] += disk == "wiped"
        self._end()
        self.disk.crash(kept)
        if disk == "wiped":
            self.disk.wipe()

    def end(self) -> None:
        """Close everything in order; the process exits."""
        self.feed(lambda engine, now: engine.stop(now=now))
        self._end()
        self.disk.crash(self.disk.unsynced)  # the journal is closed last: nothing is lost

    def _end(self) -> None:
        process = self.process
        self._world.coverage.update(self.counted)
        process.end()
        ends = list(process.streams.values())
        process.streams.clear()
        for end in ends:
            if self.has_power:
                self._world.streams.reset(end)
            end.closed = True
        self.life += 1
        self._process = None
        self.performer.pending.clear()
        self.jobs.crash()

    def pause(self) -> None:
        """Stand still, as after SIGSTOP; sockets fill, deadlines pass. Pauses nest."""
        if self._process is not None:
            self._process.halts += 1
            self._world.tell("pause", self.name)

    def resume(self) -> None:
        """End one pause; after the last, what waited is read at once."""
        if self._process is not None and self._process.halts:
            self._process.halts -= 1
            if not self._process.halts:
                self._world.tell("resume", self.name)
                self._process.resume()

    def read_wall_clock(self) -> None:
        """Tell the engine what the clock on the wall shows."""
        if self.clock.is_wrong:
            self._world.coverage["skew"] += 1
        self.feed(lambda engine, now: engine.receive_wall_clock(self.clock.unix, now=now))

    def move(self, address: Address) -> None:
        """Its machine is in another network: what was connected there hears nothing any more."""
        self.address = address
        self._origins = attrs.evolve(self._origins, address=address)
        for end in self.streams.values():
            end.sever()

    def read_addresses(self) -> None:
        """Tell the engine where its machine is."""
        self.feed(lambda engine, now: engine.receive_addresses((self.address,), now=now))

    def _keep_reading_wall_clock(self, process: Process) -> None:
        if not process.has_ended:
            self.read_wall_clock()
            self._world.after(WALL_CLOCK_EVERY, self._keep_reading_wall_clock, process)

    def _keep_renewing(self, process: Process) -> None:
        if not process.has_ended:
            process.feed(self._renew)
            self._world.after(_RENEW_LOOK, self._keep_renewing, process)

    def _renew(self, engine: Engine, now: Seconds) -> None:
        trouble = renew_if_due(engine, self._origins.crypto, unix=self.clock.unix, now=now)
        if trouble is not None:
            self.logs.append(trouble)

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
        process = self.process
        number = act(process.engine, self.now)
        pending = self.performer.pending[number] = Pending(number, self._world.now)
        self._world.tell("call", self.name, call=number)
        process.after_input()
        return pending

    def cancel(self, pending: Pending) -> None:
        """Wait no longer."""
        self.feed(lambda engine, now: engine.cancel(pending.number, now=now))

    # --- for the world -----------------------------------------------------------

    def feed(self, act: Input) -> None:
        """Hand the engine one input, or keep it while the process stands still."""
        if self._process is not None:
            self._process.feed(act)

    def later(self, seconds: Seconds, act: Input) -> None:
        """An input to this very process, after a while."""
        if self._process is not None:
            self._process.later(seconds, act)
