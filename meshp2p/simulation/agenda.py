"""Virtual time: a heap of what is still to happen, and the only hand that moves the clock."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count
from typing import Final, TypeAlias, TypeVarTuple

from meshp2p.ids import Seconds
from meshp2p.simulation.witness import START, Witness

_Given = TypeVarTuple("_Given")
_Event: TypeAlias = tuple[Seconds, int, Callable[..., object], tuple[object, ...]]
"""When, after which others of that moment, what, and with which arguments."""

_MOST_AT_ONCE: Final = 100_000
"""Steps without time going on: more means that something goes round in circles."""


class Agenda(Witness):
    """The part of a world that knows what comes next."""

    def __init__(self, seed: int) -> None:
        """Nothing is to happen."""
        super().__init__(seed)
        self.now = START
        self.events = 0
        """Steps taken so far."""
        self.most_events: int | None = None
        """Of a run that takes more steps, something is wrong; None for no limit."""
        self._heap: list[_Event] = []
        self._order = count()
        self._in_order: defaultdict[object, Seconds] = defaultdict(float)
        self._at_once = 0

    def after(
        self,
        seconds: Seconds,
        act: Callable[[*_Given], object],
        *given: *_Given,
    ) -> None:
        """Do something later; what is given is handed to it."""
        heappush(self._heap, (self.now + seconds, next(self._order), act, given))

    def at_time(
        self,
        when: Seconds,
        act: Callable[[*_Given], object],
        *given: *_Given,
    ) -> None:
        """Do something at a moment; of two at once, the one that was asked for first."""
        heappush(self._heap, (when, next(self._order), act, given))

    def after_in_order(self, queue: object, seconds: Seconds, act: Callable[[], object]) -> None:
        """Do something later, and later than all that was put into the same queue before."""
        when = max(self.now + seconds, self._in_order[queue])
        self._in_order[queue] = when
        self.at_time(when, act)

    def step(self) -> None:
        """Let the next thing happen.

        Raises:
            Violation: A promise is broken, or the run goes round in circles.
        """
        when, _, act, given = heappop(self._heap)
        if when > self.now:
            self.now = when
            self._at_once = 0
        else:
            self._at_once += 1
            if self._at_once > _MOST_AT_ONCE:
                self.violate("time stands still", f"{_MOST_AT_ONCE} steps at one moment")
        self.events += 1
        if self.most_events is not None and self.events > self.most_events:
            self.violate("endless", f"more than {self.most_events} steps")
        act(*given)
        for check in self.after_each:
            check()

    def run_for(self, seconds: Seconds) -> None:
        """Let so much time pass."""
        self.run_to(self.now + seconds)

    def run_to(self, moment: Seconds) -> None:
        """Let time pass until that virtual time."""
        heap, step = self._heap, self.step
        while heap and heap[0][0] <= moment:
            step()
        self.now = max(self.now, moment)

    def run_until(
        self,
        done: Callable[[], bool],
        timeout: Seconds = 60.0,
        *,
        every: Seconds = 0.0,
        otherwise: Callable[[], str] = str,
    ) -> Seconds:
        """Let time pass until something holds; return how long it took.

        Args:
            every: Look no more often than that.
            otherwise: Asked for what is the matter, if it does not happen.

        Raises:
            Violation: It did not within `timeout` virtual seconds.
        """
        began, look_at = self.now, self.now
        while not (self.now >= look_at and done()):
            if self.now >= look_at:
                look_at = self.now + every
            if not self._heap or self._heap[0][0] > began + timeout:
                self.now = began + timeout
                if done():
                    break
                text = f"it did not happen within {timeout} s"
                self.violate("in time", ": ".join(filter(None, (text, otherwise()))))
            self.step()
        return self.now - began
