"""Streams between nodes as TCP makes them: in order, with a window, refused or reset."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final, TypeAlias

import attrs

from meshp2p.effects import StreamId
from meshp2p.engine import Engine
from meshp2p.ids import Address, Seconds
from meshp2p.simulation.dice import Draws
from meshp2p.simulation.links import Lane

if TYPE_CHECKING:
    from meshp2p.simulation.nodes import Node
    from meshp2p.simulation.process import Process
    from meshp2p.simulation.world import World

_WINDOW: Final = 256 * 1024
"""Bytes under way before the socket is full."""
_PULL: Final = 64 * 1024
"""What the driver asks for at once."""
_RESEND: Final[Seconds] = 0.5
"""Pause between tries to bring bytes to a machine without power."""
_TORN: Final = 0.1
"""Share of writes that arrive in two pieces: a stream has no message borders."""
_REFUSAL: Final[Seconds] = 0.001

_Sent: TypeAlias = tuple[bytes, int]
"""A piece of a stream, and its number in the world."""


@attrs.define(eq=False)
class End:
    """One node's end of a stream.

    Args:
        process: Of the node; a later one knows nothing of it.
        lane: From here to the other end.
    """

    node: Node
    process: Process
    stream: StreamId
    lane: Lane
    other: End | None = None
    in_flight: int = 0
    full: bool = False
    closed: bool = False
    chunks: int = 0
    torn: Draws | None = None
    severed: bool = False
    """Whether a machine has another address by now: nothing gets through any more."""

    @property
    def is_live(self) -> bool:
        """Whether its process would still read from it."""
        return not (self.closed or self.process.has_ended)

    def sever(self) -> None:
        """Let nothing through any more, and let neither end know."""
        self.severed = True
        if self.other is not None:
            self.other.severed = True


class Streams:
    """All streams of a world: connects, carries, closes."""

    def __init__(self, world: World) -> None:
        """No streams."""
        self._world = world

    # --- connecting --------------------------------------------------------------

    def connect(self, end: End, to: Address) -> None:
        """A SYN goes out; `stream_opened` or `stream_closed` follows, or nothing."""
        world = self._world
        found = world.find(end.node, to, datagram=False)
        if found is None:
            return
        target, remote = found
        if target is None:
            world.after(_REFUSAL, self._tell_closed, end, "connection refused")
            return
        end.lane.link = (end.node.name, target.name)
        world.links.send_in_order(end.lane, partial(self._arrive, end, target, remote))

    def _arrive(self, end: End, target: Node, remote: Address) -> None:
        if not end.is_live or not target.has_power or end.severed:
            return
        lane = Lane((target.name, end.node.name))
        if not target.is_running:
            self._world.tell("refuse", target.name, what="stream", to=end.node.name)
            self._world.links.send_in_order(
                lane, partial(self._tell_closed, end, "connection refused")
            )
            return
        process = target.process
        other = End(target, process, process.next_accepted(), lane, other=end)
        process.streams[other.stream] = other
        process.feed(lambda engine, now: engine.stream_accepted(other.stream, remote, now=now))
        self._world.links.send_in_order(lane, partial(self._opened, end, other))

    def _opened(self, end: End, other: End) -> None:
        if end.severed or other.severed:
            other.sever()
            end.sever()
        elif end.is_live:
            end.other = other
            end.process.feed(lambda engine, now: engine.stream_opened(end.stream, now=now))
        else:
            self._tell_closed(other, "it closed the connection")

    # --- carrying ------------------------------------------------------------------

    def pump(self, end: End, *, to_the_last: bool = False) -> None:
        """Write while there is room, or all there is."""
        while end.is_live and end.other is not None:
            if end.in_flight >= _WINDOW and not to_the_last:
                end.full = True
                return
            data = end.process.pull(end.stream, _PULL)
            if not data:
                return
            end.in_flight += len(data)
            for piece in self._pieces(end, data):
                self._carry(end, end.other, piece)

    def _pieces(self, end: End, data: bytes) -> list[bytes]:
        """Now and then two."""
        if end.torn is None:
            end.torn = Draws(self._world.seed, end.lane.link, end.stream, "torn")
        end.chunks += 1
        torn = end.torn.at(end.chunks)
        at = int(len(data) * torn / _TORN) if torn < _TORN else 0
        return [data[:at], data[at:]] if at else [data]

    def _carry(self, end: End, other: End, piece: bytes) -> None:
        world = self._world
        number = world.next_packet()
        if world.watchers:
            to, size = other.node.name, len(piece)
            world.tell("send", end.node.name, to=to, what="stream", len=size, id=number)
        deliver = partial(self._deliver, end, other, (piece, number))
        world.links.send_in_order(end.lane, deliver, len(piece))

    def _deliver(self, end: End, other: End, sent: _Sent) -> None:
        world = self._world
        if end.severed:
            return
        if other.is_live:
            other.process.feed(partial(self._read, end, other, sent))
        elif not other.node.has_power:
            if end.is_live:
                world.after(_RESEND, self._deliver, end, other, sent)
        elif other.process.has_ended:  # a kernel that knows no such connection
            lane = Lane((other.node.name, end.node.name))
            world.links.send_in_order(lane, partial(self._tell_closed, end, "connection reset"))

    def _read(self, end: End, other: End, sent: _Sent, engine: Engine, now: float) -> None:
        piece, number = sent
        end.in_flight -= len(piece)
        if end.full and end.in_flight < _WINDOW:
            end.full = False
            self._world.after(_REFUSAL, self._more, end)
        if other.closed:
            return
        world, node = self._world, other.node
        world.note(node, "stream", piece)
        if world.watchers:
            world.tell_received(node, end.node.name, "stream", len(piece), number)
        synced = _syncs(engine) if world.charges is not None else 0
        engine.receive_stream(other.stream, piece, now=now)
        if world.charges is not None:
            other.process.owed += world.charges.sync * (_syncs(engine) - synced)

    def _more(self, end: End) -> None:
        if end.is_live:
            self.pump(end)
            end.process.after_input()

    # --- closing -------------------------------------------------------------------

    def close(self, end: End, *, flush: bool) -> None:
        """This end's engine wants no more of it."""
        if flush and end.is_live:
            self.pump(end, to_the_last=True)
        end.closed = True
        end.process.streams.pop(end.stream, None)
        self._say_closed(end, "it closed the connection")

    def reset(self, end: End) -> None:
        """This end's process is gone; its kernel says so."""
        end.closed = True
        self._say_closed(end, "connection reset")

    def _say_closed(self, end: End, reason: str) -> None:
        other = end.other
        if end.severed:
            return
        if other is None:
            end.lane.waiting.clear()  # a SYN is not sent again by whoever has given up
        else:
            self._world.links.send_in_order(end.lane, partial(self._tell_closed, other, reason))

    def _tell_closed(self, end: End, reason: str) -> None:
        if not end.is_live:
            return

        def tell(engine: Engine, now: float) -> None:
            if not end.closed:
                end.closed = True
                end.process.streams.pop(end.stream, None)
                self._world.tell("close", end.node.name, stream=end.stream, reason=reason)
                engine.stream_closed(end.stream, reason, now=now)

        end.process.feed(tell)


def _syncs(engine: Engine) -> int:
    stats = engine.stats()
    return stats.get("syncs", 0) + stats.get("syncs_answered", 0)
