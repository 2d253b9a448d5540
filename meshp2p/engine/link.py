"""One stream to a peer, and the errands that travel on it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Protocol, TypeAlias

import attrs

from meshp2p.effects import StreamId, StreamReady
from meshp2p.engine.core import Core
from meshp2p.ids import Address, NodeId, Seconds
from meshp2p.transport.connection import Connection
from meshp2p.transport.path import Route


class OnLost(Protocol):
    """What an errand's owner hears when the connection is gone."""

    def __call__(
        self, errand: Errand, reason: str, now: Seconds, /, *, sent: bool, full: bool = False
    ) -> None:
        """`sent`: whether the request may have begun; `full`: the peer lives, and has no room."""


@attrs.define(eq=False)
class Errand:
    """One request, wherever it is between this node and the other.

    Args:
        number: Its owner's, to know it again.
        on_answer: Called with the errand and the answer's bytes (`wire.messages.join_head`).
        on_lost: Called with the errand, the reason and whether the request had left, if there
            will be no answer.
        life: Transport key of the only process that may have it; None for any.
    """

    number: int
    data: bytes
    answer_limit: int
    on_answer: Callable[[Errand, bytes, Seconds], None]
    on_lost: OnLost
    one_way: bool = False
    life: bytes | None = None
    link: Link | None = None
    stream: int = 0

    @property
    def carried_to(self) -> bytes | None:
        """Transport key of the process that it went to; None before."""
        if self.link is None or self.link.connection is None:
            return None
        return self.link.connection.peer_key


@attrs.define(eq=False)
class Link:
    """One stream and what depends on it."""

    stream: StreamId
    deadline: Seconds
    wanted: NodeId | None = None
    route: Route | None = None
    address: Address | None = None
    tries: int = 0
    connection: Connection | None = None
    peer: NodeId | None = None
    waiting: deque[Errand] = attrs.field(factory=deque)
    pending: dict[int, Errand] = attrs.field(factory=dict)
    jobs: dict[int, int] = attrs.field(factory=dict)
    ready: bool = False
    retiring: bool = False
    idle_since: Seconds = 0.0

    @property
    def half_received(self) -> int:
        """Bytes of bodies on their way to us."""
        return 0 if self.connection is None else self.connection.mux.half_received

    @property
    def unread(self) -> int:
        """Bytes of answers that its other end has not taken."""
        return 0 if self.connection is None else self.connection.mux.unread


OnRequest: TypeAlias = Callable[[Link, int, bytes | None, Seconds], None]
"""A request on a link and stream; None instead of its bytes once it was reset."""


def supersedes(new: Link, old: Link, *, lower: bool, patience: Seconds) -> bool:
    """Whether the new one of two connections to a peer stays: both ends must agree on it.

    Who connects again long afterwards has lost the old one, though its last word may not
    have got here.

    Args:
        lower: Whether this node's id is the smaller one.
        patience: Both are taken to be made at once if no more than this lies between.
    """
    if new.connection is None or old.connection is None:
        return old.connection is None
    late = new.connection.created_at - old.connection.created_at > patience
    same = old.connection.dialled == new.connection.dialled
    return late or same or new.connection.dialled == lower


def make_ready(core: Core, link: Link) -> None:
    """Let the driver pull bytes of a link, if there are any and it does not know."""
    if not link.ready and link.connection is not None and link.connection.has_bytes:
        link.ready = True
        core.emit(StreamReady(link.stream))
