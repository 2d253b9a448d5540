"""NAT boxes: who sees which address, and whose packets are let in."""

from __future__ import annotations

from typing import get_args

import pytest

from meshp2p.ids import Address
from meshp2p.simulation import World
from meshp2p.simulation.coverage import FAULTS
from meshp2p.simulation.faults import Nat
from meshp2p.simulation.routes import Box, NatKind, Routes

ALICE, DAVE = Address("10.0.0.1", 6374), Address("10.0.0.4", 6374)
BOB, CAROL = Address("10.0.0.2", 6374), Address("10.0.0.3", 6374)
PUBLIC = "203.0.113.1"


def behind(kind: NatKind, *, hairpin: bool = False) -> Routes:
    """Alice and dave behind one box."""
    routes = Routes()
    box = Box(kind, PUBLIC, hairpin)
    routes.put_behind(ALICE.host, box)
    routes.put_behind(DAVE.host, box)
    return routes


def goes(routes: Routes, source: Address, to: Address, now: float = 0.0) -> Address | None:
    """As whom the receiver sees the sender; None if it gets nothing."""
    found = routes.route(source, to, now, datagram=True)
    return None if found is None else found[1]


@pytest.mark.parametrize(
    ("kind", "same_port", "host", "stranger"),
    [
        ("full_cone", True, True, True),
        ("restricted", True, True, False),
        ("port_restricted", True, False, False),
        ("symmetric", False, False, False),
    ],
)
def test_mapping_and_filtering_of_each_kind(
    kind: NatKind,
    same_port: bool,  # noqa: FBT001  # a case
    host: bool,  # noqa: FBT001  # a case
    stranger: bool,  # noqa: FBT001  # a case
) -> None:
    """The textbook's table: what two peers see, and who may answer."""
    routes = behind(kind)
    seen_by_bob = goes(routes, ALICE, BOB)
    assert seen_by_bob is not None
    assert seen_by_bob.host == PUBLIC
    other_port = Address(BOB.host, 9999)
    assert routes.route(BOB, seen_by_bob, 0.0, datagram=True) == (ALICE, BOB)
    assert (goes(routes, other_port, seen_by_bob) is not None) == host
    assert (goes(routes, CAROL, seen_by_bob) is not None) == stranger
    assert (goes(routes, ALICE, CAROL) == seen_by_bob) == same_port


def test_a_private_address_means_nothing_outside() -> None:
    """But it does inside."""
    routes = behind("full_cone")
    assert goes(routes, BOB, ALICE) is None
    assert goes(routes, DAVE, ALICE) == DAVE


@pytest.mark.parametrize("hairpin", [False, True])
def test_hairpin_lets_those_inside_meet_at_their_public_address(
    hairpin: bool,  # noqa: FBT001  # a case
) -> None:
    """As cheap boxes do not."""
    routes = behind("full_cone", hairpin=hairpin)
    public = goes(routes, ALICE, BOB)
    assert public is not None
    seen = goes(routes, DAVE, public)
    assert (seen is not None and seen.host == PUBLIC) == hairpin


def test_a_mapping_that_idles_is_forgotten_and_the_next_has_another_port() -> None:
    """Half a minute of silence closes the door."""
    routes = behind("port_restricted")
    first = goes(routes, ALICE, BOB, 0.0)
    assert first is not None
    assert goes(routes, BOB, first, 29.0) == BOB
    assert goes(routes, BOB, first, 31.0) is None
    assert goes(routes, ALICE, BOB, 40.0) not in (None, first)


def test_blocked_datagrams_leave_streams_alone() -> None:
    """Some networks let only TCP out."""
    routes = behind("udp_blocked")
    assert routes.route(ALICE, BOB, 0.0, datagram=True) is None
    assert routes.route(ALICE, BOB, 0.0, datagram=False) is not None


def test_rebinding_in_the_midst_of_a_session_harms_nobody_for_long() -> None:
    """Whoever is behind the box is seen under a new port every second, and stays a member."""
    world = World(3)
    alice, bob, carol = world.join("alice", "bob", "carol")
    with world.inject(Nat(("alice",), "full_cone", rebinds=1.0)):
        world.run_for(10.0)
        assert world.coverage["nat"] > 10
    assert world.routes.is_plain
    world.run_until_quiet(60.0)
    assert alice.handles == bob.handles == carol.handles == {"alice", "bob", "carol"}


@pytest.mark.parametrize("kind", get_args(NatKind))
def test_each_kind_of_box_is_counted_for_itself(kind: NatKind) -> None:
    """So that a campaign can tell which kinds it has met: by whom is sent, or to whom."""
    world = World(3)
    alice, bob = world.join("alice", "bob")
    with world.inject(Nat(("alice",), kind)):
        for sender, to in ((alice, bob), (bob, alice)):
            before = world.coverage[f"nat.{kind}"]
            world.find(sender, to.address, datagram=True)
            assert world.coverage[f"nat.{kind}"] == before + 1
        world.run_for(2.0)
    assert world.coverage["nat"] == world.coverage[f"nat.{kind}"] > 2
    assert f"nat.{kind}" in FAULTS
