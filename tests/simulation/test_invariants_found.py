"""What the invariants found in the engine, each as the shortest run that shows it."""

from __future__ import annotations

import attrs
import pytest

from meshp2p.config import lan, loopback
from meshp2p.simulation import Agent, World
from meshp2p.simulation.invariants import look_at_rest, watch_all
from tests.simulation.swim_world import START, swim_of
from tests.unit.gossip.people import accuse, acquaint, id_of, line_of


@pytest.mark.parametrize("seed", [19, 26, 43, 52, 53, 59])
def test_two_that_begin_to_call_each_other_at_once_lose_no_call(seed: int) -> None:
    """Of two connections one goes; not before the other end has said that it knows."""
    world = World(seed, attrs.evolve(loopback(), idle_close=1.0))
    agent = Agent(on_message=lambda body: body)
    alice, bob = world.join("alice", "bob", agent=agent)
    world.run_for(3.4)  # no connection is left
    calls = []
    for number in range(16):
        calls += [alice.call("@bob", number), bob.call("@alice", number)]
        world.run_for(0.0006)
    world.run_for(1.0)
    assert [None] * len(calls) == [call.error for call in calls]


def test_a_late_confirmation_is_not_taken_for_a_stall() -> None:
    """It may end a countdown in the past; nobody was late, so nobody needs an amnesty."""
    people = [swim_of(name) for name in ("alice", "bob", "carol", "dave", "erin", "frank")]
    acquaint(*people)
    alice, bob = people[:2]
    alice.receive(id_of("carol"), accuse("carol", line_of(bob)), now=START)
    now = START + 9 * lan().probe_interval  # of the twelve that a lone suspicion has
    alice.receive_deadline(now=now)
    for confirmer in ("dave", "erin"):
        alice.receive(id_of(confirmer), accuse(confirmer, line_of(bob)), now=now)
        assert alice.next_deadline() >= now


@pytest.mark.parametrize("seed", range(3))
def test_streams_may_change_their_keys_at_any_moment(seed: int) -> None:
    """Each side after so many bytes of its own; no answer is lost, and no key used twice."""
    world = World(seed, attrs.evolve(loopback(), stream_rekey_bytes=2_000))
    watched = watch_all(world)
    agent = Agent(on_message=lambda body: body)
    alice, bob = world.join("alice", "bob", agent=agent)
    said = [bytes([number]) * 1_500 for number in range(20)]
    calls = []
    for body in said:
        calls += [alice.call("@bob", body), bob.call("@alice", body)]
        world.run_for(0.002)
    world.run_for(1.0)
    assert [call.result for call in calls] == [body for body in said for _ in range(2)]
    look_at_rest(watched)
