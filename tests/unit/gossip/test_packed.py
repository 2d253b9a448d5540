"""What a node keeps of a member's record is little, and all of it comes back as it was."""

from __future__ import annotations

import struct
import sys
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshp2p.events import CapabilityInfo
from meshp2p.gossip.member import Row
from meshp2p.gossip.packed import Likeness
from meshp2p.gossip.record import (
    DRAINING,
    LEFT,
    LINE_DOMAIN,
    MAX_LINE,
    UP,
    Body,
    Record,
    VersionLine,
    body_hash,
)
from meshp2p.gossip.view import View
from meshp2p.identity.block import DOMAIN
from meshp2p.identity.credential import ISSUER, LAST_MOMENT, NODE, TRANSPORT, pack_chain
from meshp2p.identity.keys import SIGNATURE_BYTES, node_id_of
from meshp2p.identity.trust import proved_by
from meshp2p.ids import Address, NodeId
from meshp2p.wire import codec, limits
from tests.issuing import CRYPTO, NOW, block, by_root, exchanging, key, signing
from tests.simulation.swim_world import swim_of

GROUP = bytes(16)
ADDRESSES = st.sampled_from((Address("192.0.2.7", 6374), Address("2001:db8::7", 1)))
CAPABILITIES = st.builds(
    CapabilityInfo, st.sampled_from(("code.review", "gpu")), tags=st.just({"lang": "py"})
)
NAMES = st.sampled_from(("", "alice", "bob", "a-rather-long-name.of-an-agent".ljust(63, "-")))


@st.composite
def chains(draw: st.DrawFn, who: str) -> bytes:
    """Issued by the root or by a team, for some time, with or without a transport key."""
    dates: dict[str, Any] = {"not_after": draw(st.sampled_from((LAST_MOMENT, 2_000_000_000)))}
    name = draw(NAMES)
    blocks = [by_root(ISSUER, signing("team"), **dates)] if draw(st.booleans()) else []
    if blocks:
        blocks.append(block("team", NODE, signing(who), name=name, **dates))
    else:
        blocks.append(by_root(NODE, signing(who), name=name, **dates))
    if draw(st.booleans()):
        blocks.append(block(who, TRANSPORT, exchanging(who), not_before=0, not_after=86_400))
    return pack_chain(blocks)


@st.composite
def records(draw: st.DrawFn) -> Record:
    """Somebody's record as it is received: of this version or a later one, of any size."""
    who = draw(st.sampled_from(("alice", "bob", "carol")))
    body = Body(
        node_key=signing(who),
        transport_key=exchanging(who),
        journal_id=draw(st.binary(min_size=16, max_size=16)),
        addresses=tuple(draw(st.lists(ADDRESSES, max_size=3)) * draw(st.sampled_from((1, 1, 8))))[
            :8
        ],
        handle=draw(NAMES),
        role=draw(st.sampled_from(("worker", "monitor"))),
        namespace="default",
        capabilities=tuple(draw(st.lists(CAPABILITIES, max_size=3))),
    )
    raw = _later(draw, body.encode(), limits.MAX_RECORD_BODY)
    fields = [1, node_id_of(body.node_key), body_hash(raw)]
    numbers = st.integers(0, 9) | st.integers(0, (1 << 53) - 1)
    fields += [draw(numbers), draw(numbers), draw(st.sampled_from((UP, DRAINING, LEFT)))]
    payload = _later(draw, codec.pack([*fields, draw(numbers)]), MAX_LINE - SIGNATURE_BYTES)
    signature = draw(st.binary(min_size=SIGNATURE_BYTES, max_size=SIGNATURE_BYTES))
    line = VersionLine.from_bytes_untrusted(payload + signature)
    chain = draw(chains(who))
    return _received(line, raw, chain)


def _later(draw: st.DrawFn, data: bytes, longest: int) -> bytes:
    """The same, perhaps with something that a later version appended, up to all there is room."""
    fields = codec.unpack_untrusted(data)
    assert isinstance(fields, list)
    room = longest - len(data)
    more = draw(st.sampled_from((None, 0, room - 3, room - 2)))  # bytes have a head of two or three
    longer = data if more is None else codec.pack([*fields, bytes(max(more, 0))])
    if more is None and draw(st.booleans()):  # in another encoding, which is as good
        longer = _widely_packed(fields, draw(st.integers(0, 6)))
    return longer if len(longer) <= longest else data


