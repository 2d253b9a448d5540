"""What one false accuser can do to all others."""

from __future__ import annotations

from tests.simulation.swim_world import SwimWorld
from tests.unit.gossip.people import accuse, line_of


def test_one_false_accuser_makes_nobody_doubt_itself() -> None:
    """Accused once a second by one member, the others probe as often as before."""
    world = SwimWorld(seed=1)
    liar, *honest = world.join("mallory", "alice", "bob", "carol", "dave", "erin", "frank")
    for _ in range(20):
        for person in honest:
            said = accuse("mallory", line_of(person.swim))
            person.swim.receive(liar.id, said, now=world.now)
            world._after_input(person)  # noqa: SLF001  # nobody says such a thing by itself
        world.run_for(1.0)
    assert [person.swim.slowness for person in honest] == [1] * len(honest)
