"""What changes among the members, told in batches: a machine that dies takes many along."""

from __future__ import annotations

from math import inf
from typing import Final

import attrs

from meshp2p.events import Cut, MemberEvent
from meshp2p.ids import Seconds
from meshp2p.wire import limits

_LONGEST: Final = 10
"""Windows. A mesh in which somebody changes all the time is told of it none the less."""


@attrs.define
class Cuts:
    """Collects events until none has come for a while. Drops none, merges none.

    Args:
        window: A batch ends once nothing has changed for so long, and after ten times
            that at the latest.
        ends: When the batch ends; `inf` while there is none.

    Source: Suresh et al., "Stable and consistent membership at scale with Rapid" (2018),
    for telling of a cut as a whole; without its agreement on one.
    """

    window: Seconds
    _events: list[MemberEvent] = attrs.field(factory=list, init=False)
    _began: Seconds = attrs.field(default=inf, init=False)
    ends: Seconds = attrs.field(default=inf, init=False)

    def note(self, event: MemberEvent, now: Seconds) -> None:
        """Something changed."""
        if not self._events:
            self._began = now
        self._events.append(event)
        self.ends = min(now + self.window, self._began + _LONGEST * self.window)
        if len(self._events) >= limits.MAX_CUT:
            self.ends = now

    def take(self, now: Seconds, *, view_hash: int, alive: int) -> Cut | None:
        """The batch, if it has ended."""
        if now < self.ends:
            return None
        events, self._events = tuple(self._events), []
        self._began = self.ends = inf
        return Cut(events, view_hash, alive)