def _widely_packed(fields: list[Any], among_first: int) -> bytes:
    """As nobody packs them: long heads for the list and for so many of its elements."""
    packed = [struct.pack(">BI", 0xDD, len(fields))]
    for at, field in enumerate(fields):
        if at < among_first and type(field) is bytes:
            packed.append(struct.pack(">BI", 0xC6, len(field)) + field)
        elif at < among_first and type(field) is int:
            packed.append(struct.pack(">BQ", 0xCF, field))
        else:
            packed.append(codec.pack(field))
    return b"".join(packed)


def _received(line: VersionLine, raw: bytes, chain: bytes) -> Record:
    body, credential = Body.from_bytes_untrusted(raw), proved_by(chain)
    record = Record(line=line, body=body, body_raw=raw, chain=chain, credential=credential)
    return record.as_received()


def _all_of(record: Record) -> list[object]:
    line = record.line
    return [
        (line, record.body, record.body_raw, record.chain, record.credential),
        (record.wire(), record.version, record.rank, record.state, record.valid_until),
        (record.body_hash, record.says(line), record.says(attrs.evolve(line, valid_until=7))),
        [
            record.says(attrs.evolve(line, seq=line.seq + 1)),
            record.says(attrs.evolve(line, state=3)),
            record.says(attrs.evolve(line, body_hash=bytes(16))),
        ],
    ]


@given(records(), records())
def test_whatever_is_kept_comes_back_as_it_was(record: Record, other: Record) -> None:
    """Of any member, whoever the one is that it is thought to be like."""
    before = _all_of(record)
    copy = attrs.evolve(record)

    record.pack(other.likeness())

    assert _all_of(record) == before
    assert record == copy
    assert attrs.evolve(record, chain=b"?").line == copy.line


@given(records(), records())
def test_a_record_that_is_kept_answers_what_a_line_would(record: Record, other: Record) -> None:
    """Its numbers are those that its owner signed, without a look at the line."""
    line = record.line
    record.pack(other.likeness())

    assert record.version == line.version
    assert record.rank == line.rank
    assert (record.state, record.valid_until) == (line.state, line.valid_until)
    assert record.body_hash == line.body_hash
    ends = record.credential.transport_not_after
    assert record.transport_not_after in (ends, (1 << 32) - 1)
    assert record.transport_not_after <= ends


def numbered(number: int, **changes: Any) -> Record:  # noqa: ANN401  # fields of a line
    """One of many agents of one mesh."""
    who = f"agent-{number}"
    private = number.to_bytes(32, "big")
    key = CRYPTO.signing_public(private)
    body = Body(
        node_key=key,
        transport_key=exchanging(who),
        journal_id=bytes([number % 256]) * 16,
        addresses=(Address(f"192.0.2.{number % 256}", 6374),),
        handle=who,
        role="worker",
        namespace="default",
    )
    node_id = NodeId(node_id_of(key))
    raw = body.encode()
    facts = {"epoch": 1_750_000_000_000 + number, "seq": 0, "state": UP, "valid_until": 1 << 31}
    line = VersionLine.signed(
        CRYPTO,
        private,
        GROUP,
        node_id=node_id,
        body_hash=body_hash(raw),
        **(facts | changes),
    )
    return _received(line, raw, pack_chain([by_root(NODE, key, name=who)]))


def test_a_record_takes_little_more_than_its_keys_signatures_and_names() -> None:
    """Three keys, two signatures, a journal: what all members share is kept once."""
    like, record = numbered(1).likeness(), numbered(22)
    own = 2 * 32 + 2 * SIGNATURE_BYTES + 16 + 2 * len("agent-22")
    travels = sum(map(len, record.wire()))

    record.pack(like)

    kept = sys.getsizeof(record._packed) - sys.getsizeof(b"")  # noqa: SLF001  # nobody is told
    assert kept < own + 80 < 0.75 * travels


@pytest.mark.parametrize("changes", [{"seq": 1 << 32}, {"valid_until": 1 << 32}])
def test_numbers_of_the_next_century_are_kept_as_they_came(changes: dict[str, int]) -> None:
    """Whoever signs huge numbers gets no other treatment, only no short form."""
    record = numbered(2, **changes)
    before = _all_of(record)
    record.pack(numbered(1).likeness())

    assert _all_of(record) == before
    assert record.may_be_packed


def test_what_was_not_read_from_bytes_is_never_reduced_to_them() -> None:
    """This node's own record, and those that a simulation makes, stay as they are."""
    record = swim_of("alice").own_record()
    assert record is not None
    other = attrs.evolve(record, body=attrs.evolve(record.body, handle="mallory"))
    other.pack(numbered(1).likeness())

    assert other.body.handle == "mallory"
    assert not other.may_be_packed


