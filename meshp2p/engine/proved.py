"""Streams whose other end has proved which member it is, and how many each member may have."""

from __future__ import annotations

import attrs

from meshp2p.engine.link import Link
from meshp2p.ids import NodeId
from meshp2p.wire import limits


@attrs.define
class Proved:
    """By member, the one proved longest first.

    By member and not by process: it makes itself as many transport keys as it likes.
    """

    _of: dict[NodeId, list[Link]] = attrs.field(factory=dict, init=False)

    def add(self, link: Link) -> None:
        """Its other end is known."""
        if link.peer is not None:
            self._of.setdefault(link.peer, []).append(link)

    def discard(self, link: Link) -> None:
        """It is over, or was never proved."""
        if link.peer is None:
            return
        links = self._of.get(link.peer, [])
        if link in links:
            links.remove(link)
        if not links:
            self._of.pop(link.peer, None)

    def surplus(self, peer: NodeId, serving: Link | None) -> Link | None:
        """The oldest stream of a member that has too many, the one that serves apart."""
        links = self._of.get(peer, [])
        if len(links) <= limits.MAX_CONNECTIONS_PER_MEMBER:
            return None
        return next(link for link in links if link is not serving)
