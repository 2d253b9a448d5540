"""Streams between nodes as TCP makes them: in order, with a window, refused or reset."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs

from meshp2p.effects import StreamId
from meshp2p.engine import Engine
from meshp2p.ids import Address, Seconds
from meshp2p.simulation.dice import chance
from meshp2p.simulation.links import Lane

if TYPE_CHECKING:
    from meshp2p.simulation.nodes import Node
    from meshp2p.simulation.world import World

_WINDOW: Final = 256 * 1024
"""Bytes under way before the socket is full."""
_PULL: Final = 64 * 1024
"""What the driver asks for at once."""
_RESEND: Final[Seconds] = 0.5
"""Pause between tries to bring bytes to a machine without power."""
_TORN: Final = 0.1
"""Share of writes that arrive in two pieces: a stream has no message borders."""


@attrs.define(eq=False)
class End:
    """One node's end of a stream.

    Args:
        life: Of the node's process; a later one knows nothing of it.
        lane: From here to the other end.
    """

    node: Node
    life: int
    stream: StreamId
    lane: Lane
    other: End | None = None
    in_flight: int = 0
    full: bool = False
    closed: bool = False
    chunks: int = 0

    @property
    def is_live(self) -> bool:
        """Whether its process would still read from it."""
        return not self.closed and self.node.life == self.life


class Streams:
    """All streams of a world: connects, carries, closes."""

    def __init__(self, world: World) -> None:
        """No streams."""
        self._world = world

    def connect(self, end: End, to: Address) -> None:
        """A SYN goes out; `stream_opened` or `stream_closed` follows, or nothing."""
        target = self._world.at(to)
        if target is None:
            self._world.after(0.001, lambda: self._refuse(end))
            return
        end.lane.link = (end.node.name, target.name)
        self._world.links.send_in_order(end.lane, lambda: self._arrive(end, target))

    def _arrive(self, end: End, target: Node) -> None:
        if not end.is_live or not target.has_power:
            return
        lane = Lane((target.name, end.node.name))
        if not target.is_running:
            self._world.links.send_in_order(lane, lambda: self._refuse(end))
            return
        other = End(target, target.life, target.next_accepted(), lane, other=end)
        target.streams[other.stream] = other
        target.feed(
            lambda engine, now: engine.stream_accepted(other.stream, end.node.address, now=now)
        )
        self._world.links.send_in_order(lane, lambda: self._opened(end, other))

    def _opened(self, end: End, other: End) -> None:
        if end.is_live:
            end.other = other
            end.node.feed(lambda engine, now: engine.stream_opened(end.stream, now=now))
        else:
            self._tell_closed(other, "it closed the connection")

    def _refuse(self, end: End) -> None:
        self._tell_closed(end, "connection refused")

    def pump(self, end: End, *, to_the_last: bool = False) -> None:
        """Write while there is room, or all there is."""
        while end.is_live and end.other is not None:
            if end.in_flight >= _WINDOW and not to_the_last:
                end.full = True
                return
            data = end.node.pull(end.stream, _PULL)
            if not data:
                return
            end.in_flight += len(data)
            end.chunks += 1
            names = (self._world.seed, end.lane.link, end.stream, end.chunks, "torn")
            torn = chance(*names)
            at = int(len(data) * torn / _TORN) if torn < _TORN else 0
            for piece in (data[:at], data[at:]):
                if piece:
                    self._carry(end, end.other, piece)

    def _carry(self, end: End, other: End, piece: bytes) -> None:
        def deliver() -> None:
            if other.is_live:
                other.node.feed(lambda engine, now: self._read(engine, end, other, piece, now))
            elif not other.node.has_power and end.is_live:
                self._world.after(_RESEND, deliver)
            elif other.node.life != other.life:  # a kernel that knows no such connection
                lane = Lane((other.node.name, end.node.name))
                self._world.links.send_in_order(
                    lane, lambda: self._tell_closed(end, "connection reset")
                )

        self._world.links.send_in_order(end.lane, deliver)

    def _read(self, engine: Engine, end: End, other: End, piece: bytes, now: float) -> None:
        end.in_flight -= len(piece)
        if end.full and end.in_flight < _WINDOW:
            end.full = False
            self._world.after(0.001, lambda: self._more(end))
        if not other.closed:
            self._world.note(other.node, "stream", piece)
            engine.receive_stream(other.stream, piece, now=now)

    def _more(self, end: End) -> None:
        if end.is_live:
            self.pump(end)
            end.node.after_input()

    def close(self, end: End, *, flush: bool) -> None:
        """This end's engine wants no more of it."""
        if flush and end.is_live:
            self.pump(end, to_the_last=True)
        end.closed = True
        end.node.streams.pop(end.stream, None)
        self._say_closed(end, "it closed the connection")

    def reset(self, end: End) -> None:
        """This end's process is gone; its kernel says so."""
        end.closed = True
        self._say_closed(end, "connection reset")

    def _say_closed(self, end: End, reason: str) -> None:
        other = end.other
        if other is not None:
            self._world.links.send_in_order(end.lane, lambda: self._tell_closed(other, reason))

    def _tell_closed(self, end: End, reason: str) -> None:
        if not end.is_live:
            return

        def tell(engine: Engine, now: float) -> None:
            if not end.closed:
                end.closed = True
                end.node.streams.pop(end.stream, None)
                engine.stream_closed(end.stream, reason, now=now)

        end.node.feed(tell)
