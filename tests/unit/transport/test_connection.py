from __future__ import annotations

import attrs
import pytest

from meshp2p.errors import WireError
from meshp2p.identity.credential import NODE, TRANSPORT
from meshp2p.identity.node import NodeIdentity
from meshp2p.ids import Address
from meshp2p.transport.connection import Connection
from meshp2p.transport.multiplex import AnswerArrived, RequestArrived
from meshp2p.wire import codec
from meshp2p.wire.messages import RequestHead, join_head, split_head_untrusted
from tests.issuing import block, by_root, chain, exchanging, identity, signing
from tests.unit.transport.pair import (
    MIB,
    OTHER_MESH,
    OTHER_NAMESPACE,
    LaterDoor,
    Pair,
    Rogue,
    accept,
    connected,
    dial,
    door_of,
    fat,
    member_of,
    node_id,
    pair,
)

BOTH = pytest.mark.parametrize("xx", [False, True], ids=["IK", "XX"])
LOW_ORDER = bytes(32)


@BOTH
def test_two_nodes_learn_who_the_other_is(*, xx: bool) -> None:
    """A connection is open at both ends once each has proved its credential."""
    both = connected(xx=xx)

    assert both.alice.is_open
    assert both.bob.is_open
    assert both.alice.peer is not None
    assert both.bob.peer is not None
    assert both.alice.peer.credential.node_id == node_id("bob")
    assert both.bob.peer.credential.node_id == node_id("alice")


@BOTH
def test_calls_go_both_ways(*, xx: bool) -> None:
    """Whoever connected has no privilege: both ask, both answer."""
    both = connected(xx=xx)
    asked = both.ask(b"alice asks")
    also_asked = both.bob.mux.request(b"bob asks", answer_limit=100)
    both.run()
    both.bob.mux.answer(asked, b"bob answers")
    both.alice.mux.answer(also_asked, b"alice answers")
    both.run()

    assert both.to_bob == [
        RequestArrived(asked, b"alice asks"),
        AnswerArrived(also_asked, b"alice answers"),
    ]
    assert both.to_alice == [
        RequestArrived(also_asked, b"bob asks"),
        AnswerArrived(asked, b"bob answers"),
    ]


def test_a_node_learns_how_others_see_it() -> None:
    """The address that a peer sees is told within the handshake."""
    seen = Address("203.0.113.9", 6374)
    alice, bob = door_of("alice"), door_of("bob")
    both = Pair(dial(alice, bob, seen_from=seen), accept(bob)).run()

    assert both.bob.peer is not None
    assert both.bob.peer.observed == seen


@BOTH
def test_what_is_queued_before_the_handshake_leaves_after_it(*, xx: bool) -> None:
    """Nothing of a request is sent before the other side is proved."""
    both = pair(xx=xx)
    both.ask(b"secret plans")
    said = both.alice.pull(MIB)
    both.bob.receive_untrusted(said, now=0.0)
    both.run()

    assert b"secret plans" not in said
    assert [request.data for request in both.requests()] == [b"secret plans"]


def _first_messages(*, xx: bool) -> tuple[Connection, Connection, bytes]:
    both = pair(xx=xx)
    return both.alice, both.bob, both.alice.pull(MIB)


@BOTH
def test_every_byte_of_the_first_message_counts(*, xx: bool) -> None:
    """Whatever byte is changed on the way, nobody is admitted and nothing is answered."""
    first = _first_messages(xx=xx)[2]
    bob = door_of("bob")

    for at in range(len(first)):
        forged = bytearray(first)
        forged[at] ^= 0x01
        end = accept(bob)
        _refuse_or_wait(end, bytes(forged))
        assert end.pull(MIB) == b"", at
        assert not end.is_open


@BOTH
def test_every_byte_of_the_answer_counts(*, xx: bool) -> None:
    """An answer changed on the way opens nothing, and draws nothing more."""
    _, bob, first = _first_messages(xx=xx)
    bob.receive_untrusted(first, now=0.0)
    answer = bob.pull(MIB)

    for at in range(len(answer)):
        forged = bytearray(answer)
        forged[at] ^= 0x01
        alice, _, _ = _first_messages(xx=xx)
        _refuse_or_wait(alice, bytes(forged))
        assert alice.pull(MIB) == b"", at
        assert not alice.is_open


