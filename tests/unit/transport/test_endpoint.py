from __future__ import annotations

import random
from collections.abc import Callable
from typing import TypeAlias

import attrs
import pytest

from meshp2p.errors import UnknownMessage, WireError
from meshp2p.identity.node import NodeIdentity
from meshp2p.ids import Address
from meshp2p.transport import packet
from meshp2p.transport.handshake import DATAGRAMS, Doorkeeper
from meshp2p.transport.packet import FLAG_XX
from meshp2p.transport.path import Route, Via
from meshp2p.wire import limits
from tests.issuing import identity
from tests.unit.transport.net import Net, Node, Sent, along, cheap_door
from tests.unit.transport.pair import (
    OTHER_MESH,
    OTHER_NAMESPACE,
    LaterDoor,
    door_of,
    fat,
    member_of,
)

Person: TypeAlias = Callable[[str], NodeIdentity]
ELSEWHERE = Address("198.51.100.7", 4_242)
BOTH = pytest.mark.parametrize("xx", [False, True], ids=["IK", "XX"])


def route_to(node: Node, *, xx: bool) -> Route:
    """Where it is; its key too, unless the handshake shall be XX."""
    return Route((node.address,), None if xx else node.door.identity.transport_public)


def met(*, xx: bool = False) -> tuple[Net, Node, Node]:
    """Alice and bob, who have exchanged a word."""
    net = Net("alice", "bob")
    alice, bob = net.nodes
    net.send(alice, bob, b"hello", route=route_to(bob, xx=xx))
    net.send(bob, alice, b"welcome")
    return net, alice, bob


def lose(net: Net, *kinds: str) -> None:
    """Lose the first datagram of each of these kinds."""
    losing = list(kinds)

    def is_lost(sent: Sent) -> bool:
        if sent.kind in losing:
            losing.remove(sent.kind)
            return True
        return False

    net.is_lost = is_lost


# --- meeting -------------------------------------------------------------------


@BOTH
def test_two_nodes_talk(*, xx: bool) -> None:
    """What is said before the handshake arrives after it; answers need no handshake."""
    net, alice, bob = met(xx=xx)

    assert bob.heard == [("alice", b"hello")]
    assert alice.heard == [("bob", b"welcome")]
    assert net.kinds().count("INIT") == 1
    assert alice.endpoint.path_of(bob.id) == bob.address
    assert bob.endpoint.path_of(alice.id) == alice.address
    assert len(alice.endpoint) == len(bob.endpoint) == 1


@BOTH
def test_nothing_is_left_to_do_after_meeting(*, xx: bool) -> None:
    """Two nodes with nothing to say send nothing, and wake up for nothing."""
    net, alice, bob = met(xx=xx)
    sent = len(net.log)
    net.pass_time(100.0)

    assert len(net.log) == sent
    assert alice.endpoint.next_deadline() == bob.endpoint.next_deadline() == float("inf")


@BOTH
def test_the_largest_credentials_fit_into_one_datagram(*, xx: bool) -> None:
    """Also where both chains are as long as is allowed."""
    net = Net()
    alice, bob = net.join(door_of(fat("alice"))), net.join(door_of(fat("bob")))
    net.send(alice, bob, b"hello", route=route_to(bob, xx=xx))

    assert bob.said == [b"hello"]
    assert max(len(sent.data) for sent in net.log) <= limits.MAX_DATAGRAM


@BOTH
def test_an_answer_is_never_longer_than_the_question(*, xx: bool) -> None:
    """A forged source address draws no more bytes onto its owner than were sent."""
    net = Net()
    alice, bob = net.join(door_of("alice")), net.join(door_of(fat("bob")))
    net.send(alice, bob, b"hello", route=route_to(bob, xx=xx))

    assert len(net.last("RESP").data) <= len(net.last("INIT").data)


@BOTH
def test_a_short_question_is_not_answered(*, xx: bool) -> None:
    """Who leaves the padding out, to multiply bytes at a victim, gets no answer."""
    bob = door_of("bob")
    net = Net("bob")
    static = None if xx else bob.identity.transport_public
    door = door_of("alice")
    door.wall_offset -= net.now
    _, message, _ = door.first_message(DATAGRAMS, static)
    bare = packet.pack_init(FLAG_XX if xx else 0, 7, message, at_least=0)
    short = bare + door.mac(bare, static) + bytes(16)
    victim = Net("bob")
    fat_bob = victim.restart(victim.nodes[0], fat("bob"))

    victim.give(fat_bob, short, ELSEWHERE)
    victim.settle()
    assert fat_bob.refused == ["an INIT shorter than our answer"]
    assert victim.log == []
    assert len(fat_bob.endpoint) == 0


