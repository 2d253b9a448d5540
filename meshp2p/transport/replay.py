"""Which packets have been seen: a sliding window over their counters."""

from __future__ import annotations

from typing import Final

import attrs

from meshp2p.errors import WireError

WINDOW: Final = 4_096
"""Packets by which the network may reorder. WireGuard keeps 8128, at twice the cost here."""

_FULL: Final = (1 << WINDOW) - 1

LAST_COUNTER: Final = (1 << 64) - (1 << 13) - 1
"""Far from where 64 bits end, so that no counter wraps and no nonce serves twice."""


@attrs.define
class ReplayWindow:
    """Tells new packets from repeated ones. `check` before opening, `commit` after.

    Between the two lies the proof that the packet is genuine: a forged counter must
    not move the window and shut out the true packets behind it.

    Source: RFC 6479, with one Python integer for the bitmap: bit i stands for
        the counter `_highest - i`.
    """

    _highest: int = attrs.field(default=-1, init=False)
    _seen: int = attrs.field(default=0, init=False, repr=False)

    def check(self, counter: int) -> bool:
        """Whether a packet with this counter (any integer) could be new."""
        if not 0 <= counter <= LAST_COUNTER:
            return False
        age = self._highest - counter
        return age < 0 or (age < WINDOW and not self._seen >> age & 1)

    def commit(self, counter: int) -> None:
        """Remember the counter of a packet that was genuine.

        Raises:
            WireError: It is not new: `check` was left out, or answered no.
        """
        advance = counter - self._highest
        if advance <= 0 or counter > LAST_COUNTER:
            if not self.check(counter):
                raise WireError(f"packet {counter} was seen before, or is too old to tell")
            self._seen |= 1 << -advance
            return
        kept = self._seen << advance if advance < WINDOW else 0
        self._seen = kept & _FULL | 1
        self._highest = counter
