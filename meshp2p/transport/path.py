"""Where datagrams come from and go: an address, or another member that forwards."""

from __future__ import annotations

from typing import TypeAlias

import attrs

from meshp2p.ids import Address, NodeId


@attrs.frozen
class Via:
    """A path through another member that forwards."""

    member: NodeId


Path: TypeAlias = Address | Via

Outbox: TypeAlias = list[tuple[Path, NodeId | None, bytes]]
"""(path, peer, datagram) to be sent. The peer is known whenever the path is `Via`."""


@attrs.frozen
class Route:
    """How to reach a peer for the first time."""

    addresses: tuple[Address, ...]
    static: bytes | None


def address_of(path: Path) -> Address | None:
    """Where somebody was heard from; None if others forward for it."""
    return path if isinstance(path, Address) else None