@BOTH
def test_a_greeting_of_a_later_version_is_understood(*, xx: bool) -> None:
    """Old and new nodes meet, whoever begins."""
    for one, other in ((LaterDoor, Doorkeeper), (Doorkeeper, LaterDoor)):
        net = Net()
        alice = net.join(door_of("alice", kind=one))
        bob = net.join(door_of("bob", kind=other))
        net.send(alice, bob, b"hello", route=route_to(bob, xx=xx))
        assert bob.said == [b"hello"]


def test_datagrams_of_later_versions_are_counted_apart() -> None:
    """They are no attack, and change nothing."""
    for kind in (0x15, 0x16, 0x17, 0x18, 0x21, 0xF4):
        with pytest.raises(UnknownMessage):
            packet.parse_untrusted(bytes([kind]) + bytes(60))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        bytes(1),
        b"\x04" * 60,
        b"\x10" * 60,
        b"\x14" * 31,
        b"\x11" * 41,
        b"\x12" * 29,
        b"\x11" * 60,  # its length leads beyond its end
        b"\x12" * 60,
        b"\x14" * 1_201,
        bytes(1_201),
    ],
)
def test_what_is_no_datagram_of_ours_is_refused(data: bytes) -> None:
    """Too short, too long, or of no kind at all."""
    with pytest.raises(WireError) as refused:
        packet.parse_untrusted(data)
    assert refused.type is WireError


# --- strangers -------------------------------------------------------------------

STRANGERS = {
    "another mesh": member_of(OTHER_MESH, "mallory"),
    "another namespace": member_of(OTHER_NAMESPACE, "mallory"),
}


@BOTH
@pytest.mark.parametrize("who", STRANGERS.values(), ids=STRANGERS)
def test_a_stranger_gets_not_one_datagram(who: NodeIdentity, *, xx: bool) -> None:
    """Whoever lacks the namespace's key cannot tell a node from a closed port."""
    net = Net("bob")
    (bob,) = net.nodes
    mallory = net.join(door_of(who))
    net.send(mallory, bob, b"let me in", route=route_to(bob, xx=xx))
    net.pass_time(10.0)

    assert net.kinds(bob) == []
    assert set(bob.refused) == {"a handshake from a stranger"}
    assert len(bob.endpoint) == 0


@BOTH
def test_every_byte_of_every_handshake_datagram_counts(*, xx: bool) -> None:
    """Changed anywhere, it makes no session and draws no answer."""
    for kind in ("INIT", "RESP", "FINISH") if xx else ("INIT", "RESP"):
        net, _, _ = met(xx=xx)
        original = net.last(kind).data
        covered = len(original) - 16  # mac2 is not looked at before there are cookies
        for at in range(0, covered, 1 if kind == "FINISH" else 3):
            forged = bytearray(original)
            forged[at] ^= 0x10
            _check_forged(kind, bytes(forged), xx=xx)


def _check_forged(kind: str, forged: bytes, *, xx: bool) -> None:
    """Entropy is seeded: the genuine datagram would be the right one here."""
    net = Net("alice", "bob")
    alice, bob = net.nodes
    net.is_lost = lambda sent: sent.kind == kind
    net.send(alice, bob, b"hello", route=route_to(bob, xx=xx))
    receiver = alice if kind == "RESP" else bob
    before, refused = len(net.log), len(receiver.refused)
    net.give(receiver, forged, ELSEWHERE)
    net.settle()

    assert len(net.log) == before
    assert len(receiver.refused) == refused + 1
    assert receiver.endpoint.path_of(bob.id if receiver is alice else alice.id) is None


@BOTH
def test_somebody_else_at_the_address_is_refused(*, xx: bool) -> None:
    """What is meant for bob is not told to carol, who has his address now."""
    net = Net("alice", "bob", "carol")
    alice, bob, carol = net.nodes
    static = None if xx else carol.door.identity.transport_public
    net.send(alice, bob, b"for bob", route=Route((carol.address,), static))
    net.pass_time(10.0)

    assert "somebody else answered at the member's address" in alice.refused
    assert carol.said == bob.said == []
    assert alice.endpoint.path_of(bob.id) is None


def test_a_wrong_answer_does_not_spoil_the_right_one() -> None:
    """If carol answers at bob's first address, bob at his second still can."""
    net = Net("alice", "bob", "carol")
    alice, bob, carol = net.nodes
    net.send(alice, bob, b"for bob", route=Route((carol.address, bob.address), None))
    net.pass_time(5.0)

    assert bob.said == [b"for bob"]
    assert carol.said == []


