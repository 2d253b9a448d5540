from __future__ import annotations

import pytest

from meshp2p.gossip.member import Row
from tests.unit.gossip.test_view import RECORDS, row_of

SHORTEST, LONGEST = 0.01, 5.0


def settled() -> Row:
    """Somebody who has answered within a twentieth of a second for a while."""
    row = row_of(RECORDS[0])
    for _ in range(50):
        row.learn_rtt(0.05)
    return row


def test_who_is_unknown_gets_the_longest_wait() -> None:
    """Nobody is late before it is known how far away it is."""
    assert row_of(RECORDS[0]).latest_answer(SHORTEST, LONGEST) == LONGEST


def test_whoever_answers_evenly_is_soon_late() -> None:
    """The wait is little more than the round trip."""
    assert settled().latest_answer(SHORTEST, LONGEST) == pytest.approx(0.05, abs=0.01)


def test_each_answer_that_does_not_come_makes_the_next_wait_longer() -> None:
    """Up to the longest."""
    row, waits = settled(), []
    for _ in range(30):
        row.miss_rtt()
        waits.append(row.latest_answer(SHORTEST, LONGEST))
    assert waits == sorted(waits)
    assert waits[0] < waits[-1] == LONGEST


def test_after_a_long_silence_answers_are_expected_as_quickly_as_before() -> None:
    """A day of questions in vain is forgotten after a minute of answers."""
    row = settled()
    for _ in range(86_400):
        row.miss_rtt()
    for _ in range(60):
        row.learn_rtt(0.05)
    assert row.latest_answer(SHORTEST, LONGEST) == pytest.approx(0.05, abs=0.01)
