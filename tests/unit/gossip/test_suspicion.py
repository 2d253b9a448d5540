from __future__ import annotations

import pytest

from meshp2p.config import lan
from meshp2p.gossip.suspicion import Suspicion
from tests.unit.gossip.people import id_of


def of(members: int) -> Suspicion:
    """A suspicion by alice among so many members."""
    return Suspicion.of(id_of("alice"), lan(), members, 100.0)


def test_a_lone_accuser_is_heard_with_patience() -> None:
    """Whoever accuses alone may be the sick one: the suspect has six times as long."""
    assert of(10).deadline() == pytest.approx(100.0 + 6 * 2.0)


def test_three_more_accusers_shorten_it_to_the_minimum() -> None:
    """When several agree, the dead are soon known."""
    suspicion = of(10)
    ends = [suspicion.deadline()]
    for name in ("bob", "carol", "dave"):
        assert suspicion.confirm(id_of(name))
        ends.append(suspicion.deadline())

    assert ends == sorted(ends, reverse=True)
    assert ends[-1] == pytest.approx(100.0 + 2.0)


def test_nobody_is_counted_twice() -> None:
    """One accuser who repeats itself gains nothing, nor does the first."""
    suspicion = of(10)
    suspicion.confirm(id_of("bob"))
    before = suspicion.deadline()

    assert not suspicion.confirm(id_of("bob"))
    assert not suspicion.confirm(id_of("alice"))
    assert suspicion.deadline() == before


def test_two_alone_need_not_wait_for_confirmations() -> None:
    """With nobody else to ask, the shortest countdown applies."""
    assert of(2).deadline() == pytest.approx(100.0 + 2.0)


def test_large_meshes_give_more_time() -> None:
    """News travels in log n rounds, so refutations take longer where there are many."""
    assert of(1_000).shortest == pytest.approx(3 * of(10).shortest)
