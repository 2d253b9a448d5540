"""Moments at which something is to happen, the earliest first."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from math import inf
from typing import TypeAlias

import attrs

from meshp2p.ids import Seconds

Act: TypeAlias = Callable[[Seconds], None]
"""Called with the present moment."""


@attrs.define
class Deadlines:
    """A heap of callbacks. A cancelled one leaves its place when it comes to the top."""

    _heap: list[tuple[Seconds, int]] = attrs.field(factory=list, init=False)
    _acts: dict[int, Act] = attrs.field(factory=dict, init=False)
    _last: int = attrs.field(default=0, init=False)

    def call_at(self, when: Seconds, act: Act) -> int:
        """Call `act` at `when`; the number returned cancels it."""
        self._last += 1
        self._acts[self._last] = act
        heapq.heappush(self._heap, (when, self._last))
        return self._last

    def cancel(self, number: int) -> None:
        """Forget it, if it has not happened yet."""
        self._acts.pop(number, None)
        # Without this, auctions that close early would leave a long tail of husks.
        if len(self._heap) > 64 + 2 * len(self._acts):
            self._heap = [entry for entry in self._heap if entry[1] in self._acts]
            heapq.heapify(self._heap)

    def next(self) -> Seconds:
        """The earliest moment; infinity if there is none."""
        while self._heap and self._heap[0][1] not in self._acts:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else inf

    def run_due(self, now: Seconds) -> None:
        """Call everything that is due, what becomes due by that included."""
        while self.next() <= now:
            _, number = heapq.heappop(self._heap)
            self._acts.pop(number)(now)