@BOTH
def test_a_key_without_a_credential_makes_no_session(*, xx: bool) -> None:
    """Another's chain is worth nothing without the other's key."""
    net = Net("bob", "alice")
    bob, alice = net.nodes
    thief = attrs.evolve(identity("mallory"), chain=identity("alice").chain)
    mallory = net.join(door_of(thief))
    net.send(mallory, bob, b"I am alice", route=route_to(bob, xx=xx))
    net.pass_time(10.0)

    assert bob.said == []
    assert len(bob.endpoint) == 0
    assert bob.endpoint.path_of(alice.id) is None


@BOTH
def test_our_own_handshake_is_no_peer(*, xx: bool) -> None:
    """Our datagrams sent back to us make no session, and no endless echo."""
    net = Net("alice", "bob")
    alice, bob = net.nodes
    bob.address, mirror = ELSEWHERE, bob.address
    for _ in range(3):
        alice.endpoint.send(
            bob.id,
            b"hello",
            route=along(Route((mirror,), None if xx else bob.door.identity.transport_public)),
            now=net.now,
        )
        for _ in range(5):
            for _, _, data in alice.endpoint.outputs():
                net.give(alice, data, mirror)

    assert len(alice.endpoint) == 0
    assert alice.said == []
    assert alice.endpoint.outputs() == []


def test_datagrams_sent_back_are_refused() -> None:
    """Each direction has its own key and its own number."""
    net, alice, bob = met()
    net.send(alice, bob, b"once more")
    net.give(alice, net.log[-1].data, bob.address)

    assert len(alice.refused) == 1


def test_an_unusable_key_is_treated_as_unknown() -> None:
    """A member whose record holds a low-order point neither crashes us nor is lost."""
    net = Net("alice", "bob")
    alice, bob = net.nodes
    net.send(alice, bob, b"hello", route=Route((bob.address,), bytes(32)))

    assert bob.said == [b"hello"]


# --- losing datagrams --------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("lost", ["INIT", "RESP", "FINISH", "INIT RESP", "INIT RESP FINISH"])
def test_a_lost_handshake_message_is_sent_again(lost: str, *, xx: bool) -> None:
    """Whichever is lost, alice and bob talk both ways in the end."""
    net = Net("alice", "bob")
    alice, bob = net.nodes
    lose(net, *lost.split())
    net.send(alice, bob, b"hello", route=route_to(bob, xx=xx))
    net.pass_time(4.0)
    net.send(alice, bob, b"again")
    net.send(bob, alice, b"welcome")

    assert bob.said[-1] == b"again"
    assert alice.said == [b"welcome"]


@BOTH
@pytest.mark.parametrize("both_ways", [False, True])
def test_a_lost_first_datagram_does_not_break_the_session(*, xx: bool, both_ways: bool) -> None:
    """Its content is lost, as datagrams are; the session heals without a word from above."""
    net = Net("alice", "bob")
    alice, bob = net.nodes
    lose(net, *(["DATA"] * (2 if both_ways else 1)))
    net.send(alice, bob, b"lost", route=route_to(bob, xx=xx))
    net.pass_time(4.0)
    inits = net.kinds().count("INIT")
    net.send(bob, alice, b"welcome")
    net.send(alice, bob, b"hello")

    assert bob.said[-1] == b"hello"
    assert alice.said == [b"welcome"]
    assert net.kinds().count("INIT") == inits


@BOTH
def test_a_session_that_the_peer_never_confirms_is_given_up(*, xx: bool) -> None:
    """If all our datagrams are lost from now on, we do not believe in the session for ever."""
    net = Net("alice", "bob")
    alice, bob = net.nodes
    net.is_lost = lambda sent: sent.kind in ("DATA", "FINISH")
    net.send(alice, bob, b"hello", route=route_to(bob, xx=xx))
    net.pass_time(30.0)

    assert alice.endpoint.path_of(bob.id) is None
    assert len(alice.endpoint) == len(bob.endpoint) == 0
    net.is_lost = lambda _: False
    net.send(alice, bob, b"hello again", route=route_to(bob, xx=xx))
    assert bob.said == [b"hello again"]


@BOTH
def test_nobody_there_costs_few_datagrams(*, xx: bool) -> None:
    """Four tries at growing pauses, then the peer counts as unreachable for now."""
    net = Net("alice", "bob")
    alice, bob = net.nodes
    net.is_lost = lambda _: True
    for _ in range(10):
        net.send(alice, bob, b"hello?", route=route_to(bob, xx=xx))
    net.pass_time(100.0)

    assert net.kinds() == ["INIT"] * net.config.handshake_tries
    assert alice.endpoint.unreachable == 1
    net.is_lost = lambda _: False
    net.send(alice, bob, b"there!", route=route_to(bob, xx=xx))
    assert bob.said == [b"there!"]


