"""Whole meshes in virtual time: what members may rely on, whatever the network does."""

from __future__ import annotations

import functools
import statistics
from random import Random

import pytest

from meshp2p.config import Config, lan, loopback
from meshp2p.wire import limits
from tests.simulation.swim_world import UNIX, Person, SwimWorld

CROWD = tuple(f"member-{number:02}" for number in range(30))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("config", "within"), [(lan(), 2.0), (loopback(), 0.5)])
def test_a_crowd_that_joins_at_once_knows_everybody_soon(
    config: Config, within: float, seed: int
) -> None:
    """Thirty nodes through one seed: all lists are complete within seconds, in every run."""
    world = SwimWorld(seed, config=config)
    first, *others = [world.start(name) for name in CROWD]
    for person in others:
        world.introduce(person, first)

    took = world.run_until(lambda: world.agrees(world.people.values()), at_most=within)

    assert took <= within
    assert world.largest <= limits.MAX_PLAINTEXT


def test_everybody_hears_of_everybody_once() -> None:
    """Each member is announced to each other exactly once, and nobody is suspected."""
    world = SwimWorld(1)
    people = world.join("alice", "bob", "carol", "dave")
    world.run_for(60)

    for person in people:
        others = sorted(one.name for one in people if one is not person)
        assert sorted(person.heard("member.joined")) == others
        assert len(person.events) == len(others)


def test_an_idle_mesh_is_quiet() -> None:
    """Where nothing happens, each member sends two datagrams per probe interval."""
    world = SwimWorld(2)
    world.join(*CROWD[:10])
    world.run_for(20)
    before = sum(world.sent.values())
    world.run_for(50)

    assert sum(world.sent.values()) - before <= 10 * 2 * 50 * 1.05


def test_a_latecomer_learns_everything_by_one_sync() -> None:
    """Whoever joins later knows all from its seed, and all know it."""
    world = SwimWorld(3)
    people = world.join(*CROWD[:10])
    zoe = world.start("zoe")
    world.introduce(zoe, people[4])

    world.run_until(lambda: world.agrees([*people, zoe]), at_most=5)

    assert zoe.synced == [people[4].id]


def test_a_crashed_member_is_dead_to_all() -> None:
    """A silent host is declared dead by everybody within seconds, and nobody else is."""
    world = SwimWorld(4)
    *others, bob = world.join(*CROWD[:20])
    world.crash(bob)

    took = world.run_until(lambda: all(one.sees(bob) == "dead" for one in others))

    assert took < 12
    assert all(one.heard("member.failed") == [bob.name] for one in others)


def test_a_killed_process_is_dead_to_all_at_once() -> None:
    """Where the machine still answers for the dead process, nobody waits for timeouts."""
    took = []
    for seed in range(9):
        world = SwimWorld(seed, config=loopback())
        *others, bob = world.join(*CROWD[:20])
        world.run_for(5)
        world.crash(bob, refuses=True)
        dead_to_all = functools.partial(_dead_to, others, bob)
        took.append(world.run_until(dead_to_all))

    assert statistics.median(took) < 1.0
    assert max(took) < 3.0  # who asks last hears it from others


def _dead_to(others: list[Person], bob: Person) -> bool:
    return all(one.sees(bob) == "dead" for one in others)


def test_a_slow_member_is_not_declared_dead() -> None:
    """Whoever is unreachable for some only refutes, and stays alive for everyone."""
    world = SwimWorld(6)
    alice, bob, carol = world.join("alice", "bob", "carol")
    world.part([alice], [bob])
    for _ in range(40):
        world.run_for(1)
        assert bob.sees(bob) == "alive"
    world.heal()
    world.run_for(10)

    assert world.agrees([alice, bob, carol])
    assert carol.heard("member.failed") == []


@pytest.mark.parametrize("seed", range(3))
def test_a_fifth_of_all_packets_lost_kills_nobody(seed: int) -> None:
    """Under 20 % loss for a minute there are suspicions, and not one false death."""
    world = SwimWorld(seed)
    people = world.join(*CROWD[:20])
    world.loss = 0.2
    world.run_for(60)

    assert sum(len(one.heard("member.suspected")) for one in people) > 0
    assert sum(len(one.heard("member.failed")) for one in people) == 0


@pytest.mark.parametrize("seed", range(3))
def test_a_partition_heals_without_an_operator(seed: int) -> None:
    """Both halves bury each other, and find together again once they can."""
    world = SwimWorld(seed)
    people = world.join(*CROWD[:12])
    half, rest = people[:6], people[6:]
    world.part(half, rest)
    world.run_for(60)
    assert all(one.sees(other) == "dead" for one in half for other in rest)

    world.heal()
    world.run_until(lambda: world.agrees(people), at_most=lan().lost_retry_interval + 20)

    for one in half:
        assert set(one.heard("member.returned")) == {other.name for other in rest}


