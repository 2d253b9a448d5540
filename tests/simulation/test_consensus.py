"""What auctions and votes promise in a hostile world, for many seeds; and that we would notice."""

from __future__ import annotations

from collections.abc import Iterable
from random import Random

import pytest

from meshp2p.consensus import Bid, VoteCall
from tests.simulation.consensus_world import Faults, Violation, World

PEOPLE = ("alice", "bob", "carol", "dave")
HOSTILE = Faults(lose=0.15, double=0.4, crash=0.15, disk_fails=0.05)


def undecided_people(world: World) -> None:
    """Whoever is asked twice may well answer differently, and bid differently."""
    rng = Random(world.rng.random())
    for host in world.hosts.values():
        host.voter = lambda call: rng.choice([None, *([option] for option in call.options)])
        host.bidder = lambda _: rng.choice([None, Bid(price=rng.randrange(9))])


def live_through(seed: int, faults: Faults, people: tuple[str, ...] = PEOPLE) -> World:
    """Twelve hostile seconds of votes and auctions, some of them held again after a crash."""
    world = World(*people, seed=seed, faults=faults)
    undecided_people(world)
    world.misbehave(12)
    for _ in range(12):
        up = [name for name, host in world.hosts.items() if host.node is not None]
        if up:
            world.vote(world.rng.choice(up), faulty=len(faults.traitors))
            owner = world.rng.choice(up)
            world.auction(owner)
            try:
                world.auction(owner, key="order-7")
            except ValueError:  # it is still under way
                world.run_for(0.1)
        world.run_for(1)
    world.run_for(30)
    return world


@pytest.mark.parametrize("first", range(0, 60, 20))
def test_promises_hold_through_loss_duplicates_and_crashes(first: int) -> None:
    """No two winners of an epoch, no epoch twice, no second ballot, no second outcome."""
    decided = awarded = 0
    for seed in range(first, first + 20):
        world = live_through(seed, HOSTILE)
        decided += len(world.watch.decided)
        awarded += len(world.watch.epochs)
    assert decided > 5
    assert awarded > 50


def test_a_member_who_votes_twice_cannot_make_two_outcomes() -> None:
    """Of four electors one may sign everything: still at most one certified outcome."""
    faults = Faults(lose=0.1, double=0.3, traitors=frozenset({"dave"}))
    decided = sum(len(live_through(seed, faults).watch.decided) for seed in range(20))
    assert decided > 0


def test_in_calm_times_everything_ends_well() -> None:
    """Without faults every vote that can be decided is, and every auction has a result."""
    for seed in range(10):
        world = World(*PEOPLE, seed=seed)
        for host in world.hosts.values():
            host.voter = _says_yes
        vote, auction = world.vote("alice"), world.auction("bob")
        world.run_for(10)
        assert world["alice"].finished[vote].error is None
        assert world["bob"].finished[auction].error is None
        assert [work for host in world.hosts.values() for work in host.ran] == [("code.review", 1)]


def test_a_disk_that_lies_is_found_out() -> None:
    """The watch does notice when promises leave before they are durable."""
    faults = Faults(double=0.6, crash=0.3, disk_lies=True)
    with pytest.raises(Violation):
        _live_through_all(range(200), faults)


def test_more_traitors_than_the_rule_allows_for_are_found_out() -> None:
    """The watch does notice two outcomes, when a vote is called that tolerates nobody."""
    faults = Faults(double=0.3, traitors=frozenset({"carol", "dave"}))
    with pytest.raises(Violation, match="V1"):
        _vote_with_traitors(range(100), faults)


def _live_through_all(seeds: Iterable[int], faults: Faults) -> None:
    for seed in seeds:
        live_through(seed, faults)


def _vote_with_traitors(seeds: Iterable[int], faults: Faults) -> None:
    for seed in seeds:
        world = World(*PEOPLE, seed=seed, faults=faults)
        world["alice"].voter, world["bob"].voter = _says_yes, _says_no
        world.vote("alice", faulty=0)
        world.run_for(10)


def _says_yes(_call: VoteCall) -> object:
    return ["yes"]


def _says_no(_call: VoteCall) -> object:
    return ["no"]
