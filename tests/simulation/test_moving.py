"""A node whose machine moves to another network goes on, with the same sessions and members."""

from __future__ import annotations

from collections import Counter

import pytest

from meshp2p.config import Config, lan, loopback
from meshp2p.ids import Address
from meshp2p.simulation import ALIVE, Handler, Node, World
from meshp2p.simulation.faults import Loss

ADD = Handler(function=lambda a, b: a + b, idempotent=True)
PEOPLE = ("alice", "bob", "carol", "dave", "erin")
INIT = 0x11


def listens_at(observer: Node, other: Node) -> tuple[Address, ...]:
    """Where somebody believes another to listen."""
    member = observer.engine.member(other.id)
    assert member is not None
    return member.addresses


def sent_by_kind(world: World) -> Counter[tuple[str, Address, int]]:
    """Counts datagrams: whose, whereto, and of which type."""
    counts: Counter[tuple[str, Address, int]] = Counter()
    world.on_datagram.append(lambda sender, to, data: counts.update([(sender.name, to, data[0])]))
    return counts


@pytest.mark.parametrize("config", [loopback(), lan()], ids=["loopback", "lan"])
@pytest.mark.parametrize("seed", range(3))
def test_all_others_follow(seed: int, config: Config) -> None:
    """Within seconds everybody knows where it is now; nobody has taken it for dead."""
    world = World(seed, config=config)
    people = world.join(*PEOPLE)
    world.inject(Loss(0.02))
    bob, others = people[1], [node for node in people if node.name != "bob"]
    world.run_for(10.0)
    world.move(bob)
    world.run_until(lambda: all(listens_at(node, bob) == (bob.address,) for node in people), 20.0)
    world.run_for(20.0)
    assert [node.sees(bob) for node in others] == [ALIVE] * 4
    assert [node.heard("member.failed") for node in people] == [[]] * 5
    assert ("bob", "it moved") in {
        (event.member.handle, event.reason) for node in others for event in node.events
    }


def test_sessions_go_on() -> None:
    """No handshake is made for it; who has heard of it sends nothing to where it was."""
    world = World(4, config=lan())
    people = world.join(*PEOPLE, *(f"member-{number}" for number in range(7)))
    bob = people[1]
    world.run_for(60.0)
    before = bob.address
    world.move(bob)
    world.run_until(lambda: all(listens_at(node, bob) == (bob.address,) for node in people), 20.0)
    counts = sent_by_kind(world)
    world.run_for(30.0)
    assert not [each for each in counts if each[1] == before]
    assert len({name for name, to, _ in counts if to == bob.address}) == len(people) - 1
    assert not [each for each in counts if each[2] == INIT]


def test_what_was_on_its_way_is_lost() -> None:
    """Nobody is there any more to hear it."""
    world = World(13)
    alice, bob = world.join("alice", "bob")
    arrived: list[str] = []
    with world.hold(alice, bob, both=False):
        world.run_for(2.0)
        world.move(bob)
        world.on_arrival.append(lambda node, _source, _data: arrived.append(node.name))
    world.run_for(0.1)
    assert "bob" not in arrived


def test_calls_in_both_directions_go_on() -> None:
    """Connections lead nowhere once it has moved: both ends make new ones, and repeat a call."""
    world = World(5)
    alice, bob, _ = world.join("alice", "bob", "carol", handlers={"add": ADD})
    for _ in range(3):
        alice.call("@bob/add", 1, 2)
        bob.call("@alice/add", 1, 2)
        world.run_for(1.0)
    world.move(bob)
    held_up = [alice.call("@bob/add", 2, 2, timeout=60.0), bob.call("@alice/add", 2, 2)]
    world.run_for(4.0)
    assert [call.is_done for call in held_up] == [False, False]  # nobody has looked yet
    world.run_until(lambda: listens_at(alice, bob) == (bob.address,), 20.0)
    world.run_for(1.0)
    calls = [alice.call("@bob/add", 3, 3), bob.call("@alice/add", 3, 3)]
    world.run_for(2.0)
    assert [call.is_done for call in held_up] == [True, True]
    assert [call.result for call in calls] == [6, 6]
    assert alice.sees(bob) == bob.sees(alice) == ALIVE
    assert alice.heard("member.failed") == []


def test_a_node_can_move_time_and_again() -> None:
    """Each time it says so once: one new version, unless somebody doubted it meanwhile."""
    world = World(6, config=lan())
    alice, bob, *_ = world.join(*PEOPLE)
    for _ in range(5):
        world.move(bob)
        world.run_for(30.0)
        assert listens_at(alice, bob) == (bob.address,)
    assert alice.sees(bob) == ALIVE


def test_who_moved_and_restarts_is_found_at_the_new_address() -> None:
    """Also by a seed's address that others have written down."""
    world = World(7)
    alice, bob, carol = world.join("alice", "bob", "carol")
    world.move(alice)
    world.run_for(20.0)
    world.crash(alice)
    world.run_for(1.0)
    world.restart(alice)
    world.run_until_quiet()
    assert listens_at(carol, alice) == listens_at(bob, alice) == (alice.address,)


def test_half_of_the_mesh_may_move_at_once() -> None:
    """As when a building gets another network: they find each other through those who stayed."""
    world = World(8)
    people = world.join(*PEOPLE)
    for node in people[:3]:
        world.move(node)
    world.run_for(60.0)
    world.run_until_quiet()
    assert {listens_at(observer, other) for observer in people for other in people} == {
        (node.address,) for node in people
    }


@pytest.mark.parametrize(
    "seen", [(), (Address("127.0.0.1", 6374),), (Address("127.0.0.1", 6374), Address("::1", 6374))]
)
def test_who_has_no_network_for_a_while_says_nothing(seen: tuple[Address, ...]) -> None:
    """It is most likely to be back where it was; and nobody would hear it."""
    world = World(9)
    alice, bob = world.join("alice", "bob")
    before = listens_at(bob, bob)
    bob.feed(lambda engine, now: engine.receive_addresses(seen, now=now))
    assert listens_at(bob, bob) == before
    world.run_for(5.0)
    assert alice.engine.member(bob.id) == alice.engine.member(bob.id)
    assert [event.reason for event in alice.events if event.name == "member.updated"] == []


def test_the_same_addresses_in_another_order_are_no_news() -> None:
    """The system lists them as it likes."""
    world = World(10)
    alice, bob = world.join("alice", "bob")
    both = (bob.address, Address("10.8.8.8", 1))
    for seen in (both, both[::-1], both):
        bob.engine.receive_addresses(seen, now=bob.now)
        bob.process.after_input()
        world.run_for(5.0)
    moved = [event for event in alice.events if event.name == "member.updated"]
    assert len(moved) == 1
    assert set(listens_at(alice, bob)) == set(both)


def test_more_addresses_than_a_record_holds_are_cut() -> None:
    """The first ones are announced, and nothing breaks."""
    world = World(11)
    alice, bob = world.join("alice", "bob")
    many = tuple(Address(f"2001:db8::{number}", 6374) for number in range(1, 40))
    bob.feed(lambda engine, now: engine.receive_addresses((bob.address, *many), now=now))
    world.run_for(5.0)
    assert listens_at(alice, bob) == (bob.address, *many)[:8]


def test_a_guest_has_nobody_to_tell() -> None:
    """It has no record."""
    world = World(12)
    world.join("alice")
    guest = world.start("guest", guest=True)
    world.run_for(2.0)
    world.move(guest)
    world.run_for(10.0)
    assert "guest" not in world["alice"].handles
