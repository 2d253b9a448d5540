"""Which streams there are, whose they are, and which one leads to each member."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from math import inf
from typing import Literal

import attrs

from meshp2p.effects import StreamId
from meshp2p.engine.link import Link, supersedes
from meshp2p.engine.proved import Proved
from meshp2p.engine.unproved import Unproved
from meshp2p.ids import NodeId, Seconds


@attrs.define
class Switchboard:
    """The streams of one node; what is said on them is no concern of it.

    Args:
        unproved: Those whose other end is not known yet.
        proved: The others.
        leaving: Those of members that said goodbye, until their last answers are here.
    """

    unproved: Unproved = attrs.field(factory=Unproved, init=False)
    proved: Proved = attrs.field(factory=Proved, init=False)
    leaving: dict[StreamId, Link] = attrs.field(factory=dict, init=False)
    _links: dict[StreamId, Link] = attrs.field(factory=dict, init=False)
    _to: dict[NodeId, Link] = attrs.field(factory=dict, init=False)
    _next_stream: StreamId = attrs.field(default=1, init=False)

    def __len__(self) -> int:
        """Streams open or being opened."""
        return len(self._links)

    def __iter__(self) -> Iterator[Link]:
        """All of them, whatever is done to them meanwhile."""
        return iter(list(self._links.values()))

    def __contains__(self, stream: StreamId) -> bool:
        """Whether the stream stands."""
        return stream in self._links

    def find(self, stream: StreamId) -> Link | None:
        """The link of a stream."""
        return self._links.get(stream)

    def to(self, peer: NodeId) -> Link | None:
        """The one that leads to a member, or will."""
        return self._to.get(peer)

    def of(self, peer: NodeId) -> list[Link]:
        """All that a member has, those that are being made included."""
        return [link for link in self._links.values() if peer in (link.peer, link.wanted)]

    def largest(self, what: Literal["half_received", "unread"]) -> Link:
        """The one that makes this node hold most of it."""
        return max(self._links.values(), key=operator.attrgetter(what))

    def next_stream(self) -> StreamId:
        """The number of a stream that this node opens; odd, and never used again."""
        self._next_stream += 2
        return self._next_stream - 2

    def add(self, link: Link) -> None:
        """A stream begins, ours or theirs."""
        self._links[link.stream] = link
        self.unproved.add(link)
        if link.wanted is not None:
            self._to.setdefault(link.wanted, link)

    def renumber(self, link: Link) -> None:
        """A link that was not made tries another way, on a stream of its own."""
        del self._links[link.stream]
        self.unproved.discard(link)
        link.stream = self.next_stream()
        self._links[link.stream] = link
        self.unproved.add(link)

    def prove(self, link: Link, peer: NodeId) -> None:
        """Its other end is known."""
        self.unproved.discard(link)
        link.peer = peer
        self.proved.add(link)

    def remove(self, link: Link) -> bool:
        """It is over; False if it was not there."""
        self.leaving.pop(link.stream, None)
        if self._links.pop(link.stream, None) is None:
            return False
        self.unproved.discard(link)
        self.proved.discard(link)
        self.lead_nowhere(link)
        return True

    def lead_nowhere(self, link: Link) -> None:
        """Begin nothing on it any more."""
        for peer in (link.peer, link.wanted):
            if peer is not None and self._to.get(peer) is link:
                del self._to[peer]

    def let_leave(self, link: Link, until: Seconds) -> None:
        """Its member said goodbye: nothing new, but what is under way may still come."""
        link.retiring = True
        link.deadline = until
        self.leaving[link.stream] = link
        self.lead_nowhere(link)

    def choose(
        self, link: Link, peer: NodeId, *, lower: bool, patience: Seconds
    ) -> tuple[Link, Link | None]:
        """The one that leads to a member from now on, and one that is to end for it.

        Both may connect at once: then the smaller id's connection stays.

        Args:
            link: Just proved to be the member's.
            lower: Whether this node's id is the smaller one.
            patience: As in `supersedes`.
        """
        other = self._to.get(peer)
        if other is None or other is link:
            self._to[peer] = link
            return link, None
        if other.peer is None or other.connection is None:
            self._to[peer] = link
            link.waiting.extend(other.waiting)
            other.waiting.clear()
            return link, None
        stays = supersedes(link, other, lower=lower, patience=patience)
        keep, drop = (link, other) if stays else (other, link)
        self._to[peer] = keep
        return keep, drop

    def next_deadline(self) -> Seconds:
        """When somebody has not proved who it is, or has not ended, for too long."""
        soonest = inf
        for links in (self.unproved.links, self.leaving):
            if links:
                soonest = min(soonest, *(link.deadline for link in links.values()))
        return soonest
