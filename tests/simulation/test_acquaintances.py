"""A node that has met others finds them again, whatever has become of its seeds."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from random import Random

import pytest

from meshp2p.effects import Persist
from meshp2p.engine.acquaintances import PEERS
from meshp2p.simulation import ALIVE, DEAD, Node, World
from meshp2p.simulation.disk import Left
from meshp2p.simulation.faults import FullDisk
from meshp2p.wire import codec, limits

PEOPLE = ("alice", "bob", "carol", "dave")


def known_on_disk(node: Node) -> set[bytes]:
    """Whose addresses its disk holds."""
    return {key for table, key in node.disk.read() if table == PEERS}


def met(world: World) -> list[Node]:
    """Four who joined through alice and have met long enough to have written that down."""
    alice = world.start("alice", seeds=[])
    others = [world.start(name, seeds=[alice]) for name in PEOPLE[1:]]
    world.run_until_quiet()
    world.run_for(5.0)
    return [alice, *others]


def take_apart(world: World, people: list[Node], disk: Left = "unsynced_lost") -> None:
    """All crash at once; then alice, the seed of all, is gone for good."""
    for node in people:
        world.crash(node, disk=disk)
    world.run_for(10.0)
    for node in people[1:]:
        world.restart(node)


@pytest.mark.parametrize("seed", range(5))
def test_a_mesh_comes_together_again_without_its_seed(seed: int) -> None:
    """Whoever crashed with all others finds them within seconds, by what its disk holds."""
    world = World(seed)
    people = met(world)
    take_apart(world, people)

    took = world.run_until_quiet(20.0)

    assert took < 5.0
    assert [node.handles for node in people[1:]] == [set(PEOPLE[1:])] * 3


def test_with_wiped_disks_it_takes_the_seed() -> None:
    """Nothing else brings them together: what the test above shows is the disk's doing."""
    world = World(1)
    alice, *others = people = met(world)
    take_apart(world, people, disk="wiped")

    world.run_for(60.0)
    assert [node.handles for node in others] == [{node.name} for node in others]

    world.restart(alice)
    world.run_until_quiet(60.0)


def test_one_disk_that_was_kept_is_enough() -> None:
    """Others need not remember whoever remembers them."""
    world = World(2)
    people = met(world)
    for node in people:
        world.crash(node, disk="unsynced_lost" if node.name == "bob" else "wiped")
    for node in people[1:]:
        world.restart(node)

    world.run_until_quiet(20.0)


def test_the_last_to_leave_remembers_those_who_left_before() -> None:
    """A mesh that was stopped in order, one after the other, starts again without a seed."""
    world = World(3)
    people = met(world)
    for node in people:
        world.leave(node)
        world.run_for(2.0)
    assert len(known_on_disk(people[-1])) == 3

    world.restart(people[-1])
    world.restart(people[1])
    world.run_until_quiet(20.0)


def test_whoever_leaves_at_once_has_written_all_the_same() -> None:
    """A visit shorter than the pause before the first write is not forgotten."""
    world = World(10)
    alice = world.start("alice", seeds=[])
    bob = world.start("bob", seeds=[alice])
    world.run_until(lambda: bob.sees(alice) == ALIVE, 5.0)
    assert known_on_disk(bob) == set()

    world.leave(bob)
    world.run_for(2.0)

    assert known_on_disk(bob) == {alice.id}


def test_a_restart_with_the_address_of_a_dead_mesh_is_alone_and_goes_on_trying() -> None:
    """Nobody answers; whoever comes back minutes later, knowing nobody, is found all the same."""
    world = World(4)
    people = met(world)
    for node in people:
        world.crash(node, silent=True, disk="wiped" if node.name == "carol" else "unsynced_lost")
    bob, carol = people[1:3]
    world.restart(bob)
    world.run_for(200.0)
    assert bob.handles == {"bob"}

    world.restart(carol)
    world.run_until_quiet(60.0)


