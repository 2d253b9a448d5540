"""Heads of requests and responses, as they stand before a body on a stream.

Both are MessagePack arrays that later versions may lengthen. On the wire a head
is preceded by its length in 16 bits and followed by the body: `join_head`.
"""

from __future__ import annotations

import functools
from typing import Final, cast

import attrs

from meshp2p.errors import WireError
from meshp2p.wire import codec, limits
from meshp2p.wire.codec import Value

ON_MESSAGE: Final = "@"
"""Method of a message to an agent: its `on_message`, not a capability."""

OK: Final = 0
REMOTE_ERROR: Final = 1
NO_SUCH_METHOD: Final = 2
REFUSED: Final = 3
OVERLOADED: Final = 4
DEADLINE: Final = 5
CLOSING: Final = 6
TOO_MANY_HOPS: Final = 7
LAST_STATUS: Final = TOO_MANY_HOPS
"""Statuses above it come from a later version and are shown as errors."""

RETRY_AFTER_MS: Final = 100
"""With `OVERLOADED`: a few handlers of ordinary length have ended by then."""

FLAG_ONE_WAY: Final = 1
"""The caller does not wait: no response is sent."""

CALL_ID_BYTES: Final = 16
TRACEPARENT_BYTES: Final = 26
_REQUEST_FIELDS: Final = 12
_RESPONSE_FIELDS: Final = 5
_LENGTH_BYTES: Final = 2
_MAX_TEXT: Final = 256
_U64: Final = 1 << 64
_SHORT: Final = 16
"""Bytes: almost every response head is as short, and few different ones are."""


@attrs.define
class RequestHead:
    """What a callee must know before it looks at the body.

    Args:
        method: Capability, `ON_MESSAGE`, or "!..." for the mesh's own requests.
        remaining_ms: Time left; never a clock time, since clocks differ.
        priority: 0 low, 1 medium, 2 high, 3 critical.
        flags: `FLAG_ONE_WAY`.
        call_id: 16 bytes, the caller's dice; names the call in logs of both sides.
        key: Idempotency key, or "".
        traceparent: 26 bytes: W3C version, trace id, span id, flags.
        hops: Calls that led here, this one included.
        path: Node ids (16 bytes each) of those calls' callers, newest last.
        correlation_id: The user's own.
        timestamp: Unix milliseconds, for display only.
        metadata: The user's own.
    """

    method: str
    remaining_ms: int
    priority: int = 1
    flags: int = 0
    call_id: bytes = bytes(CALL_ID_BYTES)
    key: str = ""
    traceparent: bytes = bytes(TRACEPARENT_BYTES)
    hops: int = 1
    path: list[bytes] = attrs.field(factory=list)
    correlation_id: str = ""
    timestamp: int = 0
    metadata: dict[str, Value] = attrs.field(factory=dict)

    def packed(self) -> bytes:
        """The array as it travels."""
        return codec.pack(
            [
                self.method,
                self.remaining_ms,
                self.priority,
                self.flags,
                self.call_id,
                self.key,
                self.traceparent,
                self.hops,
                self.path,
                self.correlation_id,
                self.timestamp,
                self.metadata,
            ]
        )

    @classmethod
    def from_untrusted(cls, data: bytes) -> RequestHead:
        """Read a head from somebody who may be hostile.

        Raises:
            WireError: And nothing else, whatever `data` holds.
        """
        fields = codec.unpack_head_untrusted(data, _REQUEST_FIELDS)
        head = cls(*fields[:_REQUEST_FIELDS])  # type: ignore[arg-type]  # checked below
        head._check()
        return head

    def _check(self) -> None:  # noqa: C901  # one field after the other
        for text in (self.method, self.key, self.correlation_id):
            if type(text) is not str or len(text) > _MAX_TEXT:
                raise WireError("a request head with a bad text")
        for number in (self.remaining_ms, self.priority, self.flags, self.hops, self.timestamp):
            if type(number) is not int or not 0 <= number < _U64:
                raise WireError("a request head with a bad number")
        if (
            type(self.call_id) is not bytes
            or len(self.call_id) != CALL_ID_BYTES
            or type(self.traceparent) is not bytes
            or len(self.traceparent) != TRACEPARENT_BYTES
        ):
            raise WireError("a request head with a bad id")
        if type(self.path) is not list or len(self.path) > limits.MAX_HOPS:
            raise WireError("a request head with a bad path")
        for node in self.path:
            if type(node) is not bytes or len(node) != CALL_ID_BYTES:
                raise WireError("a request head with a bad path")
        if type(self.metadata) is not dict:
            raise WireError("a request head with bad metadata")
        if self.metadata:
            codec.check_shape_untrusted(self.metadata)