def test_a_peer_that_restarted_is_found_again() -> None:
    """Its transport key is new, so IK is not answered; XX is."""
    net, alice, bob = met()
    old = route_to(bob, xx=False)
    bob = net.restart(bob, identity("bob", transport_private=b"a new key".ljust(32)))
    alice.endpoint.forget(bob.id)
    net.send(alice, bob, b"are you back?", route=old)
    net.pass_time(2.0)

    assert bob.said == [b"are you back?"]
    net.send(bob, alice, b"I am")
    assert alice.said[-1] == b"I am"


def test_a_session_that_only_the_peer_has_lost_is_replaced() -> None:
    """Nothing tells so: what is for a session that nobody knows is dropped without a word.

    A few words that go unanswered are no reason: packets get lost, and others have little
    to say.
    """
    net, alice, bob = met()
    bob.endpoint.forget(alice.id)
    for _ in range(4):
        net.send(alice, bob, b"are you there?")
        assert net.kinds().count("INIT") == 1
        net.pass_time(3.0)

    for word in (b"still?", b"hello again"):
        net.send(alice, bob, word)
        net.pass_time(3.0)
    assert bob.said[-1] == b"hello again"
    assert net.kinds().count("INIT") == 2


def test_much_to_say_after_a_long_silence_is_no_sign_of_a_lost_session() -> None:
    """The peer had no time to answer yet; that nobody spoke before says nothing."""
    net, alice, bob = met()
    net.pass_time(100.0)
    net.is_lost = lambda sent: sent.sender is bob
    for _ in range(10):
        net.send(alice, bob, b"and then?")
        net.pass_time(0.5)

    assert net.kinds().count("INIT") == 1


def test_whoever_waits_for_a_handshake_says_so() -> None:
    """A node that has to go at once waits for that moment, or its goodbye is never sealed."""
    net = Net("alice", "bob")
    alice, bob = net.nodes
    lose(net, "RESP")
    net.send(alice, bob, b"goodbye", route=route_to(bob, xx=False))
    assert alice.endpoint.is_meeting

    net.pass_time(2.0)

    assert bob.said == [b"goodbye"]
    assert not alice.endpoint.is_meeting


def test_every_address_of_a_peer_gets_its_chance() -> None:
    """Also the last of eight, although one handshake is tried only four times."""
    net = Net("alice", "bob")
    alice, bob = net.nodes
    nowhere = tuple(Address("192.0.2.1", port) for port in range(1, 8))
    route = Route((*nowhere, bob.address), bob.door.identity.transport_public)
    for _ in range(20):
        net.send(alice, bob, b"hello", route=route)
        net.pass_time(10.0)

    assert b"hello" in bob.said


def test_who_has_no_address_is_not_waited_for() -> None:
    """Nothing is kept for a peer to whom no handshake can begin."""
    net = Net("alice", "bob")
    alice, bob = net.nodes
    net.send(alice, bob, b"long ago", route=Route((), bob.door.identity.transport_public))
    net.pass_time(100.0)
    net.send(alice, bob, b"now")

    assert bob.said == [b"now"]
    assert alice.endpoint.dropped == 1


def test_only_the_newest_words_wait_for_a_handshake() -> None:
    """A peer that does not answer makes us hold eight datagrams, no more."""
    net = Net("alice", "bob")
    alice, bob = net.nodes
    net.is_lost = lambda _: True
    for number in range(100):
        net.send(alice, bob, b"%d" % number)
    net.is_lost = lambda _: False
    net.pass_time(1.0)

    assert bob.said == [b"%d" % number for number in range(92, 100)]


# --- both at once ------------------------------------------------------------------


@pytest.mark.parametrize("first", ["alice", "bob"])
@BOTH
def test_both_may_begin_at_once(first: str, *, xx: bool) -> None:
    """Two handshakes that cross end in sessions that work both ways."""
    net = Net("alice", "bob")
    alice, bob = sorted(net.nodes, key=lambda node: node.name != first)
    for one, other in ((alice, bob), (bob, alice)):
        route = route_to(other, xx=xx)
        one.endpoint.send(other.id, one.name.encode(), route=along(route), now=net.now)
    net.settle()
    net.pass_time(5.0)

    assert alice.said == [bob.name.encode()]
    assert bob.said == [alice.name.encode()]
    for word in (b"one", b"two"):
        net.send(alice, bob, word)
        net.send(bob, alice, word)
    assert alice.said[1:] == bob.said[1:] == [b"one", b"two"]


def test_of_two_handshakes_at_once_one_is_enough() -> None:
    """The smaller id's is finished, the other's given up."""
    net = Net("alice", "bob")
    alice, bob = net.nodes
    for one, other in ((alice, bob), (bob, alice)):
        one.endpoint.send(other.id, b"hi", route=along(route_to(other, xx=False)), now=net.now)
    net.settle()
    net.pass_time(60.0)

    assert net.kinds().count("INIT") == 2
    assert net.kinds().count("RESP") == 1
    assert len(alice.endpoint) == len(bob.endpoint) == 1


