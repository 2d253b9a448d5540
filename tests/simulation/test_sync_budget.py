"""How often one member is given the whole list."""

from __future__ import annotations

from meshp2p.simulation import World


def test_nobody_has_a_node_read_lists_all_the_time() -> None:
    """Whoever syncs again and again is answered as often as an honest member would ask."""
    world = World(seed=7)
    alice, bob = world.join("alice", "bob")
    before = bob.engine.stats()["syncs_answered"]
    for _ in range(100):
        alice.feed(lambda engine, now: engine._syncing.sync_with(bob.id, now))  # noqa: SLF001  # too often
        world.run_for(0.05)
    assert bob.engine.stats()["syncs_answered"] - before <= 16 + 1
    assert bob.engine.stats()["lists_refused"] >= 100 - 17
    world.run_until_quiet()