def test_a_line_that_somebody_else_signed_does_not_pass_for_the_kept_one() -> None:
    """Neither another version, nor another body, nor another state of the same."""
    record, line = numbered(3), numbered(3).line
    record.pack(numbered(1).likeness())

    assert record.says(attrs.evolve(line, valid_until=5))
    for other in (
        attrs.evolve(line, epoch=1),
        attrs.evolve(line, seq=1),
        attrs.evolve(line, state=LEFT),
        attrs.evolve(line, body_hash=bytes(16)),
    ):
        assert not record.says(other)


def few() -> int:
    """How many are listed without being packed."""
    return limits.UNPACKED_MEMBERS


def listed(view: View, count: int) -> list[Row]:
    """So many members, in the order in which they came."""
    rows = [
        Row(record=numbered(number), state="alive", joined_at=1.0, last_seen=2.0)
        for number in range(count)
    ]
    for row in rows:
        view.add(row)
    return rows


def test_a_list_of_members_says_the_same_of_each_whether_packed_or_not() -> None:
    """All but the first few and the last are packed by then, and no answer shows which."""
    view = View(NodeId(bytes(16)))
    rows = listed(view, few() + 60)
    packed = [not row.record.may_be_packed for row in rows]
    waiting = limits.SIGNATURES_PER_INPUT // 3
    assert not any(packed[: few()])
    assert all(packed[few() : -waiting])
    assert not any(packed[-waiting:])

    for number, row in enumerate(rows):
        fresh = Row(record=numbered(number), state="alive", joined_at=1.0, last_seen=2.0)
        assert (row.member(), row.listed(), row.version) == (
            fresh.member(),
            fresh.listed(),
            fresh.version,
        )
        assert view.directory.by_handle(f"agent-{number}") == [row.id]


def test_whoever_changes_again_and_again_leaves_nothing_behind() -> None:
    """A record that was replaced is not kept because it waits to be packed."""
    view = View(NodeId(bytes(16)))
    row = listed(view, few() + 1)[1]
    for seq in range(1, 100):
        view.change(row, record=numbered(1, seq=seq))

    assert row.version == (1_750_000_000_001, 99)
    assert row.record.body.handle == "agent-1"
    waiting = view._newest  # noqa: SLF001  # the bound is a promise to memory, not to callers
    assert len(waiting) == limits.SIGNATURES_PER_INPUT // 3


def test_what_records_have_in_common_holds_nothing_of_one() -> None:
    """Neither key nor name nor signature of the one in which it was seen."""
    record = numbered(7)
    like = record.likeness()
    assert isinstance(like, Likeness)
    common = b"".join(piece for piece in (*like.body, *like.chain) if isinstance(piece, bytes))

    credential = record.credential
    for own in (credential.node_key, b"agent-7", record.chain[-SIGNATURE_BYTES:]):
        assert own not in common
    assert b"default" in common


def test_a_first_record_that_repeats_itself_costs_the_others_next_to_nothing() -> None:
    """Whoever is looked at first says what all have in common: a hundred pieces, if it likes."""
    owner = CRYPTO.signing_public(key("mallory"))
    plain = codec.unpack_list_untrusted(
        block("mallory", TRANSPORT, exchanging("mallory"), not_after=NOW, name="a")[
            :-SIGNATURE_BYTES
        ],
        0,
    )
    payload = codec.pack([*plain, b"\xa1azzz" * 95])
    signed = payload + CRYPTO.sign(key("mallory"), DOMAIN + payload)
    chain = pack_chain([by_root(NODE, owner), signed])
    before = numbered(1).wire()

    like = Likeness.of(before[1], chain, numbered(1).body.in_common())
    record = numbered(1)
    record.pack(like)

    assert len(like.chain) == 16
    assert record.wire() == before
    assert len(record._packed or b"") < sum(map(len, before))  # noqa: SLF001  # as above


def test_lines_keep_their_domain() -> None:
    """What is kept is verified again as it was: the signature covers the very bytes."""
    record = numbered(5)
    record.pack(numbered(1).likeness())
    raw = record.line.raw

    assert record.line.is_signed_by(CRYPTO, record.body.node_key, GROUP)
    payload, signature = raw[:-SIGNATURE_BYTES], raw[-SIGNATURE_BYTES:]
    assert CRYPTO.verify(record.body.node_key, LINE_DOMAIN + GROUP + payload, signature)
