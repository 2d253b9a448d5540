"""Whatever strangers and members send, the one thing that can happen is a WireError."""

from __future__ import annotations

import struct
from contextlib import suppress

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshp2p.errors import WireError
from meshp2p.ids import Address
from meshp2p.transport import frame, packet
from meshp2p.transport.connection import Connection
from meshp2p.transport.handshake import DATAGRAMS
from meshp2p.transport.multiplex import AnswerArrived, Arrival, Multiplexer, RequestArrived
from meshp2p.transport.packet import FLAG_XX
from meshp2p.transport.path import Via
from meshp2p.wire import codec, limits
from tests.unit.transport.net import Net
from tests.unit.transport.pair import Pair, Rogue, accept, connected, dial, door_of, node_id

ELSEWHERE = Address("198.51.100.7", 4_242)
BOB = door_of("bob")
PATHS = st.sampled_from([ELSEWHERE, Via(node_id("carol"))])

frames = st.builds(
    lambda kind, stream, body: frame.HEADER.pack(kind, stream, len(body)) + body,
    st.sampled_from([*range(12), *range(0x40, 0x4C), 0x80, 0xFF]),
    st.integers(0, 12) | st.integers(0, (1 << 32) - 1),
    st.binary(max_size=12) | st.binary(min_size=1_000, max_size=1_010),
)
plaintexts = st.lists(frames, max_size=12).map(b"".join) | st.binary(max_size=200)

headers = st.builds(
    lambda kind, rest: bytes([kind]) + rest,
    st.sampled_from([packet.INIT, packet.RESP, packet.FINISH, packet.DATA, 0x15, 0x21]),
    st.binary(max_size=300),
)
replies = st.builds(
    lambda kind, sender, receiver, noise: packet.pack_reply(kind, FLAG_XX, sender, receiver, noise),
    st.sampled_from([packet.RESP, packet.FINISH]),
    st.integers(0, (1 << 32) - 1),
    st.integers(0, (1 << 32) - 1),
    st.binary(max_size=900),
)


@attrs.define
class User:
    """Somebody at one end of a connection, with requests of both kinds open."""

    mux: Multiplexer
    asked: list[int] = attrs.field(factory=list)
    to_answer: list[int] = attrs.field(factory=list)

    def do(self, action: int, size: int, other: User) -> None:
        """Ask, answer, cancel, or let some records through."""
        if action <= 1:
            self.asked.append(self.mux.request(bytes(size), answer_limit=100_000))
        elif action == 2 and self.to_answer:
            self.mux.answer(self.to_answer.pop(size % len(self.to_answer)), bytes(size))
        elif action == 3 and self.asked:
            self.mux.reset(self.asked.pop(size % len(self.asked)), frame.CANCELLED)
        else:
            self.pass_on(other, 1 + size % 3)

    def pass_on(self, other: User, records: int) -> None:
        """Bring so many records to the other end."""
        while self.mux.has_frames and records:
            for arrival in other.mux.receive_untrusted(self.mux.take(65_000)):
                if isinstance(arrival, RequestArrived):
                    other.to_answer.append(arrival.stream)
            records -= 1


@given(data=st.data(), xx=st.booleans())
def test_bytes_may_arrive_in_any_pieces(data: st.DataObject, xx: bool) -> None:  # noqa: FBT001
    """TCP keeps the order and nothing else: one byte at a time or all at once."""
    bob = door_of("bob")
    both = Pair(dial(door_of("alice"), None if xx else bob), accept(bob))
    sizes = st.integers(1, 400)

    def in_pieces(sender: Connection, receiver: Connection) -> list[Arrival]:
        arrivals: list[Arrival] = []
        said = sender.pull(1 << 20)
        while said:
            size = data.draw(sizes)
            arrivals += receiver.receive_untrusted(said[:size], now=0.0)
            said = said[size:]
        return arrivals

    for _ in range(3):
        both.to_bob += in_pieces(both.alice, both.bob)
        both.to_alice += in_pieces(both.bob, both.alice)
    asked = both.ask(b"question" * 40)
    both.to_bob += in_pieces(both.alice, both.bob)
    both.bob.mux.answer(asked, b"answer" * 40)
    both.to_alice += in_pieces(both.bob, both.alice)

    assert both.to_bob == [RequestArrived(asked, b"question" * 40)]
    assert both.to_alice == [AnswerArrived(asked, b"answer" * 40)]


@given(st.lists(st.binary(max_size=300), max_size=4), st.booleans())
def test_a_stranger_on_a_stream_causes_nothing_but_a_wire_error(
    chunks: list[bytes],
    polite: bool,  # noqa: FBT001
) -> None:
    """And hears nothing, also if it begins as we do."""
    end = accept(BOB)
    try:
        for chunk in [b"m2p\x01\x01\x01" if polite else b"", *chunks]:
            assert end.receive_untrusted(chunk, now=0.0) == []
    except WireError:
        pass
    assert end.pull(1 << 20) == b""
    assert not end.is_open


@given(st.binary(max_size=300))
def test_an_impostor_who_accepts_causes_nothing_but_a_wire_error(data: bytes) -> None:
    """Whoever listens at the address that we dialled."""
    for other in (BOB, None):
        end = dial(door_of("alice"), other)
        end.pull(1 << 20)
        with suppress(WireError):
            end.receive_untrusted(data, now=0.0)
        assert not end.is_open


