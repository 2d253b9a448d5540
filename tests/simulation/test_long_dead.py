"""What a newcomer learns of those who died long ago."""

from __future__ import annotations

from tests.simulation.swim_world import SwimWorld


def test_a_newcomer_soon_knows_who_died_long_ago() -> None:
    """That somebody died a quarter of an hour ago is told as quickly as that it died just now."""
    world = SwimWorld(seed=1)
    seed, *others = world.join(*(f"p{number}" for number in range(10)))
    dead, there = others[:2], [seed, *others[2:]]
    for person in dead:
        world.crash(person)
    world.run_until(lambda: all(one.sees(gone) == "dead" for one in there for gone in dead))

    world.run_for(700.0)
    newcomer = world.start("newcomer")
    world.introduce(newcomer, seed)
    world.run_until(lambda: all(newcomer.sees(gone) == "dead" for gone in dead), at_most=15.0)