def test_every_byte_of_the_last_message_counts() -> None:
    """XX ends with the caller's proof; a changed one proves nobody."""

    def until_last() -> tuple[Connection, bytes]:
        alice, bob, first = _first_messages(xx=True)
        bob.receive_untrusted(first, now=0.0)
        alice.receive_untrusted(bob.pull(MIB), now=0.0)
        return bob, alice.pull(MIB)

    for at in range(len(until_last()[1])):
        bob, last = until_last()
        forged = bytearray(last)
        forged[at] ^= 0x01
        _refuse_or_wait(bob, bytes(forged))
        assert bob.pull(MIB) == b"", at
        assert not bob.is_open


def _refuse_or_wait(end: Connection, data: bytes) -> None:
    """A changed length may promise more bytes; anything else must be refused at once."""
    try:
        arrivals = end.receive_untrusted(data, now=0.0)
    except WireError:
        return
    assert arrivals == []
    assert not end.is_open


STRANGERS = {
    "another mesh": member_of(OTHER_MESH, "mallory"),
    "another namespace": member_of(OTHER_NAMESPACE, "mallory"),
}


@BOTH
@pytest.mark.parametrize("who", STRANGERS.values(), ids=STRANGERS)
def test_a_stranger_gets_not_one_byte(who: NodeIdentity, *, xx: bool) -> None:
    """Who does not hold the namespace's key cannot even learn that a node is here."""
    bob = door_of("bob")
    mallory, end = dial(door_of(who), None if xx else bob), accept(bob)

    with pytest.raises(WireError, match="stranger"):
        end.receive_untrusted(mallory.pull(MIB), now=0.0)
    assert end.pull(MIB) == b""


@BOTH
def test_a_handshake_without_its_mac_is_not_answered(*, xx: bool) -> None:
    """XX's second message carries our credential: it is for members only."""
    _, bob, first = _first_messages(xx=xx)

    with pytest.raises(WireError, match="stranger"):
        bob.receive_untrusted(first[:-16] + bytes(16), now=0.0)
    assert bob.pull(MIB) == b""


@BOTH
def test_a_key_without_a_credential_opens_nothing(*, xx: bool) -> None:
    """Who knows the mesh's secret but carries another's chain is refused."""
    alice = identity("alice")
    thief = attrs.evolve(identity("mallory"), chain=alice.chain, node_id=alice.node_id)
    bob = door_of("bob")
    both = Pair(dial(door_of(thief), None if xx else bob), accept(bob))

    with pytest.raises(WireError, match="not admitted"):
        both.run()
    assert not both.bob.is_open


@BOTH
def test_a_credential_for_another_namespace_opens_nothing(*, xx: bool) -> None:
    """Even in the hands of somebody who has got hold of this namespace's secret."""
    lab = by_root(NODE, signing("mallory"), name="mallory", namespaces=["lab"])
    wire = chain(lab, block("mallory", TRANSPORT, exchanging("mallory")))
    bob = door_of("bob")
    mallory = door_of(attrs.evolve(identity("mallory"), chain=wire))
    both = Pair(dial(mallory, None if xx else bob), accept(bob))

    with pytest.raises(WireError, match="another namespace"):
        both.run()
    assert not both.bob.is_open


@BOTH
def test_somebody_else_at_the_address_is_refused(*, xx: bool) -> None:
    """Whoever listens where bob was is not taken for bob, member or not."""
    bob, carol = door_of("bob"), door_of("carol")
    static = None if xx else carol.identity.transport_public
    both = Pair(dial(door_of("alice"), bob, static=static), accept(carol))

    with pytest.raises(WireError, match="somebody else"):
        both.run()
    assert not both.alice.is_open


def test_our_own_handshake_is_no_peer() -> None:
    """Whoever sends our bytes back to us does not become a peer with our own rights."""
    alice = door_of("alice")
    both = Pair(dial(alice, None), accept(alice))

    with pytest.raises(WireError, match="our own"):
        both.run()
    mirrored = dial(alice, None)
    with pytest.raises(WireError):
        mirrored.receive_untrusted(mirrored.pull(MIB), now=0.0)


def test_records_sent_back_are_refused() -> None:
    """Each direction has its own key."""
    both = connected()
    both.ask(b"hello")

    with pytest.raises(WireError):
        both.alice.receive_untrusted(both.alice.pull(MIB), now=0.0)


def test_a_recorded_handshake_is_nobody() -> None:
    """Who replays alice's first message does not become alice, nor replace her connection."""
    bob = door_of("bob")
    alice = dial(door_of("alice"), bob)
    recorded = alice.pull(MIB)

    replayed = accept(bob)
    replayed.receive_untrusted(recorded, now=0.0)
    assert not replayed.is_open
    genuine = Pair(alice, accept(bob))
    genuine.bob.receive_untrusted(recorded, now=0.0)
    genuine.run()
    assert genuine.bob.is_open


