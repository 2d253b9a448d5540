"""Records as a node keeps them: short bytes, of which little is read before it is asked for.

A node among ten thousand holds as many records and seldom looks into one. What nothing makes
shorter are keys, signatures and names. The rest is there twice (keys in body and chain, id
and hash in the line), or much the same in all of one mesh: issuers, roles, framing. So a
record is kept as what is left without all that, and a few numbers in front that decide
whether a claim is news. Nothing of this travels: whoever asks gets the bytes that were signed.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple, TypeAlias

import attrs

from meshp2p.identity.credential import ISSUER, parse_chain_untrusted
from meshp2p.identity.keys import SIGNATURE_BYTES, node_id_of
from meshp2p.wire import codec

LINE_FORMAT: Final = 1
HASH_BYTES: Final = 16

_HEAD: Final = struct.Struct(">BQIIIHH")
"""The facts, then how many bytes are left of body and line."""
_U32: Final = (1 << 32) - 1
_FACTS: Final = 5
_NODE_KEY: Final = slice(4, 36)
_TRANSPORT_KEY: Final = slice(38, 70)
"""Where a body of this version has its keys. Elsewhere is something that is found nowhere."""
_SHORTEST: Final = 3
"""Bytes; a shorter piece is hardly worth the byte that says where it was."""
_MOST_PIECES: Final = 16
"""Of a chain of four blocks 9 are left. A name that its owner says again and again in a block
would make hundreds, and all that are kept would be looked through for each."""
_ABSENT: Final = 255
_BYTES: Final = [bytes([number]) for number in range(256)]

_Piece: TypeAlias = bytes | int
"""Bytes that many records share, or which of those that a record has twice (`_twice`)."""


class Facts(NamedTuple):
    """What is asked of a record time and again: as its line says, and its credential."""

    state: int
    epoch: int
    seq: int
    valid_until: int
    transport_not_after: int


class Wire(NamedTuple):
    """A record as it travels."""

    line: bytes
    body: bytes
    chain: bytes


@attrs.frozen(eq=False)
class Likeness:
    """What the records of a mesh have in common, in the order in which it comes."""

    body: tuple[bytes, ...]
    chain: tuple[_Piece, ...]

    @classmethod
    def of(cls, body: bytes, chain: bytes, in_common: Iterable[bytes]) -> Likeness:
        """As seen in one record.

        Args:
            body: As it travels, as is the chain.
            in_common: Pieces of the body that many others have.

        Raises:
            WireError: It has no chain.
            CredentialError: It has one of a later version.
        """
        pieces: list[_Piece] = [chain]
        for value in _of_one_node(chain):
            pieces = _split(pieces, value, [])
        for number, value in enumerate(_twice(body)):
            pieces = _split(pieces, value, [number])
        pieces = [each for each in pieces if isinstance(each, int) or len(each) >= _SHORTEST]
        return cls(tuple(in_common), tuple(pieces[:_MOST_PIECES]))


def pack(facts: Facts, wire: Wire, like: Likeness) -> bytes:
    """What the functions below read.

    Args:
        facts: They are in the wire as well, further down.
        like: What it will take to read this.

    Returns:
        Empty if one of the facts is too large a number, which nobody needs to sign before
        the year 2106.
    """
    facts = facts._replace(transport_not_after=min(facts.transport_not_after, _U32))
    if facts.seq > _U32 or facts.valid_until > _U32:
        return b""
    twice = _twice(wire.body)
    body = _cut(wire.body, like.body)
    line = _cut(wire.line, [_payload(facts, twice[0], hash_of(wire.body))])
    chain = _cut(wire.chain, _filled(like.chain, twice))
    return b"".join((_HEAD.pack(*facts, len(body), len(line)), body, line, chain))


def facts_of(packed: bytes) -> Facts:
    """The numbers in front."""
    return Facts._make(_HEAD.unpack_from(packed)[:_FACTS])


def body_of(packed: bytes, like: Likeness) -> bytes:
    """The body as it came."""
    size = _HEAD.unpack_from(packed)[_FACTS]
    return _restored(packed[_HEAD.size : _HEAD.size + size], like.body)


def line_of(packed: bytes, like: Likeness) -> bytes:
    """The line as it came."""
    body = body_of(packed, like)
    return _line_of(packed, body, _twice(body))


def chain_of(packed: bytes, like: Likeness) -> bytes:
    """The chain as it came."""
    return _chain_of(packed, like, _twice(body_of(packed, like)))


def wire_of(packed: bytes, like: Likeness) -> Wire:
    """All of it as it came."""
    body = body_of(packed, like)
    twice = _twice(body)
    return Wire(_line_of(packed, body, twice), body, _chain_of(packed, like, twice))


def _line_of(packed: bytes, body: bytes, twice: Sequence[bytes]) -> bytes:
    *facts, of_body, of_line = _HEAD.unpack_from(packed)
    start = _HEAD.size + of_body
    payload = _payload(Facts._make(facts), twice[0], hash_of(body))
    return _restored(packed[start : start + of_line], [payload])


def _chain_of(packed: bytes, like: Likeness, twice: Sequence[bytes]) -> bytes:
    start = _HEAD.size + sum(_HEAD.unpack_from(packed)[_FACTS:])
    return _restored(packed[start:], _filled(like.chain, twice))


def hash_of(body: bytes) -> bytes:
    """16 bytes: by which a line names its body."""
    return hashlib.sha256(body).digest()[:HASH_BYTES]


def _twice(body: bytes) -> tuple[bytes, bytes, bytes]:
    """What is in a chain as well: id, key and transport key of the node."""
    node_key = body[_NODE_KEY]
    return node_id_of(node_key), node_key, body[_TRANSPORT_KEY]


def _payload(facts: Facts, node_id: bytes, body_hash: bytes) -> bytes:
    """What a line of this version says, without its signature."""
    state, epoch, seq, valid_until, _ = facts
    return codec.pack([LINE_FORMAT, node_id, body_hash, epoch, seq, state, valid_until])


def _filled(pieces: Iterable[_Piece], twice: Sequence[bytes]) -> list[bytes]:
    return [twice[piece] if isinstance(piece, int) else piece for piece in pieces]


def _of_one_node(chain: bytes) -> Iterable[bytes]:
    """What no other node's chain has in these places."""
    for block in parse_chain_untrusted(chain):
        yield codec.pack(block.wire)[: -len(block.wire)]  # its length, which is the name's
        if block.kind != ISSUER:
            yield block.wire[-SIGNATURE_BYTES:]
            for value in (block.name, block.not_before, block.not_after):
                if value:
                    yield codec.pack(value)


def _split(pieces: Iterable[_Piece], value: bytes, between: list[int]) -> list[_Piece]:
    """The pieces without a value that is in them; what stands for it, if anything, instead."""
    result: list[_Piece] = []
    for piece in pieces:
        if isinstance(piece, int):
            result.append(piece)
            continue
        first, *others = piece.split(value)
        result.append(first)
        for other in others:
            result += [*between, other]
    return result


def _cut(data: bytes, pieces: Iterable[bytes]) -> bytes:
    """What is left without those of the pieces that are in it, one after the other."""
    left: list[bytes] = []
    for piece in pieces:
        before, found, after = data.partition(piece)
        if found and len(before) < _ABSENT:
            left += (_BYTES[len(before)], before)
            data = after
        else:
            left.append(_BYTES[_ABSENT])
    return b"".join((*left, data))


def _restored(left: bytes, pieces: Iterable[bytes]) -> bytes:
    """What `_cut` was given."""
    data: list[bytes] = []
    at = 0
    for piece in pieces:
        size, at = left[at], at + 1
        if size != _ABSENT:
            data += (left[at : at + size], piece)
            at += size
    return b"".join((*data, left[at:]))
