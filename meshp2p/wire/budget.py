"""How much work somebody may make this node do: so much at once, so much a second."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable

import attrs

from meshp2p.ids import Seconds


@attrs.define
class Budgets:
    """A token bucket for each of those who ask.

    Args:
        at_once: What somebody may have done who has not asked lately.
        per_second: What comes back with time, up to `at_once`.
        remember: Askers kept; the one silent longest is forgotten, and begins anew.
    """

    at_once: int
    per_second: float
    remember: int
    _left: OrderedDict[Hashable, tuple[float, Seconds]] = attrs.field(
        factory=OrderedDict, init=False
    )

    def allows(self, who: Hashable, now: Seconds) -> bool:
        """Whether something is left of somebody's budget; nothing is taken."""
        return who not in self._left or self._of(who, now) >= 1.0

    def spend(self, who: Hashable, now: Seconds) -> bool:
        """Take one from somebody's budget; False if nothing is left of it."""
        allowed = self._of(who, now) >= 1.0
        self.charge(who, int(allowed), now)
        return allowed

    def charge(self, who: Hashable, amount: int, now: Seconds) -> None:
        """Take so much from somebody's budget, whether it is there or not: time pays debts."""
        left = self._of(who, now)
        self._left.pop(who, None)
        self._left[who] = (left - amount, now)
        if len(self._left) > self.remember:
            self._left.popitem(last=False)

    def _of(self, who: Hashable, now: Seconds) -> float:
        left, then = self._left.get(who, (float(self.at_once), now))
        return min(float(self.at_once), left + (now - then) * self.per_second)