@given(st.lists(plaintexts, max_size=5))
def test_a_member_on_a_stream_causes_nothing_but_a_wire_error(said: list[bytes]) -> None:
    """Any frames, in genuine records; what it is sent in return can be taken and read."""
    rogue = Rogue.against(BOB)
    rogue.victim.mux.request(b"a question of bob's" * 5_000, answer_limit=50)
    rogue.victim.mux.request(b"another", answer_limit=50)
    try:
        for plaintext in said:
            for arrival in rogue.say(plaintext):
                if isinstance(arrival, RequestArrived):
                    rogue.victim.mux.answer(arrival.stream, arrival.data * 100)
            list(frame.parse_untrusted(rogue.hears()))
    except WireError:
        pass


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5), st.integers(0, 200_000)), max_size=25))
def test_whatever_two_nodes_do_nothing_is_left_behind(
    steps: list[tuple[bool, int, int]],
) -> None:
    """Requests, answers, cancellations in any order: in the end all is sent or given up."""
    alice, bob = User(Multiplexer(dialled=True)), User(Multiplexer(dialled=False))
    for by_bob, action, size in steps:
        user, other = (bob, alice) if by_bob else (alice, bob)
        user.do(action, size, other)
    while not (alice.mux.is_idle and bob.mux.is_idle):
        for user, other in ((alice, bob), (bob, alice)):
            user.pass_on(other, 1_000)
            while other.to_answer:
                other.mux.answer(other.to_answer.pop(), b"done")
        idle = alice.mux.is_idle and bob.mux.is_idle
        assert idle or alice.mux.has_frames or bob.mux.has_frames


@given(st.binary(max_size=1_300) | headers)
def test_any_datagram_is_parsed_or_refused(data: bytes) -> None:
    """Nothing but a WireError, and nothing read beyond the end."""
    try:
        parsed = packet.parse_untrusted(data)
    except WireError:
        return
    assert len(data) <= limits.MAX_DATAGRAM
    if isinstance(parsed, packet.Data):
        assert parsed.header + parsed.ciphertext == data
    else:
        assert parsed.noise in parsed.covered
        assert data.startswith(parsed.covered + parsed.mac1)


@given(st.lists(st.binary(max_size=300) | headers, max_size=6), PATHS)
def test_a_stranger_with_datagrams_causes_nothing_but_a_wire_error(
    said: list[bytes], path: Address | Via
) -> None:
    """And hears nothing."""
    net = Net("bob")
    (bob,) = net.nodes
    for data in said:
        net.give(bob, data, path)
    net.settle()

    assert net.log == []
    assert len(bob.endpoint) == 0
    assert len(bob.refused) == len(said)


@given(st.binary(max_size=1_000), replies, PATHS)
def test_who_knows_the_mesh_but_not_noise_causes_nothing_but_a_wire_error(
    noise: bytes, reply: bytes, path: Address | Via
) -> None:
    """Genuine macs over nonsense: the second line of defence holds as well."""
    net = Net("bob", "alice")
    bob, alice = net.nodes
    net.is_lost = lambda _: True
    net.send(bob, alice, b"hello")
    begun = struct.unpack_from("<I", net.log[-1].data, 4)[0]
    for flags, static in ((FLAG_XX, None), (0, bob.door.identity.transport_public)):
        bare = packet.pack_init(flags, 1, noise, at_least=1_200)
        net.give(bob, bare + alice.door.mac(bare, static) + bytes(16), path)
        to_begun = reply[:1] + bytes([flags]) + reply[2:8] + struct.pack("<I", begun) + reply[12:]
        for bare in (reply, to_begun):
            net.give(bob, bare + alice.door.mac(bare, static), path)

    assert len(bob.refused) == 6
    assert len(bob.endpoint) == 0


@given(
    st.binary(max_size=200)
    | st.lists(st.binary(max_size=40) | st.integers(0, 9) | st.none(), max_size=6).map(codec.pack)
)
def test_a_member_with_a_strange_greeting_is_refused(greeting: bytes) -> None:
    """The handshake is genuine to the last byte; what it carries is not."""
    net = Net("bob", "alice")
    bob, alice = net.nodes
    static = bob.door.identity.transport_public
    message = alice.door.begin(DATAGRAMS, static).write(greeting)
    bare = packet.pack_init(0, 1, message, at_least=1_200)
    net.give(bob, bare + alice.door.mac(bare, static) + bytes(16), ELSEWHERE)
    net.settle()

    assert len(bob.refused) == 1
    assert net.log == []


@given(st.lists(st.sampled_from(["alice", "bob", "tick"]), max_size=12), st.data())
def test_whatever_is_lost_two_nodes_meet_in_the_end(steps: list[str], data: st.DataObject) -> None:
    """Any handshakes, begun by either side, any of their datagrams lost: then all is well."""
    net = Net("alice", "bob")
    alice, bob = net.nodes
    net.is_lost = lambda _: data.draw(st.booleans())
    for step in steps:
        if step == "tick":
            net.pass_time(0.3)
        else:
            sender, to = (alice, bob) if step == "alice" else (bob, alice)
            net.send(sender, to, b"maybe")
    net.is_lost = lambda _: False
    net.pass_time(60.0)
    for word in (b"one", b"two"):
        net.send(alice, bob, word)
        net.send(bob, alice, word)

    assert alice.said[-2:] == bob.said[-2:] == [b"one", b"two"]


def test_the_rogue_of_these_tests_is_believed() -> None:
    """Otherwise the tests above would prove nothing."""
    rogue = Rogue.against(BOB)

    assert rogue.victim.is_open
    assert rogue.say(frame.pack(frame.OPEN | frame.END, 1, b"hi")) == [RequestArrived(1, b"hi")]
    with pytest.raises(WireError, match="forged"):
        connected().bob.receive_untrusted(rogue.sealer.seal(b""), now=0.0)
