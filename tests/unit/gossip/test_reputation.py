"""Whose accusations still count."""

from __future__ import annotations

import pytest

from meshp2p.gossip.reputation import Reputation
from meshp2p.wire import limits
from tests.unit.gossip.people import id_of

BOB, CAROL = id_of("bob"), id_of("carol")


def accused_falsely(times: dict[str, int], *, now: float = 0.0) -> Reputation:
    """What is thought of people who accused others so often for nothing."""
    reputation = Reputation()
    for name, count in times.items():
        for _ in range(count):
            reputation.refuted(id_of(name), now)
    return reputation


def test_whoever_never_accused_is_trusted() -> None:
    """A stranger to this list has done nothing wrong."""
    assert Reputation().trusts(BOB, 10, 0.0)


def test_a_few_mistakes_are_forgiven() -> None:
    """Packets get lost."""
    assert accused_falsely({"bob": 4}).trusts(BOB, 10, 0.0)


def test_a_serial_false_accuser_loses_its_say() -> None:
    """One sick member must not disturb all others; the others keep theirs."""
    reputation = accused_falsely({"bob": 12, "carol": 2})
    assert not reputation.trusts(BOB, 10, 0.0)
    assert reputation.trusts(CAROL, 10, 0.0)


def test_where_everybody_errs_as_often_nobody_is_singled_out() -> None:
    """In a bad network false suspicions are nobody's fault."""
    crowd = {f"member-{number}": 20 for number in range(9)}
    reputation = accused_falsely(crowd)
    assert all(reputation.trusts(id_of(name), 10, 0.0) for name in crowd)


def test_time_heals() -> None:
    """After an hour without a false accusation its word counts again."""
    reputation = accused_falsely({"bob": 12})
    assert not reputation.trusts(BOB, 10, 60.0)
    assert reputation.trusts(BOB, 10, 3_600.0)
    assert reputation.of(BOB, 600.0) == pytest.approx(6.0)


def test_memory_is_bounded() -> None:
    """However many accuse, the longest silent are forgotten."""
    reputation = Reputation()
    reputation.refuted(BOB, 0.0)
    for number in range(limits.MAX_ACCUSERS):
        reputation.refuted(id_of(f"member-{number}"), 1.0)
    assert reputation.of(BOB, 1.0) == 0.0
    assert reputation.of(id_of("member-0"), 1.0) == 1.0