@pytest.mark.parametrize("deaf", ["alice", "bob"])
def test_both_begin_and_one_path_is_dead(deaf: str) -> None:
    """If the handshake that has precedence is not answered, the other one may be."""
    net = Net("alice", "bob")
    alice, bob = net.nodes
    net.is_lost = lambda sent: sent.kind == "INIT" and sent.sender.name != deaf
    for one, other in ((alice, bob), (bob, alice)):
        one.endpoint.send(other.id, b"hi", route=along(route_to(other, xx=False)), now=net.now)
    net.settle()
    net.pass_time(5.0)

    assert alice.said == [b"hi"]
    assert bob.said == [b"hi"]


@pytest.mark.parametrize("knows", ["alice", "bob"])
def test_who_does_not_know_the_others_key_gives_way(knows: str) -> None:
    """XX has no precedence over IK, whoever has the smaller id."""
    net = Net("alice", "bob")
    alice, bob = net.nodes
    net.is_lost = lambda sent: sent.kind == "INIT" and sent.sender.name != knows
    for one, other in ((alice, bob), (bob, alice)):
        route = route_to(other, xx=one.name != knows)
        one.endpoint.send(other.id, b"hi", route=along(route), now=net.now)
    net.settle()

    assert alice.said == bob.said == [b"hi"]


# --- replay ----------------------------------------------------------------------


def test_a_replayed_datagram_is_dropped() -> None:
    """From its own address or another, at once or later."""
    net, alice, bob = met()
    net.send(alice, bob, b"pay 10")
    recorded = net.log[-1].data
    net.give(bob, recorded, alice.address)
    net.pass_time(600.0)
    net.give(bob, recorded, ELSEWHERE)

    assert bob.said.count(b"pay 10") == 1
    assert len(bob.refused) == 2
    assert bob.endpoint.path_of(alice.id) == alice.address


def _held_up(net: Net, sender: Node, to: Node, count: int) -> list[bytes]:
    """Datagrams that the network has not delivered yet."""
    net.is_lost = lambda _: True
    before = len(net.log)
    for number in range(count):
        net.send(sender, to, b"%d" % number)
    net.is_lost = lambda _: False
    return [sent.data for sent in net.log[before:]]


def test_datagrams_may_arrive_in_any_order() -> None:
    """Within the window of 4,096 none is lost for being late."""
    net, alice, bob = met()
    bob.heard.clear()
    held = _held_up(net, alice, bob, 500)
    random.Random(5).shuffle(held)
    for data in held:
        net.give(bob, data, alice.address)

    assert sorted(bob.said, key=int) == [b"%d" % number for number in range(500)]


@pytest.mark.parametrize("counter", [1 << 20, (1 << 63), (1 << 64) - 1])
def test_a_forged_counter_does_not_shut_out_true_datagrams(counter: int) -> None:
    """The window moves only for what was proved genuine."""
    net, alice, bob = met()
    (held,) = _held_up(net, alice, bob, 1)
    forged = held[:8] + counter.to_bytes(8, "little") + held[16:]
    net.give(bob, forged, alice.address)
    net.give(bob, held, alice.address)

    assert len(bob.refused) == 1
    assert bob.said[-1] == b"0"


def test_every_byte_of_a_datagram_counts() -> None:
    """Header included: nothing of it can be changed unnoticed."""
    net, alice, bob = met()
    (held,) = _held_up(net, alice, bob, 1)
    for at in range(len(held)):
        forged = bytearray(held)
        forged[at] ^= 0x40
        net.give(bob, bytes(forged), ELSEWHERE)
    assert len(bob.refused) == len(held)
    net.give(bob, held, alice.address)

    assert bob.said == [b"hello", b"0"]
    assert bob.endpoint.path_of(alice.id) == alice.address


@BOTH
def test_a_handshake_replayed_later_changes_nothing(*, xx: bool) -> None:
    """Recorded and sent again minutes later, however often: the live session lives on."""
    net, alice, bob = met(xx=xx)
    recorded = [sent.data for sent in net.log if sent.sender is alice]
    for minutes in range(5):
        net.pass_time(60.0)
        for data in recorded * 20:
            before = len(net.log)
            net.give(bob, data, ELSEWHERE)
            net.settle()
            answers = net.log[before:]
            assert sum(len(sent.data) for sent in answers) <= len(data)
            assert xx or answers == []
        assert len(bob.endpoint) <= 2
        net.send(bob, alice, b"minute %d" % minutes)
        assert net.kinds(bob)[-1] == "DATA"

    assert alice.said[1:] == [b"minute %d" % minutes for minutes in range(5)]
    assert bob.said == [b"hello"]
    assert bob.endpoint.path_of(alice.id) == alice.address


