"""Handshakes that are recorded and sent again, or begun and finished in an odd order."""

from __future__ import annotations

import pytest

from meshp2p.errors import WireError
from meshp2p.identity.keys import OpenSSL
from meshp2p.ids import Address
from meshp2p.transport import packet
from meshp2p.transport.budget import source_of
from meshp2p.transport.copies import Copies
from meshp2p.transport.path import Path, Route, Via
from meshp2p.wire import limits
from meshp2p.wire.budget import Budgets
from tests.unit.transport.net import Net, Node, along, cheap_door, kind_of
from tests.unit.transport.pair import door_of, node_id

BOTH = pytest.mark.parametrize("xx", [False, True], ids=["IK", "XX"])


class Counting(OpenSSL):
    """Counts the exchanges of keys, which are what a handshake costs."""

    exchanges = 0

    def exchange(self, private: bytes, public: bytes) -> bytes:
        """One more."""
        self.exchanges += 1
        return super().exchange(private, public)


def watched(*, xx: bool) -> tuple[Net, Node, Node, Counting]:
    """Alice, who has met bob; and what bob's processor does."""
    net, crypto = Net("alice"), Counting()
    alice = net.nodes[0]
    bob = net.join(door_of("bob", crypto=crypto))
    static = None if xx else bob.door.identity.transport_public
    net.send(alice, bob, b"hello", route=Route((bob.address,), static))
    return net, alice, bob, crypto


def play_back(net: Net, bob: Node, init: bytes, times: int) -> int:
    """Send a recorded INIT again, from so many addresses; return the bytes that bob answers."""
    before = len(net.log)
    for number in range(times):
        net.give(bob, init, Address(f"203.0.113.{number % 250}", 1_000 + number))
    net.settle()
    return sum(len(sent.data) for sent in net.log[before:])


@BOTH
def test_a_recorded_handshake_costs_nothing_and_draws_nothing(*, xx: bool) -> None:
    """However often, and from wherever, it is sent again after it is over."""
    net, _, bob, crypto = watched(xx=xx)
    spent = crypto.exchanges

    assert play_back(net, bob, net.last("INIT").data, 500) == 0
    assert crypto.exchanges == spent


@BOTH
def test_nor_does_it_when_the_session_is_gone(*, xx: bool) -> None:
    """Alice died or was forgotten: her old words move nobody to write to a victim."""
    net, alice, bob, crypto = watched(xx=xx)
    bob.endpoint.forget(alice.id)
    spent = crypto.exchanges

    assert play_back(net, bob, net.last("INIT").data, 500) == 0
    assert crypto.exchanges == spent
    assert len(bob.endpoint) == 0


@BOTH
def test_copies_of_a_handshake_under_way_get_few_answers(*, xx: bool) -> None:
    """Enough for one whose answers get lost, not for a flood towards forged addresses."""
    net, crypto = Net("alice"), Counting()
    alice = net.nodes[0]
    bob = net.join(door_of("bob", crypto=crypto))
    net.is_lost = lambda sent: sent.sender is bob
    static = None if xx else bob.door.identity.transport_public
    net.send(alice, bob, b"hello", route=Route((bob.address,), static))
    init, answer, spent = net.last("INIT").data, net.last("RESP").data, crypto.exchanges

    drawn = play_back(net, bob, init, 500)

    assert len(answer) <= drawn <= 20 * len(answer)
    assert {sent.data for sent in net.log if sent.sender is bob} == {answer}
    assert crypto.exchanges == spent


def test_a_handshake_that_resembles_another_does_not_shut_it_out() -> None:
    """A member who saw alice's INIT and sends a spoilt one first gains nothing."""
    net = Net("alice", "bob")
    alice, bob = net.nodes
    net.is_lost = lambda _: True
    net.send(alice, bob, b"hello")
    init = net.last("INIT").data
    spoilt = bytearray(init[: -2 * packet.MAC_BYTES])
    spoilt[60] ^= 1  # beyond the ephemeral key, which the copy shares
    mac = bob.door.mac(bytes(spoilt), bob.door.identity.transport_public)
    net.give(bob, bytes(spoilt) + mac + bytes(packet.MAC_BYTES), Address("203.0.113.9", 1))
    assert bob.refused

    net.is_lost = lambda _: False
    net.give(bob, init, alice.address)
    net.settle()

    assert bob.said == [b"hello"]


