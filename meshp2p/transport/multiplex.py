"""Many requests and answers on one connection: streams, credit, and who goes first.

A request or answer that fits is one frame. A longer one goes in pieces, as fast as
its receiver gives credit; so urgent frames overtake it, and a slow reader holds up
nobody else. Source: `docs/protocol.md`.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import Final, TypeAlias

import attrs

from meshp2p.errors import WireError
from meshp2p.transport import frame
from meshp2p.transport.held import Held
from meshp2p.transport.incoming import Incoming
from meshp2p.transport.outgoing import Outgoing
from meshp2p.wire import limits

_MAX_CONTROL: Final = 4 * limits.MAX_QUEUED_FRAMES
"""A peer that sends everything it had queued at once may be refused each of it."""
_FRAME_HEADER: Final = frame.HEADER.size
_STREAM_NUMBERS: Final = 1 << 32
_PACK: Final = frame.HEADER.pack
_WHOLE_REQUEST: Final = frame.OPEN | frame.END
_WHOLE_ANSWER: Final = frame.DATA | frame.END


@attrs.define
class RequestArrived:
    """A whole request: head and body as `wire.messages.join_head` joined them."""

    stream: int
    data: bytes


@attrs.define
class AnswerArrived:
    """A whole answer, joined likewise."""

    stream: int
    data: bytes


@attrs.define
class ResetArrived:
    """The other side gave the stream up."""

    stream: int
    code: int


Arrival: TypeAlias = RequestArrived | AnswerArrived | ResetArrived


class Multiplexer:
    """The streams of one connection, at one of its ends."""

    def __init__(self, *, dialled: bool, held: Held | None = None) -> None:
        """Number own streams odd if this end `dialled`, else even.

        Args:
            held: Where what this connection holds is counted, together with others.
        """
        self._held_together = Held() if held is None else held
        self._next_stream = 1 if dialled else 2
        self._own_parity = self._next_stream & 1
        self._control: deque[bytes] = deque()
        self._frames: OrderedDict[int, bytes] = OrderedDict()
        self._outgoing = Outgoing()
        self._incoming = Incoming(self._held_together)
        self._expected: dict[int, int] = {}
        self._unanswered: set[int] = set()
        self._unread = 0
        self._unread_counted = 0
        self._unread_allowed = limits.FREE_UNREAD
        self.peer_goes_away = False
        self.rekey_seen = False
        self.ignored = 0

    @property
    def has_frames(self) -> bool:
        """Whether `take` would give something."""
        return bool(self._control or self._incoming.owed or self._frames or self._outgoing.ready)

    @property
    def is_full(self) -> bool:
        """Whether new requests should go elsewhere, or be refused."""
        return len(self._frames) + len(self._outgoing.bodies) >= limits.MAX_QUEUED_FRAMES

    @property
    def is_idle(self) -> bool:
        """Whether nobody waits for anything on this connection."""
        waits = self._expected or self._unanswered
        long = self._incoming.bodies or self._outgoing.bodies
        return not (waits or long or self.has_frames)

    @property
    def half_received(self) -> int:
        """Bytes of bodies that are not whole yet."""
        return self._incoming.size

    @property
    def unread(self) -> int:
        """Bytes of answers that have not left."""
        return self._unread

    def request(self, data: bytes, *, answer_limit: int, one_way: bool = False) -> int:
        """Send a request; return its stream. `answer_limit` bounds the answer."""
        stream = self._new_stream()
        if not one_way:
            self._expected[stream] = answer_limit
        size = len(data)
        if size <= limits.MAX_FRAME_BODY:
            self._frames[stream] = _PACK(_WHOLE_REQUEST, stream, size) + data
        else:
            self._send_long(stream, data, opens=True)
        return stream

    def _new_stream(self) -> int:
        """The next number; after 2^31 requests they begin again, around those in use."""
        while True:
            stream = self._next_stream
            self._next_stream = (stream + 2) % _STREAM_NUMBERS
            if stream and stream not in self._expected and stream not in self._outgoing.bodies:
                return stream

    def answer(self, stream: int, data: bytes) -> None:
        """Answer a request that arrived; silent if it was reset meanwhile.

        Who asks for much and reads nothing loses answers instead of filling our memory.
        """
        if stream not in self._unanswered:
            return
        self._unanswered.discard(stream)
        size = len(data)
        waits = self._unread + size
        if waits > self._unread_allowed and not self._may_wait(waits):
            self.reset(stream, frame.UNREAD)
            return
        self._unread = waits
        if size <= limits.MAX_FRAME_BODY:
            self._frames[stream] = _PACK(_WHOLE_ANSWER, stream, size) + data
        else:
            self._send_long(stream, data, opens=False)

    def _may_wait(self, waits: int) -> bool:
        """Whether so many unread bytes are allowed here; then the node counts them."""
        if waits > limits.MAX_UNREAD:
            return False
        self._count_unread(waits)
        return True

    def _count_unread(self, waits: int) -> None:
        """Tell the node how much waits: not each answer, but what goes beyond the free part."""
        waits = waits if waits > limits.FREE_UNREAD else 0
        self._held_together.unread += waits - self._unread_counted
        self._unread_counted = waits
        self._unread_allowed = waits + limits.FREE_UNREAD

    def finish(self, stream: int) -> None:
        """A request that wants no answer is done."""
        self._unanswered.discard(stream)

    def reset(self, stream: int, code: int) -> None:
        """Give a stream up, in both directions.

        The other end hears nothing if it has not heard of the stream yet: a RESET
        overtakes what is queued, and would leave it waiting for the rest of a request.
        """
        unheard_of = self._is_own(stream) and (
            stream in self._frames or self._outgoing.is_waiting(stream)
        )
        self._forget(stream)
        if not unheard_of:
            self._queue_control(frame.RESET, stream, frame.CODE_BODY.pack(code))

    def give_up_stalled(self) -> list[int]:
        """Reset each stream of whose body nothing has come since the last time."""
        stalled = self._incoming.take_stalled()
        for stream in stalled:
            self.reset(stream, frame.STALLED)
        return stalled

    def close(self) -> None:
        """The connection is over: what it held is free."""
        self._incoming.close()
        self._count_unread(0)

    def go_away(self) -> None:
        """Tell the other end to open no more streams here."""
        self._queue_control(frame.GOAWAY, 0, b"")

    def _is_own(self, stream: int) -> bool:
        return stream & 1 == self._own_parity

    def _send_long(self, stream: int, data: bytes, *, opens: bool) -> None:
        self._outgoing.add(stream, data, opens=opens)
        self._begin_long()

    def _begin_long(self) -> None:
        for stream in self._outgoing.begin():
            self._frames[stream] = frame.pack(frame.OPEN, stream, b"")

    def _queue_control(self, kind: int, stream: int, body: bytes) -> None:
        self._control.append(frame.pack(kind, stream, body))

    def take(self, room: int) -> bytes:
        """The next frames, at most `room` bytes of them: control, calls, then bulk."""
        if self._incoming.owed:
            self._give_credit()
        taken: list[bytes] = []
        while self._control and len(self._control[0]) <= room:
            taken.append(self._control.popleft())
            room -= len(taken[-1])
        frames, parity = self._frames, self._own_parity
        while frames and not self._control:
            stream, piece = frames.popitem(last=False)
            size = len(piece)
            if size > room:
                frames[stream] = piece
                frames.move_to_end(stream, last=False)
                break
            if stream & 1 != parity:  # an answer; `_has_left`, without the call
                self._unread -= size - _FRAME_HEADER
            taken.append(piece)
            room -= size
        ready = self._outgoing.ready
        while ready and room > _FRAME_HEADER and not (self._control or frames):
            taken.append(self._next_piece(room - _FRAME_HEADER))
            room -= len(taken[-1])
        if self._unread_counted:
            self._count_unread(self._unread)
        return b"".join(taken)

    def _give_credit(self) -> None:
        for stream, more in self._incoming.take_credit():
            self._queue_control(frame.CREDIT, stream, frame.CREDIT_BODY.pack(more))

    def _has_left(self, stream: int, size: int) -> None:
        if not self._is_own(stream):
            self._unread -= size

    def _next_piece(self, room: int) -> bytes:
        """One DATA frame of the long body whose turn it is."""
        stream, piece, is_last = self._outgoing.take_piece(room)
        self._has_left(stream, len(piece))
        if is_last:
            self._drop_outgoing(stream)
            return frame.pack(frame.DATA | frame.END, stream, piece)
        return frame.pack(frame.DATA, stream, piece)

    def receive_untrusted(self, plaintext: bytes) -> list[Arrival]:
        """Take in one record's frames; return what became whole.

        Raises:
            WireError: The peer broke the protocol; the connection must be closed.
        """
        if len(self._control) > _MAX_CONTROL:
            raise WireError("a peer that makes us answer faster than it reads")
        arrivals: list[Arrival] = []
        for kind, stream, end, body in frame.parse_untrusted(plaintext):
            if self.rekey_seen:
                raise WireError("a frame after REKEY in one record")
            if kind == frame.OPEN:
                self._receive_open(stream, body, arrivals, end=end)
            elif kind == frame.DATA:
                self._receive_data(stream, body, arrivals, end=end)
            else:
                self._receive_control(kind, stream, body, arrivals)
        return arrivals

    def _receive_open(
        self, stream: int, body: bytes, arrivals: list[Arrival], *, end: bool
    ) -> None:
        if self._is_own(stream) or stream == 0:
            raise WireError("a stream opened with our own numbers")
        unanswered, incoming = self._unanswered, self._incoming.bodies
        if (
            stream in unanswered
            or stream in incoming
            or stream in self._frames
            or stream in self._outgoing.bodies
        ):
            raise WireError("a stream opened twice")
        waiting = len(unanswered) + len(incoming)
        if waiting >= limits.MAX_STREAMS or self._unread > limits.MAX_REASSEMBLY:
            self.reset(stream, frame.BUSY)
            return
        if end:
            unanswered.add(stream)
            arrivals.append(RequestArrived(stream, body))
            return
        self._incoming.begin(stream, limits.MAX_BODY + limits.MAX_HEAD)
        self._receive_piece(stream, body, arrivals, end=False)

    def _receive_data(
        self, stream: int, body: bytes, arrivals: list[Arrival], *, end: bool
    ) -> None:
        if stream in self._incoming.bodies:
            self._receive_piece(stream, body, arrivals, end=end)
        elif stream not in self._expected:
            self.ignored += 1  # late: we gave the stream up while it was on its way
        elif end and len(body) <= self._expected[stream]:
            self._answered(stream, body, arrivals)
        else:
            self._incoming.begin(stream, self._expected[stream])
            self._receive_piece(stream, body, arrivals, end=end)

    def _answered(self, stream: int, data: bytes, arrivals: list[Arrival]) -> None:
        if stream in self._outgoing.bodies:  # answered before it was asked: end the question
            self.reset(stream, frame.CANCELLED)
        self._expected.pop(stream, None)
        arrivals.append(AnswerArrived(stream, data))

    def _receive_piece(
        self, stream: int, body: bytes, arrivals: list[Arrival], *, end: bool
    ) -> None:
        if not self._incoming.add_untrusted(stream, body):
            self.reset(stream, frame.TOO_LARGE)
            arrivals.append(ResetArrived(stream, frame.TOO_LARGE))
        elif end:
            self._complete(stream, arrivals)

    def _complete(self, stream: int, arrivals: list[Arrival]) -> None:
        data = self._incoming.take(stream)
        if stream in self._expected:
            self._answered(stream, data, arrivals)
        else:
            self._unanswered.add(stream)
            arrivals.append(RequestArrived(stream, data))

    def _receive_control(
        self, kind: int, stream: int, body: bytes, arrivals: list[Arrival]
    ) -> None:
        if kind == frame.PING:
            self._queue_control(frame.PONG, 0, b"")
        elif kind == frame.GOAWAY:
            self.peer_goes_away = True
        elif kind == frame.REKEY:
            self.rekey_seen = True
        elif kind == frame.CREDIT:
            self._receive_credit(stream, body)
        elif kind == frame.RESET:
            if len(body) < frame.CODE_BODY.size:
                raise WireError("a RESET without a code")
            (code,) = frame.CODE_BODY.unpack_from(body)
            self._forget(stream)
            arrivals.append(ResetArrived(stream, code))

    def _receive_credit(self, stream: int, body: bytes) -> None:
        if len(body) < frame.CREDIT_BODY.size:
            raise WireError("a CREDIT without a number")
        (more,) = frame.CREDIT_BODY.unpack_from(body)
        self._outgoing.add_credit_untrusted(stream, more)

    def _forget(self, stream: int) -> None:
        self._expected.pop(stream, None)
        self._unanswered.discard(stream)
        self._incoming.forget(stream)
        queued = self._frames.pop(stream, None)
        if queued is not None:
            self._has_left(stream, len(queued) - _FRAME_HEADER)
        if stream in self._outgoing.bodies:
            self._has_left(stream, self._drop_outgoing(stream))
        if self._unread_counted:
            self._count_unread(self._unread)

    def _drop_outgoing(self, stream: int) -> int:
        """Forget a long body; the next may have its turn. Gives the bytes that have not left."""
        rest = self._outgoing.drop(stream)
        self._begin_long()
        return rest
