"""Items of a datagram, read from those who may be hostile."""

from __future__ import annotations

import pytest

from meshp2p.errors import WireError
from meshp2p.gossip.messages import Ack, Nack, Ping, Unknown, decode_untrusted
from meshp2p.ids import NodeId
from meshp2p.wire import codec, limits

BOB = NodeId(b"b" * 16)
HASH = (7).to_bytes(8, "big")
PING_ITEM: list[codec.Value] = [1, 5, HASH]


@pytest.mark.parametrize("where", ["kind", "item", "field"])
@pytest.mark.parametrize("depth", [2, 100, 900, 1_000, 1_020, limits.MAX_PLAINTEXT - 40])
def test_nobody_can_nest_so_deep_that_it_hurts(depth: int, where: str) -> None:
    """Lists in lists as deep as a datagram can hold are malformed, and no more than that."""
    nest = b"\x91" * depth + b"\x90"
    before = {"kind": b"\x91\x91", "item": b"\x91", "field": b"\x91\x93\x01"}[where]
    after = {"kind": b"", "item": b"", "field": b"\xc4\x08" + HASH}[where]

    with pytest.raises(WireError):
        decode_untrusted(before + nest + after)


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ([1, 5, HASH], Ping(5, 7)),
        ([1, 5, HASH, 0, "of a later version", [[]]], Ping(5, 7)),
        ([2, 5, HASH, 3], Ack(5, 7, 3)),
        ([2, 5, HASH, 3, 1_750_000_000], Ack(5, 7, 3, 1_750_000_000)),
        ([2, 5, HASH, 3, 0, {"later": None}], Ack(5, 7, 3, 0)),
        ([6, 0, BOB], Nack(BOB)),
        ([5, 1], Unknown(5)),
        ([99], Unknown(99)),
    ],
)
def test_an_item_may_be_longer_than_this_version_knows(
    item: list[codec.Value], message: object
) -> None:
    """What later versions append is ignored; kinds of later versions are counted."""
    assert decode_untrusted(codec.pack([item])) == [message]


@pytest.mark.parametrize(
    "item",
    [
        [],
        [1],
        [1, 5],
        [1, -1, HASH],
        [1, True, HASH],
        [1, 5, HASH[1:]],
        [2, 5, HASH],
        [2, 5, HASH, 1 << 32],
        [2, 5, HASH, 3, -1],
        [2, 5, HASH, 3, 1.5],
        [2, 5, HASH, 3, None],
        [6, 0],
        [6, None, BOB],
        [6, 0, BOB[1:]],
        ["1", 5, HASH],
        [None],
        5,
        {"1": 5},
    ],
)
def test_a_malformed_item_spoils_its_datagram(item: codec.Value) -> None:
    """One error, whatever is wrong, and nothing of the datagram counts."""
    with pytest.raises(WireError):
        decode_untrusted(codec.pack([PING_ITEM, item]))
