"""Who is off the list, while an older line of it could still be believed."""

from __future__ import annotations

from collections import OrderedDict
from typing import TypeAlias

import attrs

from meshp2p.gossip.record import VersionLine
from meshp2p.ids import NodeId, Seconds
from meshp2p.wire import limits

Rank: TypeAlias = tuple[int, bool, int]
"""As `VersionLine.rank`: the greater prevails."""


@attrs.define
class Tombstones:
    """The last word of members that were forgotten earlier than all that they had signed ends.

    A departed member is listed until its last line expires: then nobody would believe that
    one any more. But one that it signed before may last for longer, if its clock was ahead,
    and one that made room for others may have been forgotten at any time. Whoever kept such
    a line could play it back, and the member would join again without having come back.

    Holds `limits.MAX_TOMBSTONES`; the oldest goes first.
    """

    _stones: OrderedDict[NodeId, tuple[Rank, int]] = attrs.field(factory=OrderedDict, init=False)

    def __len__(self) -> int:
        """How many there are."""
        return len(self._stones)

    def put(self, node_id: NodeId, rank: Rank, until: int) -> None:
        """Remember how far a member had come, until this moment, in Unix seconds."""
        self._stones[node_id] = (rank, until)
        self._stones.move_to_end(node_id)
        if len(self._stones) > limits.MAX_TOMBSTONES:
            self._stones.popitem(last=False)

    def forbid(self, line: VersionLine) -> bool:
        """Whether its owner has said something since that prevails over it."""
        stone = self._stones.get(line.node_id)
        return stone is not None and line.rank < stone[0]

    def remove(self, node_id: NodeId) -> int:
        """It is listed again; return until when an older line of it lasts, in Unix seconds."""
        _, until = self._stones.pop(node_id, (None, 0))
        return until

    def clear_expired(self, unix: float, tolerance: Seconds) -> None:
        """Forget those of whom nothing is left that anybody would believe."""
        over = [one for one, (_, until) in self._stones.items() if until + tolerance < unix]
        for node_id in over:
            del self._stones[node_id]