def test_a_leaver_is_gone_and_nobody_calls_it_a_failure() -> None:
    """Leaving is final, is told to all, and is not mistaken for a crash."""
    world = SwimWorld(7)
    *others, bob = world.join(*CROWD[:20])
    bob.swim.leave(now=world.now)
    world.run_for(lan().leave_linger)
    world.crash(bob)
    world.run_for(60)

    for one in others:
        assert one.sees(bob) == "left"
        assert one.heard("member.left") == [bob.name]
        assert one.heard("member.failed") == []


@pytest.mark.parametrize("clock", [0.0, -100.0])
def test_a_restart_supersedes_the_former_run(clock: float) -> None:
    """A node that comes back with the same key is alive again, even with a slow clock."""
    world = SwimWorld(8)
    alice, bob, carol = world.join("alice", "bob", "carol")
    bob = world.restart(bob, alice, unix=UNIX + world.now + clock)

    world.run_until(lambda: world.agrees([alice, bob, carol]), at_most=20)
    world.run_for(60)

    assert world.agrees([alice, bob, carol])
    texts = [event.name for event in (*alice.events, *carol.events)]
    assert "member.failed" not in texts


def test_a_member_that_died_and_came_back_is_said_to_have_returned() -> None:
    """Users hear of a death and of the return, in this order."""
    world = SwimWorld(9)
    alice, bob, carol = world.join("alice", "bob", "carol")
    world.crash(bob)
    world.run_until(lambda: alice.sees(bob) == "dead" and carol.sees(bob) == "dead")
    bob = world.restart(bob, carol)
    world.run_until(lambda: world.agrees([alice, bob, carol]), at_most=20)

    names = [event.name for event in alice.events if event.member.handle == "bob"]
    assert names == ["member.joined", "member.suspected", "member.failed", "member.returned"]


def test_a_paused_member_accuses_nobody() -> None:
    """After a long pause a node neither buries the others nor suspects them."""
    world = SwimWorld(10)
    alice, *others = world.join(*CROWD[:8])
    world.pause(alice)
    world.run_for(5)
    world.resume(alice)
    seen_after = len(alice.events)
    world.run_for(5)

    assert alice.heard("member.failed") == []
    assert "member.suspected" not in [event.name for event in alice.events[seen_after:]]
    world.run_until(lambda: world.agrees([alice, *others]), at_most=60)


def test_a_hole_in_one_view_is_mended() -> None:
    """Somebody who missed all news of a newcomer learns it by a sync within seconds."""
    world = SwimWorld(11)
    alice, bob, carol = world.join("alice", "bob", "carol")
    world.part([alice, bob], [carol])
    dave = world.start("dave")
    world.part([dave], [carol])
    world.introduce(dave, alice)
    world.run_for(1.5)
    assert carol.sees(dave) is None
    world.heal()

    world.run_until(lambda: world.agrees([alice, bob, carol, dave]), at_most=10)


def never_false_about_itself(world: SwimWorld) -> None:
    """Nobody running ever believes itself suspect, dead or gone."""
    for person in world.people.values():
        assert person.crashed or person.sees(person) == "alive"


@pytest.mark.parametrize("seed", range(12))
def test_after_any_trouble_calm_brings_agreement(seed: int) -> None:
    """Cuts, loss, pauses and restarts: once they end, all see each other alive again."""
    chance = Random(seed)
    world = SwimWorld(seed, config=chance.choice([lan(), loopback()]))
    people = world.join(*CROWD[: chance.randrange(2, 8)])
    world.check = never_false_about_itself
    for _ in range(chance.randrange(1, 6)):
        trouble(world, people, chance)
        world.run_for(chance.uniform(0, 30))
        if chance.random() < 0.5:
            world.heal()
    world.loss = 0.0
    world.heal()
    for person in people:
        if person.paused:
            world.resume(person)

    world.run_until(lambda: world.agrees(people), at_most=120)


def trouble(world: SwimWorld, people: list[Person], chance: Random) -> None:
    """Let something bad happen."""
    match chance.choice(["part", "one way", "loss", "pause", "restart"]):
        case "part":
            some = chance.sample(people, chance.randrange(1, len(people)))
            world.part(some, [one for one in people if one not in some])
        case "one way":
            one, other = chance.sample(people, 2)
            world.cut.add((one.id, other.id))
        case "loss":
            world.loss = chance.choice([0.1, 0.3, 0.6])
        case "pause":
            world.pause(chance.choice(people))
        case _:
            number = chance.randrange(1, len(people))
            if not people[number].paused:
                unix = UNIX + world.now - chance.choice([0, 100])
                people[number] = world.restart(people[number], people[0], unix=unix)


def test_a_seed_replays_a_run() -> None:
    """The same seed gives the same events at the same moments."""
    runs = []
    for _ in range(2):
        world = SwimWorld(99, loss=0.1)
        people = world.join(*CROWD[:6])
        world.run_for(30)
        runs.append([(one.events, one.swim.view_hash()) for one in people])

    assert runs[0] == runs[1]
