"""Credentials are renewed while a node lives, whatever its clock did meanwhile."""

from __future__ import annotations

from typing import Any

import attrs

from meshp2p.engine import Engine
from meshp2p.events import Log
from meshp2p.ids import Seconds
from meshp2p.node.renewal import renew_if_due
from meshp2p.simulation import ALIVE, Node, World

HOUR = 3_600.0


def renew(world: World, node: Node, unix: float) -> Log | None:
    """Let the node look at its wall clock; what it would log."""
    told: list[Log | None] = []

    def look(engine: Engine, now: Seconds) -> None:
        told.append(renew_if_due(engine, world.crypto, unix=unix, now=now))

    node.feed(look)
    return told[0]


def test_a_laptop_that_slept_for_hours_renews_as_soon_as_it_wakes() -> None:
    """The clock that the node knew last is of the evening before; it goes on all the same."""
    world = World(1)
    alice, bob = world.join("alice", "bob")
    before = bob.identity.chain
    woken = world.unix + 13 * HOUR

    assert renew(world, bob, woken) is None

    assert bob.engine.identity.chain != before
    assert bob.engine.identity.renew_at > woken
    assert alice.sees(bob) == ALIVE


def test_a_fresh_credential_is_left_alone() -> None:
    """Nothing is signed before half of its life is over."""
    world = World(1)
    (bob,) = world.join("bob")
    before = bob.identity.chain

    assert renew(world, bob, world.unix + HOUR) is None

    assert bob.engine.identity.chain == before


def test_what_cannot_be_renewed_is_said_and_tried_again() -> None:
    """A credential of another issuer that has expired stops nobody's node."""
    world = World(1)
    alice, bob = world.join("alice", "bob")
    keys = attrs.evolve(bob.identity.keys, root_private=None)
    bob.feed(
        lambda engine, now: engine.renew_identity(attrs.evolve(bob.identity, keys=keys), now=now)
    )
    before = bob.engine.identity
    too_late = world.unix + 40 * 24 * HOUR

    for _ in range(2):
        trouble = renew(world, bob, too_late)
        assert trouble is not None
        assert "ask its issuer" in str(trouble.fields)

    assert bob.engine.identity == before
    assert bob.is_running
    assert alice.is_running


def test_a_clock_that_was_weeks_ahead_at_the_start_costs_a_minute() -> None:
    """Once it is put right the node becomes a member, not only when that day has come."""
    ahead = 20 * 24 * HOUR

    def boot(**facts: Any) -> Engine:  # noqa: ANN401  # as `Engine` takes them
        if facts["identity"].handle == "alice":
            unix = facts["unix"] + ahead
            identity = facts["identity"].renewed(facts["crypto"], unix)
            facts |= {"unix": unix, "identity": identity}
        return Engine(**facts)

    world = World(1, make_engine=boot)
    (bob,) = world.join("bob")
    alice = world.start("alice", seeds=[bob])
    world.run_for(60.0)
    assert bob.sees(alice) is None

    assert renew(world, alice, world.unix) is None

    world.run_until(lambda: bob.sees(alice) == alice.sees(bob) == ALIVE, 30.0)
    assert not alice.engine.identity.needs_renewal(world.unix)
