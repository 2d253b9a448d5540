"""Deadlines that are set, moved and forgotten."""

from __future__ import annotations

import tracemalloc
from math import inf

from meshp2p.gossip.timers import Timers


def test_the_earliest_deadline_comes_first_and_once() -> None:
    """Each key has one deadline: the last that it was given."""
    timers = Timers()
    for key, at in (("probe", 3.0), ("tick", 1.0), ("probe", 2.0), ("tick", 1.0)):
        timers.set(key, at)

    assert timers.soonest == 1.0
    assert [timers.pop_due(5.0) for _ in range(3)] == ["tick", "probe", None]
    assert timers.soonest == inf


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
