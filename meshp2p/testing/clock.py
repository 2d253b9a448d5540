"""Virtual time under trio: whenever all tasks wait, it jumps to the next thing that happens."""

from __future__ import annotations

from math import inf
from typing import Final, Protocol

import trio

from meshp2p.ids import Seconds
from meshp2p.simulation.happening import Violation
from meshp2p.simulation.witness import START
from meshp2p.testing.scheduling import Loop

_MOST_LOOKS: Final = 200_000
"""Looks at the clock at one moment. A real moment takes a few hundred at most."""
_MOST_LATE: Final = 10_000
"""Moments after the end in which cancelled tasks may still finish what they shield."""


class StuckError(Violation):
    """The run does not come to its end."""


class Happenings(Protocol):
    """All that happens outside of tasks: packets, disks, the hours of faults."""

    now: Seconds
    seed: int

    @property
    def next_at(self) -> Seconds:
        """When the next of it happens; infinity for never."""
        ...

    def move_to(self, when: Seconds) -> None:
        """Let time pass, and all happen that is due by then."""


class SimClock(trio.abc.Clock):
    """Trio's clock.

    Trio asks how long to sleep only when no task can run. That is the moment at which
    time moves: straight to the next event or deadline, whichever is first.

    Args:
        happenings: What happens meanwhile; its time is trio's.
        at_most: Virtual seconds after which the run is given up.
    """

    def __init__(self, happenings: Happenings, at_most: Seconds) -> None:
        """Time stands where it stands."""
        self._happenings = happenings
        self._end = START + at_most
        self.failure: BaseException | None = None
        """Why the run cannot go on."""
        self.bitten: BaseException | None = None
        """What the watchdog says, from its own thread."""
        self.looks = 0
        """How often anybody looked at it; trio does in every turn of its loop."""
        self._looks_when_moved = 0
        self._late = 0
        self._loop: Loop | None = None
        self._scope: trio.CancelScope | None = None

    def watch(self, loop: Loop, scope: trio.CancelScope) -> None:
        """Give up by cancelling `scope`: whatever a clock raises would break trio."""
        self._loop = loop
        self._scope = scope

    def fail(self, error: BaseException) -> None:
        """End the run; the first reason counts."""
        if self.failure is None:
            self.failure = error
            if self._scope is not None:
                self._scope.cancel()

    # --- for trio ----------------------------------------------------------------

    def start_clock(self) -> None:
        """Nothing to do."""

    def current_time(self) -> float:
        """Virtual seconds."""
        self.looks += 1
        if self.looks - self._looks_when_moved > _MOST_LOOKS:
            self._spinning()
        return self._happenings.now

    def deadline_to_sleep_time(self, deadline: float) -> float:
        """Move time; then let trio look again at once."""
        loop = self._loop
        if self.bitten is not None:
            self.fail(self.bitten)
        if loop is None:
            return 0.0
        loop.has_new_deadlines = False  # `deadline` is the first of all that there are
        if loop.is_awaited and not loop.has_work():
            return inf  # trio wakes those who wait for this
        self._move(loop, deadline)
        return 0.0

    def _move(self, loop: Loop, deadline: Seconds) -> None:
        """Go on from one thing to the next, until a task can run or the deadline is here."""
        happenings, has_work = self._happenings, loop.has_work
        while happenings.now < deadline and not has_work():
            when = min(deadline, happenings.next_at)
            if when > self._end:
                self._give_up(when)
                if when == inf:
                    break
            self._looks_when_moved = self.looks
            try:
                happenings.move_to(when)
            except Exception as error:  # noqa: BLE001  # raised here it would break trio
                self.fail(error)

    def stuck(self, text: str) -> StuckError:
        """An error that tells when, and in which run."""
        at, seed = self._happenings.now - START, self._happenings.seed
        return StuckError(text, name="progress", at=at, seed=seed)

    def _give_up(self, when: Seconds) -> None:
        if when == inf:
            text = "nothing can happen any more: every task waits for another"
        else:
            text = f"it has not ended after {self._end - START:g} virtual seconds"
        self.fail(self.stuck(text))
        self._late += 1
        if self._late > _MOST_LATE:
            raise StuckError("a task shields itself from being cancelled, for ever")

    def _spinning(self) -> None:
        text = (
            "time does not advance: tasks keep waking one another, or one looks at the clock "
            "for ever"
        )
        self.fail(self.stuck(text))
        if self.looks - self._looks_when_moved > 2 * _MOST_LOOKS:
            raise StuckError("time does not advance, and cancelling did not help")
