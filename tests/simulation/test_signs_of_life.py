"""What keeps a member alive in the eyes of others, and what does not."""

from __future__ import annotations

from collections.abc import Callable

import attrs
import pytest

from meshp2p.config import Config, lan
from meshp2p.ids import Address
from meshp2p.simulation import DEAD, Handler, Node, World
from meshp2p.simulation.faults import Cut
from meshp2p.simulation.faults.fault import ANYONE

ADD = Handler(function=lambda a, b: a + b)


def acquainted(seed: int, config: Config | None = None) -> tuple[World, Node, Node]:
    """Alice and bob of a mesh of five, with a connection that both have used."""
    world = World(seed, config=config or lan())
    people = world.join("alice", "bob", "carol", "dave", "erin", handlers={"add": ADD})
    alice, bob = people[:2]
    world.run_for(10.0)
    alice.call("@bob/add", 1, 2)
    bob.call("@alice/add", 1, 2)
    world.run_for(2.0)
    return world, alice, bob


def dies_within(world: World, alice: Node, bob: Node, meanwhile: Callable[[], None]) -> float:
    """How long it takes alice to know that bob is gone, while somebody does that."""
    began = world.now
    world.crash(bob, silent=True)
    while alice.sees(bob) != DEAD and world.now < began + 120.0:
        meanwhile()
        world.run_for(0.1)
    return world.now - began


@pytest.mark.parametrize("seed", range(3))
def test_bytes_that_prove_nothing_keep_nobody_alive(seed: int) -> None:
    """Whoever sits on the path of a connection may add bytes to it; no whole record comes of it."""
    world, alice, bob = acquainted(seed)
    (stream, _), *_ = [each for each in alice.streams.items() if each[1].lane.link[1] == "bob"]
    beginning = [b"\xff\xff"]

    def trickle() -> None:
        piece = beginning.pop() if beginning else b"\x00"
        alice.feed(lambda engine, now: engine.receive_stream(stream, piece, now=now))

    assert dies_within(world, alice, bob, trickle) < 15.0


@pytest.mark.parametrize("seed", range(3))
def test_what_a_member_said_before_keeps_it_not_alive(seed: int) -> None:
    """Its datagrams were recorded, and are played back from its own address."""
    world, alice, bob = acquainted(seed)
    said: list[bytes] = []

    def record(sender: Node, to: Address, data: bytes) -> None:
        if sender is bob and to == alice.address:
            said.append(data)

    world.on_datagram.append(record)
    world.run_for(20.0)
    assert said

    def play_back() -> None:
        for data in said:
            world.datagrams.smuggle("mallory", alice, bob.address, data)

    assert dies_within(world, alice, bob, play_back) < 15.0


@pytest.mark.parametrize("calls", [True, False])
def test_answers_to_calls_keep_a_member_alive(
    calls: bool,  # noqa: FBT001  # a case
) -> None:
    """None of its datagrams gets through; what it answers is as good as an ack."""
    plain = attrs.evolve(lan(), lifeguard=False)  # else it would be asked by stream
    world, alice, _ = acquainted(1, plain)
    world.inject(Cut(((ANYONE, "bob"), ("bob", ANYONE)), only="datagram"))
    for _ in range(300):
        if calls:
            alice.call("@bob/add", 1, 2)
        world.run_for(0.1)
    assert (alice.heard("member.failed") == []) == calls


@pytest.mark.parametrize("seed", range(3))
def test_whoever_talks_and_hears_nobody_is_gone_once(seed: int) -> None:
    """Nobody can reach it: that its own datagrams arrive makes it neither alive nor return."""
    world, _, bob = acquainted(seed)
    others = [node for node in world.nodes.values() if node is not bob]
    world.cut(others, bob, both=False)
    world.run_for(120.0)
    assert [node.sees(bob) for node in others] == [DEAD] * 4
    assert [node.heard("member.failed") for node in others] == [["bob"]] * 4
    assert [node.heard("member.returned") for node in others] == [[]] * 4
