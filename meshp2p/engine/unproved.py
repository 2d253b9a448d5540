"""Streams whose other end has not proved who it is, and how many strangers may have."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable

import attrs

from meshp2p.effects import StreamId
from meshp2p.engine.link import Link
from meshp2p.ids import Address, Seconds
from meshp2p.transport.budget import source_of
from meshp2p.wire import limits


@attrs.define
class Unproved:
    """What is dialled or was accepted and is not settled, the oldest first.

    Only those who connected to us are bounded: what we dial is for us to choose.

    Args:
        links: By stream; for reading.
    """

    links: dict[StreamId, Link] = attrs.field(factory=dict, init=False)
    _sources: Counter[Hashable] = attrs.field(factory=Counter, init=False)

    def __len__(self) -> int:
        """How many, in either direction."""
        return len(self.links)

    def __contains__(self, stream: StreamId) -> bool:
        """Whether the other end of this stream is unknown."""
        return stream in self.links

    def add(self, link: Link) -> None:
        """A stream begins."""
        self.links[link.stream] = link
        if link.route is None and link.address is not None:
            self._sources[source_of(link.address)] += 1

    def discard(self, link: Link) -> None:
        """Its other end is known by now, or it is over."""
        if self.links.pop(link.stream, None) is None:
            return
        if link.route is None and link.address is not None:
            source = source_of(link.address)
            self._sources[source] -= 1
            if not self._sources[source]:
                del self._sources[source]

    def is_crowd(self, remote: Address) -> bool:
        """Whether a host has as many as it may; all nodes of this machine come from one."""
        crowded = self._sources[source_of(remote)] >= limits.MAX_PREAUTH_STREAMS_PER_HOST
        return crowded and not remote.is_loopback

    def one_too_many(self) -> Link | None:
        """The stranger that has been silent longest, if another one needs its place.

        A crowd of idle connections must not keep honest newcomers out, who need
        milliseconds.
        """
        if sum(self._sources.values()) < limits.MAX_PREAUTH_STREAMS:
            return None
        return next(link for link in self.links.values() if link.route is None)

    def due(self, now: Seconds) -> list[Link]:
        """Those whose time is over."""
        return [link for link in self.links.values() if link.deadline <= now]
