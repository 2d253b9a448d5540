"""Deadlines that are set, moved and forgotten."""

from __future__ import annotations

import tracemalloc
from math import inf, nextafter

from hypothesis import example, given
from hypothesis import strategies as st

from meshp2p.gossip.timers import Timers


def test_the_earliest_deadline_comes_first_and_once() -> None:
    """Each key has one deadline: the last that it was given."""
    timers = Timers()
    for key, at in (("probe", 3.0), ("tick", 1.0), ("probe", 2.0), ("tick", 1.0)):
        timers.set(key, at)

    assert timers.soonest == 1.0
    assert [timers.pop_due(5.0) for _ in range(3)] == ["tick", "probe", None]
    assert timers.soonest == inf


@given(st.integers(0, 10**13), st.integers(-3, 3))
@example(19_999_981, 1)
def test_nothing_is_due_before_its_time(microsecond: int, ulps: int) -> None:
    """Not by the smallest fraction: who is woken too soon sets it again, for ever."""
    at = microsecond / 1e6
    for _ in range(abs(ulps)):
        at = nextafter(at, inf if ulps > 0 else -inf)
    timers = Timers()
    timers.set("amnesty", at)

    assert timers.pop_due(nextafter(at, -inf)) is None
    assert at <= timers.soonest <= at + 2e-6


def test_a_deadline_that_was_given_up_comes_only_if_it_is_set_again() -> None:
    """Also if it is for the very same moment."""
    timers = Timers()
    timers.set("probe", 1.0)
    timers.cancel("probe")
    assert timers.pop_due(1.0) is None

    timers.set("probe", 1.0)
    assert [timers.pop_due(1.0) for _ in range(2)] == ["probe", None]


def test_setting_the_same_deadline_again_and_again_costs_nothing() -> None:
    """As whoever merges a long list does with each of its records, all in one moment."""
    timers = Timers()
    timers.set("work", 1.0)
    tracemalloc.start()
    try:
        for _ in range(10_000):
            timers.set("work", 1.0)
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert held < 10_000


def test_moving_a_deadline_again_and_again_holds_little() -> None:
    """What it was before is forgotten now and then."""
    timers = Timers()
    tracemalloc.start()
    try:
        for step in range(10_000):
            timers.set("tick", float(step))
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert held < 50_000
    assert timers.soonest == 9_999.0
