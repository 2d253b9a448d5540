"""What membership asks of the engine."""

from __future__ import annotations

from typing import TypeAlias

import attrs

from meshp2p.events import Event
from meshp2p.ids import Address, NodeId


@attrs.define  # not frozen: made for every datagram, and freezing doubles the cost
class SendPlain:
    """Seal this for the member and send it as one datagram."""

    to: NodeId
    plaintext: bytes


@attrs.frozen
class IndirectProbe:
    """Seal this for the target and let each helper pass it on.

    The target's answer comes back sealed for this node: a helper cannot lie either way.
    """

    target: NodeId
    helpers: tuple[NodeId, ...]
    plaintext: bytes


@attrs.frozen
class AskByStream:
    """Ask the member by stream whether it is there; its answer goes to `Swim.answered_by_stream`.

    Where UDP is blocked and TCP is not, a member would otherwise die and return for ever.

    Args:
        accusation: What it is accused of, so that it can refute; b"" if of nothing yet.
        dial: Whether a connection may be made for it.
    """

    target: NodeId
    accusation: bytes
    dial: bool


@attrs.frozen
class SyncWith:
    """Ask the member by stream for what it holds; then `merge_untrusted`.

    Args:
        buckets: Mask of the buckets to compare: send it `bucket_payload`, tell `compared` in
            the end. None for everything; then `synced_with`.
    """

    peer: NodeId
    buckets: int | None = None


@attrs.frozen
class Pull:
    """Ask the member for these records by stream; then `merge_untrusted`."""

    peer: NodeId
    ids: tuple[NodeId, ...]


@attrs.frozen
class Moved:
    """The member says that it listens elsewhere, and no longer at these addresses."""

    peer: NodeId
    gone: tuple[Address, ...]


@attrs.frozen
class SaveEpoch:
    """Write down that this node uses this epoch: the next life has to exceed it."""

    epoch: int


@attrs.frozen
class Tell:
    """For the application, or the log."""

    event: Event


Output: TypeAlias = (
    SendPlain | IndirectProbe | AskByStream | SyncWith | Pull | Moved | SaveEpoch | Tell
)