def test_a_caller_with_nothing_to_say_still_proves_itself() -> None:
    """So that bob can use the connection although alice has no request."""
    both = connected()
    both.bob.mux.request(b"bob asks", answer_limit=100)
    both.run()

    assert both.to_alice == [RequestArrived(2, b"bob asks")]


def test_an_unusable_key_is_treated_as_unknown() -> None:
    """A member that announces a low-order point gets XX, where its real key is seen."""
    bob = door_of("bob")
    both = Pair(dial(door_of("alice"), bob, static=LOW_ORDER), accept(bob)).run()

    assert both.alice.is_open


@BOTH
def test_a_greeting_of_a_later_version_is_understood(*, xx: bool) -> None:
    """Arrays may grow at the end: old and new nodes meet, whoever calls."""
    old, new = door_of("alice"), door_of("bob", kind=LaterDoor)

    for caller, callee in ((old, new), (new, old)):
        both = Pair(dial(caller, None if xx else callee), accept(callee)).run()
        assert both.alice.is_open
        assert both.bob.is_open


@pytest.mark.parametrize(
    "preamble",
    [
        b"GET / HTTP/1.1\r\n",
        b"m2p\x02\x00\x01",
        b"m2p\x01\x00\x02",
        b"m2p\x01\x04\x01",
        b"\x16\x03\x01",
    ],
)
def test_another_protocol_version_or_suite_is_refused(preamble: bytes) -> None:
    """A port scanner, or a node of an incompatible mesh, learns nothing."""
    bob = accept(door_of("bob"))

    with pytest.raises(WireError):
        bob.receive_untrusted(preamble + bytes(8), now=0.0)
    assert bob.pull(MIB) == b""


def test_little_is_read_from_whoever_is_not_proved() -> None:
    """A first message that never ends is refused at its length, not at its end."""
    bob = accept(door_of("bob"))

    with pytest.raises(WireError, match="of 65535 bytes"):
        bob.receive_untrusted(b"m2p\x01\x01\x01\xff\xff", now=0.0)


@BOTH
def test_the_largest_credential_fits(*, xx: bool) -> None:
    """A chain as long as is allowed still goes through, by IK and by XX."""
    alice, bob = door_of(fat("alice")), door_of(fat("bob"))
    both = Pair(dial(alice, None if xx else bob), accept(bob)).run()

    assert both.alice.is_open
    assert both.bob.is_open


# --- records -----------------------------------------------------------------


def _two_records() -> tuple[Pair, bytes, bytes]:
    both = connected()
    records = []
    for word in (b"one", b"two"):
        both.ask(word)
        records.append(both.alice.pull(MIB))
    return both, records[0], records[1]


def test_records_keep_their_order() -> None:
    """Records exchanged on the way are refused."""
    both, _, second = _two_records()

    with pytest.raises(WireError, match="forged"):
        both.bob.receive_untrusted(second, now=0.0)


def test_a_record_serves_once() -> None:
    """A record sent twice is refused the second time, and its request not run again."""
    both, first, _ = _two_records()
    both.bob.receive_untrusted(first, now=0.0)

    with pytest.raises(WireError, match="forged"):
        both.bob.receive_untrusted(first, now=0.0)


def test_a_lost_byte_is_noticed() -> None:
    """What follows a gap is never taken for the rest of a record."""
    both, first, second = _two_records()

    with pytest.raises(WireError):
        both.bob.receive_untrusted(first[:-1] + second, now=0.0)


def test_every_bit_of_a_record_counts() -> None:
    """A record changed anywhere gives no request."""
    _, record, _ = _two_records()
    for at in range(len(record)):
        for bit in range(8):
            both = connected()
            forged = bytearray(record)
            forged[at] ^= 1 << bit
            if at == 0:
                forged += bytes(64 * 1024)  # the length grew: let the record end
            with pytest.raises(WireError):
                both.bob.receive_untrusted(bytes(forged) + bytes(256), now=0.0)


def test_a_record_cut_short_is_waited_for() -> None:
    """Half a record is nothing, and no error."""
    both, first, _ = _two_records()

    assert both.bob.receive_untrusted(first[:-1], now=0.0) == []
    assert both.bob.receive_untrusted(first[-1:], now=0.0) == [RequestArrived(1, b"one")]


