"""Whatever a peer sends, a node goes on: nothing raises, nothing is believed unsigned."""

from __future__ import annotations

import contextlib

from hypothesis import given
from hypothesis import strategies as st

from meshp2p.errors import WireError
from meshp2p.gossip import digest
from meshp2p.gossip.messages import (
    Ack,
    BucketItem,
    DifferItem,
    DigestItem,
    LineItem,
    Ping,
    RecordItem,
    SuspicionItem,
    WantItem,
)
from meshp2p.gossip.swim import Swim
from meshp2p.wire import codec, limits
from meshp2p.wire.codec import Value
from tests.simulation.swim_world import START, swim_of
from tests.unit.gossip.people import (
    accusation,
    acquaint,
    datagram,
    id_of,
    line_of,
    signed_line,
    work_off,
)

ALICE = swim_of("alice")
BOB = swim_of("bob")
CAROL = swim_of("carol")
acquaint(ALICE, BOB)
"""Alice is fed everything. She knows bob; carol is a stranger to her."""

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text(max_size=8)
    | st.binary(max_size=80),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=8,
)


def items() -> list[list[Value]]:
    """One valid item of every kind that concerns somebody."""
    bob, record = line_of(BOB), CAROL.own_record()
    assert record is not None
    return [
        Ping(1, 2).wire(),
        Ack(1, 2, 3, 4).wire(),
        LineItem(bob.raw).wire(),
        LineItem(signed_line("bob", bob, seq=1).raw).wire(),
        RecordItem(record.line.raw, record.body_raw, record.chain).wire(),
        SuspicionItem(accusation("bob", line_of(ALICE)).raw).wire(),
        SuspicionItem(accusation("carol", bob).raw).wire(),
    ]


ITEMS = items()
QUESTIONS: list[list[Value]] = [
    DigestItem(bytes(range(256)) * 4).wire(),
    BucketItem(digest.first_of(5), digest.last_of(5), bytes(range(32))).wire(),
    WantItem(bytes(range(8)), id_of("bob")[:8], id_of("alice")[:8]).wire(),
    DifferItem(digest.ALL).wire(),
]
"""Nothing in them is signed: they may ask for anything, and must change nothing."""


def swallow(swim: Swim, plaintext: bytes) -> None:
    """Feed it, and check that it goes on."""
    swim.receive(id_of("bob"), plaintext, now=START)
    work_off(swim, START)
    swim.outputs()


@given(st.binary(max_size=limits.MAX_PLAINTEXT + 50))
def test_arbitrary_bytes_never_raise(plaintext: bytes) -> None:
    """Bytes that are no message are counted, and that is all."""
    swallow(ALICE, plaintext)

    assert ALICE.member(id_of("alice")) is not None


@given(st.lists(st.lists(VALUES, max_size=6), max_size=6))
def test_arbitrary_values_never_raise(values: list[list[Value]]) -> None:
    """Well-formed MessagePack that means nothing is harmless too."""
    plaintext = codec.pack(values)
    if len(plaintext) <= limits.MAX_PLAINTEXT:
        swallow(ALICE, plaintext)
    ALICE.merge_untrusted([list(value) for value in values], id_of("bob"), now=START)
    work_off(ALICE, START)

    assert len(ALICE.members()) <= 3


@given(st.sampled_from([*ITEMS, *QUESTIONS]), st.data())
def test_a_message_with_one_field_changed_never_raises(
    item: list[Value], data: st.DataObject
) -> None:
    """A peer of another opinion about one field cannot stop this node."""
    position = data.draw(st.integers(0, len(item) - 1))
    changed = list(item)
    changed[position] = data.draw(VALUES)

    swallow(ALICE, datagram(changed))

    assert ALICE.member(id_of("alice")) is not None


@given(st.sampled_from(ITEMS[2:]), st.data())
def test_a_message_with_one_byte_changed_changes_nothing(
    item: list[Value], data: st.DataObject
) -> None:
    """Nothing is believed unless every byte of it was signed by whom it concerns."""
    alice = swim_of("alice")
    acquaint(alice, BOB)
    before = alice.view_hash()
    position = data.draw(st.integers(1, len(item) - 1))
    signed = item[position]
    assert isinstance(signed, bytes)
    at, bit = data.draw(st.integers(0, len(signed) - 1)), data.draw(st.integers(0, 7))
    changed = list(item)
    changed[position] = signed[:at] + bytes([signed[at] ^ 1 << bit]) + signed[at + 1 :]

    swallow(alice, datagram(changed))

    assert alice.view_hash() == before
    assert all(member.state == "alive" for member in alice.members())


@given(st.binary(max_size=200), st.integers(0, 300))
def test_a_datagram_cut_short_never_raises(tail: bytes, length: int) -> None:
    """Truncated or extended, a message is refused as a whole."""
    swallow(ALICE, datagram(ITEMS[4])[:length] + tail)

    assert ALICE.member(id_of("alice")) is not None


@given(st.sampled_from(QUESTIONS), st.data())
def test_no_question_changes_a_view(item: list[Value], data: st.DataObject) -> None:
    """Digests, listings and wishes of whatever content are answered, or not, and that is all."""
    position = data.draw(st.integers(1, len(item) - 1))
    changed = list(item)
    value = item[position]
    size = len(value) if isinstance(value, bytes) else 0
    changed[position] = data.draw(st.binary(min_size=size, max_size=size) if size else VALUES)
    before = ALICE.view_hash(), len(ALICE.members())

    swallow(ALICE, datagram(changed))

    assert (ALICE.view_hash(), len(ALICE.members())) == before


@given(st.lists(VALUES, max_size=4))
def test_no_comparison_by_stream_raises(value: list[Value]) -> None:
    """Whatever arrives as a comparison or greeting is refused as malformed, or answered."""
    for ask in (ALICE.compare_untrusted, ALICE.greeted_untrusted):
        with contextlib.suppress(WireError):
            ask(value, id_of("bob"), now=START)
    ALICE.outputs()

    assert len(ALICE.members()) <= 3
