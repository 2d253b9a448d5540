"""Long bodies on their way to one end of a connection: pieces, credit, limits, stalls.

Source: `docs/protocol.md`.
"""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from meshp2p.errors import WireError
from meshp2p.transport.held import Held
from meshp2p.wire import limits


@attrs.define
class IncomingBody:
    """One body. One buffer: a list of tiny pieces costs fifty times more.

    Args:
        limit: Bytes of the whole body.
        room: Bytes that may still come before its sender has seen more credit leave.
        fresh: Whether a piece has come since `Incoming.take_stalled` last looked.
    """

    limit: int
    room: int = limits.STREAM_CREDIT
    data: bytearray = attrs.field(factory=bytearray)
    fresh: bool = True


@attrs.define
class Incoming:
    """Bodies of which more should come, by stream.

    Args:
        held_together: Where their bytes are counted, with those of other connections.
        bodies: Of each stream; for others to look at.
        owed: Those whose senders should hear of more credit; likewise.
        size: Bytes of all bodies.
    """

    held_together: Held
    bodies: dict[int, IncomingBody] = attrs.field(factory=dict, init=False)
    owed: dict[int, IncomingBody] = attrs.field(factory=dict, init=False)
    size: int = attrs.field(default=0, init=False)

    def begin(self, stream: int, limit: int) -> None:
        """Expect a body of at most `limit` bytes."""
        self.bodies[stream] = IncomingBody(limit)

    def add_untrusted(self, stream: int, piece: bytes) -> bool:
        """Keep a piece of a body; return whether this end holds so much.

        Raises:
            WireError: Its sender had no credit for it.
        """
        body = self.bodies[stream]
        if piece:
            body.data += piece
            body.room -= len(piece)
            body.fresh = True
            self._count(len(piece))
        if body.room < 0:
            raise WireError("more bytes on a stream than it had credit for")
        if body.room < limits.STREAM_CREDIT // 2:
            self.owed[stream] = body
        return len(body.data) <= body.limit and self.size <= limits.MAX_REASSEMBLY

    def take(self, stream: int) -> bytes:
        """A body that is whole."""
        data = bytes(self.bodies[stream].data)
        self.forget(stream)
        return data

    def forget(self, stream: int) -> None:
        """Give up what came on a stream, if anything did."""
        body = self.bodies.pop(stream, None)
        if body is not None:
            self.owed.pop(stream, None)
            self._count(-len(body.data))

    def take_credit(self) -> Iterator[tuple[int, int]]:
        """Yield (stream, bytes) for each sender that should hear of more, and grant it.

        To be called as it leaves: from then on the sender may know of it and use it.
        """
        for stream, body in self.owed.items():
            yield stream, limits.STREAM_CREDIT - body.room
            body.room = limits.STREAM_CREDIT
        self.owed.clear()

    def take_stalled(self) -> list[int]:
        """Streams of whose bodies nothing has come since the last time."""
        stalled = [stream for stream, body in self.bodies.items() if not body.fresh]
        for body in self.bodies.values():
            body.fresh = False
        return stalled

    def close(self) -> None:
        """The connection is over: what it held is free."""
        self._count(-self.size)
        self.bodies.clear()
        self.owed.clear()

    def _count(self, more: int) -> None:
        self.size += more
        self.held_together.half_received += more
