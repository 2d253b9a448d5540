"""Wall clocks that are wrong, in a whole mesh: told by everybody, of whom it concerns."""

from __future__ import annotations

import pytest

from meshp2p.simulation import World
from meshp2p.simulation.faults import ClockJump, Loss, Skew, Stall

PEOPLE = ("alice", "bob", "carol", "dave", "erin")


def told(world: World) -> dict[str, list[tuple[str, bool]]]:
    """Of whose clock each node was told, and whether that is its own."""
    return {
        node.name: [(event.member.handle, event.is_own) for event in node.skews]
        for node in world.nodes.values()
    }


@pytest.mark.parametrize("wrong", [-200.0, 60.0, 86_400.0])
def test_everybody_knows_whose_clock_is_wrong(wrong: float) -> None:
    """Also whose it is; each is told once, though packets are lost."""
    world = World(3)
    world.join(*PEOPLE)
    world.inject(Loss(0.1))
    world.inject(Skew("bob", wrong))
    world.run_for(60.0)

    assert told(world) == {name: [("bob", name == "bob")] for name in PEOPLE}
    seconds = [event.seconds for node in world.nodes.values() for event in node.skews]
    assert seconds == pytest.approx([wrong] * 5, abs=2)
    assert [world[name].engine.stats()["clocks_off"] for name in PEOPLE] == [1] * 5


def test_a_clock_that_goes_wrong_slowly_is_told_of_when_it_is_wrong() -> None:
    """Not before it is half a minute off."""
    world = World(4)
    world.join(*PEOPLE)
    world.inject(Skew("carol", drift=0.1))
    world.run_for(280.0)
    assert set(map(len, told(world).values())) == {0}
    world.run_for(100.0)
    assert {name: len(events) for name, events in told(world).items()} == dict.fromkeys(PEOPLE, 1)
    assert {event[0] for events in told(world).values() for event in events} == {"carol"}


@pytest.mark.parametrize("seed", range(4))
def test_a_machine_that_slept_is_not_taken_for_one_with_a_wrong_clock(seed: int) -> None:
    """Neither by itself nor by others, though for a moment it has the wrong time."""
    world = World(seed)
    world.join(*PEOPLE)
    world.run_for(3.0 + seed)
    with world.inject(Stall("bob", asleep=True)):
        world.run_for(100.0)
    world.run_for(60.0)
    assert set(map(len, told(world).values())) == {0}


def test_a_clock_that_jumps_for_a_moment_is_not_told_of() -> None:
    """Somebody set it, saw the mistake and set it back."""
    world = World(5)
    world.join(*PEOPLE)
    with world.inject(ClockJump("bob", 1_000.0)):
        world.run_for(10.0)
    world.run_for(60.0)
    assert set(map(len, told(world).values())) == {0}