@pytest.mark.parametrize("length", range(16))
def test_a_record_shorter_than_its_tag_is_refused(length: int) -> None:
    """An empty record would never end."""
    both = connected()

    with pytest.raises(WireError, match="record of"):
        both.bob.receive_untrusted(length.to_bytes(2, "big") + bytes(length), now=0.0)


def test_many_requests_share_one_record() -> None:
    """64 queued requests cost one seal and one system call, not 64."""
    both = connected()
    for number in range(64):
        both.ask(b"request %d" % number)
    data = both.alice.pull(1)

    assert len(data) == 2 + int.from_bytes(data[:2], "big")
    assert not both.alice.has_bytes
    assert len(both.bob.receive_untrusted(data, now=0.0)) == 64


@BOTH
def test_keys_change_in_both_directions(*, xx: bool) -> None:
    """After so many bytes a stolen key opens nothing that was said before."""
    both = connected(xx=xx, rekey_bytes=1_000)
    for number in range(20):
        asked = both.ask(b"%d" % number * 300)
        both.run()
        both.bob.mux.answer(asked, b"answer %d" % number * 300)
        both.run()

    assert len(both.requests()) == 20
    assert both.answers()[-1] == b"answer 19" * 300


def _three_records(rekey_bytes: int) -> tuple[Connection, list[bytes]]:
    """The same keys at each call: entropy is seeded."""
    both = connected(rekey_bytes=rekey_bytes)
    records = []
    for word in (b"one", b"two", b"three"):
        both.ask(word)
        records.append(both.alice.pull(MIB))
    return both.bob, records


def test_a_changed_key_is_really_another() -> None:
    """Who has the key of before cannot open what is said after the change."""
    bob, changing = _three_records(rekey_bytes=1)
    sleeper, staying = _three_records(rekey_bytes=MIB)

    assert len(bob.receive_untrusted(b"".join(changing), now=0.0)) == 3
    assert changing[0] == staying[0]
    sleeper.receive_untrusted(staying[0] + staying[1], now=0.0)
    with pytest.raises(WireError, match="forged"):
        sleeper.receive_untrusted(changing[2], now=0.0)


# --- members that misbehave -----------------------------------------------------


def test_frames_of_later_versions_are_skipped_or_refused() -> None:
    """From 0x80 on a frame may be ignored; below, not understanding it ends the connection."""
    rogue = Rogue.against(door_of("bob"))
    unknown = b"\x80" + bytes(4) + b"\x00\x03new" + b"\xff" + bytes(6)

    assert rogue.say(unknown + b"\x41\x00\x00\x00\x01\x00\x02hi") == [RequestArrived(1, b"hi")]
    for kind in (0, 3, 7 + 5, 10, 11, 0x3F, 0x40, 0x7F):
        with pytest.raises(WireError, match="of type"):
            Rogue.against(door_of("bob")).say(bytes([kind]) + bytes(6))


def test_nothing_follows_a_change_of_key_in_its_record() -> None:
    """It would be unclear which key it was said under."""
    with pytest.raises(WireError, match="after REKEY"):
        Rogue.against(door_of("bob")).say(b"\x09" + bytes(6) + b"\x06" + bytes(6))


@pytest.mark.parametrize(
    "frames",
    [
        b"\x41\x00\x00\x00\x02\x00\x00",  # opened with the other's numbers
        b"\x41\x00\x00\x00\x00\x00\x00",  # opened with the connection's number
        2 * b"\x41\x00\x00\x00\x01\x00\x00",  # opened twice
        b"\x04\x00\x00\x00\x01\x00\x00",  # a RESET without a code
        b"\x05\x00\x00\x00\x01\x00\x03\x00\x00\x00",  # a CREDIT cut short
        b"\x41\x00\x00\x00\x01\x00",  # a header cut short
        b"\x41\x00\x00\x00\x01\x00\x02x",  # a body cut short
    ],
)
def test_frames_that_break_the_rules_end_the_connection(frames: bytes) -> None:
    """A member that does not keep the protocol is not talked to."""
    with pytest.raises(WireError):
        Rogue.against(door_of("bob")).say(frames)


def test_a_request_head_of_a_later_version_is_understood() -> None:
    """Its new elements are ignored."""
    head = RequestHead(method="sum", remaining_ms=1_000)
    later = codec.pack([*codec.unpack_list_untrusted(head.packed(), 12), "new", {"more": 1}])
    both = connected()
    both.ask(join_head(later, b"body"))
    both.run()

    heard, body = split_head_untrusted(both.requests()[0].data)
    assert RequestHead.from_untrusted(heard) == head
    assert body == b"body"
