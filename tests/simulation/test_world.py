"""The world's verbs: calm, partitions, clocks, and meshes that come together again."""

from __future__ import annotations

import pytest

from meshp2p.config import lan
from meshp2p.simulation import ALIVE, DEAD, World
from meshp2p.simulation.acquaintance import acquaint
from meshp2p.simulation.faults import Crash, Hold, Loss
from meshp2p.simulation.happening import Violation
from meshp2p.simulation.invariants import watch_all
from meshp2p.simulation.links import Conditions

HOUR = 3_600.0
PEOPLE = ("alice", "bob", "carol", "dave")


def test_calm_removes_every_fault_and_waits_until_all_is_well() -> None:
    """What was cut, held, paused, lost or skewed is whole again."""
    world = World(1, conditions=Conditions(loss=0.3))
    alice, bob, carol, dave = world.join(*PEOPLE)
    world.partition([alice, bob], [carol, dave])
    world.hold(alice, bob)
    world.inject(Loss(0.5))
    world.skew(dave, 100.0)
    world.pause(carol)
    world.run_for(10.0)
    world.calm()
    assert world.faults == {}
    assert world.links.usual == Conditions()
    assert not carol.is_paused
    assert dave.clock.unix == world.unix
    assert [one.handles for one in world.running] == [set(PEOPLE)] * 4


@pytest.mark.parametrize("restart", [False, True])
def test_calm_restarts_nobody_unless_it_is_told_to(
    restart: bool,  # noqa: FBT001  # a case
) -> None:
    """What crashed stays crashed, and all others know that."""
    world = World(1)
    alice, bob, _, _ = world.join(*PEOPLE)
    world.inject(Crash("bob"))
    world.calm(restart=restart)
    assert bob.is_running == restart
    assert alice.sees(bob) == (ALIVE if restart else DEAD)


def test_calm_that_does_not_come_is_a_violation() -> None:
    """It says who sees whom, and the seed."""
    world = World(7)
    alice, bob = world.join("alice", "bob")
    world.links.set(("alice", "bob"), Conditions(loss=1.0))
    bob.pause()
    alice.feed(lambda engine, now: engine.leave(now=now))
    with pytest.raises(Violation, match=r"seed 7, at .* bob sees") as caught:
        world.calm(5.0)
    assert (caught.value.seed, caught.value.name) == (7, "in time")


def test_it_is_quiet_for_nobody_as_long_as_it_is_not_for_one() -> None:
    """Whoever was asked before, and whatever became of those who were restless then."""
    world = World(8)
    alice, bob, _, _ = world.join(*PEOPLE)
    assert world.is_quiet()
    world.crash(bob, silent=True)
    assert not world.is_quiet()  # alice has not noticed
    world.crash(alice, silent=True)
    assert not world.is_quiet()  # nor have carol and dave
    world.run_until_quiet()
    assert [one.handles for one in world.running] == [{"carol", "dave"}] * 2
    world.restart(bob)
    assert not world.is_quiet()  # who sees nobody
    world.run_until_quiet()
    assert [one.handles for one in world.running] == [{"bob", "carol", "dave"}] * 3


def test_things_happen_at_their_time_and_in_the_order_in_which_they_were_asked_for() -> None:
    """With what they were given; until then nothing is done."""
    world, done = World(1), list[tuple[str, float]]()

    def note(what: str) -> None:
        done.append((what, round(world.elapsed, 6)))

    world.after(2.0, note, "third")
    world.after(1.0, note, "first")
    world.at_time(world.now + 1.0, note, "second")
    world.run_for(0.5)
    assert done == []
    world.run_for(1.5)
    assert done == [("first", 1.0), ("second", 1.0), ("third", 2.0)]


def test_a_bridge_keeps_two_sides_of_a_partition_together() -> None:
    """Whoever is reached through somebody is not dead."""
    world = World(2)
    alice, bob, carol, dave = world.join(*PEOPLE)
    world.partition([alice, bob], [bob, carol, dave])
    world.run_for(30.0)
    assert [alice.sees(other) for other in (bob, carol, dave)] == [ALIVE] * 3


def test_overlapping_partitions_end_one_by_one() -> None:
    """Each guard mends its own cut."""
    world = World(3)
    alice, bob, carol, dave = world.join(*PEOPLE)
    first = world.partition([alice], [bob, carol, dave])
    second = world.partition([alice, bob], [carol, dave])
    world.run_for(20.0)
    assert (alice.handles, bob.handles) == ({"alice"}, {"bob"})
    first.remove()
    world.run_until(lambda: alice.handles == bob.handles == {"alice", "bob"}, 60.0)
    second.remove()
    world.run_until_quiet(60.0)


def test_release_lets_go_what_is_held_between_two() -> None:
    """And nothing else."""
    world = World(4)
    alice, bob, carol, _ = world.join(*PEOPLE)
    world.hold(alice, bob)
    world.hold(alice, carol)
    world.release(bob, alice)
    (left,) = [guard.fault for guard in world.faults.values()]
    assert left == Hold((("alice", "carol"), ("carol", "alice")))


@pytest.mark.parametrize("off", [-HOUR, HOUR])
@pytest.mark.parametrize("seed", [1, 2])
def test_who_buried_others_with_a_wrong_clock_believes_in_them_again(seed: int, off: float) -> None:
    """They refute what it says of them, whenever its clock said that it was."""
    world = World(seed)
    alice, bob, carol, dave = world.join(*PEOPLE)
    with world.skew(bob, off):
        world.run_for(15.0)
        with world.partition([bob], [alice, carol, dave]):
            world.run_for(20.0)
            assert bob.handles == {"bob"}
    world.run_until_quiet(60.0)


@pytest.mark.parametrize("off", [-HOUR, HOUR])
def test_who_started_with_a_wrong_clock_joins_once_it_is_right(off: float) -> None:
    """Its credential is renewed as soon as it looks at the clock."""
    world = World(5)
    alice, bob, _, _ = world.join(*PEOPLE)
    with world.skew(bob, off):
        world.crash(bob)
        world.run_for(5.0)
        world.restart(bob)
        world.run_for(20.0)
        assert alice.sees(bob) == DEAD
    world.run_until_quiet(90.0)


def test_nodes_may_know_each_other_at_once() -> None:
    """As if they had joined: they agree, keep every promise, and notice who falls silent."""
    world = World(0, lan())
    watch_all(world)
    people = [world.start(name, seeds=()) for name in ("alice", "bob", "carol", "dave")]
    world.run_for(0.1)
    assert all(person.handles == {person.name} for person in people)
    acquaint(world, people)
    assert world.is_quiet()
    assert world.elapsed < 1.0
    world.crash(people[1], silent=True)
    world.run_for(30.0)
    assert all("bob" not in person.handles for person in people if person.is_running)
