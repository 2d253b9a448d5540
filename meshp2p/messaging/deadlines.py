"""Many deadlines, one timer: a heap that does not keep what is already settled."""

from __future__ import annotations

import heapq
from math import inf
from typing import Final

from meshp2p.ids import Seconds

_SLACK: Final = 64


class Deadlines:
    """Numbers and the moments at which they are due; each number at most once.

    A settled number leaves a stale entry in the heap. Stale entries are swept when
    they are the larger half, so memory follows what is open, not what has been.
    """

    __slots__ = ("_board", "_due", "_heap", "_slot")

    def __init__(self, board: list[Seconds] | None = None) -> None:
        """Nothing is due.

        Args:
            board: Where several of them keep, side by side, when the soonest of each is due:
                whoever wants to know the soonest of all looks in one place.
        """
        self._board = [] if board is None else board
        self._slot = len(self._board)
        self._board.append(inf)
        self._due: dict[int, Seconds] = {}
        self._heap: list[tuple[Seconds, int]] = []

    @property
    def soonest(self) -> Seconds:
        """When the soonest is due; infinity if none is."""
        return self._board[self._slot]

    def set(self, number: int, due: Seconds) -> None:
        """Make `number` due at `due`, instead of before."""
        self._due[number] = due
        heapq.heappush(self._heap, (due, number))
        if len(self._heap) > 2 * len(self._due) + _SLACK:
            self._heap = [(due, number) for number, due in self._due.items()]
            heapq.heapify(self._heap)
        self._look()

    def discard(self, number: int) -> None:
        """It is settled."""
        if self._due.pop(number, inf) <= self._board[self._slot]:
            self._look()

    def pop_due(self, now: Seconds) -> list[int]:
        """Take out all that are due, soonest first."""
        due: list[int] = []
        while self.soonest <= now:
            _, number = heapq.heappop(self._heap)
            del self._due[number]
            due.append(number)
            self._look()
        return due

    def _look(self) -> None:
        """Find the soonest again; what is settled leaves the top of the heap."""
        heap, due = self._heap, self._due
        while heap and due.get(heap[0][1]) != heap[0][0]:
            heapq.heappop(heap)
        self._board[self._slot] = heap[0][0] if heap else inf