def test_many_recorded_handshakes_do_not_push_out_the_live_session() -> None:
    """However many old INITs of alice's somebody has kept."""
    net, alice, bob = met()
    recorded = []
    for _ in range(20):
        alice.endpoint.forget(bob.id)
        net.is_lost = lambda _: True
        net.send(alice, bob, b"lost")
        recorded.append(net.log[-1].data)
        alice.endpoint.forget(bob.id)
    net.is_lost = lambda _: False
    net.send(alice, bob, b"new session")
    for data in recorded * 3:
        net.give(bob, data, ELSEWHERE)
    bob.endpoint.outputs()
    net.send(bob, alice, b"still there?")

    assert "INIT" not in net.kinds(bob)
    assert alice.said[-1] == b"still there?"
    assert len(bob.endpoint) <= 2 * 3


def test_an_unconfirmed_session_is_never_used() -> None:
    """Who replays alice's INIT from elsewhere is sent nothing that is meant for her."""
    net = Net("alice", "bob")
    alice, bob = net.nodes
    net.is_lost = lambda _: True
    net.send(alice, bob, b"hello")
    net.give(bob, net.last("INIT").data, ELSEWHERE)
    net.settle()

    assert len(bob.endpoint) == 1
    assert bob.endpoint.path_of(alice.id) is None
    assert not bob.endpoint.reply(alice.id, b"secret", path=ELSEWHERE, now=net.now)
    net.send(bob, alice, b"secret")
    assert net.log[-1].kind == "INIT"
    assert net.log[-1].path == alice.address


def test_an_unconfirmed_session_is_forgotten() -> None:
    """Nobody used its keys: after some seconds nothing is left of it."""
    net = Net("alice", "bob")
    alice, bob = net.nodes
    net.is_lost = lambda sent: sent.sender is bob
    for xx in (False, True):
        net.send(alice, bob, b"hello", route=route_to(bob, xx=xx))
        net.pass_time(60.0)

    assert len(bob.endpoint) == 0
    assert bob.endpoint.next_deadline() == float("inf")


# --- paths -----------------------------------------------------------------------


def test_the_path_follows_the_peer() -> None:
    """When alice's address changes, bob's next word finds her there."""
    net, alice, bob = met()
    alice.address = ELSEWHERE
    net.send(alice, bob, b"I moved")
    net.send(bob, alice, b"I see", route=Route((Address("192.0.2.1", 1),), None))

    assert alice.said[-1] == b"I see"


def test_an_old_datagram_does_not_lead_back() -> None:
    """One held up on alice's old path arrives after she moved: the path stays the new one."""
    net, alice, bob = met()
    (held,) = _held_up(net, alice, bob, 1)
    old, alice.address = alice.address, ELSEWHERE
    net.send(alice, bob, b"I moved")
    net.give(bob, held, old)

    assert bob.said[-1] == b"0"
    assert bob.endpoint.path_of(alice.id) == ELSEWHERE


def test_a_peer_that_says_that_it_moved_is_sought_there() -> None:
    """Before a datagram of its own has shown the way; no handshake is made for it."""
    net, alice, bob = met()
    bob.endpoint.moved(alice.id, [alice.address], [ELSEWHERE, alice.address])
    net.send(bob, alice, b"are you there?")
    assert net.log[-1].path == ELSEWHERE
    assert net.kinds().count("INIT") == 1


def test_a_handshake_under_way_follows_as_well() -> None:
    """Its next try goes to where the peer is now."""
    net = Net("alice", "bob")
    alice, bob = net.nodes
    lose(net, "INIT")
    net.send(bob, alice, b"hello", route=route_to(alice, xx=False))
    bob.endpoint.moved(alice.id, [alice.address], [ELSEWHERE])
    net.pass_time(0.5)
    assert net.log[-1].kind == "INIT"
    assert net.log[-1].path == ELSEWHERE


def test_a_path_that_no_record_names_stays_as_it_is() -> None:
    """Behind a NAT box a peer is where its last datagram came from, whatever it says."""
    _, alice, bob = met()
    for gone, there in (([ELSEWHERE], [bob.address]), ([alice.address], [])):
        bob.endpoint.moved(alice.id, gone, there)
        assert bob.endpoint.path_of(alice.id) == alice.address


def test_a_forwarded_datagram_does_not_move_the_path() -> None:
    """Carol helped once; bob still knows where alice herself is."""
    net, alice, bob = met()
    carol = net.join(door_of("carol"))
    alice.endpoint.reply(bob.id, b"through carol", path=Via(carol.id), now=net.now)
    net.settle()

    assert bob.said[-1] == b"through carol"
    assert bob.endpoint.path_of(alice.id) == alice.address


