"""From a failing plan to the fewest and shortest faults that still fail the same way.

Source: Zeller and Hildebrandt, "Simplifying and isolating failure-inducing input" (2002).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from math import inf
from typing import Final, TypeAlias

import attrs

from meshp2p.ids import Seconds
from meshp2p.simulation.faults import Schedule, Timed
from meshp2p.simulation.happening import Violation
from meshp2p.simulation.swarm import Outcome, Plan, run_plan

Run: TypeAlias = Callable[[Plan], Outcome]

_BUDGET: Final[Seconds] = 30.0
_SHORTEST: Final[Seconds] = 0.01
"""Faults are not made shorter than that."""


@attrs.frozen
class Shrunk:
    """What was left.

    Args:
        plan: Fails as the first one did.
        violation: Of `plan`.
        runs: How many it took.
    """

    plan: Plan
    violation: Violation
    runs: int


@attrs.define(eq=False)
class _Search:
    run: Run
    plan: Plan
    violation: Violation
    ends: float
    runs: int = 0

    def still_fails(self, faults: Sequence[Timed]) -> bool:
        """Whether these faults break the same promise; if so they are the plan now."""
        if time.monotonic() > self.ends:
            return False
        self.runs += 1
        plan = attrs.evolve(self.plan, schedule=Schedule(tuple(faults)))
        violation = self.run(plan).violation
        if violation is None or violation.name != self.violation.name:
            return False
        self.plan, self.violation = plan, violation
        return True

    @property
    def faults(self) -> tuple[Timed, ...]:
        """What is left so far."""
        return self.plan.schedule.faults


def shrink(
    plan: Plan, violation: Violation, *, run: Run = run_plan, budget: Seconds = _BUDGET
) -> Shrunk:
    """Remove faults, then shorten them, as long as the same invariant is violated.

    Args:
        violation: Of that plan.
        run: As the first run was done.
        budget: Real seconds to spend.
    """
    search = _Search(run, plan, violation, time.monotonic() + budget)
    _remove(search)
    _shorten(search)
    return Shrunk(search.plan, search.violation, search.runs)


def _remove(search: _Search) -> None:
    """Leave out all, then halves, quarters and so on, and at last single ones."""
    if not search.faults or search.still_fails(()):
        return
    began = [timed for timed in search.faults if timed.at <= search.violation.at]
    if len(began) < len(search.faults):
        search.still_fails(began)  # what came later had no part in it
    size = len(search.faults)
    while size := size // 2 or (1 if size > 1 else 0):
        at = 0
        while at < len(search.faults):
            rest = search.faults[:at] + search.faults[at + size :]
            if not search.still_fails(rest):
                at += size
    while len(search.faults) > 1:  # what was needed by something that is gone now
        before = len(search.faults)
        for at in reversed(range(before)):
            search.still_fails(search.faults[:at] + search.faults[at + 1 :])
        if len(search.faults) == before:
            return


def _shorten(search: _Search) -> None:
    """Halve durations, one fault after the other, while that changes nothing."""
    for at in range(len(search.faults)):
        while True:
            timed = search.faults[at]
            if timed.until == inf or timed.until - timed.at <= _SHORTEST:
                break
            until = round(timed.at + (timed.until - timed.at) / 2, 3)
            shorter = attrs.evolve(timed, until=until)
            if not search.still_fails((*search.faults[:at], shorter, *search.faults[at + 1 :])):
                break