@attrs.frozen
class ResponseHead:
    """How it went. Equal ones are shared: leave `metadata` as it is.

    Args:
        status: `OK` or one number per error.
        started: Whether the handler began; becomes `maybe_executed`.
        load: Handlers running at the callee.
        retry_after_ms: With `OVERLOADED`.
        metadata: The user's own.
    """

    status: int
    started: bool
    load: int = 0
    retry_after_ms: int = 0
    metadata: dict[str, Value] = attrs.field(factory=dict)

    def packed(self) -> bytes:
        """The array as it travels."""
        if self.metadata or self.retry_after_ms:
            return codec.pack(
                [self.status, self.started, self.load, self.retry_after_ms, self.metadata]
            )
        return _packed_short(self.status, self.started, self.load)

    @classmethod
    def from_untrusted(cls, data: bytes) -> ResponseHead:
        """Read a head from somebody who may be hostile.

        Raises:
            WireError: And nothing else, whatever `data` holds.
        """
        return _read_short_untrusted(data) if len(data) <= _SHORT else _read_untrusted(data)


def _read_untrusted(data: bytes) -> ResponseHead:
    fields = codec.unpack_head_untrusted(data, _RESPONSE_FIELDS)
    status, started, load, retry_after, metadata = fields[:_RESPONSE_FIELDS]
    for number in (status, load, retry_after):
        if type(number) is not int or not 0 <= number < _U64:
            raise WireError("a response head with a bad number")
    if type(started) is not bool or type(metadata) is not dict:
        raise WireError("a response head with a bad field")
    if metadata:
        codec.check_shape_untrusted(metadata)
    return ResponseHead(
        cast("int", status), started, cast("int", load), cast("int", retry_after), metadata
    )


_read_short_untrusted = functools.lru_cache(maxsize=256)(_read_untrusted)


@functools.lru_cache(maxsize=256)
def response_head(status: int, started: bool, load: int, retry_after_ms: int) -> ResponseHead:  # noqa: FBT001  # as on the wire
    """The head without metadata, made once: there are few different ones."""
    return ResponseHead(status, started, load, retry_after_ms)


@functools.lru_cache(maxsize=256)
def _packed_short(status: int, started: bool, load: int) -> bytes:  # noqa: FBT001  # as on the wire
    return codec.pack([status, started, load, 0, {}])


def join_head(head: bytes, body: bytes) -> bytes:
    """Length of the head in 16 bits, the head, the body."""
    return b"".join((len(head).to_bytes(_LENGTH_BYTES, "big"), head, body))


def split_head_untrusted(data: bytes) -> tuple[bytes, bytes]:
    """Undo `join_head`.

    Raises:
        WireError: And nothing else, whatever `data` holds.
    """
    if len(data) < _LENGTH_BYTES:
        raise WireError("a message without a head")
    end = _LENGTH_BYTES + int.from_bytes(data[:_LENGTH_BYTES], "big")
    if end > len(data) or end - _LENGTH_BYTES > limits.MAX_HEAD:
        raise WireError("a message whose head is cut off or too long")
    return data[_LENGTH_BYTES:end], data[end:]


def pack_error(kind: str, message: str, traceback: str | None) -> bytes:
    """The body of a response that is an error: [type, message, traceback or nil]."""
    cut = limits.MAX_ERROR_TEXT
    shown = None if traceback is None else traceback[-cut:]
    return codec.pack([kind[:cut], message[:cut], shown])


def unpack_error_untrusted(body: bytes) -> tuple[str, str, str | None]:
    """Undo `pack_error`.

    Raises:
        WireError: And nothing else, whatever `body` holds.
    """
    match codec.unpack_list_untrusted(body, 3):
        case [str(kind), str(message), (str() | None) as traceback, *_]:
            return kind, message, traceback
        case _:
            raise WireError("an error that is not [type, message, traceback]")
