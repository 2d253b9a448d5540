"""Who can be reached somehow is not dead: other paths, other means, other witnesses."""

from __future__ import annotations

import attrs
import pytest

from meshp2p.config import lan
from meshp2p.ids import Seconds
from meshp2p.simulation import Node, World
from meshp2p.simulation.faults import Crash, Cut, Loss, Stall
from meshp2p.simulation.faults.fault import ANYONE, paths
from meshp2p.simulation.invariants import watch_all

PEOPLE = ("alice", "bob", "carol", "dave", "erin", "frank")
SEEDS = pytest.mark.parametrize("seed", range(3))
MINUTE: Seconds = 60.0


def mesh(seed: int) -> tuple[World, dict[str, Node]]:
    """Six people who know each other, and every promise is watched."""
    world = World(seed, lan())
    watch_all(world)
    people = {name: world.start(name) for name in PEOPLE}
    world.run_until_quiet()
    return world, people


def told_of(people: dict[str, Node], event: str, whom: str) -> int:
    """How often anybody was told that of somebody."""
    return sum(
        each.name == event and each.member.handle == whom
        for node in people.values()
        for each in node.events
    )


@SEEDS
def test_a_member_whose_datagrams_are_blocked_lives_by_stream(seed: int) -> None:
    """UDP closed, TCP open: it is suspected at first, and never again, and nobody buries it."""
    world, people = mesh(seed)
    with world.inject(Cut(((ANYONE, "bob"), ("bob", ANYONE)), only="datagram")):
        world.run_for(MINUTE)
        early = told_of(people, "member.suspected", "bob")
        world.run_for(MINUTE)
        assert told_of(people, "member.suspected", "bob") <= early + 2
    assert told_of(people, "member.failed", "bob") == 0
    assert all(told_of(people, "member.failed", name) == 0 for name in PEOPLE)
    world.run_until_quiet()


@SEEDS
def test_a_cut_between_two_is_no_death(seed: int) -> None:
    """Alice cannot reach bob at all, the others can: the helpers' answers keep him alive."""
    world, people = mesh(seed)
    with world.inject(Cut(paths(["alice"], ["bob"], both=True))):
        world.run_for(2 * MINUTE)
    assert told_of(people, "member.failed", "bob") == 0
    assert told_of(people, "member.failed", "alice") == 0
    world.run_until_quiet()


@SEEDS
def test_whoever_is_reached_is_not_buried_on_hearsay(seed: int) -> None:
    """Four of six cannot reach bob, directly or through each other; carol can, and keeps him."""
    world, people = mesh(seed)
    cut_off = ["alice", "dave", "erin", "frank"]
    carol = people["carol"]
    with world.inject(Cut(paths(cut_off, ["bob"], both=True))):
        world.run_for(MINUTE)
    assert not [e for e in carol.events if e.name == "member.failed" and e.member.handle == "bob"]
    world.run_until_quiet(120.0)


@SEEDS
def test_a_node_that_stands_still_half_the_time_kills_nobody(seed: int) -> None:
    """Five seconds in every ten: whatever it missed meanwhile, it accuses nobody for it."""
    world, people = mesh(seed)
    for _ in range(6):
        with world.inject(Stall("bob")):
            world.run_for(5.0)
        world.run_for(5.0)
    others = [name for name in PEOPLE if name != "bob"]
    assert all(told_of(people, "member.failed", name) == 0 for name in others)
    world.run_until_quiet()


def test_a_dead_member_costs_the_living_nothing_for_long() -> None:
    """A probe that fails because its target is dead must not leave its sender slow."""
    world, people = mesh(0)
    world.inject(Crash("bob", silent=True))
    world.run_for(20.0)
    living = [node for name, node in people.items() if name != "bob"]
    assert [node.engine.stats()["slowness"] for node in living] == [1] * 5


def test_a_node_that_hears_badly_slows_down_and_recovers() -> None:
    """Lifeguard: its own trouble makes it patient with others."""
    world, people = mesh(0)
    bob = people["bob"]
    slowest = 1
    with world.inject(Loss(0.9, paths=((ANYONE, "bob"),))):
        for _ in range(40):
            world.run_for(0.5)
            slowest = max(slowest, bob.engine.stats()["slowness"])
    assert slowest > 4
    world.run_until_quiet(120.0)
    world.run_for(MINUTE)
    assert bob.engine.stats()["slowness"] == 1


@pytest.mark.parametrize("doubts", [True, False])
def test_plain_swim_is_there_to_compare_with(doubts: bool) -> None:  # noqa: FBT001  # a case
    """A node that is awake for half a second now and then: without doubt it buries the living."""
    config = attrs.evolve(lan(), lifeguard=doubts, suspicion_min_multiplier=1.0)
    world = World(0, config)
    people = {name: world.start(name) for name in PEOPLE}
    world.run_until_quiet()
    for _ in range(12):
        with world.inject(Stall("bob")):
            world.run_for(5.0)
        world.run_for(0.6)
    buried = sum(told_of(people, "member.failed", name) for name in PEOPLE if name != "bob")
    assert (buried == 0) == doubts


def test_a_question_by_stream_that_is_never_answered_is_given_up() -> None:
    """Whoever holds it back gains nothing: it can be asked again, and so can all others."""
    world, people = mesh(0)
    alice, bob = people["alice"], people["bob"]
    reaching = alice.engine._membership.reaching  # noqa: SLF001  # nothing else shows it
    with world.inject(Cut(paths(["alice"], ["bob"], both=True), only="segment")):
        reaching.ask(bob.id, b"", dial=True, now=alice.now)
        alice.process.after_input()
        world.run_for(1.0)
        assert len(reaching) == 1
        world.run_for(15.0)
        assert len(reaching) == 0
    assert bob.name in alice.handles