def test_an_answer_may_take_the_path_of_its_question() -> None:
    """Through the member that forwarded the question, for instance."""
    net, alice, bob = met()
    carol = net.join(door_of("carol"))
    assert bob.endpoint.reply(alice.id, b"through carol", path=Via(carol.id), now=net.now)
    net.settle()

    assert net.log[-1].path == Via(carol.id)
    assert alice.said[-1] == b"through carol"


@pytest.mark.parametrize("one", [identity, fat])
@pytest.mark.parametrize("other", [identity, fat])
def test_members_meet_through_another_member(one: Person, other: Person) -> None:
    """Where no datagram gets through directly; `Net` checks that each fits when forwarded."""
    net = Net("carol")
    (carol,) = net.nodes
    alice, bob = net.join(door_of(one("alice"))), net.join(door_of(other("bob")))
    net.is_lost = lambda sent: isinstance(sent.path, Address)
    net.send(alice, bob, b"hello", via=carol)

    assert bob.said == [b"hello"]
    assert bob.endpoint.reply(alice.id, b"welcome", path=Via(carol.id), now=net.now)
    net.settle()
    assert alice.said == [b"welcome"]


def test_a_handshake_under_way_is_also_tried_through_members() -> None:
    """A first probe that goes unanswered is followed by indirect ones, as with a session."""
    net = Net("alice", "bob", "carol", "dave")
    alice, bob, carol, dave = net.nodes
    net.is_lost = lambda sent: isinstance(sent.path, Address)
    for via in (None, carol.id, dave.id):
        route = route_to(bob, xx=False)
        alice.endpoint.send(bob.id, b"ping", route=along(route), now=net.now, via=via)
    net.settle()

    assert bob.said == [b"ping"]
    assert [sent.path for sent in net.log[:3]] == [bob.address, Via(carol.id), Via(dave.id)]
    assert len(net.log[1].data) < len(net.log[0].data)  # no padding: it would not fit


def test_direct_again_after_meeting_through_a_member() -> None:
    """The helper is a detour, not the way for ever."""
    net = Net("alice", "bob", "carol")
    alice, bob, carol = net.nodes
    net.is_lost = lambda sent: isinstance(sent.path, Address)
    net.send(alice, bob, b"hello", via=carol)
    net.is_lost = lambda _: False
    net.send(alice, bob, b"directly")

    assert bob.said[-1] == b"directly"
    assert net.log[-1].path == bob.address
    assert bob.endpoint.path_of(alice.id) == alice.address


def test_a_session_that_the_peer_lost_is_replaced() -> None:
    """Bob evicted it: alice's probe fails, and the one through carol brings a new session."""
    net, alice, bob = met()
    carol = net.join(door_of("carol"))
    bob.endpoint.forget(alice.id)
    net.send(alice, bob, b"ping")
    assert bob.said == [b"hello"]
    net.send(alice, bob, b"ping", via=carol)

    assert bob.said == [b"hello", b"ping"]
    net.send(alice, bob, b"directly")
    assert bob.said[-1] == b"directly"


def test_xx_cannot_be_answered_through_a_member() -> None:
    """Its answer would have to name somebody who has not been named yet."""
    net = Net("alice", "bob", "carol")
    alice, bob, carol = net.nodes
    net.send(alice, bob, b"hello", via=carol, route=Route((), None))
    net.pass_time(10.0)
    assert net.log == []
    net.is_lost = lambda _: True
    net.send(alice, bob, b"hello", route=route_to(bob, xx=True))
    net.send(alice, bob, b"hello", route=route_to(bob, xx=True), via=carol)
    assert [sent.path for sent in net.log] == [bob.address]
    net.give(bob, net.last("INIT").data, Via(carol.id))

    assert "XX through a member: the answer would find no way back" in bob.refused


# --- renewing --------------------------------------------------------------------


def test_a_session_is_renewed_without_losing_a_word() -> None:
    """The old one serves until the new one stands, and opens what is still on its way."""
    net, alice, bob = met()
    (held,) = _held_up(net, alice, bob, 1)
    net.pass_time(net.config.rekey_after + 1.0)
    inits = net.kinds().count("INIT")
    net.send(alice, bob, b"during")
    net.send(alice, bob, b"after")
    net.send(bob, alice, b"answer")
    net.give(bob, held, alice.address)

    assert net.kinds().count("INIT") == inits + 1
    assert bob.said[1:] == [b"during", b"after", b"0"]
    assert alice.said[-1] == b"answer"


