"""What agreements wait for, and where an engine sees how long."""

from __future__ import annotations

import functools
from math import inf

from hypothesis import given
from hypothesis import strategies as st

from meshp2p.consensus.deadlines import Deadlines

MOMENTS = st.floats(0, 100)
STEPS = st.lists(MOMENTS | st.integers(1, 20))
"""A moment: something is to happen then. A number: what was asked for as that is not to."""


def _note(happened: list[float], moment: float, _now: float) -> None:
    happened.append(moment)


@given(STEPS, MOMENTS)
def test_whoever_looks_at_the_board_sees_what_is_due_next(
    steps: list[float | int], now: float
) -> None:
    """Asked for, cancelled, done: the place on the board is right, and others' are left alone."""
    board = [7.0]
    deadlines = Deadlines(board)
    waiting: dict[int, float] = {}
    happened: list[float] = []
    for step in steps:
        if isinstance(step, int):
            deadlines.cancel(step)
            waiting.pop(step, None)
        else:
            number = deadlines.call_at(step, functools.partial(_note, happened, step))
            waiting[number] = step
        assert board == [7.0, min(waiting.values(), default=inf)]
        assert deadlines.next() == board[1]

    deadlines.run_due(now)
    assert happened == sorted(moment for moment in waiting.values() if moment <= now)
    assert board == [7.0, min((m for m in waiting.values() if m > now), default=inf)]


def test_what_becomes_due_meanwhile_happens_as_well() -> None:
    """An auction whose last bidder is given up is awarded at once, not at the next wake."""
    deadlines = Deadlines()
    told: list[tuple[str, float]] = []

    def first(now: float) -> None:
        told.append(("first", deadlines.next()))
        deadlines.call_at(now, lambda _: told.append(("second", deadlines.next())))

    deadlines.call_at(1.0, first)
    deadlines.call_at(5.0, lambda _: told.append(("third", deadlines.next())))
    deadlines.run_due(2.0)

    assert told == [("first", 5.0), ("second", 5.0)]
    assert deadlines.next() == 5.0
