"""What all connections of one node hold for others together. Bytes."""

from __future__ import annotations

import attrs

from meshp2p.wire import limits


@attrs.define
class Held:
    """Counted by each `Multiplexer` as it goes; who owns them all acts on `is_too_much`.

    Args:
        half_received: Bodies of which more should come.
        unread: Answers that their readers have not taken, `limits.FREE_UNREAD` of each
            connection apart.
        most_half_received: Beyond it `is_too_much`.
        most_unread: Likewise.
    """

    half_received: int = 0
    unread: int = 0
    most_half_received: int = limits.MAX_NODE_REASSEMBLY
    most_unread: int = limits.MAX_NODE_UNREAD

    @property
    def is_too_much(self) -> bool:
        """Whether somebody must be told to go."""
        return self.half_received > self.most_half_received or self.unread > self.most_unread
