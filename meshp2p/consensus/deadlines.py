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
    """A heap of callbacks. A cancelled one leaves its place when it comes to the top.

    Args:
        _board: Where others too keep, side by side, when the soonest of each is due: whoever
            wants to know the soonest of all looks in one place.
    """

    _board: list[Seconds] = attrs.field(factory=list)
    _slot: int = attrs.field(init=False)
    _heap: list[tuple[Seconds, int]] = attrs.field(factory=list, init=False)
    _acts: dict[int, Act] = attrs.field(factory=dict, init=False)
    _last: int = attrs.field(default=0, init=False)

    def __attrs_post_init__(self) -> None:
        """Nothing is due."""
        self._slot = len(self._board)
        self._board.append(inf)

    def call_at(self, when: Seconds, act: Act) -> int:
        """Call `act` at `when`; the number returned cancels it."""
        self._last += 1
        self._acts[self._last] = act
        heapq.heappush(self._heap, (when, self._last))
        self._look()
        return self._last

    def cancel(self, number: int) -> None:
        """Forget it, if it has not happened yet."""
        self._acts.pop(number, None)
        # Without this, auctions that close early would leave a long tail of husks.
        if len(self._heap) > 64 + 2 * len(self._acts):
            self._heap = [entry for entry in self._heap if entry[1] in self._acts]
            heapq.heapify(self._heap)
        self._look()

    def next(self) -> Seconds:
        """The earliest moment; infinity if there is none."""
        return self._board[self._slot]

    def run_due(self, now: Seconds) -> None:
        """Call everything that is due, what becomes due by that included."""
        while self.next() <= now:
            _, number = heapq.heappop(self._heap)
            act = self._acts.pop(number)
            self._look()
            act(now)

    def _look(self) -> None:
        """Find the earliest again; what was cancelled leaves the top of the heap."""
        while self._heap and self._heap[0][1] not in self._acts:
            heapq.heappop(self._heap)
        self._board[self._slot] = self._heap[0][0] if self._heap else inf
