"""Faults of one machine: it crashes, stands still, is slow, or has the wrong time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Final, get_args

import attrs

from meshp2p.effects import Record
from meshp2p.engine.acquaintances import PEERS
from meshp2p.engine.lives import EPOCHS
from meshp2p.ids import Seconds
from meshp2p.simulation.clock import Skew as Wrong
from meshp2p.simulation.disk import Left
from meshp2p.simulation.faults.fault import Stop

if TYPE_CHECKING:
    from meshp2p.simulation.nodes import Node
    from meshp2p.simulation.world import World


_NO_PROMISES: Final = (PEERS, EPOCHS)
_IN_LEFT: Final = attrs.validators.in_(get_args(Left))


@attrs.frozen
class Crash:
    """A process dies, and is started again at the end.

    Args:
        silent: The machine dies with it: no RST, no ICMP.
        disk: What it finds afterwards; see `disk.Left`.
    """

    kind: ClassVar[str] = "crash"
    node: str
    silent: bool = False
    disk: Left = attrs.field(default="unsynced_lost", validator=_IN_LEFT)

    def start(self, world: World) -> Stop:
        """See `Fault.start`."""
        node = world[self.node]
        node.crash(silent=self.silent, disk=self.disk)
        life = node.life
        return lambda: _restart(world, node, life)


@attrs.frozen
class CrashAtWrite:
    """A process dies each time shortly after it wanted something written, and soon returns.

    What it promised may be on disk or not, and may have left it or not. Writing down whom it
    met, and that it has started, is no promise, and no such moment.

    Args:
        after: Seconds from its wish to its death; a sync takes some milliseconds.
        down: Seconds until it is started again.
        disk: What it finds then.
        times: How often at most.
    """

    kind: ClassVar[str] = "crash"
    node: str
    after: Seconds = 0.0
    down: Seconds = 0.1
    disk: Left = attrs.field(default="unsynced_lost", validator=_IN_LEFT)
    times: int = 1

    def start(self, world: World) -> Stop:
        """See `Fault.start`."""
        node = world[self.node]
        left = [self.times]

        def crash() -> None:
            if node.is_running and left[0] > 0:
                left[0] -= 1
                node.crash(disk=self.disk)
                life = node.life
                world.after(self.down, lambda: _restart(world, node, life))

        def look(writer: Node, records: Sequence[Record]) -> None:
            if writer is node and any(record.table not in _NO_PROMISES for record in records):
                world.after(self.after, crash)  # never in the midst of its effects

        def stop() -> None:
            left[0] = 0
            world.on_persist.remove(look)

        world.on_persist.append(look)
        return stop


def _nothing() -> None:
    """There was nobody to stop."""


def _restart(world: World, node: Node, life: int) -> None:
    """Start a node again that nobody else has started."""
    if node.life == life and not node.is_running and not world.is_calm:
        world.restart(node)


@attrs.frozen
class Leave:
    """A process is stopped in order, and started again at the end."""

    kind: ClassVar[str] = "leave"
    node: str

    def start(self, world: World) -> Stop:
        """See `Fault.start`."""
        node = world[self.node]
        if node.is_running:
            world.coverage[self.kind] += 1
            world.leave(node)

        def stop() -> None:
            if not node.is_running and not world.is_calm:
                world.restart(node)

        return stop


@attrs.frozen
class Drain:
    """A node wants no new calls for a while, as before an upgrade; those under way go on."""

    kind: ClassVar[str] = "drain"
    node: str

    def start(self, world: World) -> Stop:
        """See `Fault.start`."""
        node = world[self.node]
        if not node.is_running:
            return _nothing
        process = node.process
        world.coverage[self.kind] += 1
        process.feed(lambda engine, now: engine.drain(draining=True, now=now))
        return lambda: process.feed(lambda engine, now: engine.drain(draining=False, now=now))


@attrs.frozen
class Stall:
    """A process stands still: GC, SIGSTOP, a frozen machine.

    Args:
        asleep: Its monotonic clock stands still as well, as during a laptop's sleep.
    """

    kind: ClassVar[str] = "stall"
    node: str
    asleep: bool = False

    def start(self, world: World) -> Stop:
        """See `Fault.start`."""
        node = world[self.node]
        if not node.is_running:
            return _nothing
        process = node.process
        node.pause()
        if self.asleep:
            node.clock.sleep()

        def stop() -> None:
            world.coverage[self.kind] += not process.has_ended
            how = "asleep" if self.asleep else "awake"
            world.coverage[f"{self.kind}.{how}"] += not process.has_ended
            if self.asleep:
                node.clock.wake()
            if self.asleep or not process.has_ended:  # one that was started meanwhile slept too
                node.resume()

        return stop


@attrs.frozen
class Slow:
    """Every input takes so much CPU time."""

    kind: ClassVar[str] = "slow"
    node: str
    per_input: Seconds

    def start(self, world: World) -> Stop:
        """See `Fault.start`."""
        node = world[self.node]
        node.slowness += self.per_input

        def stop() -> None:
            node.slowness = max(0.0, node.slowness - self.per_input)

        return stop


@attrs.frozen
class Skew:
    """A wall clock is wrong by `by` seconds and gains `drift` seconds in each second."""

    kind: ClassVar[str] = "skew"
    node: str
    by: Seconds = 0.0
    drift: float = 0.0

    def start(self, world: World) -> Stop:
        """See `Fault.start`."""
        skews = world[self.node].clock.skews
        number = world.next_number()
        skews[number] = Wrong(world.now, self.by, self.drift)

        def stop() -> None:
            del skews[number]

        return stop


@attrs.frozen
class ClockJump:
    """A wall clock is set while the process looks: it is told, and told again at the end."""

    kind: ClassVar[str] = "clock_jump"
    node: str
    by: Seconds

    def start(self, world: World) -> Stop:
        """See `Fault.start`."""
        node, number = world[self.node], world.next_number()
        node.clock.skews[number] = Wrong(world.now, self.by)
        node.read_wall_clock()
        world.coverage[self.kind] += 1

        def stop() -> None:
            del node.clock.skews[number]
            node.read_wall_clock()
            world.coverage[self.kind] += 1

        return stop
