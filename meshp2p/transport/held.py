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
    """

    half_received: int = 0
    unread: int = 0

    @property
    def is_too_much(self) -> bool:
        """Whether somebody must be told to go."""
        return (
            self.half_received > limits.MAX_NODE_REASSEMBLY or self.unread > limits.MAX_NODE_UNREAD
        )
