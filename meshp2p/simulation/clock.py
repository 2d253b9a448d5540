"""One machine's two clocks: the one that only runs, and the one on the wall."""

from __future__ import annotations

from math import inf, nextafter
from typing import Protocol

import attrs

from meshp2p.ids import Seconds
from meshp2p.simulation.witness import UNIX


class Time(Protocol):
    """Whatever knows the virtual time."""

    now: Seconds


@attrs.frozen
class Skew:
    """How a wall clock goes wrong from some moment on.

    Args:
        since: Virtual time.
        by: Seconds that it is ahead at once.
        drift: Seconds that it gains in each second.
    """

    since: Seconds
    by: Seconds
    drift: float = 0.0


@attrs.define(eq=False)
class Clock:
    """The clocks of one machine.

    Args:
        slept: Seconds that the monotonic clock did not count, as Linux's does not count
            a laptop's sleep.
        skews: What is wrong with the wall clock, by the number of the fault.
    """

    _time: Time
    slept: Seconds = attrs.field(default=0.0, init=False)
    skews: dict[int, Skew] = attrs.field(factory=dict, init=False)
    _sleeps: int = attrs.field(default=0, init=False)
    _asleep_since: Seconds | None = attrs.field(default=None, init=False)

    @property
    def monotonic(self) -> Seconds:
        """What deadlines of its processes are measured with."""
        now = self._time.now if self._asleep_since is None else self._asleep_since
        return now - self.slept

    @property
    def unix(self) -> float:
        """What its wall clock shows."""
        now = self._time.now
        wrong = sum(skew.by + skew.drift * (now - skew.since) for skew in self.skews.values())
        return UNIX + now + wrong

    @property
    def sleeps(self) -> int:
        """How many reasons there are for the machine to sleep."""
        return self._sleeps

    @property
    def is_wrong(self) -> bool:
        """Whether the wall clock shows something else than it should."""
        return bool(self.skews)

    def virtual(self, moment: Seconds) -> Seconds:
        """The virtual time at which the monotonic clock will show `moment`."""
        when = moment + self.slept
        while when - self.slept < moment:  # rounded down: it would come a moment too early
            when = nextafter(when, inf)
        return when

    def sleep(self) -> None:
        """The monotonic clock stops; sleeps nest."""
        if not self._sleeps:
            self._asleep_since = self._time.now
        self._sleeps += 1

    def wake(self) -> None:
        """End one sleep; after the last it goes on, knowing nothing of the time between."""
        self._sleeps -= 1
        if not self._sleeps and self._asleep_since is not None:
            self.slept += self._time.now - self._asleep_since
            self._asleep_since = None
