"""Deadlines by name, and the wall clock as told from outside."""

from __future__ import annotations

from collections.abc import Hashable
from heapq import heapify, heappop, heappush
from itertools import count
from math import ceil, inf
from typing import Final

import attrs

from meshp2p.ids import Seconds

_SLACK: Final = 64
_PER_SECOND: Final = 1_000_000


@attrs.define
class Timers:
    """At most one deadline for each key; setting it again moves it.

    Moved deadlines stay in the heap until they come up or outnumber the live ones.

    Args:
        soonest: The earliest deadline, `inf` if there is none. For reading, as is the next:
            both are asked with every input.
        planned: When each key is due.
    """

    soonest: Seconds = attrs.field(default=inf, init=False)
    planned: dict[Hashable, Seconds] = attrs.field(factory=dict, init=False)
    _heap: list[tuple[Seconds, int, Hashable]] = attrs.field(factory=list, init=False)
    _order: count[int] = attrs.field(factory=count, init=False)

    def set(self, key: Hashable, at: Seconds) -> None:
        """Let the key be due at `at`, rounded up to a microsecond."""
        at = max(at, ceil(at * _PER_SECOND) / _PER_SECOND)  # which may round down by an ulp
        before = self.planned.get(key)
        if before == at:
            return
        self.planned[key] = at
        heappush(self._heap, (at, next(self._order), key))
        if len(self._heap) > 2 * len(self.planned) + _SLACK:
            self._heap = [entry for entry in self._heap if self.planned.get(entry[2]) == entry[0]]
            heapify(self._heap)
        if before is None:
            self.soonest = min(self.soonest, at)
        else:
            self._look()

    def cancel(self, key: Hashable) -> None:
        """Forget the key's deadline, if it has one."""
        if self.planned.pop(key, inf) <= self.soonest:
            self._look()

    def clear(self) -> None:
        """Forget all deadlines."""
        self.planned.clear()
        self._heap.clear()
        self.soonest = inf

    def get(self, key: Hashable) -> Seconds | None:
        """When the key is due; None if it is not set."""
        return self.planned.get(key)

    def pop_due(self, now: Seconds) -> Hashable | None:
        """The key that is due longest, which is then no longer set; None if none is due."""
        if self.soonest > now:
            return None
        _, _, key = heappop(self._heap)
        del self.planned[key]
        self._look()
        return key

    def _look(self) -> None:
        """Find the earliest again; what was moved or cancelled leaves the top of the heap."""
        heap, planned = self._heap, self.planned
        while heap and planned.get(heap[0][2]) != heap[0][0]:
            heappop(heap)
        self.soonest = heap[0][0] if heap else inf


@attrs.define
class WallClock:
    """What the time of day is, told now and then by somebody who can look.

    Args:
        unix: Unix seconds at the moment `at` of the node's monotonic clock.
    """

    _unix: float
    _at: Seconds

    def set(self, unix: float, *, now: Seconds) -> None:
        """Learn the time of day."""
        self._unix, self._at = unix, now

    def unix(self, now: Seconds) -> float:
        """Unix seconds."""
        return self._unix + (now - self._at)
