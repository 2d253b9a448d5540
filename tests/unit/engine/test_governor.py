"""The budget of bytes: what it holds back, what never, and how its halves share."""

from __future__ import annotations

from math import inf
from random import Random

import pytest

from meshp2p.engine.governor import Governor


def governor(budget: int | None = 20_000, *, told: list[str] | None = None) -> Governor:
    """One that has its budget still whole, at moment 0."""
    heard = [] if told is None else told
    return Governor(budget, 1 << 20, now=0.0, tell=lambda: heard.append("spent"))


def write(governor: Governor, size: int) -> None:
    """As the engine does with each piece of a stream."""
    governor.stream_bytes_sent += size
    governor.streams.tokens -= size


def test_without_a_budget_streams_are_never_held() -> None:
    """And membership has so much that only a fault uses it up."""
    free = governor(None)
    write(free, 10**9)

    assert free.may_write(1, 0.0)
    assert free.due == inf
    assert free.may_send_news(0.0)
    free.datagrams.tokens -= 2 << 20
    assert not free.may_send_news(0.0)
    assert free.may_send_news(1.1)


def test_a_stream_waits_until_the_budget_has_bytes_again() -> None:
    """It is told when, and not before."""
    held = governor()
    write(held, 15_000)
    assert not held.may_write(7, 0.0)

    at = held.due
    assert 0.0 < at < 1.0
    assert held.released(at * 0.99) == []
    assert held.released(at) == [7]
    assert held.due == inf
    assert held.may_write(7, at)
    assert held.counters["streams_held"] == 1


@pytest.mark.parametrize("seed", range(5))
def test_in_the_long_run_no_more_is_written_than_the_budget(seed: int) -> None:
    """Whatever the sizes: one second's burst, one write too many, and the rate."""
    rng, held, now, written = Random(seed), governor(20_000), 0.0, 0
    while now < 60.0:
        if held.may_write(1, now):
            size = rng.randrange(1, 100_000 if rng.random() < 0.1 else 4_000)
            write(held, size)
            written += size
        else:
            now = held.due
            assert held.released(now) == [1]

    assert 60 * 20_000 * 0.95 < written < 61 * 20_000 + 100_000


def test_each_half_is_safe_from_the_other() -> None:
    """However much is written to streams, news of members have their half, and vice versa."""
    busy, now, news = governor(20_000), 0.0, 0
    while now < 30.0:
        now += 0.01
        if busy.may_write(1, now):
            write(busy, 5_000)
        if busy.may_send_news(now):
            busy.datagrams.tokens -= 1_000
            news += 1_000

    assert news == pytest.approx(30 * 10_000, rel=0.1)
    assert busy.counters["stream_bytes_sent"] == pytest.approx(30 * 10_000, rel=0.1)


def test_a_debt_of_urgent_datagrams_is_forgiven_within_a_second() -> None:
    """A flood of probes that had to be answered does not silence a node for long."""
    flooded = governor(20_000)
    for _ in range(1_000):
        flooded.datagrams.tokens -= 1_200

    assert not flooded.may_send_news(0.0)
    assert flooded.may_send_news(1.1)


def test_the_bite_is_told_once_and_again_after_a_quiet_minute() -> None:
    """One line in the log, not one for each datagram."""
    told: list[str] = []
    spent = governor(told=told)
    spent.datagrams.tokens -= 30_000
    for number in range(50):
        assert not spent.may_send_news(number * 0.001)
    assert told == ["spent"]

    spent.datagrams.tokens -= 90_000
    assert not spent.may_send_news(0.1)
    assert told == ["spent"]
    spent.may_send_news(100.0)
    spent.datagrams.tokens -= 90_000
    assert not spent.may_send_news(100.0)
    assert told == ["spent"] * 2
    assert spent.counters["news_dropped"] == 52


def test_a_node_that_stops_says_its_last_words_at_once() -> None:
    """What was held is released, and nothing is held any more."""
    stopping = governor()
    write(stopping, 90_000)
    assert not stopping.may_write(3, 0.0)

    assert stopping.let_go() == [3]

    assert stopping.due == inf
    assert stopping.may_write(3, 0.0)
