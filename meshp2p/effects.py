"""What the protocol asks of the world. The driver performs them in order, without waiting."""

from __future__ import annotations

from typing import TypeAlias

import attrs

from meshp2p.events import Event
from meshp2p.ids import Address, Seconds

StreamId: TypeAlias = int
"""Odd: opened by this node (the engine numbers it). Even: accepted (the driver does)."""


@attrs.define  # not frozen: made for every datagram, and freezing doubles the cost
class SendDatagram:
    """Send now or drop: datagrams may be lost anyway."""

    to: Address
    data: bytes


@attrs.frozen
class OpenStream:
    """Connect; answer with `stream_opened` or `stream_closed`."""

    stream: StreamId
    to: Address


@attrs.frozen
class CloseStream:
    """Close, after what `stream_bytes` still gives if `flush`."""

    stream: StreamId
    flush: bool = True


@attrs.define  # likewise, for every turn
class StreamReady:
    """The stream has bytes: pull them with `stream_bytes` when it is writable."""

    stream: StreamId


@attrs.frozen
class Record:
    """One row of the journal; `value=None` deletes it."""

    table: str
    key: bytes
    value: bytes | None


@attrs.frozen
class Persist:
    """Write all records, sync, then answer with `receive_persisted(token)`."""

    token: int
    records: tuple[Record, ...]


@attrs.frozen
class Resolve:
    """Look a host name up; answer with `receive_resolved`."""

    host: str
    port: int


@attrs.define  # not frozen: made for every call
class Invoke:
    """Run a handler; answer with `receive_outcome(call)`.

    Args:
        call: This node's number of the request.
        method: Capability, "@" for `on_message`, "?bid" for `on_bid`, "?vote" for
            `on_vote`.
        body: Encoded arguments.
        deadline: On the node's monotonic clock.
        caller: Node id of whoever asks, proved by the channel; its handle, if known.
        request: The head of the request (`wire.messages.RequestHead`), None for "?...".
        token: Fencing token of an award, 0 for calls.
    """

    call: int
    method: str
    body: bytes
    deadline: Seconds
    caller: bytes
    caller_handle: str
    request: object | None
    token: int = 0


@attrs.frozen
class CancelInvoke:
    """Nobody wants the answer any more."""

    call: int


@attrs.define  # not frozen: made for every call
class Announce:
    """Tell the application, or the log."""

    event: Event


Effect: TypeAlias = (
    SendDatagram
    | OpenStream
    | CloseStream
    | StreamReady
    | Persist
    | Resolve
    | Invoke
    | CancelInvoke
    | Announce
)
