"""Long bodies on their way from one end of a connection: whose turn it is, and credit.

Source: `docs/protocol.md`.
"""

from __future__ import annotations

from collections import deque

import attrs

from meshp2p.errors import WireError
from meshp2p.wire import limits


@attrs.define
class OutgoingBody:
    """One body. `begun` is its size once its turn has come, else 0.

    Args:
        opens: Whether it is a request, of which the other end hears when its turn comes.
    """

    rest: memoryview
    opens: bool
    credit: int = limits.STREAM_CREDIT
    begun: int = 0


@attrs.define
class Outgoing:
    """Bodies of which something has not left, by stream.

    Args:
        bodies: Of each stream; for others to look at.
        ready: Streams with credit whose turn has come, in order; likewise.
    """

    bodies: dict[int, OutgoingBody] = attrs.field(factory=dict, init=False)
    ready: deque[int] = attrs.field(factory=deque, init=False)
    _later: deque[int] = attrs.field(factory=deque, init=False)
    _under_way: int = attrs.field(default=0, init=False)

    def add(self, stream: int, data: bytes, *, opens: bool) -> None:
        """Send a body once its turn has come; `begin` tells."""
        self.bodies[stream] = OutgoingBody(memoryview(data), opens)
        self._later.append(stream)

    def begin(self) -> list[int]:
        """Start bodies, but no more at once than the receiver can piece together.

        Returns:
            Streams of which the other end must hear now. Not before: it would give up
            what does not come.
        """
        opened = []
        while self._later:
            stream = self._later[0]
            body = self.bodies[stream]
            size = len(body.rest)
            if self._under_way and self._under_way + size > limits.MAX_REASSEMBLY:
                break
            body.begun = size
            self._under_way += size
            self.ready.append(self._later.popleft())
            if body.opens:
                opened.append(stream)
        return opened

    def take_piece(self, room: int) -> tuple[int, bytes, bool]:
        """(stream, piece, whether it is the last) of the one whose turn it is.

        Args:
            room: Bytes, at most.
        """
        stream = self.ready.popleft()
        body = self.bodies[stream]
        size = min(room, len(body.rest), body.credit, limits.MAX_FRAME_BODY)
        piece, body.rest = bytes(body.rest[:size]), body.rest[size:]
        body.credit -= size
        if body.rest and body.credit:
            self.ready.append(stream)
        return stream, piece, not body.rest

    def is_waiting(self, stream: int) -> bool:
        """Whether there is a body whose turn has not come."""
        body = self.bodies.get(stream)
        return body is not None and not body.begun

    def add_credit_untrusted(self, stream: int, more: int) -> None:
        """Its receiver has room for `more` bytes.

        Raises:
            WireError: Nobody has so much.
        """
        body = self.bodies.get(stream)
        if body is None:
            return
        if body.credit + more > limits.MAX_REASSEMBLY:
            raise WireError("credit beyond reason")
        if not body.credit and more:
            self.ready.append(stream)
        body.credit += more

    def drop(self, stream: int) -> int:
        """Forget a body, sent or given up; return how much of it has not left."""
        body = self.bodies.pop(stream)
        self._under_way -= body.begun
        for queue in (self.ready, self._later):
            if stream in queue:
                queue.remove(stream)
        return len(body.rest)
