"""The items of a membership datagram: MessagePack of [[kind, ...], ...]."""

from __future__ import annotations

from typing import Final, TypeAlias

import attrs

from meshp2p.errors import WireError
from meshp2p.gossip.accusation import MAX_ACCUSATION
from meshp2p.gossip.digest import DIGEST_BYTES, MASK_BYTES, PREFIX_BYTES
from meshp2p.gossip.fields import array, binary, natural
from meshp2p.gossip.record import MAX_LINE
from meshp2p.ids import NODE_ID_BYTES, NodeId
from meshp2p.wire import codec, limits
from meshp2p.wire.codec import Value

PING: Final = 1
ACK: Final = 2
FORWARD: Final = 3
"""[3, 0, to, datagram]: pass this on. Handled by the engine, as is the next."""
FORWARDED: Final = 4
"""[4, 0, from, datagram]: passed on; answer the same way."""
NACK: Final = 6
"""5 is reserved."""
LINE: Final = 10
RECORD: Final = 11
SUSPICION: Final = 12
DIGEST: Final = 20
BUCKET: Final = 21
WANT: Final = 22
DIFFER: Final = 23
RESERVED: Final = range(24, 40)
"""For zones."""

MAX_TUNNELLED: Final = limits.MAX_PLAINTEXT - limits.DATAGRAM_OVERHEAD - 48
"""Bytes of a plaintext that, sealed, still fits into a datagram that is forwarded."""

MAX_WANTED: Final = 96
"""Members that one `Want` names."""

_PING_FIELDS: Final = 3
_ACK_FIELDS: Final = 4
_HASH_BYTES: Final = 8
_LIST_HEADER: Final = 3
_U32: Final = 1 << 32


@attrs.define  # not frozen: most datagrams hold one, and freezing doubles the cost
class Ping:
    """Are you there?

    Args:
        seq: The answer repeats it.
        view_hash: Of the sender's view: equal hashes, equal views.
    """

    seq: int
    view_hash: int

    def wire(self) -> list[Value]:
        """[1, seq, view hash (8 B), reserved]."""
        return [PING, self.seq, self.view_hash.to_bytes(_HASH_BYTES, "big"), 0]


@attrs.define  # likewise
class Ack:
    """Yes; with the sender's view hash and how many calls it is running.

    Args:
        clock: What the sender's wall clock shows, whole Unix seconds; None of older nodes.
    """

    seq: int
    view_hash: int
    load: int
    clock: int | None = None

    def wire(self) -> list[Value]:
        """[2, seq, view hash (8 B), load, clock]."""
        view_hash = self.view_hash.to_bytes(_HASH_BYTES, "big")
        if self.clock is None:
            return [ACK, self.seq, view_hash, self.load]
        return [ACK, self.seq, view_hash, self.load, self.clock]


@attrs.frozen
class Nack:
    """A helper passed the question on, and has heard no answer so far.

    Source: Lifeguard (arXiv:1707.00788), section IV.A.
    """

    target: NodeId

    def wire(self) -> list[Value]:
        """[6, 0, target (16 B)]."""
        return [NACK, 0, self.target]


@attrs.frozen
class LineItem:
    """A newer version of somebody whose body the receiver may hold."""

    line: bytes

    def wire(self) -> list[Value]:
        """[10, line]."""
        return [LINE, self.line]


@attrs.frozen
class RecordItem:
    """A whole record."""

    line: bytes
    body: bytes
    chain: bytes

    def wire(self) -> list[Value]:
        """[11, line, body, chain]."""
        return [RECORD, self.line, self.body, self.chain]


@attrs.frozen
class SuspicionItem:
    """Somebody's accusation of somebody."""

    accusation: bytes

    def wire(self) -> list[Value]:
        """[12, accusation]."""
        return [SUSPICION, self.accusation]


@attrs.frozen
class DigestItem:
    """The sums of a whole view: answered with what differs.

    Args:
        sums: As `digest.pack_sums` makes them.
    """

    sums: bytes

    def wire(self) -> list[Value]:
        """[20, sums (1,024 B)]."""
        return [DIGEST, self.sums]


@attrs.frozen
class BucketItem:
    """All that the sender holds of members whose ids begin with a number of this range.

    Args:
        first: The least first 8 bytes of an id; with `last` within one bucket.
        entries: As `digest.pack_entries` makes them.
    """

    first: int
    last: int
    entries: bytes

    def wire(self) -> list[Value]:
        """[21, first, last, entries (16 B each)]."""
        return [BUCKET, self.first, self.last, self.entries]


@attrs.frozen
class WantItem:
    """Tell me of these members, each named by the first 8 bytes of its id.

    Args:
        records: Of whom nothing is known here.
        lines: Of whom something older is known, or who is not dead here.
        leases: Whose lines expire soon, if you hold one that lasts longer.
    """

    records: bytes = b""
    lines: bytes = b""
    leases: bytes = b""

    def wire(self) -> list[Value]:
        """[22, records, lines, leases (8 B for each member)]."""
        return [WANT, self.records, self.lines, self.leases]


@attrs.frozen
class DifferItem:
    """So many buckets differ that you had better ask for them by stream.

    Args:
        mask: Bit b stands for bucket b.
    """

    mask: int

    def wire(self) -> list[Value]:
        """[23, mask (16 B)]."""
        return [DIFFER, self.mask.to_bytes(MASK_BYTES, "big")]


