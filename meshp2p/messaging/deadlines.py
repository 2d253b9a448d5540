"""Many deadlines, one timer: a heap that does not keep what is already settled."""

from __future__ import annotations

import heapq
from typing import Final

from meshp2p.ids import Seconds

_SLACK: Final = 64


class Deadlines:
    """Numbers and the moments at which they are due; each number at most once.

    A settled number leaves a stale entry in the heap. Stale entries are swept when
    they are the larger half, so memory follows what is open, not what has been.
    """

    def __init__(self) -> None:
        """Nothing is due."""
        self._due: dict[int, Seconds] = {}
        self._heap: list[tuple[Seconds, int]] = []

    def set(self, number: int, due: Seconds) -> None:
        """Make `number` due at `due`, instead of before."""
        self._due[number] = due
        heapq.heappush(self._heap, (due, number))
        if len(self._heap) > 2 * len(self._due) + _SLACK:
            self._heap = [(due, number) for number, due in self._due.items()]
            heapq.heapify(self._heap)

    def discard(self, number: int) -> None:
        """It is settled."""
        self._due.pop(number, None)

    def next(self) -> Seconds:
        """When the soonest is due; infinity if none is."""
        heap = self._heap
        while heap and self._due.get(heap[0][1]) != heap[0][0]:
            heapq.heappop(heap)
        return heap[0][0] if heap else float("inf")

    def pop_due(self, now: Seconds) -> list[int]:
        """Take out all that are due, soonest first."""
        due: list[int] = []
        while self.next() <= now:
            _, number = heapq.heappop(self._heap)
            del self._due[number]
            due.append(number)
        return due