def test_who_was_told_to_wait_is_answered_when_the_other_gives_way() -> None:
    """Both began, and the one that takes precedence got nowhere: the other's copy counts."""
    net = Net("alice", "bob")
    first, other = sorted(net.nodes, key=lambda node: node.id)
    net.is_lost = lambda sent: sent.sender is first and sent.kind == "INIT"
    net.send(first, other, b"me first")
    net.pass_time(0.6)
    net.send(other, first, b"hello")
    assert first.said == []

    net.pass_time(0.3)

    assert first.said == [b"hello"]


def test_no_host_makes_a_node_shake_hands_all_day() -> None:
    """Many recorded handshakes from one host are cut short; another host is not affected."""
    net = Net()
    bob = net.join(cheap_door("bob"))
    route = Route((bob.address,), bob.door.identity.transport_public)
    inits = []
    for number in range(400):
        peer = net.join(cheap_door(f"peer{number}"))
        peer.endpoint.send(bob.id, b"hello", route=along(route), now=net.now)
        inits.append(peer.endpoint.outputs()[0][2])
    for init in inits:
        net.give(bob, init, Address("203.0.113.9", 1))
    answered = [data for _, _, data in bob.endpoint.outputs() if kind_of(data) == "RESP"]
    assert len(answered) < 300

    friend = net.join(cheap_door("friend"))
    net.nodes = [bob, friend]
    net.send(friend, bob, b"hello")
    assert bob.said == [b"hello"]
    net.now += 1.0
    net.give(bob, inits[-1], Address("203.0.113.9", 1))
    assert [kind_of(data) for _, _, data in bob.endpoint.outputs()] == ["RESP"]


def test_what_is_remembered_of_handshakes_is_bounded() -> None:
    """The oldest INIT, and the host that was silent longest, are forgotten."""
    copies = Copies()
    for number in range(limits.MAX_SEEN_INITS + limits.MAX_BUDGETS):
        assert copies.is_new_untrusted(b"%d" % number, Address(f"host{number}", 1), 0.0)
    newest = b"%d" % (limits.MAX_SEEN_INITS + limits.MAX_BUDGETS - 1)

    assert not copies.is_new_untrusted(newest, Address("host", 1), 0.0)
    assert copies.is_new_untrusted(b"0", Address("host", 1), 0.0)
    with pytest.raises(WireError):
        copies.echo_untrusted(b"0")


def test_a_budget_is_spent_and_comes_back() -> None:
    """So much at once, then so much a second, for each of those who ask."""
    budgets = Budgets(at_once=3, per_second=2.0, remember=2)

    assert [budgets.spend("mallory", 0.0) for _ in range(5)] == [True] * 3 + [False] * 2
    assert budgets.spend("alice", 0.0)
    assert not budgets.spend("mallory", 0.4)
    assert budgets.spend("mallory", 1.0)
    assert [budgets.spend("mallory", 100.0) for _ in range(4)] == [True] * 3 + [False]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Address("203.0.113.9", 1), Address("203.0.113.9", 2)),
        (Address("2001:db8::1", 1), Address("2001:db8::2:3", 1)),
        (Via(node_id("carol")), Via(node_id("carol"))),
    ],
)
def test_one_machine_has_one_budget(one: Path, other: Path) -> None:
    """Ports are for the asking, and so are the addresses of one IPv6 network."""
    assert source_of(one) == source_of(other)
    assert source_of(one) != source_of(Address("2001:db8:1::1", 1))


def test_the_oldest_of_many_handshakes_may_be_the_one_that_is_used() -> None:
    """Mallory begins four times with one key and ends the first one last: bob only listens."""
    net = Net("bob")
    bob = net.nodes[0]
    lives = [net.join(door_of("mallory", seed=number)) for number in range(4)]
    withheld: list[bytes] = []
    net.is_lost = lambda sent: sent.sender is lives[0] and sent.kind == "DATA"
    for mallory in lives:
        net.nodes = [bob, mallory]
        net.send(mallory, bob, b"hello")
        withheld = withheld or [net.last("DATA").data]

    net.give(bob, withheld[0], lives[0].address)

    assert bob.said == [b"hello"] * 4
    net.nodes = [bob, lives[0]]
    net.send(bob, lives[0], b"which of you?")
    assert lives[0].said[-1] == b"which of you?"