@attrs.frozen
class Unknown:
    """Of a later version, or not for this layer: counted and ignored."""

    kind: int


Repairing: TypeAlias = DigestItem | BucketItem | WantItem | DifferItem
Message: TypeAlias = Ping | Ack | Nack | LineItem | RecordItem | SuspicionItem | Repairing | Unknown
_KINDS: Final = (PING, ACK, NACK, LINE, RECORD, SUSPICION, DIGEST, BUCKET, WANT, DIFFER)


def decode_untrusted(plaintext: bytes) -> list[Message]:
    """Read the items of one datagram.

    Raises:
        WireError: And nothing else, whatever `plaintext` holds.
    """
    return messages_untrusted(items_untrusted(plaintext))


def items_untrusted(plaintext: bytes) -> list[Value]:
    """Unpack a datagram's plaintext, which is too short to do harm by its shape.

    Raises:
        WireError: And nothing else, whatever `plaintext` holds.
    """
    if len(plaintext) > limits.MAX_PLAINTEXT:
        raise WireError(f"a plaintext of {len(plaintext)} bytes")
    return codec.unpack_head_untrusted(plaintext, 0)


def messages_untrusted(items: list[Value]) -> list[Message]:
    """Read the items of one datagram.

    Raises:
        WireError: And nothing else, whatever they are.
    """
    return [_decode_item(item) for item in items]


def _decode_item(item: Value) -> Message:
    read = array(item, "an item", at_least=1)
    match read:
        case [1 | 2 | 6, *_]:
            return _decode_probe(read)
        case [10, line, *_]:
            return LineItem(binary(line, "line", at_most=MAX_LINE))
        case [11, line, body, chain, *_]:
            return record_untrusted([line, body, chain])
        case [12, accusation, *_]:
            return SuspicionItem(binary(accusation, "suspicion", at_most=MAX_ACCUSATION))
    return _decode_seldom(read)


def _decode_seldom(item: list[Value]) -> Message:
    match item:
        case [20, sums, *_]:
            return DigestItem(binary(sums, "digest", exactly=DIGEST_BYTES))
        case [21, first, last, entries, *_]:
            listed = binary(entries, "entries", at_most=limits.MAX_PLAINTEXT)
            return BucketItem(natural(first, "first"), natural(last, "last"), listed)
        case [22, records, lines, leases, *_]:
            return WantItem(_prefixes(records), _prefixes(lines), _prefixes(leases))
        case [23, mask, *_]:
            return DifferItem(mask_untrusted(mask))
        case [kind, *_]:
            if kind not in _KINDS and type(kind) is int:
                return Unknown(kind)
    raise WireError("a malformed item")  # no word of what it holds: it may nest without end


def _decode_probe(item: list[Value]) -> Message:
    kind, size = item[0], len(item)  # no patterns: most datagrams hold one of these
    if kind == PING and size >= _PING_FIELDS:
        return Ping(natural(item[1], "seq"), _hash(item[2]))
    if kind == ACK and size >= _ACK_FIELDS:
        clock = natural(item[4], "clock") if size > _ACK_FIELDS else None
        return Ack(natural(item[1], "seq"), _hash(item[2]), natural(item[3], "load", _U32), clock)
    if kind == NACK and size >= _PING_FIELDS and isinstance(item[1], int):
        return Nack(NodeId(binary(item[2], "target", exactly=NODE_ID_BYTES)))
    raise WireError("a malformed ping, ack or nack")


def mask_untrusted(value: Value) -> int:
    """Read which buckets are meant.

    Raises:
        WireError: It is something else.
    """
    return int.from_bytes(binary(value, "mask", exactly=MASK_BYTES), "big")


def _prefixes(value: Value) -> bytes:
    return binary(value, "prefixes", at_most=MAX_WANTED * PREFIX_BYTES)


def record_untrusted(value: Value) -> RecordItem:
    """Read [line, body, chain, ...], as a full sync lists them.

    Raises:
        WireError: It is something else, or too long.
    """
    line, body, chain, *_ = array(value, "a record", at_least=3)
    return RecordItem(
        binary(line, "line", at_most=MAX_LINE),
        binary(body, "body", at_most=limits.MAX_RECORD_BODY),
        binary(chain, "chain", at_most=limits.MAX_CHAIN),
    )


def _hash(value: Value) -> int:
    return int.from_bytes(binary(value, "view hash", exactly=_HASH_BYTES), "big")


@attrs.define
class Datagram:
    """One plaintext while it is being filled.

    Args:
        room: Bytes that it may have.
    """

    room: int = limits.MAX_PLAINTEXT
    _items: list[list[Value]] = attrs.field(factory=list, init=False)
    _used: int = attrs.field(default=_LIST_HEADER, init=False)

    @property
    def free(self) -> int:
        """Bytes that are left."""
        return self.room - self._used

    def add(self, item: list[Value], size: int | None = None, keep: float = 0.0) -> bool:
        """Add an item if it fits; say whether it did.

        Args:
            size: Its packed length, where that is known already.
            keep: Bytes that must be left over, for something else.
        """
        if size is None:
            size = len(codec.pack(item))
        if size > self.room - self._used - keep:
            return False
        self._items.append(item)
        self._used += size
        return True

    def encode(self) -> bytes:
        """The plaintext."""
        return codec.pack(self._items)

    def __bool__(self) -> bool:
        """Whether it holds anything."""
        return bool(self._items)