@pytest.mark.parametrize("seed", range(10))
def test_garbage_on_the_disk_costs_nothing_but_the_row(seed: int) -> None:
    """The node starts, sweeps it out, and finds whom the other rows tell of."""
    world, rng = World(seed), Random(seed)
    alice, bob, *_ = met(world)
    good = dict(bob.disk.synced)
    row = next(value for (table, _), value in good.items() if table == PEERS)
    garbage = [
        b"",
        rng.randbytes(rng.randrange(1, 64)),
        row[: rng.randrange(len(row))],
        codec.pack([2, [b"\x7f\0\0\1\0\7"]]),
        codec.pack([1, []]),
        codec.pack([1, [b"\x7f\0\0\1\0\0"]]),
        codec.pack([1, ["text", 5, None]]),
    ]
    bad = {(PEERS, rng.randbytes(16)): value for value in garbage}
    bad[PEERS, b"short"] = row
    world.crash(bob)
    bob.disk.synced.update(bad)
    world.restart(bob)

    world.run_until_quiet(20.0)
    world.run_for(31.0)

    assert bob.sees(alice) == ALIVE
    assert not set(bad) & set(bob.disk.read())


def test_a_guest_keeps_nothing() -> None:
    """Whoever only visits leaves no trace on its own disk."""
    world = World(5)
    met(world)

    guest = world.start("guest", guest=True)
    world.run_for(60.0)

    assert len(guest.members) == len(PEOPLE)
    assert known_on_disk(guest) == set()


def test_the_disk_is_written_seldom_and_only_what_changed() -> None:
    """However often members come and go: once in half a minute, and not the same again."""
    world = World(6)
    alice, *others = world.join(*PEOPLE)
    written: list[float] = []
    rows: list[bytes] = []

    def note(node: Node, effects: Sequence[object]) -> None:
        for effect in effects if node is alice else ():
            records = effect.records if isinstance(effect, Persist) else ()
            ours = [each.key for each in records if each.table == PEERS]
            if ours:
                written.append(world.now)
                rows.extend(ours)

    world.on_effects.append(note)
    for number in range(5):
        world.run_for(10.0)
        world.start(f"visitor-{number}", seeds=[alice])
    world.run_for(60.0)

    assert all(later - earlier >= 30.0 for earlier, later in itertools.pairwise(written))
    assert len(written) == 3
    assert len(known_on_disk(alice)) == 8
    assert len(rows) == len(set(rows)) == 8
    assert {other.id for other in others} <= known_on_disk(alice)


def test_what_is_kept_is_bounded_and_rather_of_the_living() -> None:
    """A disk full of rows loads so many, and keeps whoever is there."""
    world = World(7)
    alice, bob, *_ = met(world)
    row = next(value for (table, _), value in bob.disk.synced.items() if table == PEERS)
    world.crash(bob)
    for number in range(1_000):
        bob.disk.synced[PEERS, number.to_bytes(16, "big")] = row
    world.restart(bob)

    world.run_until_quiet(20.0)
    world.run_for(40.0)

    assert len(known_on_disk(bob)) == limits.MAX_ACQUAINTANCES
    assert alice.id in known_on_disk(bob)


def test_a_disk_that_refuses_is_tried_again() -> None:
    """What could not be written is written once there is room, all of it."""
    world = World(8)
    alice = world.start("alice", seeds=[])
    full = world.inject(FullDisk("alice"))
    for name in PEOPLE[1:]:
        world.start(name, seeds=[alice])
    world.run_for(60.0)
    assert known_on_disk(alice) == set()

    full.remove()
    world.run_for(61.0)

    assert len(known_on_disk(alice)) == 3


def test_old_acquaintances_that_are_gone_are_no_members() -> None:
    """An address on disk is where to ask, not a claim that somebody is there."""
    world = World(9)
    people = met(world)
    bob, carol = people[1:3]
    world.crash(carol, silent=True)
    world.crash(bob)
    world.restart(bob)

    world.run_until(lambda: bob.sees(people[0]) == ALIVE, 20.0)
    world.run_for(30.0)

    assert bob.sees(carol) in (DEAD, None)
