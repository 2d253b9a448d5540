"""Signed statements: how they are made, split and read.

A statement travels as `payload || signature`. The payload is a MessagePack array of
integers, bytes, texts and lists of them, never floats, so that it has one meaning
everywhere. The Ed25519 signature (64 B) covers `meshp2p/<kind>/1` and a zero byte, the
group id (16 B), and the payload as it was received, never a re-encoding. So a ballot
cannot pass for a bid, nor for a ballot of another namespace.
"""

from __future__ import annotations

import hashlib
from typing import Final

import attrs

from meshp2p.errors import WireError
from meshp2p.identity.keys import SIGNATURE_BYTES, Crypto
from meshp2p.ids import NODE_ID_BYTES, NodeId
from meshp2p.wire import codec, limits
from meshp2p.wire.codec import Value

HASH_BYTES: Final = 32
"""Of SHA-256, which names every statement."""

FORMAT: Final = 1
"""First element of every payload; grows when a reader of old would misunderstand."""

MAX_INTEGER: Final = (1 << 53) - 1
"""Largest number in a statement: exact in every language that may audit one."""

PPM: Final = 1_000_000
"""Shares are integers in millionths."""


def digest(data: bytes) -> bytes:
    """SHA-256, 32 bytes."""
    return hashlib.sha256(data).digest()


def sign(crypto: Crypto, private: bytes, kind: str, group_id: bytes, fields: list[Value]) -> bytes:
    """Make a statement of this kind, as it travels."""
    payload = codec.pack(fields)
    return payload + crypto.sign(private, _domain(kind, group_id) + payload)


def is_signed_by(
    crypto: Crypto, public: bytes, kind: str, group_id: bytes, statement: bytes
) -> bool:
    """Whether the owner of the Ed25519 key `public` made this statement."""
    payload, signature = statement[:-SIGNATURE_BYTES], statement[-SIGNATURE_BYTES:]
    return crypto.verify(public, _domain(kind, group_id) + payload, signature)


def payload_of(statement: bytes) -> bytes:
    """The statement without its signature."""
    return statement[:-SIGNATURE_BYTES]


def open_untrusted(statement: object, at_most: int = limits.MAX_SIGNED) -> Fields:
    """Read a statement's payload; its signature is not looked at yet.

    Raises:
        WireError: Too long, too short, or not an array that begins with `FORMAT`.
    """
    if type(statement) is not bytes or not SIGNATURE_BYTES < len(statement) <= at_most:
        raise WireError("not a signed statement of allowed size")
    fields = Fields(codec.unpack_list_untrusted(payload_of(statement), at_least=1))
    fields.integer(FORMAT, FORMAT)
    return fields


def _domain(kind: str, group_id: bytes) -> bytes:
    return b"meshp2p/" + kind.encode() + b"/1\0" + group_id


@attrs.define
class Fields:
    """Takes the elements of an array one after the other and checks each.

    What is left over belongs to a later version and is ignored. Every method raises
    WireError, and nothing else, when the next element is not what was asked for.
    """

    _values: list[Value]
    _next: int = attrs.field(default=0, init=False)

    def integer(self, least: int = 0, most: int = MAX_INTEGER) -> int:
        """An integer between the bounds, both included."""
        value = self._take()
        if type(value) is not int or not least <= value <= most:
            raise WireError(f"not an integer from {least} to {most}")
        return value

    def octets(self, length: int) -> bytes:
        """Exactly so many bytes."""
        value = self._take()
        if type(value) is not bytes or len(value) != length:
            raise WireError(f"not {length} bytes")
        return value

    def octets_up_to(self, at_most: int) -> bytes:
        """Bytes, possibly none."""
        value = self._take()
        if type(value) is not bytes or len(value) > at_most:
            raise WireError(f"not at most {at_most} bytes")
        return value

    def node_id(self) -> NodeId:
        """The 16 bytes of a node id."""
        return NodeId(self.octets(NODE_ID_BYTES))

    def text(self, at_most: int) -> str:
        """A text of at most so many bytes in UTF-8."""
        value = self._take()
        if type(value) is not str or len(value.encode()) > at_most:
            raise WireError(f"not a text of at most {at_most} bytes")
        return value

    def array(self, at_most: int) -> list[Value]:
        """A list of at most so many elements, not looked at yet."""
        value = self._take()
        if type(value) is not list or len(value) > at_most:
            raise WireError(f"not a list of at most {at_most} elements")
        return value

    def fields(self) -> Fields:
        """The next element is an array of its own."""
        value = self._take()
        if type(value) is not list:
            raise WireError("not a list")
        return Fields(value)

    def texts(self, at_most: int, each: int) -> tuple[str, ...]:
        """A list of texts, each of at most so many bytes."""
        inner = Fields(self.array(at_most))
        return tuple(inner.text(each) for _ in range(inner.left))

    def integers(self, at_most: int, most: int = MAX_INTEGER) -> tuple[int, ...]:
        """A list of integers from 0."""
        inner = Fields(self.array(at_most))
        return tuple(inner.integer(0, most) for _ in range(inner.left))

    @property
    def left(self) -> int:
        """Elements not yet taken."""
        return len(self._values) - self._next

    def _take(self) -> Value:
        if not self.left:
            raise WireError(f"an array of only {len(self._values)} elements")
        self._next += 1
        return self._values[self._next - 1]
