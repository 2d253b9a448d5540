"""Requests and answers as whoever seals or opens a stream's records sees them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import attrs

from meshp2p.errors import WireError
from meshp2p.transport import frame
from meshp2p.wire import limits
from meshp2p.wire.messages import RequestHead, join_head, split_head_untrusted

_FAR: Final = 1 << 30
"""Streams that a liar opens besides its engine's, which counts from 1."""


@attrs.frozen
class Saying:
    """One request or answer, whole.

    Args:
        stream: Of its connection.
        head: Packed; of a request as `RequestHead`, of an answer as `ResponseHead`.
    """

    stream: int
    is_request: bool
    head: bytes
    body: bytes

    @property
    def data(self) -> bytes:
        """As it travels."""
        return join_head(self.head, self.body)

    @property
    def asks(self) -> RequestHead | None:
        """A request's head; None of an answer, and of what is none."""
        if not self.is_request:
            return None
        try:
            return RequestHead.from_untrusted(self.head)
        except WireError:
            return None

    @property
    def method(self) -> str:
        """What a request asks for; empty for answers."""
        return "" if self.asks is None else self.asks.method


def sayings_in(plaintext: bytes) -> Iterator[Saying]:
    """Those that are whole in this record; whatever is none is left out."""
    for kind, stream, end, body in frame.parse_untrusted(plaintext):
        saying = _saying(kind, stream, body) if end else None
        if saying is not None:
            yield saying


def frames_with(plaintext: bytes, said: dict[int, list[bytes]]) -> bytes:
    """The same record with frames in place of those that end the streams in `said`."""
    frames: list[bytes] = []
    for kind, stream, end, body in frame.parse_untrusted(plaintext):
        if end and stream in said:
            frames += said[stream]
        else:
            frames.append(frame.pack(kind | (frame.END if end else 0), stream, body))
    return b"".join(frames)


def as_frame(saying: Saying, data: bytes) -> bytes:
    """Other bytes in its place."""
    kind = frame.OPEN if saying.is_request else frame.DATA
    return frame.pack(kind | frame.END, saying.stream, data[: limits.MAX_FRAME_BODY])


def as_another(saying: Saying, number: int, data: bytes) -> bytes:
    """A request more, on a stream of which the liar's engine knows nothing.

    Args:
        number: Of those that this liar has made up.
    """
    parity = saying.stream & 1 if saying.is_request else ~saying.stream & 1
    return frame.pack(frame.OPEN | frame.END, _FAR + 2 * number + parity, data)


def _saying(kind: int, stream: int, body: bytes) -> Saying | None:
    if kind not in (frame.OPEN, frame.DATA):
        return None
    try:
        head, rest = split_head_untrusted(body)
    except WireError:
        return None
    return Saying(stream, kind == frame.OPEN, head, rest)
