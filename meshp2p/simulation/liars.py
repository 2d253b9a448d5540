"""A cipher between a production engine and what it says: its owner can lie under a true seal.

Whatever an engine says, in a datagram or by stream, passes here as plaintext just before it
is sealed, and whatever it hears just after it was opened. So a member can be made to say
anything, and what it says arrives authentic.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from random import Random
from typing import Final, TypeAlias

from meshp2p.errors import WireError
from meshp2p.identity.keys import Aead, Crypto
from meshp2p.transport.packet import DATA, DATA_HEADER
from meshp2p.wire import codec, limits
from meshp2p.wire.codec import Value

Lie: TypeAlias = Callable[[bytes], bytes | None]
"""What is sealed instead of a datagram's plaintext; None for the truth."""

Tale: TypeAlias = Callable[[bytes, bytes], bytes]
"""Given the key and the plaintext of a stream's record, what is sealed instead."""

_REMEMBERED: Final = 64
"""Datagrams of others that a liar keeps."""
_RECORDS_REMEMBERED: Final = 256
"""Records of streams that it keeps of others, and as many of its own."""


class Liar:
    """A `Crypto` that is honest until it is told how to lie.

    Args:
        crypto: What does the mathematics.
    """

    def __init__(self, crypto: Crypto) -> None:
        """Honest."""
        self._crypto = crypto
        self.lies: dict[int, Lie] = {}
        """By the number of the fault; the first that lies is believed."""
        self.heard: deque[bytes] = deque(maxlen=_REMEMBERED)
        """Plaintexts of the latest datagrams from others."""
        self.tales: dict[int, Tale] = {}
        """What is told by stream instead, likewise; each changes what the one before it made."""
        self.told: deque[bytes] = deque(maxlen=_RECORDS_REMEMBERED)
        """Plaintexts of the latest records of streams from others."""
        self.said: deque[bytes] = deque(maxlen=_RECORDS_REMEMBERED)
        """Likewise of its own, as its engine meant them."""

    def sign(self, private: bytes, data: bytes) -> bytes:
        """See `Crypto.sign`."""
        return self._crypto.sign(private, data)

    def verify(self, public: bytes, data: bytes, signature: bytes) -> bool:
        """See `Crypto.verify`."""
        return self._crypto.verify(public, data, signature)

    def signing_public(self, private: bytes) -> bytes:
        """See `Crypto.signing_public`."""
        return self._crypto.signing_public(private)

    def exchange(self, private: bytes, public: bytes) -> bytes:
        """See `Crypto.exchange`."""
        return self._crypto.exchange(private, public)

    def exchange_public(self, private: bytes) -> bytes:
        """See `Crypto.exchange_public`."""
        return self._crypto.exchange_public(private)

    def derive(self, chain: bytes, secret: bytes, outputs: int) -> tuple[bytes, ...]:
        """See `Crypto.derive`."""
        return self._crypto.derive(chain, secret, outputs)

    def aead(self, key: bytes) -> Aead:
        """A cipher that may lie on its way in."""
        return _LyingAead(self, key, self._crypto.aead(key))


class _LyingAead:
    def __init__(self, liar: Liar, key: bytes, honest: Aead) -> None:
        self._liar = liar
        self._key = key
        self._honest = honest

    def seal(self, nonce: bytes, plaintext: bytes, aad: bytes | None) -> bytes:
        if self._liar.lies and _is_datagram(aad):
            for lie in self._liar.lies.values():
                instead = lie(plaintext)
                if instead is not None:
                    plaintext = instead
                    break
        elif aad is None:
            self._liar.said.append(plaintext)
            for tale in self._liar.tales.values():
                plaintext = tale(self._key, plaintext)
        return self._honest.seal(nonce, plaintext, aad)

    def open(self, nonce: bytes, ciphertext: bytes, aad: bytes | None) -> bytes:
        plaintext = self._honest.open(nonce, ciphertext, aad)
        if _is_datagram(aad):
            self._liar.heard.append(plaintext)
        elif aad is None:
            self._liar.told.append(plaintext)
        return plaintext


def _is_datagram(aad: bytes | None) -> bool:
    """A datagram's seal covers its header; a stream's has none; a handshake's is another.

    And a next key is made by sealing something that is bound to nothing.
    """
    return aad is not None and len(aad) == DATA_HEADER.size and aad[0] == DATA


def with_one_change(plaintext: bytes, rng: Random) -> bytes | None:
    """The same items with one field changed, so that signatures over it fail; None if empty."""
    try:
        value = codec.unpack_untrusted(plaintext)
    except WireError:
        return None
    return codec.pack(changed(value, rng.randrange))


def with_one_more(plaintext: bytes, item: list[Value]) -> bytes | None:
    """The same items and one at their end, or that one alone; None if even that does not fit."""
    try:
        items = codec.unpack_list_untrusted(plaintext, 0)
    except WireError:
        items = []
    for said in ([*items, item], [item]):
        packed = codec.pack(said)
        if len(packed) <= limits.MAX_PLAINTEXT:
            return packed
    return None


def changed(value: Value, draw: Callable[[int], int]) -> Value:
    """Another value with one leaf changed.

    Args:
        draw: `draw(n)` gives a number from 0 to n - 1.
    """
    if isinstance(value, list) and value:
        at = draw(len(value))
        return [*value[:at], changed(value[at], draw), *value[at + 1 :]]
    if isinstance(value, bytes) and value:
        at = draw(len(value))
        return value[:at] + bytes([value[at] ^ (1 << draw(8))]) + value[at + 1 :]
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return max(value + draw(5) - 2, 0)
