"""Many deadlines, several queues, one place to look."""

from __future__ import annotations

from math import inf

from hypothesis import given
from hypothesis import strategies as st

from meshp2p.messaging.deadlines import Deadlines

Step = tuple[int, int, float | None]
STEPS = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 5), st.none() | st.floats(0, 100)))


@given(STEPS, st.floats(0, 100))
def test_whoever_looks_at_the_board_sees_what_is_due_next(steps: list[Step], now: float) -> None:
    """Set, moved, settled or come due: the board tells of the soonest of all queues."""
    board: list[float] = []
    queues = [Deadlines(board) for _ in range(3)]
    models: list[dict[int, float]] = [{}, {}, {}]
    for queue, number, due in steps:
        if due is None:
            queues[queue].discard(number)
            models[queue].pop(number, None)
        else:
            queues[queue].set(number, due)
            models[queue][number] = due
        assert board == [min(model.values(), default=inf) for model in models]
        assert board == [each.soonest for each in queues]

    for each, model in zip(queues, models, strict=True):
        assert sorted(each.pop_due(now)) == sorted(n for n, due in model.items() if due <= now)
    assert min(board) > now


def test_what_is_settled_takes_no_room() -> None:
    """Calls that were answered long before their deadlines leave nothing behind."""
    deadlines = Deadlines()
    deadlines.set(0, 1.0)
    for number in range(1, 10_000):
        deadlines.set(number, 60.0 + number)
        deadlines.discard(number)

    assert deadlines.soonest == 1.0
    assert len(deadlines._heap) < 100  # noqa: SLF001  # nothing else shows it
    assert deadlines.pop_due(1e6) == [0]
    assert deadlines.soonest == inf
