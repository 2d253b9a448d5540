"""Who accuses falsely: one sick or hostile member must not disturb all others for ever."""

from __future__ import annotations

from collections import OrderedDict
from math import exp2
from typing import Final

import attrs

from meshp2p.ids import NodeId, Seconds
from meshp2p.wire import limits

_HALF_LIFE: Final[Seconds] = 600.0
_FREE: Final = 5.0
"""Accusations of which nothing came that anybody is forgiven: packets do get lost."""
_TIMES: Final = 4.0
"""A bad network makes everybody accuse falsely: only who does so that much more often than
the others is the trouble itself."""


@attrs.define
class Reputation:
    """Counts each accuser's suspicions that were refuted, and forgets them slowly.

    Lifeguard makes a sick node doubt itself; this is for those that do not. Whoever has
    lost its good name may still be right, so its word makes others look, and no more.
    """

    _refuted: OrderedDict[NodeId, tuple[float, Seconds]] = attrs.field(
        factory=OrderedDict, init=False
    )

    def refuted(self, accuser: NodeId, now: Seconds) -> None:
        """A member whom it had accused proved to be there."""
        self._refuted[accuser] = (self.of(accuser, now) + 1.0, now)
        self._refuted.move_to_end(accuser)
        if len(self._refuted) > limits.MAX_ACCUSERS:
            self._refuted.popitem(last=False)

    def of(self, accuser: NodeId, now: Seconds) -> float:
        """False accusations of the last while, older ones counted less."""
        count, at = self._refuted.get(accuser, (0.0, now))
        return count * exp2((at - now) / _HALF_LIFE)

    def trusts(self, accuser: NodeId, population: int, now: Seconds) -> bool:
        """Whether its accusation counts as such.

        Args:
            population: Members who could have accused as often.
        """
        own = self.of(accuser, now)
        if own < _FREE:
            return True
        others = sum(self.of(other, now) for other in self._refuted if other != accuser)
        return own < _TIMES * (1.0 + others / max(1, population - 1))
