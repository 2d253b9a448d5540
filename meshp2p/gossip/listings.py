"""What peers list in full syncs, and what each is told in return: whatever it did not list."""

from __future__ import annotations

from itertools import islice
from typing import Final, TypeAlias

import attrs

from meshp2p.gossip.messages import LineItem
from meshp2p.gossip.parts import Parts
from meshp2p.gossip.record import VersionLine
from meshp2p.ids import NodeId

Listing: TypeAlias = dict[NodeId, tuple[int, bool, int]]
"""What a peer says that it holds: rank of the line by member, of those that this node knows too."""

_NONE: Final = (-1, False, -1)
"""Older than any version."""
_LISTINGS: Final = 8
"""Peers whose syncs may overlap."""
_CATCH_UP: Final = 64
"""Members of whom a peer is told after a sync; if it lacks more it will sync by itself."""


@attrs.define
class Listings:
    """One listing for each peer whose sync has not ended, the oldest first."""

    _parts: Parts
    _of: dict[NodeId, Listing] = attrs.field(factory=dict, init=False)

    def note(self, peer: NodeId | None, line: VersionLine) -> None:
        """The peer holds a member's line; made-up members would fill the memory.

        Args:
            peer: None for our own disk, which is told nothing.
        """
        if peer is None or self._parts.view.get(line.node_id) is None:
            return
        listing = self._of.setdefault(peer, {})
        listing[line.node_id] = line.rank
        if len(self._of) > _LISTINGS:
            del self._of[next(iter(self._of))]

    def forget(self) -> None:
        """Those of peers that never said that they had listed all."""
        self._of.clear()

    def catch_up(self, peer: NodeId) -> None:
        """The peer told all it holds: tell it what it lacks, so that both views agree.

        It has heard of this node itself already, before anything was checked.
        """
        listing = self._of.pop(peer, {})
        lacking = (
            row
            for row in self._parts.view
            if row.id != self._parts.view.own_id and listing.get(row.id, _NONE) < row.record.rank
        )
        for row in islice(lacking, _CATCH_UP):
            if row.id in listing:
                self._parts.send(peer, LineItem(row.record.line.raw).wire())
            else:
                self._parts.present(row.record, peer)
