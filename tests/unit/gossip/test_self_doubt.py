"""Whose word makes a node doubt itself."""

from __future__ import annotations

from meshp2p.gossip.swim import Swim
from tests.simulation.swim_world import START, swim_of
from tests.unit.gossip.people import accuse, acquaint, id_of, line_of


def accused(bob: Swim, *accusers: str, times: int) -> None:
    """All accuse bob's newest version, again and again; it answers each time."""
    now = START + 1.0
    for _ in range(times):
        for accuser in accusers:
            bob.receive(id_of(accuser), accuse(accuser, line_of(bob)), now=now)
        version = line_of(bob).version
        while line_of(bob).version == version:
            now = max(now, bob.next_deadline())
            bob.receive_deadline(now=now)
            bob.outputs()


def shrugs(*accusers: str, times: int) -> int:
    """How often bob, one of nine, does not doubt itself when these accuse it."""
    crowd = [swim_of(name) for name in ("bob", *(f"member{number}" for number in range(8)))]
    acquaint(*crowd)
    accused(crowd[0], *accusers, times=times)
    return crowd[0].counters.get("accusers_distrusted", 0)


def test_somebody_honest_makes_a_node_doubt_itself_at_once() -> None:
    """It could not reach bob: perhaps bob is too slow."""
    assert shrugs("member0", times=1) == 0


def test_many_accusers_are_believed_for_as_long_as_they_accuse() -> None:
    """If half of all others cannot reach bob, bob is the one that is sick."""
    assert shrugs("member0", "member1", "member2", "member3", times=12) == 0


def test_who_accuses_again_and_again_is_believed_a_few_times() -> None:
    """One against seven: it errs so much oftener than the others that it is the trouble."""
    assert shrugs("member0", times=12) == 12 - 6
