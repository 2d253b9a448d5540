"""How long a suspected member has to refute."""

from __future__ import annotations

from math import log, log10
from typing import Final

import attrs

from meshp2p.config import Config
from meshp2p.ids import NodeId, Seconds

_ENOUGH: Final = 3
"""Confirmations beyond which more would tell nothing (Lifeguard's K)."""


@attrs.define
class Suspicion:
    """A countdown that independent accusers shorten.

    One accuser may itself be the sick one, so a lone suspicion lasts `longest`.
    Each further accuser brings the end closer to `shortest`, quickly at first.

    Args:
        accuser: Whoever suspected first; never counted as a confirmation.
        started: When this node learnt of it, on the node's monotonic clock.
        shortest: Length of the countdown once `needed` members confirmed.
        longest: Length of the countdown with no confirmation.
        seen_silent: Whether this node itself asked the member, and had no answer.
        checked: Whether it has asked, since others say so.
        needed: Confirmations that bring the countdown to `shortest`, at least 1.

    Source: Dadgar, Phillips, Currey, "Lifeguard" (arXiv:1707.00788), LHA-Suspicion.
    """

    accuser: NodeId
    started: Seconds = attrs.field(kw_only=True)
    shortest: Seconds = attrs.field(kw_only=True)
    longest: Seconds = attrs.field(kw_only=True)
    needed: int = attrs.field(kw_only=True)
    seen_silent: bool = attrs.field(default=False, init=False)
    checked: bool = attrs.field(default=False, init=False)
    _confirmed_by: set[NodeId] = attrs.field(factory=set, init=False)

    @classmethod
    def of(cls, accuser: NodeId, config: Config, members: int, now: Seconds) -> Suspicion:
        """A suspicion as it begins among so many live members, this node included."""
        shortest = (
            config.suspicion_min_multiplier * max(1.0, log10(members)) * config.probe_interval
        )
        # With nobody else to ask, waiting for confirmations would be in vain.
        alone = members <= 2  # noqa: PLR2004  # accuser and accused
        fixed = alone or not config.lifeguard
        longest = shortest if fixed else shortest * config.suspicion_max_multiplier
        return cls(
            accuser,
            started=now,
            shortest=shortest,
            longest=longest,
            needed=max(1, min(_ENOUGH, members - 2)),
        )

    @property
    def accusers(self) -> int:
        """Members that accuse, as far as they count."""
        return 1 + len(self._confirmed_by)

    def confirm(self, accuser: NodeId) -> bool:
        """Count one more accuser; return whether it was news worth gossiping."""
        seen = accuser == self.accuser or accuser in self._confirmed_by
        if seen or len(self._confirmed_by) >= self.needed:
            return False
        self._confirmed_by.add(accuser)
        return True

    def deadline(self) -> Seconds:
        """The moment at which the member is declared dead, unless it refutes."""
        progress = log(len(self._confirmed_by) + 1) / log(self.needed + 1)
        return self.started + self.longest - progress * (self.longest - self.shortest)
