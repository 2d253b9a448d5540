"""The items of a membership datagram: MessagePack of [[kind, ...], ...]."""

from __future__ import annotations

from typing import Final, TypeAlias

import attrs

from meshp2p.errors import WireError
from meshp2p.gossip.accusation import MAX_ACCUSATION
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
RESERVED: Final = range(20, 40)
"""For digests, buckets and zones."""

MAX_TUNNELLED: Final = limits.MAX_PLAINTEXT - limits.DATAGRAM_OVERHEAD - 48
"""Bytes of a plaintext that, sealed, still fits into a datagram that is forwarded."""

_HASH_BYTES: Final = 8
_LIST_HEADER: Final = 3
_U32: Final = 1 << 32


@attrs.frozen
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


@attrs.frozen
class Ack:
    """Yes; with the sender's view hash and how many calls it is running."""

    seq: int
    view_hash: int
    load: int

    def wire(self) -> list[Value]:
        """[2, seq, view hash (8 B), load]."""
        return [ACK, self.seq, self.view_hash.to_bytes(_HASH_BYTES, "big"), self.load]


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
class Unknown:
    """Of a later version, or not for this layer: counted and ignored."""

    kind: int


Message: TypeAlias = Ping | Ack | Nack | LineItem | RecordItem | SuspicionItem | Unknown


def decode_untrusted(plaintext: bytes) -> list[Message]:
    """Read the items of one datagram.

    Raises:
        WireError: And nothing else, whatever `plaintext` holds.
    """
    if len(plaintext) > limits.MAX_PLAINTEXT:
        raise WireError(f"a plaintext of {len(plaintext)} bytes")
    return [_decode_item(item) for item in codec.unpack_list_untrusted(plaintext, 0)]


def _decode_item(item: Value) -> Message:
    match array(item, "an item", at_least=1):
        case [1 | 2 | 6, _, _, *_] as question:
            return _decode_probe(question)
        case [10, line, *_]:
            return LineItem(binary(line, "line", at_most=MAX_LINE))
        case [11, line, body, chain, *_]:
            return record_untrusted([line, body, chain])
        case [12, accusation, *_]:
            return SuspicionItem(binary(accusation, "suspicion", at_most=MAX_ACCUSATION))
        case [kind, *_]:
            known = kind in (PING, ACK, NACK, LINE, RECORD, SUSPICION)
            if known or type(kind) is not int:
                raise WireError(f"a malformed item of kind {kind!r}"[:80])
            return Unknown(kind)
    raise WireError("an empty item")


def _decode_probe(item: list[Value]) -> Message:
    match item:
        case [1, seq, view_hash, *_]:
            return Ping(natural(seq, "seq"), _hash(view_hash))
        case [2, seq, view_hash, load, *_]:
            return Ack(natural(seq, "seq"), _hash(view_hash), natural(load, "load", _U32))
        case [6, int(), target, *_]:
            return Nack(NodeId(binary(target, "target", exactly=NODE_ID_BYTES)))
    raise WireError(f"a malformed item of kind {item[0]!r}")


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

    def add(self, item: list[Value], size: int | None = None) -> bool:
        """Add an item if it fits; say whether it did.

        Args:
            size: Its packed length, where that is known already.
        """
        size = len(codec.pack(item)) if size is None else size
        if self._used + size > self.room:
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