def test_a_renewal_that_fails_leaves_the_old_session_in_use() -> None:
    """Nothing is broken before the new is made."""
    net, alice, bob = met()
    net.pass_time(net.config.rekey_after + 1.0)
    net.is_lost = lambda sent: sent.kind == "RESP"
    for number in range(5):
        net.send(alice, bob, b"%d" % number)
        net.pass_time(5.0)

    assert bob.said[1:] == [b"%d" % number for number in range(5)]


def test_forgotten_peers_meet_anew() -> None:
    """After `forget` the next word makes a new session, as if they had never met."""
    net, alice, bob = met()
    alice.endpoint.forget(bob.id)
    assert alice.endpoint.path_of(bob.id) is None
    net.send(alice, bob, b"again")
    net.send(bob, alice, b"yes")

    assert bob.said[-1] == b"again"
    assert alice.said[-1] == b"yes"


# --- bounds ----------------------------------------------------------------------


def test_sessions_are_bounded_and_the_longest_idle_goes_first() -> None:
    """A mesh of any size costs a node so many sessions; the busy ones stay."""
    net = Net()
    bob = net.join(cheap_door("bob"))
    busy = net.join(cheap_door("busy"))
    net.send(busy, bob, b"first")
    route = route_to(bob, xx=False)
    for number in range(limits.MAX_SESSIONS + 100):
        peer = net.join(cheap_door(f"peer{number}"))
        peer.address = Address(f"10.1.{number >> 8}.{number & 255}", 6374)
        net.nodes = [bob, peer]
        peer.endpoint.send(bob.id, b"hello", route=along(route), now=net.now)
        net.settle()
        if number % 1_000 == 0:
            net.nodes = [bob, busy]
            net.send(busy, bob, b"still here")

    assert len(bob.endpoint) == limits.MAX_SESSIONS
    assert bob.endpoint.path_of(busy.id) is not None


def test_half_made_sessions_are_bounded() -> None:
    """Members that begin and never finish cannot fill the memory, nor push out a peer."""
    net = Net()
    bob = net.join(cheap_door("bob"))
    friend = net.join(cheap_door("friend"))
    net.send(friend, bob, b"hello")
    for number in range(4 * limits.MAX_PENDING_HANDSHAKES):
        peer = net.join(cheap_door(f"peer{number}"))
        route = route_to(bob, xx=bool(number % 2))
        peer.endpoint.send(bob.id, b"hello", route=along(route), now=net.now)
        ((_, _, init),) = peer.endpoint.outputs()
        net.give(bob, init, peer.address)
        bob.endpoint.outputs()

    assert len(bob.endpoint) <= 1 + limits.MAX_PENDING_HANDSHAKES
    assert bob.endpoint.path_of(friend.id) is not None
    net.nodes = [bob, friend]
    net.pass_time(60.0)
    assert len(bob.endpoint) == 1


@pytest.mark.parametrize("different", [False, True])
def test_answers_are_bounded_and_copies_count_once(*, different: bool) -> None:
    """Many XX handshakes that nobody ends push out the oldest; one replayed often does not."""
    net = Net()
    bob, friend = net.join(cheap_door("bob")), net.join(cheap_door("friend"))
    peers = [net.join(cheap_door(f"peer{n}")) for n in range(limits.MAX_PENDING_HANDSHAKES)]
    net.is_lost = lambda sent: sent.kind == "RESP"
    net.send(friend, bob, b"hello", route=route_to(bob, xx=True))
    resp = net.last("RESP").data
    for peer in peers:
        sender = peer if different else peers[0]
        net.nodes = [bob, sender]
        if sender is peer:
            net.send(sender, bob, b"never to end", route=route_to(bob, xx=True))
        else:
            net.give(bob, net.last("INIT").data, ELSEWHERE)
            net.settle()
    net.nodes = [bob, friend]
    net.give(friend, resp, bob.address)
    net.settle()

    assert bob.said == ([] if different else [b"hello"])


def test_own_handshakes_are_bounded() -> None:
    """A storm of peers that do not answer is not a storm of ours."""
    net = Net()
    alice = net.join(cheap_door("alice"))
    nobody = Route((Address("192.0.2.1", 1),), None)
    for number in range(limits.MAX_PENDING_HANDSHAKES + 50):
        peer = cheap_door(f"peer{number}").identity
        alice.endpoint.send(peer.node_id, b"hello", route=along(nobody), now=net.now)

    assert len(alice.endpoint.outputs()) == limits.MAX_PENDING_HANDSHAKES
    assert alice.endpoint.dropped == 50


def test_secrets_do_not_show() -> None:
    """A session in a log or a traceback gives no key away."""
    _, alice, bob = met()
    session = alice.endpoint._sessions.current(bob.id)  # noqa: SLF001  # it has no other door

    assert session is not None
    for key in (session.send_key, session.receive_key):
        assert repr(key) not in repr(session)
