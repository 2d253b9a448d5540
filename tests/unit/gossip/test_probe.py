from __future__ import annotations

from collections import Counter
from itertools import pairwise
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from meshp2p.gossip.pool import Pool
from meshp2p.gossip.probe import Probes
from meshp2p.ids import NodeId
from meshp2p.wire import limits
from tests.unit.gossip.people import id_of


def some_ids(count: int) -> list[NodeId]:
    """That many different ids."""
    return [NodeId(number.to_bytes(16, "big")) for number in range(count)]


def pool_of(ids: list[NodeId]) -> Pool:
    """All of them, none of whom has had its turn."""
    pool = Pool()
    for node_id in ids:
        pool.add(node_id)
    return pool


@given(st.integers(1, 40), st.integers(0, 999))
def test_nobody_waits_longer_than_two_rounds(members: int, seed: int) -> None:
    """Everybody is probed once per round, and again after at most 2n - 1 probes."""
    ids = some_ids(members)
    live, rng = pool_of(ids), Random(seed)
    drawn = [live.next(rng) for _ in range(4 * members)]

    for start in range(0, 4 * members, members):
        assert set(drawn[start : start + members]) == set(ids)
    for node_id in ids:
        places = [place for place, one in enumerate(drawn) if one == node_id]
        assert all(b - a <= 2 * members - 1 for a, b in pairwise(places))


def test_rounds_are_in_different_orders() -> None:
    """Nobody can foretell when it will be probed."""
    live, rng = pool_of(some_ids(20)), Random(1)
    first = [live.next(rng) for _ in range(20)]

    assert first != [live.next(rng) for _ in range(20)]


def test_a_newcomer_is_probed_in_the_round_that_it_joined() -> None:
    """Whoever joins in the middle of a round does not wait for the next."""
    live, rng = pool_of(some_ids(10)), Random(2)
    for _ in range(5):
        live.next(rng)
    live.add(id_of("dave"))

    assert id_of("dave") in [live.next(rng) for _ in range(6)]


@given(st.integers(2, 20), st.data())
def test_a_death_takes_nobody_elses_turn(members: int, data: st.DataObject) -> None:
    """Whoever has not been asked in this round still will be, whoever is removed meanwhile."""
    ids = some_ids(members)
    live, rng = pool_of(ids), Random(members)
    asked = {live.next(rng) for _ in range(data.draw(st.integers(0, members)))}
    for node_id in data.draw(st.sets(st.sampled_from(ids), max_size=members - 1)):
        live.discard(node_id)
    waiting = set(live) - asked

    assert {live.next(rng) for _ in range(len(waiting))} == waiting


def test_the_search_ends_when_everybody_is_dead() -> None:
    """A node that is alone again does not search for ever."""
    live = pool_of(some_ids(10))
    for node_id in some_ids(10):
        live.discard(node_id)

    assert live.next(Random(3)) is None
    assert len(live) == 0


def test_a_late_answer_is_still_an_answer() -> None:
    """An ack after the timeout is recognised, an ack by somebody else is not."""
    probes = Probes(0)
    probe = probes.ask(id_of("bob"), (1, 0), 10.0)
    probes.give_up(probe)

    assert probes.answered(id_of("carol"), probe.seq) is None
    assert probes.answered(id_of("bob"), probe.seq) is probe
    assert probes.answered(id_of("bob"), probe.seq) is None


def test_one_question_at_a_time() -> None:
    """A new question to the same member takes the place of the old one."""
    probes = Probes(0)
    first = probes.ask(id_of("bob"), (1, 0), 10.0)
    second = probes.ask(id_of("bob"), (1, 0), 11.0)

    assert second.seq != first.seq
    assert probes.waiting(first.seq) is None
    assert probes.of(id_of("bob")) is second
    assert len(probes) == 1


def test_unanswered_probes_are_not_remembered_for_ever() -> None:
    """A mesh full of silent members costs no more than the limit says."""
    probes = Probes(0)
    asked = [probes.ask(node_id, (1, 0), 0.0) for node_id in some_ids(limits.MAX_LATE_PROBES + 1)]
    for probe in asked:
        probes.give_up(probe)

    answered = [probes.answered(probe.target, probe.seq) is not None for probe in asked]
    assert answered == [False] + [True] * limits.MAX_LATE_PROBES


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 9))), st.integers(0, 999))
def test_a_pool_is_a_set_that_can_be_drawn_from(steps: list[tuple[bool, int]], seed: int) -> None:
    """Adding and removing in any order leaves exactly what a set would hold."""
    pool, model = Pool(), Counter[NodeId]()
    ids = some_ids(10)
    for adds, number in steps:
        if not adds:
            pool.discard(ids[number])
        elif not model[ids[number]]:
            pool.add(ids[number])
        model[ids[number]] = int(adds)
    held = {node_id for node_id, there in model.items() if there}

    assert set(pool) == held
    assert all((node_id in pool) == (node_id in held) for node_id in ids)
    drawn = pool.sample(Random(seed), 3, but=ids[0])
    assert len(drawn) == min(3, len(held - {ids[0]}))
    assert set(drawn) <= held - {ids[0]}
